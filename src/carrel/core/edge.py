"""Decides what the edge serves: names, sockets and limits; render.nginx spells it."""

from __future__ import annotations

from dataclasses import dataclass

from carrel.core import names
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
class Edge:
    """What nginx needs to know about a site."""

    domain: str
    port: int
    sockets: str
    certificate: str
    key: str
    pages: str
    home: str
    """Where nginx keeps its pid and temporary files."""
    users: tuple[str, ...] = ()
    """Whose connections are kept open between requests; others work too, a little slower."""
    tunnels: tuple[Tunnel, ...] = ()


def local_edge(site: Site, layout: names.LocalLayout) -> Edge:
    """The edge of local mode: loopback only, with the local authority's certificate."""
    return Edge(
        domain=site.domain,
        port=site.local_port,
        sockets=layout.sockets,
        certificate=f"{layout.tls}/site.crt",
        key=f"{layout.tls}/site.key",
        pages=layout.pages,
        home=layout.nginx,
        users=tuple(user.name for user in site.users),
        tunnels=tuple(Tunnel(u.name, u.port) for u in site.users if u.port is not None),
    )
