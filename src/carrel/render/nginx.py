"""An Edge as the text of nginx.conf: its servers, and who is behind them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from carrel.core import edge as rules
from carrel.core import headers
from carrel.core.edge import Edge, GuestServer, Http2, OwnServer, Tunnel
from carrel.core.headers import Transport
from carrel.core.names import USER_NAME
from carrel.render.nginx_desk import TOO_MUCH, Way, desk
from carrel.render.nginx_maps import PAGES, maps
from carrel.render.nginx_server import HostOption, Location, Part, Role, Server, UpstreamBlock
from carrel.render.nginx_text import added, indented, quoted, safe

MADE_BY = "# Made by Carrel; changes are overwritten.\n"

CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
"""For TLS 1.2: Mozilla's "intermediate" without finite-field Diffie-Hellman, which needs parameters."""


def config(edge: Edge) -> str:
    """The whole nginx.conf of an nginx of our own, or a file for the operator's.

    Everything in the latter is ours by name: `carrel_…`, and our domain.
    """
    known = f"include {quoted(edge.kept)};\n"
    text = "\n\n".join(server.text for server in servers(edge))
    ours = f"{indented(maps(known), 1)}\n{text}\n"
    match edge.server:
        case OwnServer() as server:
            return f"{MADE_BY}{_head(server)}{ours}}}\n"
        case GuestServer():
            return f"{MADE_BY}{ours}"


def kept(edge: Edge) -> str:
    """The file with the people whose connections are kept open, included by the main file.

    On its own, because it must not make a restart necessary: somebody whom the running nginx does
    not know yet is reached by a new connection per request.
    """
    upstreams = "".join(f"\n{upstream(user, edge).written}" for user in edge.users)
    known = "".join(f"    {known_desk(user)}\n" for user in edge.users)
    return f"""\
{MADE_BY}{DESKS} {{
    {other_desks(edge)}
{known}}}
{upstreams}"""


DESKS = "map $carrel_user $carrel_desk"
"""Which upstream a user's desk is behind."""


def other_desks(edge: Edge) -> str:
    """Those whom the running nginx does not know yet."""
    return f'default "unix:{safe(edge.sockets)}/$carrel_user/editor.sock";'


def known_desk(user: str) -> str:
    """One whom it knows."""
    # The backslash keeps a name like "volatile" from being an option of map.
    return f"\\{safe(user)} carrel_{safe(user)};"


def upstream(user: str, edge: Edge) -> UpstreamBlock:
    """The desk of one whom it knows."""
    return UpstreamBlock(
        f"carrel_{safe(user)}",
        f"unix:{edge.sockets}/{user}/editor.sock",
        f"keepalive {rules.KEPT_CONNECTIONS};\nkeepalive_timeout {rules.KEPT_SECONDS}s;\n",
    )


