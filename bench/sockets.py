"""WebSockets without a library, as far as a bench needs them: opened, and echoed byte by byte.

The edge does not look into what travels there, and neither do the fake desks that send it back.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator

PING = b"x" * 125
ANSWER_SECONDS = 10


def open_socket(port: int, host: str, tls: ssl.SSLContext) -> ssl.SSLSocket:
    """An upgraded connection for the page of `host`, a name with a port."""
    plain = socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened = tls.wrap_socket(plain, server_hostname=host.partition(":")[0])
    try:
        _upgrade(opened, host)
    except BaseException:
        opened.close()
        raise
    return opened


def _upgrade(opened: ssl.SSLSocket, host: str) -> None:
    opened.sendall(
        f"GET / HTTP/1.1\r\nHost: {host}\r\nOrigin: https://{host}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        more = opened.recv(1)
        assert more, f"closed after {head!r}"
        head += more
    assert b" 101 " in head.splitlines()[0], head


def echo(opened: ssl.SSLSocket) -> float:
    """Seconds until the other side has sent back what it got."""
    start = time.perf_counter()
    opened.sendall(PING)
    left = len(PING)
    while left:
        received = opened.recv(left)
        if not received:
            raise ConnectionError("the other side has closed")
        left -= len(received)
    return time.perf_counter() - start


def is_open(opened: ssl.SSLSocket) -> bool:
    """Whether it still echoes."""
    with contextlib.suppress(OSError):
        echo(opened)
        return True
    return False


@contextlib.contextmanager
def many(count: int, port: int, host: str, tls: ssl.SSLContext) -> Iterator[list[ssl.SSLSocket]]:
    """`count` of them, closed with the context."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(contextlib.closing(open_socket(port, host, tls)))
            for _ in range(count)
        ]
