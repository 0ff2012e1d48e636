"""An Edge as the text of nginx.conf.

Every value that comes from a configuration passes `quoted`, which refuses what could end a string;
the schema refuses it earlier and with better words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from carrel.core import edge as rules
from carrel.core.edge import Edge, GuestServer, OwnServer, Tunnel
from carrel.render import pages

PAGES = "/.carrel/"
"""Where our own pages are, for internal redirects only: no path of a workspace is shadowed."""

MADE_BY = "# Made by Carrel; changes are overwritten.\n"

UNSAFE = re.compile(r"[\x00-\x1f\x7f\"\\$;{}]")


def safe(value: str) -> str:
    """`value`, for the inside of quotes; ValueError if it could end them or name a variable."""
    if UNSAFE.search(value):
        raise ValueError(f"{value!r} cannot stand in an nginx configuration")
    return value


def quoted(value: str) -> str:
    """`value` as one nginx parameter."""
    return f'"{safe(value)}"'


def config(edge: Edge) -> str:
    """The whole nginx.conf of an nginx of our own, or a file for the operator's.

    Everything in the latter is ours by name: `carrel_…`, and our domain.
    """
    ours = f"{_maps(edge)}\n{_servers(edge)}\n"
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
    desks = "".join(
        f"""
upstream carrel_{safe(user)} {{
    server {quoted(f"unix:{edge.sockets}/{user}/editor.sock")};
    keepalive {rules.KEPT_CONNECTIONS};
    keepalive_timeout {rules.KEPT_SECONDS}s;
}}
"""
        for user in edge.users
    )
    # The backslash keeps a name like "volatile" from being an option of map.
    known = "".join(f"    \\{safe(user)} carrel_{safe(user)};\n" for user in edge.users)
    return f"""\
{MADE_BY}map $carrel_user $carrel_desk {{
    default "unix:{safe(edge.sockets)}/$carrel_user/editor.sock";
{known}}}
{desks}"""


def _head(server: OwnServer) -> str:
    temporary = "\n".join(
        f"    {kind}_temp_path {quoted(f'{server.home}/{kind}')};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""\
daemon off;
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


def _maps(edge: Edge) -> str:
    return f"""\
    map $http_upgrade $carrel_connection {{
        default upgrade;
        "" "";
    }}

    # Only sign-in attempts count, per address and host: nobody else's desk is locked.
    map "$request_method $uri" $carrel_login {{
        default "";
        "POST /login" "$binary_remote_addr $host";
    }}
    limit_req_zone $carrel_login zone=carrel_login:1m rate={rules.LOGIN_ATTEMPTS_PER_MINUTE}r/m;

    include {quoted(edge.kept)};

    map $uri $carrel_retry {{
        default "";
        {PAGES}unavailable.html {pages.RETRY_SECONDS};
        {PAGES}too-many-attempts.html {60 // rules.LOGIN_ATTEMPTS_PER_MINUTE};
    }}
"""


def _servers(edge: Edge) -> str:
    return "\n\n".join(
        [
            *_fallback(edge),
            _welcome(edge),
            _desks(edge),
            *_strangers(edge),
            *(_tunnel(edge, tunnel) for tunnel in edge.tunnels),
        ]
    )


def _fallback(edge: Edge) -> Iterator[str]:
    match edge.server:
        case OwnServer():
            yield f"""\
    # Anything that is not ours: the same answer for every name.
    server {{
{_listen(edge, "default_server")}
        server_name _;
{_secure(edge)}
        location / {{ return 404; }}
    }}"""
        case GuestServer(plain=plain):
            addresses = "\n".join(f"        listen {address};" for address in plain)
            yield f"""\
    # Somebody typed http://, or nothing.
    server {{
{addresses}
        server_name {quoted(edge.domain)} {_below(edge, ".+")};
        access_log off;
        return 301 https://$host$request_uri;
    }}"""


def _welcome(edge: Edge) -> str:
    return f"""\
    # The bare domain.
    server {{
{_listen(edge)}
        server_name {quoted(edge.domain)};
        error_page 497 =301 https://$http_host$request_uri;
{_secure(edge)}
        location = / {{
            rewrite ^ {PAGES}welcome.html last;
        }}
        location / {{ return 404; }}
    }}"""


def _desks(edge: Edge) -> str:
    unknown = f"""
            if (!-d "{safe(edge.sockets)}/$carrel_user") {{ return 404; }}"""
    return f"""\
    # Everybody's desk. The directory of the socket decides who exists, so that people come and go
    # without a reload.
    server {{
{_listen(edge)}
        server_name {_below(edge, "(?<carrel_user>[a-z][a-z0-9]{0,30})")};
        # Somebody typed http:// with our port.
        error_page 497 =301 https://$http_host$request_uri;
{_secure(edge)}
{_desk("$carrel_desk", check=unknown, scheme="https", cookie="secure httponly")}
    }}"""


def _strangers(edge: Edge) -> Iterator[str]:
    match edge.server:
        case OwnServer():
            return
        case GuestServer():
            # A pattern, and after the desks': nginx takes the first that fits.
            yield f"""\
    # No desk could have such a name. Names outside our domain are not our business here.
    server {{
{_listen(edge)}
        server_name {_below(edge, ".+")};
{_secure(edge)}
        location / {{ return 404; }}
    }}"""


def _below(edge: Edge, label: str) -> str:
    return rf'"~^{label}\.{re.escape(safe(edge.domain))}$"'


def _listen(edge: Edge, *options: str) -> str:
    words = " ".join(("ssl", *options))
    return "\n".join(f"        listen {safe(address)} {words};" for address in edge.listen)


def _secure(edge: Edge) -> str:
    return f"""\
        ssl_certificate {quoted(edge.certificate)};
        ssl_certificate_key {quoted(edge.key)};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:carrel_tls:1m;
{_pages(edge)}"""


def _tunnel(edge: Edge, tunnel: Tunnel) -> str:
    return f"""\
    # {safe(tunnel.user)} through an SSH tunnel: plain, on loopback only.
    server {{
        listen 127.0.0.1:{tunnel.port};
{_pages(edge)}
{_desk(f"carrel_{safe(tunnel.user)}", check="", scheme="http", cookie="httponly")}
    }}"""


def _pages(edge: Edge) -> str:
    return f"""\
        access_log off;
        server_tokens off;
        limit_req_status 429;
        limit_req_log_level warn;
        # Whether a desk exists is looked up once a second, not once a request.
        open_file_cache max=256 inactive=20s;
        open_file_cache_valid 1s;
        error_page 404 {PAGES}404.html;
        error_page 429 {PAGES}too-many-attempts.html;
        error_page 502 504 =503 {PAGES}unavailable.html;
        location ^~ {PAGES} {{
            internal;
            alias {quoted(f"{edge.pages}/")};
            add_header Cache-Control no-store always;
            add_header Content-Security-Policy "frame-ancestors 'none'" always;
            add_header Retry-After $carrel_retry always;
        }}"""


def _desk(address: str, *, check: str, scheme: str, cookie: str) -> str:
    """The inside of a server that leads to one desk; `check` refuses those that are none."""
    return f"""\
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $carrel_connection;
        proxy_set_header Host $http_host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto {scheme};
        # code-server trusts these two before Host when it compares origins.
        proxy_set_header Forwarded "";
        proxy_set_header X-Forwarded-Host "";
        proxy_cookie_flags "~^{rules.SESSION_COOKIE}" {cookie};
        proxy_read_timeout {rules.SILENCE_SECONDS}s;
        proxy_send_timeout {rules.SILENCE_SECONDS}s;
        proxy_request_buffering off;
        # The workbench is one file of 19 MB: large reads, and nothing on the disk.
        proxy_buffer_size 64k;
        proxy_buffers 4 64k;
        proxy_max_temp_file_size 0;
        client_max_body_size 1g;
        limit_req zone=carrel_login burst={rules.LOGIN_ATTEMPTS_AT_ONCE} nodelay;
        location / {{{check}
            proxy_pass "http://{address}";
        }}
        # What people run behind VS Code's ports may stream, word by word.
        location ~ ^/(abs)?proxy/ {{{check}
            proxy_pass "http://{address}";
            proxy_buffering off;
        }}"""
