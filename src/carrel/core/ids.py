"""Decides which range of subordinate ids of an account its containers map from.

Knows no file; adapters.accounts reads them.
"""

from __future__ import annotations

from dataclasses import dataclass

SUBORDINATE_IDS = 65536
"""How many every account has: as many as a container's system may know."""


@dataclass(frozen=True, slots=True)
class Spans:
    """The ranges of subordinate ids of an account, each with its first id and its length, as listed."""

    users: tuple[tuple[int, int], ...] = ()
    groups: tuple[tuple[int, int], ...] = ()

    @property
    def first(self) -> int | None:
        """The first id of the range from which podman maps: the one that is listed first, in both.

        None if there is none, or if they differ: what the container's root makes would be somebody
        else's on the server.
        """
        return _long_enough(self.users) if self.users[:1] == self.groups[:1] else None

    @property
    def begun(self) -> int | None:
        """The first id of a range that is whole but for the other half: somebody ended usermod."""
        return _long_enough(self.users or self.groups) if not (self.users and self.groups) else None

    def __bool__(self) -> bool:
        return bool(self.users or self.groups)


def _long_enough(spans: tuple[tuple[int, int], ...]) -> int | None:
    return spans[0][0] if spans and spans[0][1] >= SUBORDINATE_IDS else None
