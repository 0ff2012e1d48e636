"""SQLite as the daemons use it: one file, of one writer, whole after a power cut.

Used by adapters.books and carrel.portal.store. Everything raises sqlite3.Error.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

BUSY_SECONDS = 1.0


def opened(path: str, schema: str, version: int) -> sqlite3.Connection:
    """The database, ready to be written; made with `schema` if it is not there.

    One of a later version, which may mean other things by its tables, is left as it is: DatabaseError.
    """
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        _check_version(connection, version)
        connection.execute("PRAGMA journal_mode = WAL")
        # Who was told that something is written is not told a lie by a power cut.
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(f"{schema}PRAGMA user_version = {version};")
    except BaseException:
        connection.close()
        raise
    return connection


def _check_version(connection: sqlite3.Connection, version: int) -> None:
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > version:
        raise sqlite3.DatabaseError(f"it is of version {found}, and this Carrel knows {version}")


@contextlib.contextmanager
def whole(connection: sqlite3.Connection) -> Iterator[None]:
    """What is done within it happens as one, or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # Some failures, such as a full disk, have rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
