"""A real nginx with our configuration in front of fake desks: the edge without containers.

Used by the contract tests and the benches. Listens on loopback, runs as whoever runs the test.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import http.server
import json
import os
import socket
import socketserver
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from carrel.adapters import certificates, versions
from carrel.adapters import nginx as tool
from carrel.adapters.process import Identity
from carrel.core import edge as rules
from carrel.core.edge import Edge, OwnServer, local_edge
from carrel.core.layout import LocalLayout
from carrel.core.machine import Machine
from carrel.core.site import PasswordHash, Site, User
from carrel.render import nginx, pages
from carrel.render.engine import PATH
from carrel.targets.waiting import until
from sites import free_port

DOMAIN = "code.localhost"
PASSWORD = "open sesame"
SESSION = "%24argon2id%24of%24this%24desk"
CLOSING = "}\n"
"""The end of nginx's http block."""
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status, headers with all their values, a body."""

    status: int
    headers: Mapping[str, list[str]]
    body: str

    def header(self, name: str) -> str | None:
        """The only value of a header; None where there is none."""
        values = self.headers.get(name.lower(), [])
        assert len(values) < 2, f"{name}: {values}"
        return values[0] if values else None

    @property
    def seen(self) -> dict[str, str]:
        """The headers that the desk got, as it says."""
        found: dict[str, str] = json.loads(self.body)
        return found


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as code-server does where the edge depends on it; else, says what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.headers.get("Upgrade"):
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "upgrade")
            key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = base64.b64encode(hashlib.sha1(key.encode()).digest())  # noqa: S324 - RFC 6455
            self.send_header("Sec-WebSocket-Accept", accept.decode())
            self.end_headers()
            self._echo()
        elif self.path == "/logout":
            over = "Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; SameSite=Lax"
            self._reply(302, "", f"{rules.SESSION_COOKIE}=; {over}")
        else:
            self._reply(200, self._asked(), "taste=salt; Domain=code.localhost; Path=/", "other=1")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if self.path.lower().startswith("/login") and PASSWORD.replace(" ", "+") in body:
            options = "Domain=ada.code.localhost; Path=/; SameSite=Lax"
            self._reply(302, "", f"{rules.SESSION_COOKIE}={SESSION}; {options}")
        else:
            self._reply(200, self._asked())

    def _asked(self) -> str:
        names = {name.lower() for name in self.headers}
        return json.dumps({name: ", ".join(self.headers.get_all(name) or []) for name in names})

    def _reply(self, status: int, body: str, *cookies: str) -> None:
        self.send_response(status)
        for cookie in cookies:
            self.send_header("Set-Cookie", cookie)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def _echo(self) -> None:
        while received := self.connection.recv(4096):
            self.connection.sendall(received)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is inherited
        """Say nothing."""


class Desk(socketserver.ThreadingUnixStreamServer):
    """A fake code-server on a Unix socket."""

    daemon_threads = True
    request_queue_size = 512

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, _ = super().get_request()
        return connection, ("desk", 0)


class RealEdge:
    """nginx in front of the desks of `users`; end it with `close`."""

    def __init__(self, folder: Path, users: Sequence[str], tunnels: Sequence[str] = ()) -> None:
        me = Identity.ours().name
        # Unix sockets have short names.
        self._run = tempfile.TemporaryDirectory(prefix="edge-")
        self.layout = LocalLayout("s", str(folder), self._run.name, me, me)
        self.tunnels = {user: free_port() for user in tunnels}
        people = tuple(User(u, PasswordHash("h"), port=self.tunnels.get(u)) for u in users)
        self.site = Site(DOMAIN, "/s", people, local_port=free_port())
        machine = Machine(nginx=versions.nginx(), brotli=tool.installed(tool.BROTLI))
        self.edge = replace(local_edge(self.site, self.layout, machine), users=())
        self._open = contextlib.ExitStack()
        self._desks: dict[str, Desk] = {}
        self.nginx: subprocess.Popen[bytes] | None = None
        self.beside = ""
        """Servers of others, in the same nginx."""

    def without_brotli(self) -> None:
        """Be an nginx without that module from the next start on."""
        server = self.edge.server
        assert isinstance(server, OwnServer)
        self.edge = replace(self.edge, brotli=False, server=replace(server, modules=()))

    @property
    def port(self) -> int:
        return self.site.local_port

    @property
    def authority(self) -> Path:
        """The certificate to trust."""
        return Path(f"{self.layout.tls}/ca.crt")

    def address(self, user: str = "", path: str = "/") -> str:
        """An address of the edge; without a user, the bare domain."""
        return f"https://{self.host(user)}{path}"

    @property
    def sign_ins(self) -> str:
        """The log of refused attempts to sign in."""
        return Path(self.layout.sign_ins).read_text()

    def write(self, edge: Edge) -> Path:
        """All that nginx reads."""
        for folder in (self.layout.nginx, self.layout.pages, self.layout.tls, self.layout.sockets):
            Path(folder).mkdir(parents=True, exist_ok=True)
        config = Path(self.layout.nginx_config)
        config.write_text(f"{nginx.config(edge).removesuffix(CLOSING)}{self.beside}{CLOSING}")
        Path(edge.kept).write_text(nginx.kept(edge))
        for name, page in pages.Pages(DOMAIN, self.port).all().items():
            Path(f"{self.layout.pages}/{name}").write_text(page)
        if not Path(edge.certificate).exists():
            authority = certificates.authority(DOMAIN)
            pair = certificates.site((DOMAIN, f"*.{DOMAIN}"), authority)
            self.authority.write_text(authority.certificate)
            Path(edge.certificate).write_text(pair.certificate)
            Path(edge.key).write_text(pair.key)
        return config

    def start(self, desks: Sequence[str] | None = None) -> RealEdge:
        """Begin to serve, and return once it does. Without `desks`, everybody's is there."""
        config = self.write(replace(self.edge, users=tuple(u.name for u in self.site.users)))
        for user in self.site.users:
            if desks is None or user.name in desks:
                self.add_desk(user.name)
        with Path(f"{self.layout.nginx}/errors.log").open("wb") as errors:
            self.nginx = subprocess.Popen(
                ["nginx", "-e", "stderr", "-c", str(config)], env={"PATH": PATH}, stderr=errors
            )
        self._open.callback(self._stop)
        until(self._listens, seconds=10, what="nginx")
        return self

    def add_desk(self, user: str) -> None:
        """Give `user` a desk, known from now on."""
        folder = Path(self.layout.socket_directory(user))
        folder.mkdir(parents=True, exist_ok=True)
        desk = Desk(f"{folder}/editor.sock", Handler)
        threading.Thread(target=desk.serve_forever, args=(0.05,), daemon=True).start()
        self._desks[user] = desk

    def remove_desk(self, user: str) -> None:
        """End a desk; its directory stays."""
        desk = self._desks.pop(user)
        desk.shutdown()
        desk.server_close()
        Path(self.layout.editor_socket(user)).unlink()

    def _listens(self) -> bool:
        assert self.nginx is not None
        errors = Path(f"{self.layout.nginx}/errors.log")
        assert self.nginx.poll() is None, errors.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def _stop(self) -> None:
        assert self.nginx is not None
        self.nginx.terminate()
        self.nginx.wait(10)

    def close(self) -> None:
        """End nginx and the desks."""
        self._open.close()
        for user in tuple(self._desks):
            self.remove_desk(user)
        self._run.cleanup()

    def __enter__(self) -> RealEdge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- those who ask -----------------------------------------------------------------------

    @property
    def tls(self) -> ssl.SSLContext:
        """Trusts this edge's authority and nobody else."""
        return ssl.create_default_context(cafile=str(self.authority))

    def host(self, user: str = "") -> str:
        """The name and port of a desk, as a Host header says it."""
        return f"{user}.{DOMAIN}:{self.port}".lstrip(".")

    def connect(
        self, user: str = "", sni: str | None = None, trust: ssl.SSLContext | None = None
    ) -> ssl.SSLSocket:
        """A connection with TLS; `sni` in the place of the desk's name."""
        plain = socket.create_connection(("127.0.0.1", self.port), 10)
        name = f"{user}.{DOMAIN}".lstrip(".") if sni is None else sni
        return (trust or self.tls).wrap_socket(plain, server_hostname=name)

    def ask(
        self,
        user: str = "",
        path: str = "/",
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        body: str | None = None,
    ) -> Answer:
        """The answer to one request with TLS."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10)
        connection.sock = self.connect(user)
        return _ask(connection, method, path, {"Host": self.host(user), **(headers or {})}, body)

    def ask_tunnel(
        self, user: str, path: str = "/", headers: Mapping[str, str] | None = None,
        *, method: str = "GET", body: str | None = None,
    ) -> Answer:  # fmt: skip
        """The answer to one request through the listener for SSH tunnels."""
        connection = http.client.HTTPConnection("127.0.0.1", self.tunnels[user], timeout=10)
        return _ask(connection, method, path, headers or {}, body)

    def origin(self, user: str = "ada") -> str:
        """What a page of the desk says of itself."""
        return f"https://{self.host(user)}"

    def sign_in(self, user: str = "ada", password: str = PASSWORD, path: str = "/login") -> Answer:
        """The answer to the form."""
        form = {**FORM, "Origin": self.origin(user)}
        body = f"password={password.replace(' ', '+')}"
        return self.ask(user, path, form, method="POST", body=body)

    def upgrade(self, user: str = "ada", headers: Mapping[str, str] | None = None) -> Answer:
        """The answer to a request for a WebSocket."""
        wanted = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        }
        return self.ask(user, "/", {**wanted, **(headers or {})})


def _ask(
    connection: http.client.HTTPConnection, method: str, path: str, headers: Mapping[str, str],
    body: str | None,
) -> Answer:  # fmt: skip
    with contextlib.closing(connection):
        connection.request(method, path, body=body, headers=dict(headers))
        reply = connection.getresponse()
        found: dict[str, list[str]] = {}
        for name, value in reply.getheaders():
            found.setdefault(name.lower(), []).append(value)
        text = "" if reply.status == http.client.SWITCHING_PROTOCOLS else reply.read().decode()
        return Answer(reply.status, found, text)


@contextlib.contextmanager
def edge(folder: Path, users: Sequence[str], tunnels: Sequence[str] = ()) -> Iterator[RealEdge]:
    """A running edge that has ended when the context has."""
    with RealEdge(folder, users, tunnels) as real:
        yield real.start()


def environment() -> dict[str, str]:
    """What tools that test the edge get to see."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
