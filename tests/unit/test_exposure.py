"""A hash is as good as the password: who can read it is told, wherever it stands."""

from __future__ import annotations

import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from carrel.adapters.process import Identity
from carrel.cli.main import carrel
from carrel.config import exposure, load
from carrel.config.exposure import exposed, open_to_all
from carrel.core.layout import LocalLayout
from carrel.operations import users
from carrel.targets.local.runtime import LocalRuntime
from carrel.targets.local.target import LocalTarget
from samples import HASH


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that everybody can enter, as /etc/carrel."""
    made = Path(tempfile.mkdtemp(prefix="carrel-exposed-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def test_a_file_is_open_if_its_mode_and_the_way_to_it_are(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    file = inner / "file"
    file.write_text("")
    link = folder / "link"
    link.symlink_to(file)
    for mode in range(0o600, 0o701):
        file.chmod(mode)
        for way in (0o700, 0o710, 0o711, 0o750, 0o755):
            inner.chmod(way)
            open_ = bool(mode & 0o004) and bool(way & 0o001)
            assert open_to_all(file) is open_, (oct(mode), oct(way))
            assert open_to_all(link) is open_
    assert not open_to_all(folder / "nothing")


def configured(folder: Path, user: str, mode: int) -> Path:
    file = folder / "carrel.toml"
    file.write_text(f'domain = "code.localhost"\n[users.dan]\n{user}\n')
    file.chmod(mode)
    return file


@pytest.mark.parametrize(
    ("mode", "told"), [(0o644, True), (0o604, True), (0o640, False), (0o600, False)]
)
def test_a_hash_in_a_file_that_others_can_read_is_told_with_what_to_do(
    folder: Path, mode: int, told: bool
) -> None:
    file = configured(folder, f'password_hash = "{HASH}"', mode)
    found = exposed(load.load(file), file)
    assert bool(found) is told
    said = CliRunner().invoke(carrel, ["config", "check", "--config", str(file)])
    assert said.exit_code == 0, "what an existing file means stays"
    assert ("Warning" in said.output) is told
    if told:
        assert "signed in as dan" in said.output.replace("\n", " ")
        assert f"chmod 600 {file}" in said.output
    assert HASH not in said.output


def test_what_nix_builds_is_not_to_be_closed_but_left(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = configured(folder, f'password_hash = "{HASH}"', 0o444)
    monkeypatch.setattr(exposure, "STORE", f"{folder}/")
    [found] = exposed(load.load(file), file)
    assert "password_file" in found.fallback
    assert "chmod" not in found.fallback


@pytest.mark.parametrize("content", ["open sesame", HASH])
@pytest.mark.parametrize(("mode", "told"), [(0o644, True), (0o600, False)])
def test_a_file_with_a_password_or_its_hash_is_told_too(
    folder: Path, content: str, mode: int, told: bool
) -> None:
    (folder / "dan").write_text(content)
    (folder / "dan").chmod(mode)
    file = configured(folder, 'password_file = "dan"', 0o644)
    assert [str(folder / "dan") in str(one) for one in exposed(load.load(file), file)] == [
        True
    ] * told


def test_a_password_that_carrel_keeps_is_in_a_file_of_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalRuntime, "active", lambda _: False)
    file = configured(folder, f'password_hash = "{HASH}"', 0o644)
    me = Identity.ours().name
    layout = LocalLayout("s", f"{folder}/lib", f"{folder}/run", me, me)
    place = LocalTarget(file, layout, lambda _: None)
    users.set_password(place, "dan", HASH, lambda _: None)
    users.add(place, users.Newcomer("eve"), HASH, lambda _: None)
    users.add(place, users.Newcomer("kim"), None, lambda _: None)
    assert HASH not in file.read_text()
    people = tomllib.loads(file.read_text())["users"]
    for name in ("dan", "eve", "kim"):
        assert people[name] == {"password_file": f"secrets/{name}"}
        assert (folder / "secrets" / name).stat().st_mode & 0o777 == 0o600
    assert exposed(load.load(file), file) == ()
