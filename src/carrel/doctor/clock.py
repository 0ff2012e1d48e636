"""Whether the clock follows others: certificates and sessions believe it."""

from __future__ import annotations

from collections.abc import Iterator

from carrel.doctor.finding import Finding, ill, skipped, well
from carrel.doctor.subject import Subject


def check(subject: Subject) -> Iterator[Finding]:
    """As systemd says."""
    match subject.look.synchronised():
        case None:
            yield skipped(
                "whether the clock is right",
                why="systemd does not run this machine, so nobody here can tell",
            )
        case False:
            yield ill(
                "the clock follows no other clock",
                why="a certificate looks expired, or not valid yet, to a clock that is wrong",
                fix="timedatectl set-ntp true (Debian: apt-get install systemd-timesyncd)",
            )
        case True:
            yield well("the clock is synchronised")
