"""A full disk is named with the file, whoever finds out and however they say it; exit code 9."""

from __future__ import annotations

import errno
import os
import shlex
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from carrel.adapters import files, process, space
from carrel.adapters.process import Identity, World
from carrel.cli import main
from carrel.errors import DiskFull, Missing, ToolFailed
from carrel.targets import images
from carrel.targets.images import Builder, Workshop
from fake_server import FakeServer
from fakes import FakePodman
from others import as_root
from samples import HASH, IMAGE

PLAIN = World({"PATH": "/usr/bin:/bin"})


@pytest.fixture
def small() -> Iterator[Path]:
    """A directory that is a file system of its own, with 256 KB and 20 files at most."""
    folder = Path(tempfile.mkdtemp(prefix="carrel-small-"))
    options = ["-o", "size=256k,nr_inodes=20"]
    made = subprocess.run(["mount", "-t", "tmpfs", *options, "small", folder], check=False)
    if made.returncode != 0:
        folder.rmdir()
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)
    folder.rmdir()


def no_room() -> pytest.RaisesExc[OSError]:
    return pytest.raises(OSError, match="No space left")


def fill(folder: Path) -> None:
    """Use all of it up."""
    with (folder / "large").open("wb", buffering=0) as file, no_room():
        while True:
            file.write(b"x" * 4096)


def used_up(folder: Path) -> None:
    """Make as many files as go in."""
    with no_room():
        for number in range(1000):
            (folder / str(number)).touch()


def wrote_a_file(folder: Path) -> None:
    files.write(f"{folder}/state.json", "x" * 4096, Identity.ours(), 0o600)


def appended(folder: Path) -> None:
    files.append(f"{folder}/steps.jsonl", "x" * 4096, Identity.ours(), 0o600)


def copied(folder: Path) -> None:
    files.copy_file(Path(sys.executable), f"{folder}/program", Identity.ours())


def wrote_books(folder: Path) -> None:
    connection = sqlite3.connect(folder / "books.sqlite")
    try:
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 1000,)] * 1000)
        connection.commit()
    finally:
        connection.close()


def ran_a_program(folder: Path) -> None:
    process.run(["cp", "/bin/bash", f"{folder}/program"], PLAIN)


def followed_a_program(folder: Path) -> None:
    process.follow(["cp", "/bin/bash", f"{folder}/program"], PLAIN, lambda _: None)


def piped(folder: Path) -> None:
    process.pipe(["cat", "/bin/bash"], PLAIN, ["tee", f"{folder}/program"], PLAIN, seconds=20)


def did_not_look_at_the_status(folder: Path) -> None:
    process.run(["cp", "/bin/bash", f"{folder}/program"], PLAIN, statuses=None)


def wrote_by_itself(folder: Path) -> None:
    (folder / "program").write_bytes(b"x" * 4096)


def made_a_directory(folder: Path) -> None:
    files.make_directory(f"{folder}/deep/er", Identity.ours(), 0o700)


WRITERS: list[Callable[[Path], None]] = [
    wrote_a_file, appended, copied, wrote_books, ran_a_program, followed_a_program, piped,
    did_not_look_at_the_status, wrote_by_itself,
]  # fmt: skip


def ended(monkeypatch: pytest.MonkeyPatch, action: Callable[[], None]) -> int:
    """The exit code of a command that does this."""
    command = click.Command("x", callback=action)
    monkeypatch.setitem(main.carrel.commands, "x", command)
    monkeypatch.setattr(main, "carrel", command)
    with pytest.raises(SystemExit) as caught:
        main.main([])
    assert isinstance(caught.value.code, int)
    return caught.value.code


