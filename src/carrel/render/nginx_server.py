"""A server of nginx as a value: text in a file of ours, options of a host where NixOS declares it.

Used by render.nginx and render.nixos_edge. Knows how a server is written, not what is in ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from carrel.render.nginx_text import indented, quoted


class Role(StrEnum):
    """What a server is for."""

    NOBODY = "nobody"
    """What is nobody's."""
    REDIRECT = "redirect"
    """Leads from http to https."""
    WELCOME = "welcome"
    """The bare domain."""
    DESK = "desk"
    """Everybody's desk."""
    UNKNOWN = "unknown"
    """Names that no desk could have."""
    TUNNEL = "tunnel"
    """A desk through an SSH tunnel."""
    STRAY = "stray"
    """Any other name at a tunnel's port."""


@dataclass(frozen=True, slots=True)
class HostOption:
    """Directives that stand here, and for which a host of NixOS has options."""

    text: str


@dataclass(frozen=True, slots=True)
class Location:
    """What holds for some paths; with an `upstream`, a URL, requests go there."""

    match: str
    text: str
    upstream: str = ""
    after: str = ""
    """What follows `proxy_pass` in the file."""
    note: str = ""

    @property
    def lines(self) -> str:
        """All of its directives but `proxy_pass`."""
        return self.text + self.after


Part = str | HostOption | Location


@dataclass(frozen=True, slots=True)
class Server:
    """One server. Text has a line for each directive, and no indentation."""

    role: Role
    note: str
    listen: tuple[str, ...]
    names: tuple[str, ...]
    """As they are written, in quotes where nginx needs them."""
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """As it is written in the http context."""
        listen = "".join(f"listen {address};\n" for address in self.listen)
        inside = listen + f"server_name {' '.join(self.names)};\n" + "".join(map(_text, self.parts))
        return indented(f"{_comment(self.note)}server {{\n{indented(inside, 1)}}}\n", 1).rstrip(
            "\n"
        )

    @property
    def lines(self) -> str:
        """Its own directives that a host of NixOS has no option for."""
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def locations(self) -> tuple[Location, ...]:
        """In their order, which counts: nginx takes the first pattern that fits."""
        return tuple(part for part in self.parts if isinstance(part, Location))


@dataclass(frozen=True, slots=True)
class UpstreamBlock:
    """Who is behind a name, and how connections to it are kept."""

    name: str
    address: str
    text: str

    @property
    def written(self) -> str:
        """As it is written in the http context."""
        server = f"server {quoted(self.address)};\n"
        return f"upstream {self.name} {{\n{indented(server + self.text, 1)}}}\n"


def _text(part: Part) -> str:
    match part:
        case str():
            return part
        case HostOption(text=text):
            return text
        case Location(text=text) if not text.endswith("\n"):
            return f"{_comment(part.note)}location {part.match} {{ {text} }}\n"
        case Location():
            there = f"proxy_pass {_url(part.upstream)};\n" if part.upstream else ""
            inside = indented(part.text + there + part.after, 1)
            return f"{_comment(part.note)}location {part.match} {{\n{inside}}}\n"


def _url(url: str) -> str:
    # It may name a variable, which `quoted` refuses.
    return f'"{url}"'


def _comment(note: str) -> str:
    return "".join(f"# {line}\n" for line in note.splitlines())
