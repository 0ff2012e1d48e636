"""Goes to a site as a browser does: DNS, TLS, pages, WebSockets. Changes nothing.

Used by doctor. A connection may go to another address than the name's, so that the way through nginx
can be told from the way through DNS.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import secrets
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from carrel.core.names import HTTPS

SECONDS = 10
LARGEST_PAGE = 1 << 20


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a request goes: the host it is for, and the address and port that it is sent to."""

    host: str
    port: int
    at: str = "127.0.0.1"

    @property
    def authority(self) -> str:
        """What a browser writes into Host."""
        return self.host if self.port == HTTPS else f"{self.host}:{self.port}"

    @property
    def origin(self) -> str:
        """What a browser writes into Origin."""
        return f"https://{self.authority}"


@dataclass(frozen=True, slots=True)
class Presented:
    """What a server said in a TLS handshake. `distrust`: why a browser would not go on, or empty."""

    version: str
    fingerprint: str
    distrust: str


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: str


def resolve(name: str) -> tuple[str, ...]:
    """The addresses of a name, as this machine resolves it; none if it has none."""
    try:
        found = socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return ()
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def handshake(stop: Stop, roots: tuple[str, ...] = ()) -> Presented:
    """Shake hands, and judge the certificate by the machine's authorities and the files `roots`.

    Raises OSError when nobody is there, or does not speak TLS.
    """
    distrust = ""
    try:
        with _secured(stop, _trusting(roots)):
            pass
    except ssl.SSLCertVerificationError as error:
        distrust = error.verify_message
    with _secured(stop, _believing()) as connection:
        shown = connection.getpeercert(binary_form=True) or b""
        return Presented(connection.version() or "", hashlib.sha256(shown).hexdigest(), distrust)


def get(stop: Stop, path: str, headers: Mapping[str, str] | None = None) -> Reply:
    """Ask for a page, whatever the certificate says; follows no redirect."""
    with _secured(stop, _believing()) as connection:
        _send(connection, stop, path, headers or {}, "Connection: close\r\n")
        return _read(connection)


def upgrade(stop: Stop, path: str, headers: Mapping[str, str]) -> int:
    """Ask for a WebSocket, and leave at once; the status of the answer, 101 if there is one."""
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    wish = (
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\n"
    )
    with _secured(stop, _believing()) as connection:
        _send(connection, stop, path, headers, wish)
        return _read(connection).status


def _send(
    connection: ssl.SSLSocket, stop: Stop, path: str, headers: Mapping[str, str], more: str
) -> None:
    own = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"GET {path} HTTP/1.1\r\nHost: {stop.authority}\r\n{more}{own}\r\n"
    connection.sendall(request.encode())


def _read(connection: ssl.SSLSocket) -> Reply:
    reply = http.client.HTTPResponse(connection)
    try:
        reply.begin()
        headers = {name.lower(): value for name, value in reply.getheaders()}
        upgraded = reply.status == http.client.SWITCHING_PROTOCOLS
        body = "" if upgraded else reply.read(LARGEST_PAGE).decode(errors="replace")
    except http.client.HTTPException as error:
        raise ConnectionError(f"no HTTP: {error!r}") from error
    finally:
        reply.close()
    return Reply(reply.status, headers, body)


def _secured(stop: Stop, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection((stop.at, stop.port), timeout=SECONDS)
    try:
        return context.wrap_socket(plain, server_hostname=stop.host)
    except BaseException:
        plain.close()
        raise


def _trusting(roots: tuple[str, ...]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for root in roots:
        if Path(root).is_file():
            context.load_verify_locations(root)
    return context


def _believing() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
