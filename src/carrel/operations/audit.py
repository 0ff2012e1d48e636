"""Who did what to a site, and when: every verb that changes one says so, and `carrel log` reads it.

An event is written down when nothing stands in the way any more, and before the first effect: what was
begun and ended half-way is in the log too. Where it cannot be written, nothing is done.
"""

from __future__ import annotations

import time

from carrel.adapters import accounts, files
from carrel.adapters.process import Identity
from carrel.core.audit import Did, Event, events
from carrel.targets.protocol import Target

MODE = 0o600
"""Who has what account is nobody's business but the operator's."""


def record(target: Target, did: Did, *, user: str = "", about: str = "") -> None:
    """Say that it is about to be done, by whoever runs this command."""
    event = Event(round(time.time(), 3), accounts.at_the_terminal(), did, user, about)
    files.append(target.facts.layout.log_of_changes, event.line, Identity.ours(), MODE)


def read(target: Target, *, user: str = "", since: float = 0) -> list[Event]:
    """What was done, the oldest first: only what was done to `user` or by `user`, if one is named.

    `since`: seconds since 1970, UTC.
    """
    kept = events(files.own_text(target.facts.layout.log_of_changes) or "")
    return [
        event
        for event in kept
        if event.at >= since and (not user or user in {event.user, event.who} | event.whose)
    ]
