"""The only module that writes files: whole, synced and renamed; or not at all.

No symbolic link is followed anywhere in a path, because people write into directories that Carrel
writes next to; callers resolve the links of an operator's own paths first.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from carrel.adapters.process import Identity
from carrel.errors import Conflict, ToolFailed


@dataclass(frozen=True, slots=True)
class Found:
    """What is at a path: its owner's id and its permission bits."""

    uid: int
    mode: int
    directory: bool


def look(path: str) -> Found | None:
    """What is at `path`, or None if there is nothing, or a symbolic link in the way."""
    try:
        with _parent(path) as (parent, name):
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError, ToolFailed):
        return None
    if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
        return None
    return Found(status.st_uid, stat.S_IMODE(status.st_mode), stat.S_ISDIR(status.st_mode))


def text(path: str) -> str | None:
    """The text of a file, or None if there is none."""
    try:
        with _parent(path) as (parent, name):
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with os.fdopen(handle, encoding="utf-8") as file:
        return file.read()


def make_directory(path: str, owner: Identity, mode: int) -> None:
    """Make sure that `path` is a directory with this owner and mode, and its parents exist."""
    with _parent(path, make=True) as (parent, name):
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, mode=0o700, dir_fd=parent)
        handle = _directory(name, parent, path)
        try:
            _own(handle, owner, mode)
        finally:
            os.close(handle)


def make_directory_once(path: str, owner: Identity, mode: int) -> None:
    """Make a directory where there is nothing yet; one that is there keeps its owner and mode."""
    if look(path) is None:
        make_directory(path, owner, mode)


def make_link(path: str, target: str) -> None:
    """Make a symbolic link; what is there already stays as it is."""
    with _parent(path) as (parent, name), contextlib.suppress(FileExistsError):
        os.symlink(target, name, dir_fd=parent)


def replace_link(path: str, target: str) -> None:
    """Make a symbolic link, or lead the one that is there elsewhere, in one step."""
    with _parent(path) as (parent, name):
        temporary = f".{name}.{secrets.token_hex(4)}"
        os.symlink(target, temporary, dir_fd=parent)
        os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)


def write(path: str, content: str, owner: Identity, mode: int) -> None:
    """Replace the file at `path`; a reader sees the old text or the new, also after a crash."""
    with _parent(path) as (parent, name):
        temporary = f".{name}.{secrets.token_hex(4)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(temporary, flags, 0o600, dir_fd=parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                _own(file.fileno(), owner, mode)
                os.fsync(file.fileno())
            os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=parent)
            raise
        os.fsync(parent)


def append(path: str, text: str, owner: Identity, mode: int) -> None:
    """Add `text` to the end of a file, or make it; a crash may leave only the beginning of it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    with _parent(path) as (parent, name):
        handle = os.open(name, flags, 0o600, dir_fd=parent)
        try:
            _own(handle, owner, mode)
            left = text.encode()
            while left:
                left = left[os.write(handle, left) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        os.fsync(parent)


def remove_file(path: str) -> None:
    """Remove a file; one that is not there is no fault."""
    with (
        contextlib.suppress(FileNotFoundError, NotADirectoryError),
        _parent(path) as (parent, name),
    ):
        os.unlink(name, dir_fd=parent)


def remove_tree(path: str) -> None:
    """Remove a directory with all in it; shutil does not follow links on Linux."""
    with (
        contextlib.suppress(FileNotFoundError, NotADirectoryError),
        _parent(path) as (parent, name),
    ):
        shutil.rmtree(name, dir_fd=parent)


def remove_empty(path: str) -> None:
    """Remove a directory if nothing is in it."""
    with (
        contextlib.suppress(FileNotFoundError, NotADirectoryError),
        _parent(path) as (parent, name),
    ):
        try:
            os.rmdir(name, dir_fd=parent)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise


def copy_tree(source: Path, target: str, owner: Identity) -> None:
    """Copy a directory of our own making, readable for everybody."""
    make_directory(target, owner, 0o755)
    for item in sorted(source.iterdir()):
        if item.is_dir():
            copy_tree(item, f"{target}/{item.name}", owner)
        else:
            copy_file(item, f"{target}/{item.name}", owner)


def copy_file(source: Path, target: str, owner: Identity) -> None:
    """Copy one file; it stays executable if it was."""
    executable = source.stat().st_mode & 0o111
    with source.open("rb") as reader:
        fill(target, reader, owner, 0o755 if executable else 0o644)


def fill(target: str, content: IO[bytes], owner: Identity, mode: int = 0o644) -> None:
    """Make a file of bytes that may be many; a crash may leave only the beginning of it."""
    with _parent(target) as (parent, name):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, 0o600, dir_fd=parent), "wb") as writer:
            shutil.copyfileobj(content, writer)
            _own(writer.fileno(), owner, mode)


def move(source: str, target: str) -> None:
    """Give a file or directory another name, where there is none of that name."""
    with _parent(source) as (parent, name), _parent(target) as (into, other):
        os.rename(name, other, src_dir_fd=parent, dst_dir_fd=into)
        os.fsync(into)


def opened(path: str) -> BinaryIO | None:
    """A plain file to be read, or None if there is none; the caller closes it."""
    try:
        with _parent(path) as (parent, name):
            # Without O_NONBLOCK, opening a pipe would wait for somebody who writes.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            handle = os.open(name, flags, dir_fd=parent)
    except (FileNotFoundError, NotADirectoryError, ToolFailed):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return None
    return os.fdopen(handle, "rb")


def open_lock(path: str) -> int:
    """Open the file of a lock, or make it; its directory exists. Returns the descriptor."""
    with _parent(path) as (parent, name):
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, 0o600, dir_fd=parent)


@contextlib.contextmanager
def locked(path: str, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock at `path`, whose directory exists.

    If somebody else holds it: `Conflict`, or, with `waiting`, call that and wait until it is free.
    """
    handle = open_lock(path)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is None:
                raise Conflict(
                    "Another carrel command is at work on this site.", fix="wait until it is done"
                ) from None
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _own(handle: int, owner: Identity, mode: int) -> None:
    if os.fstat(handle).st_uid != owner.uid:
        os.fchown(handle, owner.uid, owner.gid)
    os.fchmod(handle, mode)


def _directory(name: str, parent: int, path: str) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(name, flags, dir_fd=parent)
    except (NotADirectoryError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ToolFailed(
            f"{path} cannot be used.",
            why=f"{name} is no directory, or a symbolic link, which Carrel does not follow"
            if isinstance(error, NotADirectoryError)
            else str(error),
        ) from error


@contextlib.contextmanager
def _parent(path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    parts = PurePosixPath(path).parts
    if parts[:1] != ("/",) or ".." in parts:
        raise ValueError(f"not an absolute path: {path}")
    handle = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[1:-1]:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, mode=0o755, dir_fd=handle)
            deeper = _directory(part, handle, path)
            os.close(handle)
            handle = deeper
        yield handle, parts[-1]
    finally:
        os.close(handle)
