"""Where somebody goes on after signing in: the page that they asked for, if it is one of ours.

Used by the portal's sign-in. An address is never passed on: it is taken apart, and another one is made
of its parts, whose host can only be one of this site's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from carrel.core.names import USER_NAME

LONGEST = 2000
"""Characters; more is nothing that a browser's address bar held."""

PATH = re.compile(r"/(?:[!-.0-\[\]-~][!-\[\]-~]*)?")
"""Visible ASCII without a backslash; and no second slash at its start, which would be a host."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A page of this site: at somebody's desk, or at the bare domain if `user` is empty."""

    user: str = ""
    path: str = "/"

    @classmethod
    def of(cls, address: str, home: str) -> Self:
        """The page at `address`; the front page if that is none of ours.

        `home` is the bare domain with its port, if that is not the usual one: `code.example.org:8443`.
        """
        if len(address) > LONGEST:
            return cls()
        found = re.fullmatch(
            rf"https://(?:({USER_NAME.pattern})\.)?{re.escape(home)}({PATH.pattern})", address
        )
        return cls(found[1] or "", found[2]) if found else cls()

    def address(self, home: str) -> str:
        """Where to send a browser."""
        return (
            f"https://{self.user}.{home}{self.path}" if self.user else f"https://{home}{self.path}"
        )
