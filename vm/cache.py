"""The git-ignored folder of things that take long to make, each named by what it was made from.

Used by whatever makes a part of a test machine. Never hands out a thing that is half made.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from carrel.adapters import files

PROJECT = Path(__file__).resolve().parents[1]
FOLDER = PROJECT / ".cache/vm"

_BEGUN = time.monotonic()


def say(text: str) -> None:
    """Tell on standard error what is being done, and when."""
    sys.stderr.write(f"vm {time.monotonic() - _BEGUN:4.0f} s  {text}\n")
    sys.stderr.flush()


def key(*parts: str | bytes) -> str:
    """A short name that changes with any of `parts`."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(f"{len(data)}:".encode() + data)
    return digest.hexdigest()[:16]


def made(kind: str, name: str, make: Callable[[Path], None]) -> Path:
    """The directory of `kind` called `name`; if it is not there, `make` fills it.

    Older ones of the same kind go: a guest that runs on one holds its files open until it ends.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    place = FOLDER / f"{kind}-{name}"
    with files.locked(str(FOLDER / f"{kind}.lock"), lambda: say(f"waiting for another {kind}")):
        if not place.is_dir():
            say(f"making {kind}-{name}")
            begun = time.monotonic()
            _fill(place, make)
            _remove_others(kind, place)
            say(f"made {kind}-{name} in {time.monotonic() - begun:.0f} s")
    return place


def _fill(place: Path, make: Callable[[Path], None]) -> None:
    # Killed halfway, it leaves this name, which the next attempt removes.
    making = FOLDER / f"making-{place.name}"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    try:
        make(making)
        making.rename(place)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _remove_others(kind: str, place: Path) -> None:
    for pattern in (f"{kind}-*", f"making-{kind}-*"):
        for other in FOLDER.glob(pattern):
            if other != place:
                shutil.rmtree(other, ignore_errors=True)
