"""Reads a unit file the way systemd does, as far as ours go: what tests compare is the text."""

from __future__ import annotations

import re

Sections = dict[str, dict[str, list[str]]]
"""Sections, keys and the values that each key is given, in their order."""


def unit(text: str) -> Sections:
    """The parts of a unit file; a line that ends with a backslash goes on in the next."""
    parts: Sections = {}
    section: dict[str, list[str]] = {}
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if line.startswith("["):
            section = parts.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            section.setdefault(key, []).append(value)
    return parts
