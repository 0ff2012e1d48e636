"""Decides what the edge serves: names, sockets and limits; render.nginx spells it."""

from __future__ import annotations

from dataclasses import dataclass

from carrel.core import certificate, names
from carrel.core.machine import Machine
from carrel.core.site import Site

LOGIN_ATTEMPTS_AT_ONCE = 10
"""Wrong passwords an address may try before it has to wait. code-server locks everybody out after 14
(facts §4), so an address on its own must run into this limit first."""
LOGIN_ATTEMPTS_PER_MINUTE = 1

SILENCE_SECONDS = 3600
"""How long a WebSocket may be silent before nginx closes it."""

KEPT_CONNECTIONS = 16
KEPT_SECONDS = 4
"""Shorter than the five seconds after which node closes an idle connection itself."""

SESSION_COOKIE = "code-server-session"


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A plain listener on loopback for one user, to be reached through SSH."""

    user: str
    port: int


@dataclass(frozen=True, slots=True)
class OwnServer:
    """An nginx of our own, in the foreground; `home` is where it keeps its pid and temporary files."""

    home: str


@dataclass(frozen=True, slots=True)
class GuestServer:
    """The operator's nginx, of whose configuration we are one file among others.

    `plain`: the addresses at which it sends people on to HTTPS.
    """

    plain: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """What nginx needs to know about a site."""

    domain: str
    listen: tuple[str, ...]
    """Addresses for HTTPS, as nginx writes them."""
    server: OwnServer | GuestServer
    sockets: str
    certificate: str
    key: str
    pages: str
    kept: str
    """The file with the people whose connections are kept open."""
    users: tuple[str, ...] = ()
    """Whose connections are kept open between requests; others work too, a little slower."""
    tunnels: tuple[Tunnel, ...] = ()


def local_edge(site: Site, layout: names.LocalLayout) -> Edge:
    """The edge of local mode: loopback only, with the local authority's certificate."""
    return Edge(
        domain=site.domain,
        listen=(f"127.0.0.1:{site.local_port}",),
        server=OwnServer(layout.nginx),
        sockets=layout.sockets,
        certificate=f"{layout.tls}/site.crt",
        key=f"{layout.tls}/site.key",
        pages=layout.pages,
        kept=f"{layout.nginx}/kept.conf",
        users=tuple(user.name for user in site.users),
        tunnels=_tunnels(site),
    )


def host_edge(site: Site, layout: names.HostLayout, machine: Machine) -> Edge:
    """The edge of a server: a part of the operator's nginx, on the usual ports."""
    bundle = certificate.bundle(site, layout)
    return Edge(
        domain=site.domain,
        listen=("443", "[::]:443") if machine.ipv6 else ("443",),
        server=GuestServer(("80", "[::]:80") if machine.ipv6 else ("80",)),
        sockets=layout.sockets,
        certificate=bundle.path if bundle else f"{layout.tls}/site.crt",
        key=bundle.path if bundle else f"{layout.tls}/site.key",
        pages=layout.pages,
        kept=layout.nginx_kept,
        users=tuple(user.name for user in site.users),
        tunnels=_tunnels(site),
    )


def _tunnels(site: Site) -> tuple[Tunnel, ...]:
    return tuple(Tunnel(u.name, u.port) for u in site.users if u.port is not None)
