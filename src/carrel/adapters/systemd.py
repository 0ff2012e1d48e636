"""systemd, through systemctl and journalctl. Only root calls what changes something."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from carrel.adapters import process
from carrel.adapters.process import World
from carrel.errors import ToolFailed

WORLD = World(
    {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": "cat"}
)
PROPERTIES = (
    "Id", "ActiveState", "SubState", "Result", "UnitFileState", "NRestarts", "ControlGroup",
    "MemoryCurrent", "MemoryPeak", "CPUUsageNSec", "TasksCurrent", "ActiveEnterTimestampMonotonic",
    "InvocationID",
)  # fmt: skip
START_SECONDS = 300
ONCE_SECONDS = 3700
"""Longer than any unit of ours may take (TimeoutStartSec=)."""
LOG_LINES = 12


@dataclass(frozen=True, slots=True)
class UnitState:
    """A unit as systemd sees it; numbers are None where systemd does not know them."""

    name: str
    active: str
    sub: str
    result: str
    enabled: bool
    restarts: int
    cgroup: str
    memory: int | None
    memory_peak: int | None
    cpu_seconds: float | None
    tasks: int | None
    since: float | None
    """Seconds after boot at which it became active."""
    invocation: str

    @property
    def alive(self) -> bool:
        """Whether it runs, starts, or is about to start again."""
        return self.active in {"active", "activating", "reloading"}


def here() -> bool:
    """Whether systemd runs this machine (sd_booted(3))."""
    return Path("/run/systemd/system").is_dir()


def version() -> int:
    """Systemd's major version."""
    first = process.run(["systemctl", "--version"], WORLD).output.split()
    return int(first[1])


def states(units: Iterable[str]) -> Mapping[str, UnitState]:
    """The states of the units, asked for in one call; also of those that do not exist."""
    names = list(units)
    if not names:
        return {}
    properties = ",".join(PROPERTIES)
    text = process.run(
        ["systemctl", "show", f"--property={properties}", "--", *names], WORLD
    ).output
    found = [_state(block) for block in text.strip().split("\n\n")]
    return dict(zip(names, found, strict=True))


def main_pid(unit: str) -> int:
    """The main process of a unit; 0 when it has none."""
    return int(
        process.run(["systemctl", "show", "--property=MainPID", "--value", unit], WORLD).output
    )


def _state(block: str) -> UnitState:
    values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
    cpu, since = _number(values, "CPUUsageNSec"), _number(values, "ActiveEnterTimestampMonotonic")
    return UnitState(
        name=values["Id"],
        active=values["ActiveState"],
        sub=values["SubState"],
        result=values.get("Result", ""),
        enabled=values.get("UnitFileState") == "enabled",
        restarts=_number(values, "NRestarts") or 0,
        cgroup=values.get("ControlGroup", ""),
        memory=_number(values, "MemoryCurrent"),
        memory_peak=_number(values, "MemoryPeak"),
        cpu_seconds=None if cpu is None else cpu / 1e9,
        tasks=_number(values, "TasksCurrent"),
        since=since / 1e6 if since else None,
        invocation=values.get("InvocationID", ""),
    )


def _number(values: Mapping[str, str], name: str) -> int | None:
    text = values.get(name, "")
    # "[not set]", "infinity", or the largest number of 64 bits for one that is not known.
    return int(text) if text.isdigit() and int(text) < 2**63 else None


def reload_units() -> None:
    """Have systemd read all unit files again."""
    process.run(["systemctl", "daemon-reload"], WORLD)


def realize(slice_: str) -> None:
    """Have a slice's limits take effect; systemd writes them when something new runs in it."""
    process.run(["systemd-run", "--quiet", "--wait", f"--slice={slice_}", "true"], process.here())


def enable(unit: str) -> None:
    """Have a unit start at boot."""
    process.run(["systemctl", "enable", "--quiet", "--", unit], WORLD)


def disable(unit: str) -> None:
    """Have a unit not start at boot; one that does not exist is no fault."""
    process.run(["systemctl", "disable", "--quiet", "--", unit], WORLD, statuses=None)


def start(unit: str) -> None:
    """Start a unit and wait until systemd says that it runs; forgets earlier failures.

    Raises ToolFailed with the end of the unit's log when it does not.
    """
    process.run(["systemctl", "reset-failed", "--", unit], WORLD, statuses=None)
    result = process.run(
        ["systemctl", "start", "--", unit], WORLD, statuses=None, seconds=START_SECONDS
    )
    if result.status != 0:
        raise ToolFailed(f"{unit} does not start.", why=last_words(unit))


def run_once(unit: str, identifier: str) -> None:
    """Run a unit that does one thing, and wait for its end.

    `identifier` is the name under which its programs speak in the journal. Raises ToolFailed with
    what they said in this run.
    """
    result = process.run(
        ["systemctl", "start", "--", unit], WORLD, statuses=None, seconds=ONCE_SECONDS
    )
    if result.status != 0:
        invocation = states([unit])[unit].invocation
        # What was said last may still be on its way.
        process.run(["journalctl", "--sync"], WORLD, statuses=None)
        said = process.run(
            ["journalctl", f"_SYSTEMD_INVOCATION_ID={invocation}", f"SYSLOG_IDENTIFIER={identifier}",
             "--output=cat", "--no-pager"],
            WORLD,
            statuses=None,
        ).output.strip()  # fmt: skip
        why = f"it said:\n  {said.replace(chr(10), chr(10) + '  ')}" if said else last_words(unit)
        raise ToolFailed(
            f"{unit} failed.", why=why, fix=f"`journalctl -u {unit}` has the whole story"
        )


def stop(units: Sequence[str]) -> None:
    """Stop units and wait until they have ended; one that does not exist is no fault."""
    process.run(["systemctl", "stop", "--", *units], WORLD, statuses=(0, 5), seconds=START_SECONDS)


def reload(unit: str) -> None:
    """Have a running unit read its configuration again."""
    process.run(["systemctl", "reload", "--", unit], WORLD)


def journal(unit: str, *, lines: int, follow: bool) -> int:
    """Hand a unit's log to the terminal; the exit status of journalctl."""
    more = ["--follow"] if follow else []
    return process.hand_over(
        ["journalctl", f"--unit={unit}", f"--lines={lines}", "--output=short-iso", "--no-hostname",
         "--no-pager", *more],
        process.here(),
    )  # fmt: skip


def last_words(unit: str) -> str:
    """The end of a unit's log, without time and name, as the reason why it does not run."""
    said = process.run(
        ["journalctl", f"--unit={unit}", f"--lines={LOG_LINES}", "--output=cat", "--no-pager"],
        WORLD,
        statuses=None,
    ).output.strip()
    if not said:
        return "its log is empty"
    indented = said.replace("\n", "\n  ")
    return f"the log of {unit} ends with:\n  {indented}"


def kernel_messages(pattern: str, lines: int) -> list[str]:
    """The kernel's last messages that match a regular expression, each with its time (ISO 8601)."""
    found = process.run(
        ["journalctl", "--dmesg", f"--grep={pattern}", f"--lines={lines}", "--output=short-iso",
         "--no-hostname", "--no-pager", "--quiet"],
        WORLD,
        statuses=None,
    )  # fmt: skip
    return found.output.splitlines()
