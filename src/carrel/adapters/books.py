"""The gateway's books: one SQLite file, one row for each request, never a prompt or an answer.

The gateway writes (one connection, one thread); commands read while it does. Moments are seconds
since 1970, UTC; money is in nano-dollars. All values are bound, none is ever part of a statement.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from operator import attrgetter
from pathlib import Path
from urllib.parse import quote

from carrel.adapters import database

OPEN, CLOSED = "open", "closed"
VERSION = 1

MOST = 2**63 - 1
"""The largest number that SQLite keeps whole (https://sqlite.org/datatype3.html)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One request. While it is open, tokens and cost are what is reserved for it."""

    id: int
    time: float
    user: str
    session: str
    provider: str
    model: str
    state: str
    status: int
    """The HTTP status of the answer; 499 if the client left first, 0 if nobody knows."""
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    tokens_cache_write: int
    tokens_reasoning: int
    cost: int
    estimated: bool
    """Whether tokens and cost are a guess, because the provider told no last figures."""
    latency_ms: float | None
    first_byte_ms: float | None


_COLUMNS = tuple(field.name for field in fields(Row))
_VALUES = attrgetter(*_COLUMNS)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, user TEXT NOT NULL, session TEXT NOT NULL,
    provider TEXT NOT NULL, model TEXT NOT NULL, state TEXT NOT NULL, status INTEGER NOT NULL,
    tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, tokens_cached INTEGER NOT NULL,
    tokens_cache_write INTEGER NOT NULL, tokens_reasoning INTEGER NOT NULL, cost INTEGER NOT NULL,
    estimated INTEGER NOT NULL, latency_ms REAL, first_byte_ms REAL
) STRICT;
CREATE INDEX IF NOT EXISTS requests_time ON requests (time);
"""
_WRITE = (
    f"INSERT OR REPLACE INTO requests ({', '.join(_COLUMNS)}) "  # noqa: S608 - names of our own
    f"VALUES ({', '.join('?' * len(_COLUMNS))})"
)


@dataclass(frozen=True, slots=True)
class Spent:
    """What one person spent since two moments."""

    user: str
    money_today: int
    tokens_today: int
    money_month: int


class By(StrEnum):
    """What usage is added up by."""

    DAY = "day"
    MODEL = "model"
    SESSION = "session"
    USER = "user"


_GROUPS = {
    By.DAY: "date(time, 'unixepoch')",
    By.MODEL: "provider || '/' || model",
    By.SESSION: "session",
    By.USER: "user",
}


@dataclass(frozen=True, slots=True)
class Sum:
    """The requests of one group, added up."""

    group: str
    requests: int
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    tokens_cache_write: int
    tokens_reasoning: int
    cost: int
    estimated: int
    """How many of the requests are guessed."""
    failed: int
    """How many were answered with an error."""


def writer(path: str) -> sqlite3.Connection:
    """The books, ready to be written; made if they are not there. Raises sqlite3.Error."""
    return database.opened(path, _SCHEMA, VERSION)


def settle_left_open(connection: sqlite3.Connection) -> int:
    """Close what an earlier gateway left open, at what was reserved for it; how many there were."""
    return connection.execute(
        "UPDATE requests SET state = ?, estimated = 1 WHERE state = ?", (CLOSED, OPEN)
    ).rowcount


def last_id(connection: sqlite3.Connection) -> int:
    """The highest number that a request has; 0 if there is none."""
    found: int = connection.execute("SELECT coalesce(max(id), 0) FROM requests").fetchone()[0]
    return found


def write(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Write rows, whether or not they are there, all or none. Raises sqlite3.Error."""
    with database.whole(connection):
        connection.executemany(_WRITE, [tuple(map(_kept, _VALUES(row))) for row in rows])


def _kept(value: object) -> object:
    """`value` as it can be kept: a number that is too large is the largest, and text is text."""
    match value:
        case int():
            return max(-MOST, min(MOST, value))
        case str():
            return value.encode("utf-8", "replace").decode()
        case _:
            return value


def _added(number: str) -> str:
    """The sum of a column in two halves, for `_whole`.

    SQLite's own sum fails for good as soon as it is beyond 64 bits, and total() is not exact.
    """
    return f"sum({number} >> 32), sum({number} & 0xffffffff)"


def _whole(halves: Sequence[int]) -> list[int]:
    """The sums of columns that were added up in halves."""
    return [(high << 32) + low for high, low in zip(halves[::2], halves[1::2], strict=True)]


def spent(connection: sqlite3.Connection, day: float, month: float) -> tuple[Spent, ...]:
    """What each person spent since the beginnings of the day and of the month."""
    rows = connection.execute(
        f"SELECT user, {_added('iif(time >= ?, cost, 0)')}, "  # noqa: S608 - columns of our own
        f"{_added('iif(time >= ?, tokens_in, 0)')}, {_added('iif(time >= ?, tokens_out, 0)')}, "
        f"{_added('cost')} FROM requests WHERE time >= ? GROUP BY user",
        (*(day,) * 6, month),
    )
    return tuple(_spent(user, *_whole(halves)) for user, *halves in rows)


def _spent(user: str, money: int, tokens_in: int, tokens_out: int, month: int) -> Spent:
    return Spent(user, money, tokens_in + tokens_out, month)


def reader(path: str) -> sqlite3.Connection | None:
    """The books to read, also while the gateway writes them; None if there are none yet."""
    if not Path(path).is_file():
        return None
    connection = sqlite3.connect(
        f"file:{quote(path)}?mode=ro", uri=True, timeout=database.BUSY_SECONDS
    )
    try:
        made = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'requests'").fetchone()
    except BaseException:
        connection.close()
        raise
    if made is None:
        # The gateway is about to make them.
        connection.close()
        return None
    return connection


_ADDED = (
    "tokens_in",
    "tokens_out",
    "tokens_cached",
    "tokens_cache_write",
    "tokens_reasoning",
    "cost",
)


def sums(
    connection: sqlite3.Connection, by: By, *, since: float = 0, user: str | None = None
) -> tuple[Sum, ...]:
    """Requests since a moment, of one person or all, added up; days in order, all else by cost."""
    columns = ", ".join(map(_added, _ADDED))
    rows = connection.execute(
        f"SELECT {_GROUPS[by]}, count(*), {columns}, sum(estimated), "  # noqa: S608
        "sum(status >= 400 AND status <> 499) "
        "FROM requests WHERE time >= ? AND (? IS NULL OR user = ?) GROUP BY 1",
        (since, user, user),
    )
    found = [
        Sum(group, count, *_whole(figures[:-2]), *figures[-2:]) for group, count, *figures in rows
    ]
    by_day = by is By.DAY
    return tuple(sorted(found, key=lambda one: ("" if by_day else -one.cost, one.group)))
