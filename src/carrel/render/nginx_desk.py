"""The inside of a server of nginx that leads to one desk; used by render.nginx.

Refuses what no page of that desk can have asked for, before code-server sees it.
"""

from __future__ import annotations

from dataclasses import dataclass

from carrel.core import edge as rules
from carrel.core import editor_files, headers
from carrel.core.edge import Edge
from carrel.core.headers import Transport
from carrel.render.nginx_text import added, hidden, indented, passed, quoted

TOO_MUCH = 494
"""nginx's own status for headers that are too large; it has no other name for them in error_page."""

EDITOR = "@carrel_editor"
"""The desk's code-server, for what nginx itself has not."""

FOREIGN = "A page of another address asked for this, and was refused."


@dataclass(frozen=True, slots=True)
class Way:
    """One way to a desk: nginx's name of the upstream, how it is reached, what keeps strangers out."""

    upstream: str
    transport: Transport
    cookie: str
    unknown: str = ""
    """What refuses those who are nobody, if this server is for everybody."""


def desk(edge: Edge, way: Way) -> str:
    """The directives, but for names and addresses."""
    theirs = headers.desk(way.transport)
    ports = headers.port(way.transport)
    return indented(
        f"""\
set $carrel_jar {quoted(way.cookie)};
{_proxy()}
{passed(headers.TO_A_DESK)}
location / {{
{_inside(way)}{indented(hidden(theirs) + added(theirs), 1)}}}

{_editor_files(edge, way)}
location {EDITOR} {{
{_inside(way)}{indented(hidden(theirs) + added(theirs), 1)}}}

# The session is made and ended here, under the name that browsers know it by.
location ~* ^/+log(in|out) {{
    limit_req zone=carrel_login burst={rules.LOGIN_ATTEMPTS_AT_ONCE} nodelay;
    access_log {quoted(edge.sign_ins)} carrel_sign_in if=$carrel_refused;
{_inside(way)}    proxy_hide_header Set-Cookie;
    add_header Set-Cookie $carrel_new_session always;
{indented(hidden(theirs) + added(theirs), 1)}}}

# What people run behind VS Code's ports may stream, word by word.
location ~ ^/(abs)?proxy/ {{
    proxy_buffering off;
{_inside(way)}{indented(hidden(ports[:-1]) + added(ports), 1)}}}""",
        2,
    )


def _proxy() -> str:
    return f"""\
proxy_http_version 1.1;
# A cookie for all of the domain would reach the other desks.
proxy_cookie_domain ~. $host;
proxy_read_timeout {rules.SILENCE_SECONDS}s;
proxy_send_timeout {rules.SILENCE_SECONDS}s;
proxy_request_buffering off;
# The workbench is one file of 19 MB: large reads, and nothing on the disk.
proxy_buffer_size 64k;
proxy_buffers 4 64k;
proxy_max_temp_file_size 0;
client_max_body_size 1g;
"""


def _editor_files(edge: Edge, way: Way) -> str:
    """Compressed once, when the image was built; what is not there, the editor itself answers."""
    kinds = " ".join(f"{kind} {end};" for end, kind in editor_files.KINDS.items())
    brotli = "    brotli_static on;\n" if edge.brotli else ""
    return f"""\
# The editor's own files: the same for everybody, and never another one under one address.
location ~ "^/{editor_files.PATH}$" {{
{indented(way.unknown, 1)}    root {quoted(edge.editor_files)};
    disable_symlinks on;
    types {{ {kinds} }}
    sendfile on;
    tcp_nopush on;
{brotli}    gzip_static on;
    gzip_vary on;
    add_header Cache-Control "{editor_files.KEPT}";
{indented(added(headers.desk(way.transport)), 1)}    try_files $uri {EDITOR};
}}
"""


def _inside(way: Way) -> str:
    return indented(
        f"""\
{way.unknown}if ($carrel_flood) {{ return {TOO_MUCH}; }}
if ($carrel_foreign) {{ return 403 "{FOREIGN}\\n"; }}
proxy_pass "http://{way.upstream}";
""",
        1,
    )
