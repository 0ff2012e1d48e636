"""Pebble, Let's Encrypt's test authority, with its challenge server as the world's DNS; on loopback.

Beside them: the HTTP interface of a DNS provider that wants a password, and a door in front of the
authority that can say "too often". All end with the `with` block. In a test machine it runs as a
program: `python -m authority FOLDER` tells in FOLDER/authority.json where everything is.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from carrel.adapters import certificates
from carrel.targets.waiting import until
from sites import free_port

DAY = 24 * 3600
USER, PASSWORD = "carrel", "password-of-the-dns-provider"
TOO_OFTEN = {
    "type": "urn:ietf:params:acme:error:rateLimited",
    "detail": "too many certificates already issued for this domain",
    "status": 429,
}


@dataclass
class Authority:
    """What a test may use and change."""

    folder: Path
    directory: str
    resolver: str
    provider: str
    orders: list[str]
    """The paths of all requests for a new certificate."""
    busy: bool = False
    """Whether it refuses new orders."""

    @property
    def issuer(self) -> Path:
        """What to trust to believe its certificates; another one each time that it starts."""
        return self.folder / "issuer.pem"

    @property
    def root(self) -> Path:
        """What to trust to talk to it."""
        return self.folder / "root.pem"

    @property
    def credentials(self) -> dict[str, str]:
        """What lego needs for the DNS provider."""
        return {
            "HTTPREQ_ENDPOINT": self.provider,
            "HTTPREQ_USERNAME": USER,
            "HTTPREQ_PASSWORD": PASSWORD,
            "HTTPREQ_POLLING_INTERVAL": "1",
            "HTTPREQ_PROPAGATION_TIMEOUT": "30",
        }


@contextlib.contextmanager
def authority(folder: Path, *, days: int = 90) -> Iterator[Authority]:
    """An authority whose certificates live for `days`."""
    pebble, roots, management, dns, provider, door = (free_port() for _ in range(6))
    signer = certificates.authority("localhost")
    pair = certificates.site(("localhost",), signer)
    (folder / "root.pem").write_text(signer.certificate)
    (folder / "localhost.pem").write_text(pair.certificate)
    (folder / "localhost.key").write_text(pair.key)
    config = {
        "listenAddress": f"127.0.0.1:{pebble}",
        "managementListenAddress": f"127.0.0.1:{roots}",
        "certificate": str(folder / "localhost.pem"),
        "privateKey": str(folder / "localhost.key"),
        "httpPort": 1,
        "tlsPort": 1,
        "ocspResponderURL": "",
        "certificateValidityPeriod": days * DAY,
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
    found = Authority(
        folder,
        f"https://localhost:{door}/dir",
        f"127.0.0.1:{dns}",
        f"http://127.0.0.1:{provider}",
        [],
    )
    with contextlib.ExitStack() as started:
        world = ["-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{management}"]
        closed = ["-http01", "", "-https01", "", "-tlsalpn01", ""]
        _start(started, ["pebble-challtestsrv", *world, *closed], folder)
        _start(
            started,
            ["pebble", "-config", str(folder / "pebble.json"), "-dnsserver", found.resolver],
            folder,
        )
        until(lambda: _get(found, roots, "/roots/0") is not None, seconds=60, what="Pebble")
        found.issuer.write_text(_get(found, roots, "/roots/0") or "")
        _serve(started, provider, _provider(management))
        _serve(started, door, _door(found, pebble), folder)
        yield found


def _start(started: contextlib.ExitStack, command: list[str], folder: Path) -> None:
    # Pebble waits up to 15 s before it looks at a challenge, and refuses every twentieth nonce.
    environment = {
        "PATH": "/usr/bin:/bin",
        "PEBBLE_VA_NOSLEEP": "1",
        "PEBBLE_WFE_NONCEREJECT": "0",
        "HOME": str(folder),
    }
    log = started.enter_context((folder / f"{command[0]}.log").open("w"))
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    started.callback(process.wait)
    started.callback(process.kill)


def _serve(
    started: contextlib.ExitStack,
    port: int,
    handler: type[BaseHTTPRequestHandler],
    secured: Path | None = None,
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = False
    if secured is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(secured / "localhost.pem", secured / "localhost.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    started.callback(server.server_close)
    started.callback(thread.join)
    started.callback(server.shutdown)


class _Quiet(BaseHTTPRequestHandler):
    """A handler that reads its request, answers, and says nothing on the terminal."""

    timeout: ClassVar[int] = 30

    def log_message(self, *_: object) -> None:
        pass

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _provider(management: int) -> type[BaseHTTPRequestHandler]:
    """lego's `httpreq`, whose records go into the challenge server."""
    expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Provider(_Quiet):
        def do_POST(self) -> None:
            record = json.loads(self.body())
            if self.headers.get("Authorization") != expected:
                self.answer(401, b"who are you?", [])
                return
            verb = {"/present": "/set-txt", "/cleanup": "/clear-txt"}[self.path]
            connection = http.client.HTTPConnection("127.0.0.1", management, timeout=10)
            with contextlib.closing(connection):
                told = {"host": record["fqdn"], "value": record["value"]}
                connection.request("POST", verb, json.dumps(told))
                self.answer(connection.getresponse().status, b"", [])

    return Provider


def _door(found: Authority, pebble: int) -> type[BaseHTTPRequestHandler]:
    """Hands everything on to Pebble, which makes its addresses from the Host header."""
    context = ssl.create_default_context(cafile=str(found.root))

    class Door(_Quiet):
        def do_GET(self) -> None:
            self._hand_on()

        def do_POST(self) -> None:
            self._hand_on()

        def do_HEAD(self) -> None:
            self._hand_on()

        def _hand_on(self) -> None:
            body = self.body()
            if "order-plz" in self.path:
                found.orders.append(self.path)
                if found.busy:
                    problem = [
                        ("Content-Type", "application/problem+json"),
                        ("Retry-After", "3600"),
                    ]
                    self.answer(429, json.dumps(TOO_OFTEN).encode(), problem)
                    return
            connection = http.client.HTTPSConnection(
                "localhost", pebble, timeout=20, context=context
            )
            with contextlib.closing(connection):
                kept = ("Host", "Content-Type", "User-Agent")
                headers = {name: self.headers[name] for name in kept if name in self.headers}
                connection.request(self.command, self.path, body or None, headers)
                reply = connection.getresponse()
                dropped = {"content-length", "transfer-encoding", "connection", "date"}
                passed = [(n, v) for n, v in reply.getheaders() if n.lower() not in dropped]
                self.answer(reply.status, reply.read(), passed)

    return Door


def _get(found: Authority, port: int, path: str) -> str | None:
    context = ssl.create_default_context(cafile=str(found.root))
    connection = http.client.HTTPSConnection("localhost", port, timeout=10, context=context)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.read().decode() if reply.status == http.client.OK else None
    return None


def main(folder: Path) -> None:
    """Be there until somebody ends the program."""
    folder.mkdir(parents=True)
    with authority(folder) as found:
        told = {
            "directory": found.directory,
            "resolver": found.resolver,
            "credentials": found.credentials,
        }
        (folder / "authority.new").write_text(json.dumps(told))
        (folder / "authority.new").rename(folder / "authority.json")
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    # Also for the threads that are started later: only sigwait sees them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main(Path(sys.argv[1]))
