"""A way into a code-server for one signed-in person: through nginx or directly.

Used by every bench that asks for pages. Trusts only the authority that it is given.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from carrel.core import names

WORKBENCH = f"/?folder={names.PROJECT}"
"""Without the folder, code-server answers with a redirect to this."""

_SCRIPT = re.compile(r'src="([^"]*/workbench\.js)"')


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and body of an answer."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Entrance:
    """Where to ask: a port on 127.0.0.1, the name to ask for, and the session's cookie."""

    port: int
    host: str
    cookie: str = field(repr=False)
    trust: ssl.SSLContext | None = None
    """None: plain HTTP."""

    @property
    def address(self) -> str:
        """For tools that speak HTTP themselves: they send `headers`, and ask 127.0.0.1."""
        return f"{'https' if self.trust else 'http'}://{self.host}:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Host": f"{self.host}:{self.port}", "Cookie": self.cookie}

    def connect(self) -> http.client.HTTPConnection:
        """A new connection; opened with the first request."""
        return _Connection(self)

    def get(self, path: str) -> Reply:
        """One request on a connection of its own."""
        with contextlib.closing(self.connect()) as connection:
            return _ask(connection, self, path)

    def first_page(self, *, seconds: float = 60, alive: Callable[[], None] | None = None) -> float:
        """Wait for the workbench page; the `time.perf_counter()` at which it was there.

        Asks every 10 ms on one connection. `alive` may raise when waiting has no sense any more.
        """
        end = time.perf_counter() + seconds
        connection = self.connect()
        try:
            while time.perf_counter() < end:
                try:
                    reply = _ask(connection, self, WORKBENCH)
                except (OSError, http.client.HTTPException):
                    connection.close()
                else:
                    if reply.status == http.client.OK and b"workbench.js" in reply.body:
                        return time.perf_counter()
                if alive is not None:
                    alive()
                time.sleep(0.01)
        finally:
            connection.close()
        raise TimeoutError(f"no workbench page from {self.address} within {seconds:g} s")

    def workbench_script(self) -> str:
        """The path of the page's biggest script."""
        found = _SCRIPT.search(self.get(WORKBENCH).body.decode())
        if found is None:
            raise ValueError("the workbench page names no workbench.js")
        return f"/{found[1].lstrip('/')}"


def _ask(connection: http.client.HTTPConnection, entrance: Entrance, path: str) -> Reply:
    connection.request("GET", path, headers=entrance.headers)
    answer = connection.getresponse()
    return Reply(answer.status, answer.read())


class _Connection(http.client.HTTPConnection):
    """HTTP to loopback under another name, which only browsers resolve by themselves."""

    def __init__(self, entrance: Entrance) -> None:
        super().__init__("127.0.0.1", entrance.port, timeout=30)
        self._door = entrance

    def connect(self) -> None:
        self.sock = socket.create_connection(("127.0.0.1", self.port), timeout=self.timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._door.trust is not None:
            self.sock = self._door.trust.wrap_socket(self.sock, server_hostname=self._door.host)
