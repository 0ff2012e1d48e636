"""Days and months in which budgets are counted: UTC, as whole days since 1970.

Used by the gateway and by the commands that read its books. Knows no clock: moments are passed in.
"""

from __future__ import annotations

from datetime import date

DAY = 86_400
"""Seconds. UTC as Unix counts it has no leap seconds."""

_EPOCH = date(1970, 1, 1).toordinal()


def day_of(now: float) -> int:
    """Days since 1970."""
    return int(now // DAY)


def month_start(day: int) -> int:
    """The day on which the month of `day` began."""
    return date.fromordinal(day + _EPOCH).replace(day=1).toordinal() - _EPOCH
