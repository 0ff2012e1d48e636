"""How what runs is, at one moment: what every target's Runtime says, and every verb reads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from carrel.core import names


class Condition(StrEnum):
    """How a workspace or the edge is."""

    RUNNING = "running"
    STARTING = "starting"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ResourceUsage:
    """What a workspace uses now: bytes, seconds of CPU time, processes and threads, seconds up.

    None where the kernel does not count it for single workspaces.
    """

    memory: int | None
    cpu_seconds: float | None
    tasks: int | None
    uptime: float
    restarts: int
    last_kill: str
    """The last time that the kernel ended a process for want of memory, in words; empty if never."""


@dataclass(frozen=True, slots=True)
class Running:
    """A workspace or the edge at one moment. `usage` is None where the target cannot tell."""

    condition: Condition
    detail: str = ""
    usage: ResourceUsage | None = None


def title(name: str) -> str:
    """What people call what the commands call `name`."""
    match name:
        case names.EDGE_SERVICE:
            return "The edge (nginx)"
        case names.GATEWAY:
            return "The AI gateway"
        case _:
            return f"The workspace of {name}"
