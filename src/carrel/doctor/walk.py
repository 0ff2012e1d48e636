"""The checks in the order in which a browser, and then the machine behind it, meets them.

Used by `carrel doctor`. A check that needs another one to be well is skipped when it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from carrel.adapters import space
from carrel.doctor import (
    certificate,
    clock,
    disk,
    dns,
    limits,
    machine,
    origin,
    page,
    sockets,
    tls,
    websocket,
)
from carrel.doctor.finding import Finding, Verdict, ill, skipped
from carrel.doctor.subject import Subject
from carrel.errors import CarrelError


@dataclass(frozen=True, slots=True)
class Check:
    """A part of the walk; `needs` names the one without which it says nothing."""

    name: str
    look: Callable[[Subject], Iterator[Finding]]
    needs: str = ""


CHECKS = (
    Check("machine", machine.check),
    Check("clock", clock.check),
    Check("disk", disk.check),
    Check("certificate", certificate.check),
    Check("tls", tls.check),
    Check("dns", dns.check),
    Check("page", page.check, needs="tls"),
    Check("websocket", websocket.check, needs="tls"),
    Check("origin", origin.check, needs="tls"),
    Check("sockets", sockets.check),
    Check("limits", limits.check),
)


def walk(subject: Subject) -> Iterator[tuple[str, Finding]]:
    """Every check's name with what it found, as soon as it is known."""
    unwell: set[str] = set()
    for check in CHECKS:
        for finding in _findings(check, subject, unwell):
            if finding.verdict is Verdict.ILL:
                unwell.add(check.name)
            yield check.name, finding


def _findings(check: Check, subject: Subject, unwell: set[str]) -> Iterator[Finding]:
    if check.needs in unwell:
        yield skipped("not looked at", why=f"without {check.needs} it would say nothing")
        return
    try:
        yield from check.look(subject)
    except CarrelError as error:
        yield ill(error.what, why=error.why, fix=error.fix or "mend it, then look again")
    except OSError as error:
        full = space.told(error)
        if full is not None:
            yield ill(full.what, why=full.why, fix=full.fix)
            return
        yield ill(
            f"the connection failed: {error.strerror or error}",
            why="nginx, or the workspace behind it, closed it or said nothing",
            fix="see `carrel status` and `carrel logs edge`",
        )
