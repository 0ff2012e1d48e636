"""One command at a time changes a site: others wait for it, and say for whom.

Used by the targets. The kernel keeps the lock (flock(2)), so that it ends with whoever holds it, however
that ends; what stands in the file is only words for those who wait. Who holds a lock already may ask
for it again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from carrel.adapters import files
from carrel.errors import Conflict

LOOK_SECONDS = 0.1
WORDS = 200


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds a command waits for another, whom it tells, and what it is called itself."""

    seconds: float = 0
    say: Callable[[str], None] = lambda _: None
    command: str = "carrel"


_patience: ContextVar[Patience] = ContextVar("patience", default=Patience())  # noqa: B039 - frozen


def wait_with(patience: Patience) -> None:
    """From now on, this command waits like this. Said once, by the command line."""
    _patience.set(patience)


class _Held(threading.local):
    """The locks of this thread, with how often each was asked for."""

    def __init__(self) -> None:
        self.depths: dict[str, int] = {}


_held = _Held()


@contextlib.contextmanager
def alone(path: str) -> Iterator[None]:
    """Hold the lock at `path`, whose directory exists. `Conflict` when the patience is at its end."""
    depths = _held.depths
    if path in depths:
        depths[path] += 1
        try:
            yield
        finally:
            depths[path] -= 1
        return
    patience = _patience.get()
    handle = files.open_lock(path)
    try:
        _take(handle, patience)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()} {patience.command[:WORDS]}".encode(), 0)
        depths[path] = 1
        try:
            yield
        finally:
            del depths[path]
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _take(handle: int, patience: Patience) -> None:
    end, told = time.monotonic() + patience.seconds, ""
    while not _free(handle):
        who = _holder(handle)
        if time.monotonic() >= end:
            raise Conflict(
                f"{who} is at work on this site. Nothing was changed.",
                why=f"it was waited for {patience.seconds:.0f} s" if patience.seconds else "",
                fix="run this command again when that is done; `carrel --wait SECONDS …` waits longer",
            )
        if who != told:
            patience.say(f"waiting for {who}")
            told = who
        time.sleep(LOOK_SECONDS)


def _free(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(handle: int) -> str:
    """Who holds the lock, in words; the file may be empty for a moment."""
    number, _, command = os.pread(handle, 4 * WORDS, 0).decode(errors="replace").partition(" ")
    return f'"{command}" (process {number})' if command else "Another carrel command"
