"""Takes rendered nginx and unit text apart again: what tests compare is the text that is written.

Knows the syntax that render.nginx and render.systemd write, and no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_PIECE = re.compile(r'(?<!\S)#[^\n]*|"(?:\\.|[^"\\])*"|[{};]|[^\s"{};]+|\s+|"')


@dataclass(frozen=True, slots=True)
class Statement:
    """One directive of nginx: its words and, if it is a block, the text inside."""

    head: str
    body: str | None = None

    @property
    def word(self) -> str:
        """Its name."""
        return self.head.partition(" ")[0]

    @property
    def rest(self) -> str:
        """What follows its name."""
        return self.head.partition(" ")[2]

    @property
    def text(self) -> str:
        """On one line, without comments."""
        if self.body is None:
            return f"{self.head};"
        inside = " ".join(statement.text for statement in statements(self.body))
        return f"{self.head} {{ {inside} }}"


def statements(text: str) -> Iterator[Statement]:
    """The directives of `text` in their order; comments are left out."""
    head: list[str] = []
    body: list[str] = []
    depth = 0
    for match in _PIECE.finditer(text):
        piece = match[0]
        if piece.startswith("#"):
            continue
        depth += (piece == "{") - (piece == "}")
        if depth and not (depth == 1 and piece == "{"):
            body.append(piece)
        elif piece == "}":
            yield Statement(_words(head), "".join(body))
            head, body = [], []
        elif piece == ";":
            yield Statement(_words(head))
            head = []
        elif piece != "{":
            head.append(piece)
    if _words(head) or depth:
        raise ValueError(f"not the whole of an nginx file: it ends after {_words(head)!r}")


def _words(pieces: list[str]) -> str:
    return " ".join("".join(pieces).split())


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
