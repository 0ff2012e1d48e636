"""A file for systemd.unit(5) as a value: text on a server, settings of the same names on NixOS.

Used by render.systemd, render.renewal and render.nixos.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MADE_BY = "# Made by Carrel; changes are overwritten.\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A comment for who reads the file, on the line that follows; without a text, an empty line."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """A key whose value is a command, one word a line in the file."""

    key: str
    program: str
    arguments: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """The program as it is, with the prefixes of systemd.service(5), and its arguments as words."""
        return (self.program, *map(quoted, self.arguments))


Line = tuple[str, str] | Command | Note


@dataclass(frozen=True, slots=True)
class UnitFile:
    """Sections with their lines, both in their order."""

    sections: tuple[tuple[str, tuple[Line, ...]], ...]

    @property
    def text(self) -> str:
        """The file."""
        parts = (f"[{name}]\n{''.join(map(_text, lines))}" for name, lines in self.sections)
        return MADE_BY + "\n".join(parts)

    @property
    def settings(self) -> dict[str, dict[str, list[str]]]:
        """By section and key the values that each key is given, in their order."""
        found: dict[str, dict[str, list[str]]] = {}
        for section, lines in self.sections:
            keys = found.setdefault(section, {})
            for key, value in _pairs(lines):
                keys.setdefault(key, []).append(value)
        return found


def unit_file(**sections: tuple[Line, ...]) -> UnitFile:
    """The file with these sections; an empty one is left out."""
    return UnitFile(tuple((name, lines) for name, lines in sections.items() if lines))


def quoted(word: str) -> str:
    """`word` as one argument of an Exec line: systemd expands %, $ and backslashes in it."""
    if any(ord(letter) < ord(" ") for letter in word):
        raise ValueError(f"{word!r} cannot stand in a unit")
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _pairs(lines: tuple[Line, ...]) -> Iterator[tuple[str, str]]:
    for line in lines:
        match line:
            case Command(key=key):
                yield key, " ".join(line.words)
            case (key, value):
                yield key, value


def _text(line: Line) -> str:
    match line:
        case Note(text=""):
            return "\n"
        case Note(text=text):
            return "".join(f"# {part}\n" for part in text.split("\n"))
        case Command(key=key):
            return f"{key}=" + " \\\n    ".join(line.words) + "\n"
        case (key, value):
            return f"{key}={value}\n"
