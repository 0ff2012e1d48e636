"""What the portal keeps: sessions, invitations, one-time codes, chosen passwords. One SQLite file.

Only the portal opens it. Of what opens something there are digests alone, so that a copy of the file, in
a backup, opens nothing. Moments are seconds since 1970, UTC. Each function is whole or has not happened;
all raise sqlite3.Error. All values are bound, none is ever part of a statement.
"""

from __future__ import annotations

import sqlite3
from dataclasses import astuple, fields

from carrel.adapters import database
from carrel.portal.sessions import Life, Session

VERSION = 1
_COLUMNS = ", ".join(field.name for field in fields(Session))
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    digest TEXT PRIMARY KEY, user TEXT NOT NULL, host TEXT NOT NULL, parent TEXT NOT NULL,
    born REAL NOT NULL, seen REAL NOT NULL, browser TEXT NOT NULL, address TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_user ON sessions (user);
CREATE INDEX IF NOT EXISTS sessions_parent ON sessions (parent);
CREATE TABLE IF NOT EXISTS invitations (
    digest TEXT PRIMARY KEY, user TEXT NOT NULL UNIQUE, ends REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS codes (
    digest TEXT PRIMARY KEY, session TEXT NOT NULL, host TEXT NOT NULL, binding TEXT NOT NULL,
    ends REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS passwords (
    user TEXT PRIMARY KEY, hash TEXT NOT NULL, chosen REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS browsers (
    digest TEXT PRIMARY KEY, user TEXT NOT NULL, seen REAL NOT NULL
) STRICT, WITHOUT ROWID;
"""


def opened(path: str) -> sqlite3.Connection:
    """The store, made if it is not there."""
    return database.opened(path, _SCHEMA, VERSION)


# -- sessions ------------------------------------------------------------------------------


def begin(connection: sqlite3.Connection, session: Session) -> None:
    """Keep a new session."""
    connection.execute(
        f"INSERT INTO sessions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - our own
        astuple(session),
    )


def session(connection: sqlite3.Connection, digest: str) -> Session | None:
    """The session with this digest, alive or not."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM sessions WHERE digest = ?",  # noqa: S608
        (digest,),
    ).fetchone()
    return Session(*row) if row else None


def sessions(connection: sqlite3.Connection, user: str) -> tuple[Session, ...]:
    """Where somebody is signed in: what they see and can end, the last used first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM sessions WHERE user = ? AND parent = '' ORDER BY seen DESC, digest",  # noqa: S608
        (user,),
    )
    return tuple(Session(*row) for row in rows)


def touch(connection: sqlite3.Connection, used: Session) -> None:
    """Write down when a session, and the one that it came from, was used; an ended one stays ended."""
    connection.execute(
        "UPDATE sessions SET seen = ? WHERE digest IN (?, ?)", (used.seen, used.digest, used.parent)
    )


def end(connection: sqlite3.Connection, digest: str) -> frozenset[str]:
    """End a session, and those that came from it; the digests of all that ended."""
    return _gone(
        connection,
        "DELETE FROM sessions WHERE digest = ? OR parent = ? RETURNING digest",
        (digest, digest),
    )


def end_all(connection: sqlite3.Connection, user: str, but: str = "") -> frozenset[str]:
    """End all sessions of somebody, but the one with the digest `but` and those that came from it."""
    return _gone(
        connection,
        "DELETE FROM sessions WHERE user = ? AND (? = '' OR (digest <> ? AND parent <> ?)) "
        "RETURNING digest",
        (user, but, but, but),
    )


def forget_ended(connection: sqlite3.Connection, now: float, life: Life) -> frozenset[str]:
    """Take out what has ended by itself: sessions, invitations, codes; the digests of the sessions."""
    with database.whole(connection):
        connection.execute("DELETE FROM invitations WHERE ends <= ?", (now,))
        connection.execute("DELETE FROM codes WHERE ends <= ?", (now,))
        return _gone(
            connection,
            "DELETE FROM sessions WHERE ? - seen >= ? OR ? - born >= ? RETURNING digest",
            (now, life.unused, now, life.most),
        )


def _gone(
    connection: sqlite3.Connection, statement: str, values: tuple[object, ...]
) -> frozenset[str]:
    return frozenset(digest for (digest,) in connection.execute(statement, values).fetchall())


# -- invitations ---------------------------------------------------------------------------


def invite(connection: sqlite3.Connection, user: str, digest: str, ends: float) -> None:
    """Keep an invitation for `user`; an earlier one opens nothing any more."""
    connection.execute(
        "INSERT OR REPLACE INTO invitations (digest, user, ends) VALUES (?, ?, ?)",
        (digest, user, ends),
    )


def invited(connection: sqlite3.Connection, digest: str, now: float) -> str | None:
    """Whom an invitation is for, while it is good; looking does not use it up (link previews look)."""
    row = connection.execute(
        "SELECT user FROM invitations WHERE digest = ? AND ends > ?", (digest, now)
    ).fetchone()
    return row[0] if row else None


def join(connection: sqlite3.Connection, digest: str, password: str, now: float) -> str | None:
    """Use an invitation up: keep the hash of the password that was chosen; who it was for, or None.

    Of two at once, one joins.
    """
    with database.whole(connection):
        row = connection.execute(
            "DELETE FROM invitations WHERE digest = ? AND ends > ? RETURNING user", (digest, now)
        ).fetchone()
        if row is None:
            return None
        choose(connection, row[0], password, now)
    found: str = row[0]
    return found


# -- passwords -----------------------------------------------------------------------------


def choose(connection: sqlite3.Connection, user: str, password: str, now: float) -> None:
    """Keep the hash of the password that somebody chose."""
    connection.execute(
        "INSERT OR REPLACE INTO passwords (user, hash, chosen) VALUES (?, ?, ?)",
        (user, password, now),
    )


def password(connection: sqlite3.Connection, user: str) -> str | None:
    """The hash of it, or None."""
    row = connection.execute("SELECT hash FROM passwords WHERE user = ?", (user,)).fetchone()
    return row[0] if row else None


def remove(connection: sqlite3.Connection, user: str) -> frozenset[str]:
    """Take somebody out with all that is theirs: who has the name next begins anew; ended sessions."""
    with database.whole(connection):
        for table in ("invitations", "passwords", "browsers"):
            connection.execute(f"DELETE FROM {table} WHERE user = ?", (user,))  # noqa: S608
        connection.execute("DELETE FROM codes WHERE host = ?", (user,))
        return end_all(connection, user)


# -- one-time codes ------------------------------------------------------------------------


def hand_out(
    connection: sqlite3.Connection, digest: str, session: Session, binding: str, ends: float
) -> None:
    """Keep a code that takes a session at the bare domain on to the person's desk.

    `binding` is the digest of what only the browser that asked has.
    """
    connection.execute(
        "INSERT INTO codes (digest, session, host, binding, ends) VALUES (?, ?, ?, ?, ?)",
        (digest, session.digest, session.user, binding, ends),
    )


def take(
    connection: sqlite3.Connection, digest: str, host: str, binding: str, now: float
) -> Session | None:
    """The session for which a code was handed out, if host and browser are the right ones.

    The code is used up either way: who tries one with another browser has stolen it.
    """
    row = connection.execute(
        "DELETE FROM codes WHERE digest = ? RETURNING session, host, binding, ends", (digest,)
    ).fetchone()
    if row is None or row[1:3] != (host, binding) or row[3] <= now:
        return None
    return session(connection, row[0])


# -- known browsers ------------------------------------------------------------------------


def know(connection: sqlite3.Connection, digest: str, user: str, now: float) -> None:
    """Somebody signed in with this browser; nobody else's failures count for it from now on."""
    connection.execute(
        "INSERT OR REPLACE INTO browsers (digest, user, seen) VALUES (?, ?, ?)", (digest, user, now)
    )


def knows(connection: sqlite3.Connection, digest: str, user: str) -> bool:
    """Whether this user has signed in with this browser."""
    found = connection.execute(
        "SELECT 1 FROM browsers WHERE digest = ? AND user = ?", (digest, user)
    ).fetchone()
    return found is not None
