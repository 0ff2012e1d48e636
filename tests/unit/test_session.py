"""Where somebody without a login session keeps sockets: below /tmp, where everybody may be first."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carrel.adapters import files
from carrel.adapters.process import Identity
from carrel.errors import Conflict
from carrel.targets import facts
from others import as_root, nobody


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory like /tmp."""
    folder = Path(tempfile.mkdtemp(prefix="carrel-shared-"))
    folder.chmod(0o1777)
    monkeypatch.setattr(facts, "SHARED", str(folder))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "/nonexistent")
    yield folder
    shutil.rmtree(folder)


def test_it_is_made_for_nobody_else_and_may_be_there(shared: Path) -> None:
    path = shared / "mine"
    files.make_private(str(path))
    assert path.stat().st_mode & 0o777 == 0o700
    (path / "socket").write_text("")
    path.chmod(0o755)  # as an earlier Carrel made it
    files.make_private(str(path))
    assert path.stat().st_mode & 0o777 == 0o700
    assert (path / "socket").exists()


def open_to_others(path: Path, mode: int) -> None:
    path.mkdir()
    path.chmod(mode)


PLANTED: dict[str, Callable[[Path], object]] = {
    "a file": lambda path: path.write_text(""),
    "a pipe": os.mkfifo,
    "a link to a directory": lambda path: path.symlink_to("/tmp"),
    "a link to nothing": lambda path: path.symlink_to("/nonexistent"),
    "a directory that others may write to": lambda path: open_to_others(path, 0o777),
    "a directory that a group may write to": lambda path: open_to_others(path, 0o770),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_not_ours_alone_is_not_used(shared: Path, kind: str) -> None:
    PLANTED[kind](shared / "mine")
    with pytest.raises(Conflict, match="not ours alone") as caught:
        files.make_private(str(shared / "mine"))
    assert "XDG_RUNTIME_DIR" in caught.value.fix


@as_root
@pytest.mark.parametrize("mode", [0o700, 0o755, 0o777])
def test_a_directory_of_somebody_else_is_not_used_whatever_its_mode(
    shared: Path, mode: int
) -> None:
    planted = shared / f"carrel-{Identity.of('nobody').uid}"
    planted.mkdir()
    planted.chmod(mode)
    assert nobody(lambda: facts.layout(shared / "carrel.toml")) == "Conflict"
    assert list(planted.iterdir()) == []


@as_root
def test_who_is_first_keeps_it(shared: Path) -> None:
    assert nobody(lambda: facts.layout(shared / "carrel.toml")) == ""
    made = shared / f"carrel-{Identity.of('nobody').uid}"
    assert made.stat().st_mode & 0o777 == 0o700
    assert nobody(lambda: facts.layout(shared / "carrel.toml")) == ""


@as_root
def test_the_session_of_somebody_else_is_not_ours(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(shared))  # su(1) keeps root's
    assert nobody(lambda: facts.layout(shared / "carrel.toml")) == "Conflict"
    own = shared / "own"
    own.mkdir()
    os.chown(own, Identity.of("nobody").uid, -1)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(own))
    assert nobody(lambda: facts.layout(shared / "carrel.toml")) == ""
