"""Keeps the books from a thread of its own, in batches, so that no request waits for a disk.

Used by the gateway. While the file cannot be written, rows wait in memory, and it is tried again.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from carrel.adapters import books
from carrel.adapters.books import Row, Spent
from carrel.core.calendar import DAY, day_of, month_start

BATCH_SECONDS = 0.1
RETRY_SECONDS = 1.0
MOST_WAITING = 100_000
"""Rows that may wait for a disk; more would be a leak. Sums go on counting whatever happens to rows."""

log = logging.getLogger("carrel.gateway")


@dataclass(frozen=True, slots=True)
class Before:
    """What the books said when they were first opened: sums by person, for the running day and month."""

    spent: tuple[Spent, ...]
    left_open: int


class Books:
    """The books of one gateway.

    `opened` is called from the thread: once with what the file held, and before that once with None if
    it cannot be opened at first.
    """

    def __init__(self, path: str, opened: Callable[[Before | None], None]) -> None:
        self._path = path
        self._opened = opened
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._lock = threading.Lock()
        self._waiting: dict[int, Row] = {}
        self._wake = threading.Event()
        self._end = threading.Event()
        self._restored = False
        # Later than any number of an earlier gateway, also while its books cannot be read.
        self._last_id = time.time_ns() // 1000
        self.trouble = ""
        """Why the file cannot be written; empty if it can."""
        self.lost = 0
        """Rows that were dropped because too many waited."""
        self._thread = self._made()

    def start(self) -> None:
        """Begin; the file is opened by the thread."""
        self._thread.start()

    def next_id(self) -> int:
        """A number for a request. Called from the gateway's one thread only."""
        self._last_id += 1
        return self._last_id

    def put(self, row: Row) -> None:
        """Write a row soon, or another version of it."""
        with self._lock:
            self._waiting[row.id] = row
            if len(self._waiting) > MOST_WAITING:
                del self._waiting[next(iter(self._waiting))]
                self.lost += 1
        if not self._wake.is_set():
            self._wake.set()

    @property
    def waiting(self) -> int:
        """How many rows are not written yet."""
        return len(self._waiting)

    def tend(self) -> None:
        """Begin anew should the thread have ended, whatever ended it. Called once a second."""
        if self._end.is_set() or self._thread.is_alive():
            return
        self.trouble = "the thread that writes them ended"
        log.error("%s; it is started again", self.trouble)
        self._connection = None
        self._thread = self._made()
        self._thread.start()

    def close(self) -> None:
        """Write what waits, also what came meanwhile, if that is possible, and end."""
        self._end.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _made(self) -> threading.Thread:
        return threading.Thread(target=self._run, name="books")

    # -- the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            ending = self._end.is_set()
            wrote = self._round()
            # What came while the last rows were written is written too.
            if ending and not (wrote and self._waiting):
                break
            if self._end.is_set():
                continue
            if wrote:
                self._wake.wait()
            self._wake.clear()
            # Requests that begin and end within a batch are one row, not two.
            self._end.wait(BATCH_SECONDS if wrote else RETRY_SECONDS)
        if self._connection is not None:
            self._connection.close()

    def _round(self) -> bool:
        """Open the file if need be and write what waits; whether that worked."""
        with self._lock:
            rows, self._waiting = self._waiting, {}
        try:
            connection = self._ready()
            if rows:
                self._write(connection, rows)
        except Exception as error:
            with self._lock:
                self._waiting = {**rows, **self._waiting}
            self._give_up(error)
            return False
        if self.trouble:
            log.warning("the books are written again: %s", self._path)
            self.trouble = ""
        return True

    def _write(self, connection: sqlite3.Connection, rows: dict[int, Row]) -> None:
        """Write `rows`; one that no books can hold is dropped, so that the others are not lost too."""
        try:
            books.write(connection, rows.values())
        except Exception as error:
            if _of_the_file(error):
                raise
            for number in list(rows):
                try:
                    books.write(connection, [rows[number]])
                except Exception as fault:
                    if _of_the_file(fault):
                        raise
                    log.exception("a row that cannot be written is dropped")
                    self.lost += 1
                del rows[number]

    def _ready(self) -> sqlite3.Connection:
        if self._connection is not None and self._inode != _inode(self._path):
            # Somebody moved the file away: what we would write into it would be lost.
            self._connection.close()
            self._connection = None
        if self._connection is None:
            connection = books.writer(self._path)
            self._inode = _inode(self._path)
            if not self._restored:
                self._restore(connection)
            self._connection = connection
        return self._connection

    def _restore(self, connection: sqlite3.Connection) -> None:
        left_open = books.settle_left_open(connection)
        day = day_of(time.time())
        spent = books.spent(connection, day * DAY, month_start(day) * DAY)
        self._restored = True
        self._last_id = max(self._last_id, books.last_id(connection))
        self._opened(Before(spent, left_open))

    def _give_up(self, error: Exception) -> None:
        if not self.trouble:
            log.error("the books cannot be written: %s: %s", self._path, error)
            if not self._restored:
                self._opened(None)
        self.trouble = str(error) or type(error).__name__
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


_OF_THE_ROW = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)


def _of_the_file(error: Exception) -> bool:
    """Whether the file is at fault, or the disk, rather than what was to be written."""
    return isinstance(error, (sqlite3.Error, OSError)) and not isinstance(error, _OF_THE_ROW)


def _inode(path: str) -> int:
    try:
        return Path(path).stat().st_ino
    except FileNotFoundError:
        return 0