def _head(server: OwnServer) -> str:
    temporary = "\n".join(
        f"    {kind}_temp_path {quoted(f'{server.home}/{kind}')};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    modules = "".join(f"load_module {quoted(file)};\n" for file in server.modules)
    return f"""\
{modules}daemon off;
pid {quoted(f"{server.home}/nginx.pid")};
error_log stderr warn;
# One process: when it is killed, no orphaned worker keeps the port from the next one. Enough for
# local mode, where code-server is the bottleneck.
master_process off;

events {{
    worker_connections 1024;
}}

http {{
    types {{ text/html html; }}
    default_type application/octet-stream;
    server_names_hash_bucket_size 128;
{temporary}

"""


def servers(edge: Edge) -> tuple[Server, ...]:
    """All of them, in their order."""
    return (
        *_fallback(edge),
        _welcome(edge),
        _desks(edge),
        _strangers(edge),
        *(server for tunnel in edge.tunnels for server in _tunnel(edge, tunnel)),
    )


NOWHERE = Location("/", "return 404;")


def _fallback(edge: Edge) -> Iterator[Server]:
    """The first servers: who asks for a name that is not ours, or for none, gets no answer.

    Of the operator's nginx they are the default only where no other site says that it is.
    """
    refused = (_tls(), HostOption("ssl_reject_handshake on;\n"), *_misdirected())
    match edge.server:
        case OwnServer():
            listen = _listen(edge, "default_server")
            yield Server(Role.NOBODY, "Anything that is not ours.", listen, ("_",), refused)
        case GuestServer(plain=plain):
            yield Server(
                Role.NOBODY,
                "Anything that is nobody's. A site of yours that shall answer it says default_server.",
                (*plain, *_listen(edge)),
                (NOBODY,),
                refused,
            )
            yield Server(
                Role.REDIRECT,
                "Somebody typed http://, or nothing.",
                tuple(plain),
                (quoted(edge.domain), _below(edge, ".+")),
                (QUIET, "return 301 https://$host$request_uri;\n"),
            )


NOBODY = "carrel.invalid"
"""The name of a server that answers for all that is nobody's."""

QUIET = "access_log off;\nserver_tokens off;\n"

PLAIN_AT_OUR_PORT = "error_page 497 =301 https://$http_host$request_uri;\n"


def _welcome(edge: Edge) -> Server:
    return Server(
        Role.WELCOME,
        "The bare domain.",
        _listen(edge),
        (quoted(edge.domain),),
        (
            PLAIN_AT_OUR_PORT,
            *_secure(edge),
            Location("= /", f"rewrite ^ {PAGES}welcome.html last;\n"),
            NOWHERE,
        ),
    )


def _desks(edge: Edge) -> Server:
    unknown = f'if (!-d "{safe(edge.sockets)}/$carrel_user") {{ return 404; }}\n'
    way = Way("$carrel_desk", edge.transport, rules.HOST_COOKIE, unknown)
    return Server(
        Role.DESK,
        "Everybody's desk. The directory of the socket decides who exists, so that people come and go\n"
        "without a reload.",
        _listen(edge),
        (_below(edge, f"(?<carrel_user>{USER_NAME.pattern})"),),
        (
            f"# Somebody typed http:// with our port.\n{PLAIN_AT_OUR_PORT}",
            *_secure(edge),
            *desk(edge, way),
        ),
    )


def _strangers(edge: Edge) -> Server:
    # A pattern, and after the desks': nginx takes the first that fits.
    return Server(
        Role.UNKNOWN,
        "No desk could have such a name.",
        _listen(edge),
        (_below(edge, ".+"),),
        (PLAIN_AT_OUR_PORT, *_secure(edge), NOWHERE),
    )


def _tunnel(edge: Edge, tunnel: Tunnel) -> Iterator[Server]:
    user, address = safe(tunnel.user), f"127.0.0.1:{tunnel.port}"
    way = Way(f"carrel_{user}", Transport.TUNNEL, tunnel.cookie)
    yield Server(
        Role.TUNNEL,
        f"{user} through an SSH tunnel: plain, on loopback only.",
        (address,),
        ("127.0.0.1", "localhost"),
        (
            f"set $carrel_user {quoted(user)};\n",
            *_pages(edge, Transport.TUNNEL),
            *desk(edge, way),
        ),
    )
    yield Server(
        Role.STRAY,
        "A name that somebody made point to this machine.",
        (f"{address} default_server",),
        ("_",),
        _misdirected(),
    )


def _below(edge: Edge, label: str) -> str:
    return rf'"~^{label}\.{re.escape(safe(edge.domain))}$"'


def _listen(edge: Edge, *options: str) -> tuple[str, ...]:
    words = " ".join(("ssl", *(["http2"] if edge.http2 is Http2.LISTEN else []), *options))
    return tuple(f"{safe(address)} {words}" for address in edge.listen)


def _secure(edge: Edge) -> tuple[Part, ...]:
    http2 = "http2 on;\n" if edge.http2 is Http2.DIRECTIVE else ""
    files = (
        f"ssl_certificate {quoted(edge.certificate)};\nssl_certificate_key {quoted(edge.key)};\n"
    )
    return (
        HostOption(http2 + files),
        _tls() + added(headers.lasting(edge.transport)),
        *_pages(edge, edge.transport),
    )


def _tls() -> str:
    """Also for those who are refused: the versions are chosen before the name is known."""
    return f"""\
ssl_protocols TLSv1.2 TLSv1.3;
ssl_ciphers {CIPHERS};
ssl_ecdh_curve X25519:prime256v1:secp384r1;
ssl_prefer_server_ciphers off;
ssl_session_cache shared:carrel_tls:1m;
ssl_session_timeout 1d;
ssl_session_tickets off;
"""


def _misdirected() -> tuple[Part, ...]:
    """For what got through to a server that is nobody's."""
    return (QUIET, Location("/", "return 421;"))


def _pages(edge: Edge, transport: Transport) -> tuple[Part, ...]:
    return (
        f"""\
{QUIET}limit_req_status 429;
limit_req_log_level info;
# All the cookies that a browser keeps for a domain (180 of 4 KB): beyond this, HTTP/2 ends
# without an answer, and no page could throw them away.
large_client_header_buffers 4 192k;
client_header_timeout 15s;
# Whether a desk exists is looked up once a second, not once a request.
open_file_cache max=256 inactive=20s;
open_file_cache_valid 1s;
error_page 404 {PAGES}404.html;
error_page 429 {PAGES}too-many-attempts.html;
error_page 502 504 =503 {PAGES}unavailable.html;
error_page {TOO_MUCH} =400 {PAGES}cookies.html;
""",
        Location(
            f"^~ {PAGES}",
            f"internal;\nalias {quoted(f'{edge.pages}/')};\n"
            "add_header Retry-After $carrel_retry always;\n" + added(headers.page(transport)),
        ),
    )
