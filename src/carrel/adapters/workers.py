"""The worker processes of an nginx: which serve, and which only wait for their last connections.

A reload that fails is silent: the master goes on with its old workers (targets.reloading looks).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from carrel.adapters import systemd
from carrel.core.names import NGINX_UNIT

TITLE = b"nginx: worker process"
LEAVING = b"is shutting down"


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker. `leaving`: it read an older configuration, and takes no new connection."""

    pid: int
    leaving: bool


def current() -> frozenset[Worker]:
    """The workers of the operator's nginx; none if it does not run."""
    master = systemd.main_pid(NGINX_UNIT)
    return of(master) if master else frozenset()


def of(master: int) -> frozenset[Worker]:
    """The workers of the nginx whose first process is `master`."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        # Processes come and go while we look.
        with contextlib.suppress(OSError):
            title = (folder / "cmdline").read_bytes()
            if title.startswith(TITLE) and _parent(folder) == master:
                found.add(Worker(int(folder.name), LEAVING in title))
    return frozenset(found)


def end(workers: Iterable[Worker]) -> None:
    """End them at once, with the connections they have left: browsers come back by themselves."""
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGTERM)


def _parent(folder: Path) -> int:
    # The second field, the name, is in parentheses and may contain anything.
    return int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
