"""nix/facts.json: what the NixOS module takes from Carrel, the rules for its options included.

`make docs` writes it; a golden test keeps it current.
"""

from __future__ import annotations

import json

from carrel.config import schema
from carrel.core import names
from carrel.render import nixos


def facts() -> str:
    """The text of the file."""
    found = {"rules": _rules(), **nixos.facts()}
    return json.dumps(found, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _rules() -> dict[str, object]:
    """What values have to look like. Nix takes these patterns as they are (POSIX, the whole text)."""
    return {
        "user": names.USER_NAME.pattern,
        "reserved": sorted(names.RESERVED_NAMES),
        "domain": schema.DOMAIN.pattern,
        "email": schema.EMAIL.pattern,
        "provider": schema.PROVIDER.pattern,
        "smallest_memory": schema.SMALLEST_MEMORY,
        # The pattern has escapes that only Python knows. Nix has no text with a NUL in it.
        "not_in_paths": [c for c in map(chr, range(1, 128)) if not schema.PATH.fullmatch(c)],
    }
