"""Decides what the edge serves: names, sockets and limits; render.nginx spells it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from carrel.core import certificate, names
from carrel.core.headers import Transport
from carrel.core.layout import HostLayout, LocalLayout
from carrel.core.machine import Machine
from carrel.core.site import Site, TlsMode

LOGIN_ATTEMPTS_AT_ONCE = 5
LOGIN_ATTEMPTS_PER_MINUTE = 1
"""How often an address may try to sign in: once, as many times more at once, and then at this rate.

code-server counts for all addresses together: 2 a minute, and 12 an hour for those beyond (facts §4). An
address on its own takes 4 of the 12 and then stays below the 2, so that the owner can always sign in.
"""

SILENCE_SECONDS = 3600
"""How long a WebSocket may be silent before nginx closes it."""

KEPT_CONNECTIONS = 16
KEPT_SECONDS = 4
"""Shorter than the five seconds after which node closes an idle connection itself."""

SESSION_COOKIE = "code-server-session"
"""What code-server calls the session; no browser of ours knows it by this name."""
HOST_COOKIE = "__Host-carrel"
"""What browsers call it: they take a cookie of this kind from the host itself alone (RFC 6265bis)."""
LONGEST_COOKIES = 8000
"""Bytes of cookies in one request. Beyond, somebody else is filling the browser with them; node gives up
at 16 KB of headers."""

HTTP2_DIRECTIVE = (1, 25, 1)
"""Since this nginx, HTTP/2 can be had for one site and not only for all on a port."""


class Http2(StrEnum):
    """How nginx is told to speak HTTP/2, if at all."""

    OFF = "off"
    LISTEN = "an option of listen"
    DIRECTIVE = "a directive"


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A plain listener on loopback for one user, to be reached through SSH."""

    user: str
    port: int

    @property
    def cookie(self) -> str:
        """What browsers call the session here: at 127.0.0.1, all ports share their cookies."""
        return f"carrel-{self.user}"


@dataclass(frozen=True, slots=True)
class OwnServer:
    """An nginx of our own, in the foreground; `home` is where it keeps its pid and temporary files.

    `modules`: files with more of nginx, to be loaded.
    """

    home: str
    modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GuestServer:
    """The operator's nginx, of whose configuration we are one file among others.

    `plain`: the addresses at which it sends people on to HTTPS.
    """

    plain: tuple[str, ...]


SYSLOG = "syslog:server=unix:/dev/log,facility=auth,severity=notice,tag=carrel,nohostname"
"""The journal: `journalctl -t carrel`."""


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
    editor_files: str
    """The directory with the editor's own files, by its version."""
    transport: Transport
    sign_ins: str
    """Where refused attempts to sign in are written down, as nginx's access_log wants it."""
    http2: Http2 = Http2.OFF
    users: tuple[str, ...] = ()
    """Whose connections are kept open between requests; others work too, a little slower."""
    tunnels: tuple[Tunnel, ...] = ()
    brotli: bool = False
    """Whether this nginx has the module for files that are compressed so already."""


def local_edge(site: Site, layout: LocalLayout, machine: Machine) -> Edge:
    """The edge of local mode: loopback only, with the local authority's certificate."""
    return Edge(
        domain=site.domain,
        listen=(f"127.0.0.1:{site.local_port}",),
        server=OwnServer(layout.nginx, (machine.brotli,) if machine.brotli else ()),
        sockets=layout.sockets,
        certificate=f"{layout.tls}/site.crt",
        key=f"{layout.tls}/site.key",
        pages=layout.pages,
        kept=f"{layout.nginx}/kept.conf",
        editor_files=layout.editor_files,
        transport=Transport.LOCAL,
        sign_ins=layout.sign_ins,
        http2=Http2.DIRECTIVE if machine.nginx >= HTTP2_DIRECTIVE else Http2.LISTEN,
        users=tuple(user.name for user in site.users),
        tunnels=_tunnels(site),
        brotli=bool(machine.brotli),
    )


def host_edge(site: Site, layout: HostLayout, machine: Machine) -> Edge:
    """The edge of a server: a part of the operator's nginx, on the usual ports."""
    bundle = certificate.bundle(site, layout)
    return Edge(
        domain=site.domain,
        listen=_everywhere(names.HTTPS, machine),
        server=GuestServer(_everywhere(names.HTTP, machine)),
        sockets=layout.sockets,
        certificate=bundle.path if bundle else f"{layout.tls}/site.crt",
        key=bundle.path if bundle else f"{layout.tls}/site.key",
        pages=layout.pages,
        kept=layout.nginx_kept,
        editor_files=layout.editor_files,
        transport=Transport.LOCAL if site.tls.mode is TlsMode.LOCAL else Transport.PUBLIC,
        sign_ins=SYSLOG,
        # As an option of listen it would be for the operator's other sites too.
        http2=Http2.DIRECTIVE if machine.nginx >= HTTP2_DIRECTIVE else Http2.OFF,
        users=tuple(user.name for user in site.users),
        tunnels=_tunnels(site),
        brotli=bool(machine.brotli),
    )


def _tunnels(site: Site) -> tuple[Tunnel, ...]:
    return tuple(Tunnel(u.name, u.port) for u in site.users if u.port is not None)


def _everywhere(port: int, machine: Machine) -> tuple[str, ...]:
    """What nginx's `listen` says for all addresses of the machine."""
    return (f"{port}", f"[::]:{port}") if machine.ipv6 else (f"{port}",)
