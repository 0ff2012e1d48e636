"""Asks a server on a Unix socket or a port whether it answers. Changes nothing."""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
import time

from carrel.core.names import HTTPS


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Open the socket instead of a TCP connection."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def healthy(path: str, seconds: float = 2) -> bool:
    """Whether code-server, or the gateway, answers on the socket at `path`.

    The health check of code-server says "expired" when nobody has used it for a while: healthy.
    """
    connection = UnixConnection(path, seconds)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def port_open(port: int, seconds: float = 2) -> bool:
    """Whether something accepts connections on 127.0.0.1:`port`."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=seconds):
            return True
    except OSError:
        return False


def port_free(port: int) -> bool:
    """Whether 127.0.0.1:`port` could be listened on right now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def certificate(name: str, port: int = HTTPS, seconds: float = 5) -> str | None:
    """The fingerprint (SHA-256) of the certificate that this machine serves for a host name.

    None when nobody answers, or not with TLS. Believes nothing that the certificate says.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=seconds) as plain,
            context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            presented = secured.getpeercert(binary_form=True)
    except OSError:
        return None
    return hashlib.sha256(presented).hexdigest() if presented else None


def uptime() -> float:
    """Seconds since the machine was started, as systemd counts them."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)