@as_root
@pytest.mark.parametrize("writer", WRITERS)
def test_whoever_finds_out_the_disk_and_the_file_are_named(
    small: Path,
    writer: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fill(small)
    # Who has no file in the error has no disk either: it is among those on which everybody writes.
    nameless = writer in (wrote_books, wrote_by_itself)
    monkeypatch.setattr(space, "COMMON", ("/", str(small)))
    assert ended(monkeypatch, lambda: writer(small)) == DiskFull.exit_code == 9
    said = capsys.readouterr().err
    assert f"The disk at {small} (small) is full" in said
    assert (f"{small}/" in said) is not nameless
    assert "Fix" in said


@as_root
@pytest.mark.parametrize("writer", [wrote_a_file, appended, made_a_directory, ran_a_program])
def test_a_disk_that_holds_no_more_files_is_said_so(
    small: Path,
    writer: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    used_up(small)
    assert ended(monkeypatch, lambda: writer(small)) == DiskFull.exit_code
    said = capsys.readouterr().err
    assert str(small) in said
    assert "no more files" in said


SENTENCES = {
    "write /var/lib/x/y: no space left on device": "/var/lib/x/y",
    "cp: error writing '/var/tmp/z': No space left on device": "/var/tmp/z",
    "tar: ./usr: Cannot write: No space left on device": None,
    'Error: writing blob: storing blob to file "/var/tmp/storage1": write /var/tmp/storage1: '
    "no space left on device": "/var/tmp/storage1",
    "Error: database or disk is full": None,
    "touch: cannot touch '/home/x': Disk quota exceeded": "/home/x",
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_whatever_words_a_program_has_for_it(sentence: str) -> None:
    with pytest.raises(DiskFull) as caught:
        process.run(["sh", "-c", f"echo {shlex.quote(sentence)} >&2; exit 1"], PLAIN)
    assert caught.value.what.startswith("The disk at /")
    path = SENTENCES[sentence]
    if path is not None:
        assert path in caught.value.what
    assert ("may use no more" in caught.value.why) is ("quota" in sentence)


@pytest.mark.parametrize("said", ["no such file or directory", "device is busy", ""])
def test_what_fails_for_another_reason_is_told_as_before(said: str) -> None:
    with pytest.raises(ToolFailed):
        process.run(["sh", "-c", f"echo {shlex.quote(said)}; exit 1"], PLAIN)
    assert process.run(["echo", "no space left on device"], PLAIN).status == 0


def causes() -> Iterator[tuple[BaseException, bool]]:
    for number in (errno.ENOSPC, errno.EDQUOT):
        yield OSError(number, os.strerror(number)), True
        yield OSError(number, os.strerror(number), "/var/lib/x"), True
    yield OSError(errno.EACCES, os.strerror(errno.EACCES)), False
    yield sqlite3.OperationalError("database or disk is full"), True
    yield sqlite3.OperationalError("database is locked"), False
    yield ValueError("no space left on device"), False


@pytest.mark.parametrize(("cause", "is_full"), [*causes()])
def test_an_error_that_was_made_of_another_is_looked_through(
    cause: BaseException, is_full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (space.told(cause) is not None) is is_full

    def chained() -> None:
        between = Missing("A tool is not there.")
        between.__cause__ = cause
        raise ToolFailed("It failed.") from between

    code = ended(monkeypatch, chained)
    assert code == (DiskFull.exit_code if is_full else ToolFailed.exit_code)


def test_a_fault_of_ours_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(main, "carrel", click.Command("x", callback=faulty))
    with pytest.raises(ZeroDivisionError):
        main.main([])


def test_a_build_for_which_there_is_no_room_does_not_begin(tmp_path: Path) -> None:
    folder = str(tmp_path / "images")
    builder = Builder(FakePodman(), Workshop(folder, Identity.ours(), folder), lambda _: None)
    files.make_directory(folder, Identity.ours(), 0o755)
    needed = space.FreeSpace.around(folder).size + 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "ROOM", needed)
        with pytest.raises(DiskFull, match="too full to build") as caught:
            builder.build(IMAGE)
    assert space.FreeSpace.around(folder).mounted in caught.value.what


def test_when_there_is_room_again_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    umask = os.umask(0o022)
    server = FakeServer(tmp_path / "server").install(monkeypatch)
    server.shelve("0" * 12)
    server.config.write_text(
        f'domain = "code.example.org"\n[storage]\nbase = "{server.folder}/srv"\n'
        f'[users.dan]\npassword_hash = "{HASH}"\n'
    )
    saved = server.save(tmp_path / "saved")
    server.power.spent = 0
    server.apply()
    expected, effects = server.world(), server.power.spent
    server.power.failure = lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    for before in range(0, effects, 25):
        server.restore(saved)
        server.power.spent, server.power.lasts = 0, before
        with pytest.raises((DiskFull, OSError)) as caught:
            server.apply()
        assert isinstance(space.told(caught.value), DiskFull)
        server.power.lasts = None
        server.apply()
        assert server.world() == expected, before
    os.umask(umask)
