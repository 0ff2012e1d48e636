"""What the AI gateway counted, for whoever runs the server. Reads the books; changes nothing."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass

from carrel.adapters import books, space
from carrel.adapters.books import By, Spent, Sum
from carrel.core.calendar import DAY, day_of, month_start
from carrel.core.site import AiLimits, Site
from carrel.errors import CarrelError
from carrel.targets.protocol import Target


@dataclass(frozen=True, slots=True)
class SpendingReport:
    """What a person, or all together (`user` empty), used of each budget; money in nano-dollars."""

    user: str
    limits: AiLimits
    money_today: int = 0
    money_month: int = 0
    tokens_today: int = 0

    @property
    def left_today(self) -> int | None:
        """Of the day's money; None without a limit."""
        return _left(self.limits.money_per_day, self.money_today)

    @property
    def left_month(self) -> int | None:
        """Of the month's money."""
        return _left(self.limits.money_per_month, self.money_month)

    @property
    def left_tokens(self) -> int | None:
        """Of the day's tokens."""
        return _left(self.limits.tokens_per_day, self.tokens_today)


def usage(target: Target, by: By, *, since: float = 0, user: str | None = None) -> tuple[Sum, ...]:
    """What was used since a moment; nothing where no gateway has run yet."""
    with _opened(target) as connection:
        return () if connection is None else books.sums(connection, by, since=since, user=user)


def budget(target: Target, site: Site) -> tuple[SpendingReport, ...]:
    """How everybody stands today and this month (UTC), people first, then all together.

    Requests that are under way count with what is reserved for them.
    """
    day = day_of(time.time())
    with _opened(target) as connection:
        found = (
            () if connection is None else books.spent(connection, day * DAY, month_start(day) * DAY)
        )
    by_name = {one.user: one for one in found}
    people = (_standing(user.name, user.ai, by_name.get(user.name)) for user in site.users)
    everybody = Spent(
        "",
        sum(one.money_today for one in found),
        sum(one.tokens_today for one in found),
        sum(one.money_month for one in found),
    )
    return (*people, _standing("", site.ai.total, everybody))


def _standing(user: str, limits: AiLimits, spent: Spent | None) -> SpendingReport:
    if spent is None:
        return SpendingReport(user, limits)
    return SpendingReport(user, limits, spent.money_today, spent.money_month, spent.tokens_today)


def _left(limit: int | None, used: int) -> int | None:
    return None if limit is None else max(0, limit - used)


@contextlib.contextmanager
def _opened(target: Target) -> Iterator[sqlite3.Connection | None]:
    connection = None
    try:
        connection = books.reader(target.facts.layout.books)
        yield connection
    except sqlite3.Error as error:
        if space.told(error) is not None:
            raise space.full(target.facts.layout.books) from error
        raise CarrelError(
            f"The books {target.facts.layout.books} cannot be read.",
            why=str(error),
            fix="try again in a moment; if they are damaged, move the file away: the gateway begins "
            "new ones by itself",
        ) from error
    finally:
        if connection is not None:
            connection.close()
