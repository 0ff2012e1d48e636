"""The configuration that was brought about last, kept for the time when carrel.toml has a fault.

Used by the verbs that read: whoever needs `status` or `logs` most has just made a mistake in the file.
"""

from __future__ import annotations

from carrel.adapters import files
from carrel.adapters.process import Identity
from carrel.targets.protocol import Target

MODE = 0o600
"""There may be hashes of passwords in it."""


def remember(target: Target, text: str) -> None:
    """Keep the text that was brought about."""
    if recalled(target) != text:
        files.write(target.facts.layout.applied, text, Identity.ours(), MODE)


def recalled(target: Target) -> str | None:
    """The text that was brought about last, or None."""
    return files.own_text(target.facts.layout.applied)


def forget(target: Target) -> None:
    """Remove it: nothing of the site is left."""
    files.remove_file(target.facts.layout.applied)
