"""What a server knows of each workspace beyond the site: ids, and the container with its storage.

Made by render.host; render.systemd spells it.
"""

from __future__ import annotations

from dataclasses import dataclass

from carrel.core.workspace import Container


@dataclass(frozen=True, slots=True)
class Ids:
    """The account's user id (also its group's), and the first of its 65536 subordinate ids."""

    uid: int
    first: int


@dataclass(frozen=True, slots=True)
class Seat:
    """One workspace on a server."""

    user: str
    ids: Ids
    container: Container
    storage: str
    """The user's directory, which the unit may write to."""
