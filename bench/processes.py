"""Which processes belong together, and how much memory they hold, from /proc; changes nothing."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

_PROC = Path("/proc")
_PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)
_OWN = re.compile(r"^Pss_Anon:\s+(\d+) kB", re.MULTILINE)


def _ids() -> Iterator[int]:
    return (int(path.name) for path in _PROC.iterdir() if path.name.isdigit())


def table() -> Mapping[int, int]:
    """The parent of every process."""
    found = {}
    for pid in _ids():
        with contextlib.suppress(OSError):
            # The name in front of the parent may contain anything but ends with the last bracket.
            stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
            found[pid] = int(stat.rpartition(")")[2].split()[1])
    return found


def commands() -> Mapping[int, list[str]]:
    """The command line of every process that has one."""
    found = {}
    for pid in _ids():
        with contextlib.suppress(OSError):
            line = (_PROC / str(pid) / "cmdline").read_text(encoding="utf-8", errors="replace")
            if line:
                found[pid] = line.rstrip("\0").split("\0")
    return found


def with_descendants(roots: set[int], parents: Mapping[int, int]) -> set[int]:
    """`roots`, their children, and so on."""
    found = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def processor_seconds(pids: set[int]) -> Mapping[int, float]:
    """How long each of these processes has kept processors busy."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
            # proc(5): utime and stime.
            ticks = sum(map(int, stat.rpartition(")")[2].split()[11:13]))
            found[pid] = ticks / os.sysconf("SC_CLK_TCK")
    return found


def own(pids: set[int]) -> float:
    """The part of `memory`, in MiB, that is no file's: each person adds it, whoever else is there."""
    return sum(_memory(pids, _OWN).values())


def memory(pids: set[int]) -> dict[str, float]:
    """Proportional memory (PSS) in MiB by the programs' names."""
    return _memory(pids, _PSS)


def _memory(pids: set[int], kind: re.Pattern[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            name = (_PROC / str(pid) / "exe").readlink().name
            size = kind.search((_PROC / str(pid) / "smaps_rollup").read_text(encoding="utf-8"))
            if size is not None:
                found[name] = found.get(name, 0.0) + int(size[1]) / 1024
    return found


def settled(look: Callable[[], set[int]], *, seconds: float = 20) -> dict[str, float]:
    """`memory` once it has stayed within one per cent for two seconds, or after `seconds`."""
    end = time.monotonic() + seconds
    before = memory(look())
    while True:
        time.sleep(2)
        after = memory(look())
        change = abs(sum(after.values()) - sum(before.values()))
        if change <= 0.01 * sum(after.values()) or time.monotonic() > end:
            return after
        before = after
