"""Sends the same HTTP request again and again over a fixed number of connections, and times the answers.

Used by bench.gateway; wrk can neither speak over Unix sockets nor time the first byte of a stream.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import cast

import uvloop


@dataclass(frozen=True, slots=True)
class Address:
    """Where to ask: a Unix socket, or a port on 127.0.0.1."""

    path: str
    """The path of the request."""
    token: str
    port: int = 0
    socket: str = ""

    def request(self, body: bytes) -> bytes:
        """The whole request, ready to be sent."""
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass(slots=True)
class Timings:
    """What a run saw. Seconds; `errors` are answers that were not whole or not status 200."""

    first_byte: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    seconds: float = 0
    errors: int = 0

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.whole) / self.seconds


class _Connection(asyncio.Protocol):
    """Asks, reads the answer to its end, and asks again as long as there is work."""

    def __init__(self, request: bytes, work: list[int], timings: Timings) -> None:
        self._request = request
        self._work = work
        self._timings = timings
        self._sent = 0.0
        self._seen = b""
        self._need: int | None = None
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        if not self._seen:
            self._timings.first_byte.append(time.perf_counter() - self._sent)
        self._seen += data
        if self._whole():
            self._timings.whole.append(time.perf_counter() - self._sent)
            if not self._seen.startswith(b"HTTP/1.1 200"):
                self._timings.errors += 1
            self._ask()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.done.done():
            self._timings.errors += 1
            self.done.set_result(None)

    def _ask(self) -> None:
        assert self._transport is not None
        if not self._work:
            self.done.set_result(None)
            self._transport.close()
            return
        self._work.pop()
        self._seen, self._need = b"", None
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def _whole(self) -> bool:
        if self._need is None:
            head, found, _ = self._seen.partition(b"\r\n\r\n")
            if not found:
                return False
            _, has, length = head.lower().partition(b"content-length: ")
            self._need = len(head) + 4 + int(length.split(b"\r\n")[0]) if has else 0
        if self._need:
            return len(self._seen) >= self._need
        return self._seen.endswith(b"0\r\n\r\n")


async def _run(address: Address, body: bytes, requests: int, connections: int) -> Timings:
    loop = asyncio.get_running_loop()
    timings, work = Timings(), [0] * requests
    request = address.request(body)

    def connection() -> _Connection:
        return _Connection(request, work, timings)

    begun = time.perf_counter()
    opened = []
    for _ in range(connections):
        if address.socket:
            _, one = await loop.create_unix_connection(connection, address.socket)
        else:
            _, one = await loop.create_connection(connection, "127.0.0.1", address.port)
        opened.append(one.done)
    await asyncio.gather(*opened)
    timings.seconds = time.perf_counter() - begun
    return timings


def send(address: Address, body: bytes, *, requests: int, connections: int) -> Timings:
    """So many requests over so many connections; each asks again as soon as it has its answer."""
    return uvloop.run(_run(address, body, requests, connections))
