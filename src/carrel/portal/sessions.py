"""How long somebody stays signed in: rules over values, with the time handed in.

Used by the portal. A session ends when nobody used it for a while, when it is old, and when somebody
ends it, and for no other reason: not by a restart, and not by a clock that goes back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

DAY = 86400.0
TOUCH_SECONDS = 60.0
"""How old "last seen" may be: writing it at every request would be a write for every file of a page."""


@dataclass(frozen=True, slots=True)
class Life:
    """How long a session lasts, in seconds: without being used, and in all."""

    unused: float = 14 * DAY
    most: float = 180 * DAY


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody signed in with one browser, at one host.

    `digest` is what is kept of its token. `host` is the user whose desk it opens, empty at the bare
    domain; `parent` is the digest of the session at the bare domain that it came from: it ends with that
    one. `born` and `seen` are in seconds since 1970, UTC. By `browser` and `address` people tell their
    sessions apart.
    """

    digest: str
    user: str
    host: str
    parent: str
    born: float
    seen: float
    browser: str = ""
    address: str = ""

    def alive(self, now: float, life: Life) -> bool:
        """Whether it still opens anything."""
        # A clock that was set back makes nobody older, and signs nobody out.
        return now - self.seen < life.unused and now - self.born < life.most

    def opens(self, host: str) -> bool:
        """Whether it is good at a host: the one for which it was made, and the person's own."""
        return host == self.host and host in {"", self.user}

    def stale(self, now: float) -> bool:
        """Whether it is time to write down that it was used."""
        return abs(now - self.seen) >= TOUCH_SECONDS

    def touched(self, now: float) -> Session:
        """The same, used now. What a clock that was ahead wrote down is made right by this, too."""
        return replace(self, seen=now)
