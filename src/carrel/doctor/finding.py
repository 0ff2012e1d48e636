"""What a check found: the words that `carrel doctor` prints."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How it is."""

    WELL = "well"
    ILL = "ill"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what, the cause as far as it is known, and the remedy."""

    verdict: Verdict
    what: str
    why: str = ""
    fix: str = ""


def well(what: str) -> Finding:
    """As it should be."""
    return Finding(Verdict.WELL, what)


def ill(what: str, *, why: str = "", fix: str) -> Finding:
    """Not as it should be."""
    return Finding(Verdict.ILL, what, why, fix)


def skipped(what: str, *, why: str, fix: str = "") -> Finding:
    """Not looked at, and why; `fix`: how somebody can look."""
    return Finding(Verdict.SKIPPED, what, why, fix)
