"""Whether the kernel enforces what the configuration gives each workspace at most."""

from __future__ import annotations

from collections.abc import Iterator

from carrel.core.machine import LIMITS
from carrel.core.site import Limits, User
from carrel.doctor.finding import Finding, ill, skipped, well
from carrel.doctor.subject import Subject


def check(subject: Subject) -> Iterator[Finding]:
    """What cgroups say now, whatever was written into a unit or a command."""
    machine = subject.opened.machine
    if not machine.controllers >= LIMITS:
        lacking = ", ".join(sorted(LIMITS - machine.controllers))
        yield skipped(
            f"limits of {lacking}",
            why=f"cgroup {machine.cgroups} without delegation cannot hold them",
        )
        return
    for user in subject.people:
        yield _held(subject, user)


def _held(subject: Subject, user: User) -> Finding:
    cgroup = subject.opened.target.runtime.cgroup(user.name)
    if not cgroup:
        return skipped(f"the limits of {user.name}", why="systemd knows no cgroup of it")
    wrong = [
        f"{name} is {found or 'not there'} instead of {wanted}"
        for name, wanted in _wanted(user.limits).items()
        if (found := _normal(subject.look.limit(cgroup, name))) != wanted
    ]
    if wrong:
        return ill(
            f"the limits of {user.name} are not in force: {', '.join(wrong)}",
            why="somebody changed them with systemctl, or in the unit",
            fix=f"`carrel {subject.bring}`; if that says nothing to do, `carrel reset {user.name}`",
        )
    return well(f"the limits of {user.name} are in force")


def _wanted(limits: Limits) -> dict[str, str]:
    return {
        "memory.max": str(limits.memory // 4096 * 4096),
        "cpu.max": f"{limits.cpus:.2f} CPUs",
        "pids.max": str(limits.processes),
    }


def _normal(found: str | None) -> str | None:
    """A pair of cpu.max, time in a period, as CPUs; anything else as it is."""
    quota, _, period = (found or "").partition(" ")
    return f"{int(quota) / int(period):.2f} CPUs" if quota.isdigit() and period else found
