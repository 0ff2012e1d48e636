"""The local backend on fakes of supervisord and podman, with real files."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from carrel.adapters import certificates, files, process
from carrel.core.plan import Plan, Remove, diff
from carrel.core.resources import Directory, Holds, Service, State
from carrel.errors import ToolFailed
from desks import Desk
from samples import HASH


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    umask = os.umask(0o022)
    # These tests converge a few hundred times; what reaches the disk is not their subject.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    yield Desk(tmp_path)
    os.umask(umask)


def test_applying_twice_changes_nothing(desk: Desk) -> None:
    assert desk.converge(desk.site("dan"))
    assert desk.converge(desk.site("dan")) == []


def test_what_is_observed_is_what_was_wanted(desk: Desk) -> None:
    desk.converge(desk.site("dan"))
    assert desk.local.observe() == desk.wanted(desk.site("dan"))


def test_the_password_arrives_as_a_hash_in_a_private_file(desk: Desk) -> None:
    desk.converge(desk.site("dan"))
    file = Path(desk.layout.secrets_file("dan"))
    assert file.read_text().startswith("HASHED_PASSWORD=$argon2id$")
    assert "sesame" not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert HASH in Path(desk.layout.secrets_file("hashed")).read_text()


def test_the_journal_holds_no_secret(desk: Desk) -> None:
    desk.converge(desk.site("dan"))
    journal = Path(desk.layout.journal).read_text()
    assert "sesame" not in journal
    assert "argon2id" not in journal


@pytest.mark.parametrize(
    ("damage", "mended"),
    [
        (lambda d: Path(d.layout.nginx_config).write_text("broken"), "nginx.conf (content)"),
        (lambda d: Path(d.layout.nginx_config).unlink(), "+ file"),
        (lambda d: Path(d.layout.secrets_file("dan")).unlink(), "+ secrets"),
        (lambda d: Path(d.layout.secrets_file("dan")).chmod(0o644), "~ secrets"),
        (lambda d: Path(f"{d.folder}/data/dan/home").chmod(0o755), "home (mode)"),
        (lambda d: files.remove_tree(f"{d.folder}/data/dan/workspace"), "+ directory"),
        (lambda d: Path(f"{d.layout.tls}/site.key").unlink(), "~ certificate"),
        (lambda d: Path(f"{d.folder}/ca.crt").write_text("no"), "~ certificate"),
        (lambda d: d.podman.references.clear(), "+ image"),
        (lambda d: d.supervisor.lose("workspace-dan"), "+ service workspace-dan"),
        (lambda d: d.supervisor.shut_down(), "+ service edge"),
        (lambda d: files.remove_tree(d.layout.runtime), "+ directory"),
    ],
)
def test_drift_is_found_and_mended(
    desk: Desk, damage: Callable[[Desk], object], mended: str
) -> None:
    desk.converge(desk.site("dan"))
    damage(desk)
    steps = desk.converge(desk.site("dan"))
    assert any(mended in step for step in steps), steps
    assert desk.converge(desk.site("dan")) == []


def test_a_removed_user_stops_and_keeps_the_data(desk: Desk) -> None:
    desk.converge(desk.site("dan", "eve"))
    work = Path(f"{desk.folder}/data/eve/workspace/essay.txt")
    work.write_text("long")
    steps = desk.converge(desk.site("dan"))
    assert "- service workspace-eve" in steps
    assert not any("data/eve" in step for step in steps)
    assert work.read_text() == "long"
    assert not Path(desk.layout.socket_directory("eve")).exists()
    assert not Path(desk.layout.secrets_file("eve")).exists()
    assert desk.converge(desk.site("dan")) == []


def test_a_password_that_stays_the_same_keeps_its_hash(desk: Desk) -> None:
    desk.converge(desk.site("dan"))
    before = Path(desk.layout.secrets_file("dan")).read_text()
    Path(desk.layout.secrets_file("dan")).chmod(0o644)
    desk.converge(desk.site("dan"))
    assert Path(desk.layout.secrets_file("dan")).read_text() == before


def test_a_new_password_gives_a_new_hash(desk: Desk) -> None:
    desk.converge(desk.site("dan"))
    before = Path(desk.layout.secrets_file("dan")).read_text()
    desk.password.write_text("another\n")
    desk.converge(desk.site("dan"))
    assert Path(desk.layout.secrets_file("dan")).read_text() != before


def test_a_link_that_a_user_made_is_not_followed(desk: Desk) -> None:
    outside = desk.folder / "outside"
    outside.mkdir(mode=0o755)
    desk.converge(desk.site("dan"))
    home = Path(f"{desk.folder}/data/dan/workspace")
    home.rmdir()
    home.symlink_to(outside)
    with pytest.raises(ToolFailed, match="workspace"):
        desk.converge(desk.site("dan"))
    assert outside.stat().st_mode & 0o777 == 0o755
    assert list(outside.iterdir()) == []


def test_the_certificate_is_for_the_site_and_its_authority_for_nothing_else(desk: Desk) -> None:
    desk.converge(desk.site("dan"))
    chain = Path(f"{desk.layout.tls}/site.crt").read_text()
    assert certificates.names_of(chain) == ("code.localhost", "*.code.localhost")
    authority = (desk.folder / "ca.crt").read_text()
    assert certificates.permitted(authority) == ("code.localhost",)
    assert certificates.days_left(chain) < 398
    assert "PRIVATE" not in authority


def test_a_failing_check_leaves_the_service_as_it_was(desk: Desk) -> None:
    desk.converge(desk.site("dan"))
    wanted = desk.wanted(desk.site("dan"))
    broken = State.of(
        replace(r, check=("false",), revision="new") if isinstance(r, Service) else r
        for r in wanted
    )
    with desk.local.locked(), pytest.raises(ToolFailed, match="false"):
        desk.local.apply(diff(desk.local.observe(), broken), lambda _: None)
    assert {p.state for p in desk.supervisor.programs().values()} == {"RUNNING"}


def test_data_is_deleted_as_the_containers_root(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[str] = []
    monkeypatch.setattr(desk.podman, "empty", removed.append)
    data = Directory(f"{desk.folder}/data/dan/home", desk.layout.account, 0o700, Holds.DATA)
    desk.converge(desk.site("dan"))
    with desk.local.locked():
        desk.local.apply(Plan((Remove(data),)), lambda _: None)
    assert removed == [data.path]


def test_programs_run_with_our_environment_only(desk: Desk) -> None:
    desk.converge(desk.site("dan"))
    text = Path(f"{desk.layout.supervisor_programs}/workspace-dan.conf").read_text()
    line = next(line for line in text.splitlines() if line.startswith("environment"))
    assert "CONTAINERS_CONF" in line
    assert "SSL_CERT_FILE" not in line
    result = process.run(["env"], desk.local.world)
    assert {line.partition("=")[0] for line in result.output.splitlines()} <= {
        "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF", "HOME", "LANG", "PATH", "XDG_RUNTIME_DIR", "_",
        "PWD", "SHLVL",
    }  # fmt: skip
