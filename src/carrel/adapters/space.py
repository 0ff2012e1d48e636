"""Says which disk is full, and which file found out: whoever noticed it, and in whatever words.

Used wherever an error arrives: of the system, of a library, or of a program that was started.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from carrel.errors import DiskFull

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
WORDS = re.compile(
    # strerror(3) of both, and sqlite3_errstr(13).
    r"no space left on device|disk quota exceeded|database or disk is full",
    re.IGNORECASE,
)
PATH = re.compile(r"(?<![\w.:/])/[^\s:'\"`,;)\]]+")
NO_TEMPORARY = "No usable temporary directory"
"""How tempfile says it: it tried to write, and does not tell why that failed."""
COMMON = ("/tmp", "/var/tmp", "/var/lib", "/")  # noqa: S108 - looked at, not used
"""Where programs write that do not say where."""

HARDLY_ANY = 1 << 20
GB = 1 << 30


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """A file system: where it is mounted, what is mounted there, and what is free in it."""

    mounted: str
    source: str
    free: int
    size: int
    files: int | None
    """How many files it can still hold; None if it does not count them."""

    @staticmethod
    def around(path: str) -> FreeSpace:
        """The file system that holds `path`, or would."""
        place = Path(os.path.realpath(path))
        while not place.exists():
            place = place.parent
        found = os.statvfs(place)
        while not os.path.ismount(place):
            place = place.parent
        return FreeSpace(
            mounted=str(place),
            source=_source(str(place)),
            free=found.f_bavail * found.f_frsize,
            size=found.f_blocks * found.f_frsize,
            files=found.f_favail if found.f_files else None,
        )

    @property
    def used_up(self) -> bool:
        """Whether next to nothing fits into it."""
        return self.free < HARDLY_ANY or self.files == 0


def _source(mounted: str) -> str:
    """What is mounted there, as the kernel has it: the last line counts (proc(5))."""
    lines = Path("/proc/self/mounts").read_text(errors="replace").splitlines()
    fields = [line.split(" ")[:2] for line in lines]
    found = [source for source, target in fields if target == mounted.replace(" ", "\\040")]
    return found[-1] if found else "unknown"


def full(path: str, *, quota: bool = False) -> DiskFull:
    """The error for a file that could not be written; `quota`: the account may have no more."""
    return _error(FreeSpace.around(path), path, quota=quota)


def told(error: BaseException) -> DiskFull | None:
    """What `error`, or what led to it, says of a full disk; None if that is not what happened."""
    for one in _causes(error):
        match one:
            case DiskFull():
                return one
            case OSError() if one.errno in FULL:
                path, quota = _path(one), one.errno == errno.EDQUOT
                return (
                    full(path, quota=quota) if path else _error(_fullest(COMMON), "", quota=quota)
                )
            case OSError() if NO_TEMPORARY in str(one) and _fullest(COMMON).used_up:
                return _error(_fullest(COMMON), "", quota=False)
            case Exception() if _sqlite_full(one):
                return _error(_fullest(COMMON), "", quota=False)
            case _:
                continue
    return None


def said(lines: Iterable[str], places: Iterable[str]) -> DiskFull | None:
    """What a program said of a full disk. `places`: where it may have written, if it does not say."""
    for line in lines:
        if WORDS.search(line):
            path = next(iter(PATH.findall(line)), "")
            # What a container calls a path is somewhere else here.
            known = path and Path(path).parent.exists()
            room = FreeSpace.around(path) if known else _fullest((*places, *COMMON))
            return _error(room, path, quota="quota" in line.lower())
    return None


def _error(room: FreeSpace, path: str, *, quota: bool) -> DiskFull:
    figures = f"{room.free / GB:.2f} of {room.size / GB:.2f} GB are free"
    if quota:
        why = f"the account may use no more of it; {figures}"
    elif room.files == 0:
        why = f"it can hold no more files, whatever their size; {figures}"
    elif room.used_up:
        why = figures
    else:
        why = f"{figures} now: it was full for a moment, or something else has a limit there"
    file = f": {path} could not be written" if path else ""
    return DiskFull(
        f"The disk at {room.mounted} ({room.source}) is full{file}.",
        why=why,
        fix=f"free some space there (`carrel image prune`; `du -xh {room.mounted} | sort -h | tail`), "
        "then run the same command again; nothing is lost",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def _path(error: OSError) -> str | None:
    names = (error.filename, error.filename2)
    return next((n for n in names if isinstance(n, str) and n.startswith("/")), None)


def _sqlite_full(error: Exception) -> bool:
    # Its errors come from those who have loaded it; most commands do not.
    sqlite = sys.modules.get("sqlite3")
    if sqlite is None or not isinstance(error, sqlite.Error):
        return False
    code = getattr(error, "sqlite_errorcode", None)
    return code == sqlite.SQLITE_FULL or WORDS.search(str(error)) is not None


def _fullest(places: Iterable[str]) -> FreeSpace:
    """Of the file systems of these places, the one in which least is free."""
    rooms = [FreeSpace.around(place) for place in dict.fromkeys(places) if place.startswith("/")]
    return min(rooms, key=lambda room: (not room.used_up, room.free))
