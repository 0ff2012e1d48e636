"""The inside of a server of nginx that leads to one desk; used by render.nginx.

Refuses what no page of that desk can have asked for, before code-server sees it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from carrel.core import edge as rules
from carrel.core import editor_files, headers
from carrel.core.edge import Edge
from carrel.core.headers import Transport
from carrel.render.nginx_server import Location, Part
from carrel.render.nginx_text import added, hidden, passed, quoted

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


def desk(edge: Edge, way: Way) -> Iterator[Part]:
    """The directives, but for names and addresses."""
    theirs = headers.desk(way.transport)
    ports = headers.port(way.transport)
    answers = hidden(theirs) + added(theirs)
    yield f"set $carrel_jar {quoted(way.cookie)};\n{_proxy()}\n{passed(headers.TO_A_DESK)}\n"
    yield _to_editor("/", way, after=answers)
    yield "\n"
    yield _editor_files(edge, way)
    yield "\n"
    yield _to_editor(EDITOR, way, after=answers)
    yield "\n"
    yield _to_editor(
        "~* ^/+log(in|out)",
        way,
        f"limit_req zone=carrel_login burst={rules.LOGIN_ATTEMPTS_AT_ONCE} nodelay;\n"
        f"access_log {quoted(edge.sign_ins)} carrel_sign_in if=$carrel_refused;\n",
        after="proxy_hide_header Set-Cookie;\n"
        f"add_header Set-Cookie $carrel_new_session always;\n{answers}",
        note="The session is made and ended here, under the name that browsers know it by.",
    )
    yield "\n"
    yield _to_editor(
        "~ ^/(abs)?proxy/",
        way,
        "proxy_buffering off;\n",
        after=hidden(ports[:-1]) + added(ports),
        note="What people run behind VS Code's ports may stream, word by word.",
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


def _editor_files(edge: Edge, way: Way) -> Location:
    """Compressed once, when the image was built; what is not there, the editor itself answers."""
    kinds = " ".join(f"{kind} {end};" for end, kind in editor_files.KINDS.items())
    brotli = "brotli_static on;\n" if edge.brotli else ""
    return Location(
        f'~ "^/{editor_files.PATH}$"',
        f"""\
{way.unknown}root {quoted(edge.editor_files)};
disable_symlinks on;
types {{ {kinds} }}
sendfile on;
tcp_nopush on;
{brotli}gzip_static on;
gzip_vary on;
add_header Cache-Control "{editor_files.KEPT}";
{added(headers.desk(way.transport))}try_files $uri {EDITOR};
""",
        note="The editor's own files: the same for everybody, and never another one under one address.",
    )


def _to_editor(match: str, way: Way, first: str = "", *, after: str, note: str = "") -> Location:
    text = f"""\
{first}{way.unknown}if ($carrel_flood) {{ return {TOO_MUCH}; }}
if ($carrel_foreign) {{ return 403 "{FOREIGN}\\n"; }}
"""
    return Location(match, text, f"http://{way.upstream}", after, note)
