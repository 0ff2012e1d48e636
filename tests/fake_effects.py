"""What a fake server does to the world, counted: a test can end it before any single effect.

Used by fake_systemd and fake_server.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from carrel.adapters import accounts
from carrel.adapters.process import Identity
from carrel.core.ids import Spans


class Crash(BaseException):
    """The power goes off."""


class Power:
    """Counts what has an effect, and goes off before one of them; nothing has an effect after that."""

    def __init__(self) -> None:
        self.spent = 0
        self.lasts: int | None = None
        self.failure: Callable[[], BaseException] = Crash
        """What happens then."""

    def spend(self) -> None:
        """Something is about to have an effect."""
        self.spent += 1
        if self.lasts is not None and self.spent > self.lasts:
            raise self.failure()

    def goes(self) -> bool:
        """Whether the very next effect is cut short."""
        return self.spent == self.lasts


class Disk:
    """The os module as adapters.files sees it: real, but what changes something needs power."""

    def __init__(self, power: Power) -> None:
        self._power = power

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def mkdir(self, path: str, mode: int = 0o777, *, dir_fd: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
            raise FileExistsError(path)
        self._power.spend()
        os.mkdir(path, mode, dir_fd=dir_fd)

    def rename(self, source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        self._power.spend()
        os.rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    def unlink(self, path: str, *, dir_fd: int) -> None:
        self._power.spend()
        os.unlink(path, dir_fd=dir_fd)

    def symlink(self, target: str, path: str, *, dir_fd: int) -> None:
        self._power.spend()
        os.symlink(target, path, dir_fd=dir_fd)

    def fchmod(self, handle: int, mode: int) -> None:
        # A file is still a temporary one when it gets its mode.
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            self._power.spend()
        os.fchmod(handle, mode)

    def write(self, handle: int, data: bytes) -> int:
        if self._power.goes():
            os.write(handle, data[: len(data) // 2])
        self._power.spend()
        return os.write(handle, data)

    def fsync(self, handle: int) -> None:
        """What reaches the platters is not what these tests are about."""


class Trees:
    """The shutil module as adapters.files sees it: a tree goes entry by entry."""

    def __init__(self, power: Power) -> None:
        self._power = power

    def __getattr__(self, name: str) -> Any:
        return getattr(shutil, name)

    def rmtree(self, name: str, *, dir_fd: int) -> None:
        root = Path(f"/proc/self/fd/{dir_fd}").resolve() / name
        if not root.exists():
            raise FileNotFoundError(root)
        for path in sorted(root.rglob("*"), reverse=True):
            self._power.spend()
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        self._power.spend()
        root.rmdir()


class FakeAccounts:
    """Accounts that are only known here; files belong to whoever runs the test, for all of them."""

    NAMES = (
        "exists", "create", "subordinate_ids", "remove", "spans",
        "next_subordinate_id", "nobody_has", "is_free", "free_ids", "add_subordinate_ids",
    )  # fmt: skip

    def __init__(self, power: Power) -> None:
        self._power = power
        self.ranges: dict[str, Spans] = {}

    def exists(self, name: str) -> bool:
        return name in self.ranges

    def create(self, name: str, home: str, uid: int | None = None) -> None:
        assert name not in self.ranges, f"useradd: user {name} already exists"
        assert home == "/nonexistent"
        assert uid == os.geteuid()
        self._power.spend()
        self.ranges[name] = Spans()

    def remove(self, name: str) -> None:
        self._power.spend()
        self.ranges.pop(name, None)

    def spans(self, name: str) -> Spans:
        return self.ranges.get(name, Spans())

    def subordinate_ids(self, name: str) -> int:
        found = self.spans(name)
        return min(sum(count for _, count in half) for half in (found.users, found.groups))

    def _taken(self) -> list[tuple[int, int]]:
        return [span for found in self.ranges.values() for span in (*found.users, *found.groups)]

    def next_subordinate_id(self) -> int:
        return max(map(sum, self._taken()), default=accounts.FIRST_ID)

    def nobody_has(self, first: int, count: int) -> bool:
        return all(first >= start + n or first + count <= start for start, n in self._taken())

    def is_free(self, number: int) -> bool:
        return number == os.geteuid()

    def free_ids(self, but: Collection[int]) -> Iterator[int]:
        assert not but or os.geteuid() in but
        return itertools.repeat(os.geteuid())

    def add_subordinate_ids(self, name: str, count: int, first: int | None = None) -> None:
        assert first is not None
        had, new = self.ranges[name], ((first, count),)
        assert had.users in ((), new), "there is another range already"
        assert had.groups == ()
        others = [s for other in self.ranges for s in self._spans_but(other, name)]
        assert all(first >= start + n or first + count <= start for start, n in others), "overlap"
        # usermod writes one file after the other.
        for half in (Spans(new, ()), Spans(new, new)):
            if len(half.groups) > len(had.groups) or not had.users:
                self._power.spend()
                self.ranges[name] = half

    def _spans_but(self, other: str, name: str) -> tuple[tuple[int, int], ...]:
        found = self.ranges[other]
        return () if other == name else (*found.users, *found.groups)

    def identity(self, name: str) -> Identity:
        if name not in {"root", *self.ranges}:
            raise KeyError(name)
        return Identity(name, os.geteuid(), os.getegid(), "/nonexistent")
