"""Values as words of an nginx configuration; used by everything here that writes one.

Every value that comes from a configuration passes `safe`, which refuses what could end a string; the
schema refuses it earlier and with better words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from carrel.core.headers import Header

UNSAFE = re.compile(r"[\x00-\x1f\x7f\"\\$;{}]")


def safe(value: str) -> str:
    """`value`, for the inside of quotes; ValueError if it could end them or name a variable."""
    if UNSAFE.search(value):
        raise ValueError(f"{value!r} cannot stand in an nginx configuration")
    return value


def quoted(value: str) -> str:
    """`value` as one nginx parameter."""
    return f'"{safe(value)}"'


def indented(text: str, levels: int) -> str:
    """`text` with every line moved to the right."""
    space = "    " * levels
    return "".join(f"{space}{line}\n" if line else "\n" for line in text.splitlines())


def added(headers: Iterable[Header]) -> str:
    """Headers of an answer, also of a refusal; an inner block of nginx has to repeat them."""
    return "".join(f'add_header {header.name} "{header.value}" always;\n' for header in headers)


def hidden(headers: Iterable[Header]) -> str:
    """The same headers of whoever is behind us, taken away; policies add up, so theirs stay."""
    return "".join(
        f"proxy_hide_header {header.name};\n"
        for header in headers
        if header.name != "Content-Security-Policy"
    )


def passed(headers: Iterable[Header]) -> str:
    """Headers of a request to whoever is behind us."""
    return "".join(f'proxy_set_header {header.name} "{header.value}";\n' for header in headers)
