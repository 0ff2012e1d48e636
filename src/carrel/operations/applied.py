"""The configuration that was brought about last, kept for the time when carrel.toml has a fault.

Used by the verbs that read: whoever needs `status` or `logs` most has just made a mistake in the file.
"""

from __future__ import annotations

from carrel.adapters import files
from carrel.adapters.process import Identity
from carrel.targets.place import Place

MODE = 0o600
"""There may be hashes of passwords in it."""


def remember(place: Place, text: str) -> None:
    """Keep the text that was brought about."""
    if recalled(place) != text:
        files.write(place.layout.applied, text, Identity.ours(), MODE)


def recalled(place: Place) -> str | None:
    """The text that was brought about last, or None."""
    return files.text(place.layout.applied)


def forget(place: Place) -> None:
    """Remove it: nothing of the site is left."""
    files.remove_file(place.layout.applied)
