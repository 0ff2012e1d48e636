"""What somebody did to a site: the events of `carrel log`, and the line that each is kept as.

Used by operations.audit. Pure; who somebody is, and what time it is, is found out there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum

END_OF_TIME = 253402300800.0
"""The year 10000, where calendars end."""


class Did(StrEnum):
    """What was done, in the words of the command that does it."""

    UP = "up"
    APPLY = "apply"
    DOWN = "down"
    RETIRE = "down --remove"
    RESET = "reset"
    RESET_SETTINGS = "reset --settings"
    USER_ADD = "user add"
    USER_PASSWORD = "user passwd"  # noqa: S105 - a command
    USER_LOGOUT = "user logout"
    USER_SUSPEND = "user suspend"
    USER_RESUME = "user resume"
    USER_REMOVE = "user remove"
    USER_DELETE = "user remove --delete-data"
    AI_KEY_ADD = "ai key add"
    AI_KEY_ROTATE = "ai key rotate"
    IMAGE_LOAD = "image load"
    IMAGE_USE = "image use"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that was done.

    `at` is in seconds since 1970, UTC; `who` did it; `user` is whom it was done to, if to one person;
    `about` names what else it was about: an image, a provider.
    """

    at: float
    who: str
    did: str
    user: str = ""
    about: str = ""

    @property
    def whose(self) -> frozenset[str]:
        """The people that an `up` or `apply` was about."""
        return frozenset(self.about.split(", ")) if self.did in {Did.UP, Did.APPLY} else frozenset()

    @property
    def line(self) -> str:
        """How it is kept: on a line that it begins itself.

        A line before it that was not written to its end does not become a part of it (RFC 7464 has the
        same reason).
        """
        return "\n" + json.dumps({key: value for key, value in asdict(self).items() if value != ""})


def events(text: str) -> Iterator[Event]:
    """What was kept, the oldest first.

    A line that says nothing, such as one that a power cut left in its middle, is passed over: it must
    not hide the others.
    """
    for line in text.splitlines():
        try:
            said = json.loads(line)
            at = float(said["at"])
            others = (str(said.get(key, "")) for key in ("who", "did", "user", "about"))
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
            continue
        if 0 <= at < END_OF_TIME:
            yield Event(at, *others)
