"""What an image brings is for containers: nobody on the server reaches it, whatever is in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from carrel.adapters.podman import Podman
from carrel.adapters.process import Identity, World
from carrel.targets.editor_files import EditorFiles
from carrel.targets.image_store import ImageStore
from carrel.targets.images import Built
from fake_server import FakeServer
from others import as_root, nobody

DIGEST = "0123456789ab"
BUILT = Built(f"localhost/carrel/workspace:{DIGEST}", 1, {})

PODMAN = """\
#!/bin/sh
case $1 in
create) echo c ;;
export) cat {archive} ;;
image) echo '["LANG=C.UTF-8"]' ;;
rm) ;;
*) echo "podman $1 is not known here" >&2; exit 125 ;;
esac
"""
"""A podman that has one image, whose files are a tar archive."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that everybody can enter, as /var/lib/carrel."""
    made = Path(tempfile.mkdtemp(prefix="carrel-images-"))
    made.chmod(0o755)
    umask = os.umask(0o022)
    yield made
    os.umask(umask)
    shutil.rmtree(made)


def dangerous(folder: Path) -> Path:
    """The files of an image that knows what harms: its archive."""
    root = folder / "made"
    (root / "etc").mkdir(parents=True)
    for name, mode in (("setuid", 0o4755), ("setgid", 0o2755), ("both", 0o6755), ("caps", 0o755)):
        shutil.copy("/bin/true", root / name)
        (root / name).chmod(mode)
    # Linux, include/uapi/linux/capability.h: revision 2, effective, cap_setuid permitted.
    os.setxattr(root / "caps", "security.capability", bytes.fromhex("0100000280" + "00" * 15))
    os.mknod(root / "device", 0o020666, os.makedev(1, 3))
    (root / "open").mkdir()
    (root / "open").chmod(0o777)
    (root / "coders").write_text("")
    account = Identity.of("nobody")
    os.chown(root / "coders", account.uid, account.gid)
    archive = folder / "image.tar"
    subprocess.run(
        ["tar", "-C", root, "--xattrs", "--xattrs-include=*", "-cf", archive, "."], check=True
    )
    shutil.rmtree(root)
    return archive


@pytest.fixture
def store(folder: Path) -> ImageStore:
    """A store to which an image was added."""
    program = folder / "bin/podman"
    program.parent.mkdir()
    program.write_text(PODMAN.format(archive=dangerous(folder)))
    program.chmod(0o755)
    found = ImageStore(f"{folder}/images", EditorFiles(f"{folder}/editor", Identity.ours()))
    found.add(Podman(World({"PATH": f"{program.parent}:/usr/bin:/bin"})), BUILT)
    return found


def closed_to_others(directory: Path) -> None:
    """Everything that is in an image is refused to another account, on both ways to it."""
    names = [path.name for path in (directory / "closed/rootfs").iterdir()]
    assert {"setuid", "setgid", "both", "caps", "device", "open", "coders"} <= {*names}

    def attempts() -> None:
        for way in (directory / "rootfs", directory / "closed/rootfs"):
            for path in (way, *(way / name for name in names)):
                for attempt in (os.stat, partial(os.open, flags=os.O_RDONLY), os.listdir):
                    refused(attempt, path)
                refused(partial(os.open, flags=os.O_CREAT | os.O_WRONLY), path / "new")

    assert nobody(attempts) == ""
    start = partial(os.execv, str(directory / "rootfs/setuid"), ["setuid"])
    assert nobody(start) == "PermissionError"


def refused(attempt: Callable[[Path], object], path: Path) -> None:
    try:
        attempt(path)
    except PermissionError:
        return
    raise AssertionError(path)


@as_root
def test_what_an_image_brings_is_reached_by_nobody_but_root(store: ImageStore) -> None:
    directory = Path(store.path(DIGEST))
    closed_to_others(directory)
    # podman reads these as the account of a user.
    assert nobody((directory / "environment").read_text) == ""
    assert store.get(DIGEST) == BUILT
    # Its root is what a container's root is: everybody in it goes through.
    assert (directory / "rootfs").stat().st_mode & 0o777 == 0o755
    assert (directory / "rootfs/setuid").stat().st_mode & 0o7777 == 0o4755


@as_root
@pytest.mark.parametrize("interrupted", ["not", "before the move", "before the link"])
def test_one_that_an_earlier_carrel_left_open_is_closed(
    store: ImageStore, interrupted: str
) -> None:
    directory = Path(store.path(DIGEST))
    (directory / "rootfs").unlink()
    if interrupted != "before the link":
        (directory / "closed/rootfs").rename(directory / "rootfs")
    if interrupted == "not":
        (directory / "closed").rmdir()
        assert nobody((directory / "rootfs/setuid").read_bytes) == "", "it was open"
    for _ in range(2):
        store.close()
        closed_to_others(directory)
        assert (directory / "rootfs/etc").is_dir()
        assert store.get(DIGEST) == BUILT


def test_whatever_changes_a_server_closes_what_is_open(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeServer(folder).install(monkeypatch)
    server.shelve(DIGEST)
    directory = Path(server.target.store.images.path(DIGEST))
    (directory / "rootfs").unlink()
    (directory / "closed/rootfs").rename(directory / "rootfs")
    (directory / "closed").rmdir()
    with server.target.store.locked():
        pass
    assert (directory / "closed").stat().st_mode & 0o777 == 0o700
    assert (directory / "rootfs").readlink() == Path("closed/rootfs")
