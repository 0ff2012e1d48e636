"""Stands in for code-server in `nix flake check`: the module is tested there, not the editor.

Speaks as much of its protocol as nginx and the test see: `--socket`, /healthz, and a sign-in against
HASHED_PASSWORD.
"""

from __future__ import annotations

import http.server
import os
import socketserver
import sys
import urllib.parse
from http import HTTPStatus
from pathlib import Path

import argon2


class Server(socketserver.ThreadingUnixStreamServer):
    """HTTP on a Unix socket."""

    daemon_threads = True


class Editor(http.server.BaseHTTPRequestHandler):
    """As code-server answers: a wrong password gets the form again, the right one a session."""

    def address_string(self) -> str:
        """Nobody's: a Unix socket has none."""
        return "nginx"

    def do_GET(self) -> None:
        """Say that all is well."""
        self._answer(HTTPStatus.OK)

    def do_POST(self) -> None:
        """Sign in."""
        length = int(self.headers.get("Content-Length", "0"))
        form = urllib.parse.parse_qs(self.rfile.read(length).decode())
        try:
            argon2.PasswordHasher().verify(os.environ["HASHED_PASSWORD"], form["password"][0])
        except (argon2.exceptions.VerificationError, KeyError):
            self._answer(HTTPStatus.OK)
        else:
            self._answer(HTTPStatus.FOUND, Location="./")

    def _answer(self, status: HTTPStatus, **headers: str) -> None:
        self.send_response(status)
        for name, value in (*headers.items(), ("Content-Length", "0")):
            self.send_header(name, value)
        self.end_headers()


def main() -> None:
    """Serve where `--socket` says; every other argument is code-server's business."""
    path = next(a.partition("=")[2] for a in sys.argv[1:] if a.startswith("--socket="))
    Path(path).unlink(missing_ok=True)
    with Server(path, Editor) as server:
        Path(path).chmod(0o666)
        server.serve_forever()


if __name__ == "__main__":
    main()
