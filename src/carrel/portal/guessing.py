"""Who may try a password now, and who has to wait: per address and per account, longer each time.

Used by the portal's sign-in; one of these, in memory. Whoever guesses waits; the right person does not,
in a browser that they have signed in with before: it counts for itself, and nobody else's failures count
for it. Whether there is such a user makes no difference.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field

FREE = 3
"""Mistakes that cost nothing."""
FIRST_SECONDS, MOST_SECONDS = 2.0, 900.0
FORGET_SECONDS = 3600.0
"""Since the last mistake."""
REMEMBERED = 20_000
"""Addresses, accounts and browsers; the longest untouched goes first. About 5 MB."""


@dataclass(slots=True)
class Mistakes:
    """Those of one address, account or browser. `last` is in seconds of a clock that never goes back."""

    count: int = 0
    last: float = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next try."""
        if self.count < FREE or now - self.last >= FORGET_SECONDS:
            return 0.0
        pause = min(FIRST_SECONDS * 2.0 ** min(self.count - FREE, 32), MOST_SECONDS)
        return max(0.0, self.last + pause - now)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody who would sign in as `user` from `address`.

    `browser` names a browser in which this user has signed in before; empty if it is not known as that.
    """

    user: str
    address: str
    browser: str = ""

    @property
    def counts(self) -> tuple[tuple[str, str], ...]:
        """What its mistakes are counted by."""
        if self.browser:
            return (("browser", f"{self.user} {self.browser}"),)
        return ("address", network(self.address)), ("account", self.user)


@dataclass(slots=True)
class Guessing:
    """All mistakes of late."""

    known: OrderedDict[tuple[str, str], Mistakes] = field(default_factory=OrderedDict)

    def wait(self, attempt: Attempt, now: float) -> float:
        """Seconds that this one has to wait; 0 if it may try."""
        found = (self.known.get(key) for key in attempt.counts)
        return max((mistakes.wait(now) for mistakes in found if mistakes), default=0.0)

    def begin(self, attempt: Attempt, now: float) -> float:
        """Like `wait`; one that may try is a mistake from now on, until it turns out to be none.

        A hundred tries at once are a hundred tries: none of them is judged by what was known before.
        """
        seconds = self.wait(attempt, now)
        if seconds:
            return seconds
        for key in attempt.counts:
            mistakes = self.known.pop(key, None) or Mistakes()
            if now - mistakes.last >= FORGET_SECONDS:
                mistakes.count = 0
            mistakes.count += 1
            mistakes.last = now
            self.known[key] = mistakes
        while len(self.known) > REMEMBERED:
            self.known.popitem(last=False)
        return 0.0

    def was_right(self, attempt: Attempt) -> None:
        """It was no mistake. What others got wrong at this account stays: they go on guessing."""
        for kind, name in attempt.counts:
            mistakes = self.known.get((kind, name))
            if mistakes is None:
                continue
            mistakes.count -= 1
            if mistakes.count <= 0 or kind == "browser":
                del self.known[kind, name]


def network(address: str) -> str:
    """What counts as one address: of IPv6, whoever has one has 2^64 of them (RFC 6177)."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
