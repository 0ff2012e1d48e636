"""The editor that stands in for code-server where `nix flake check` starts a server."""

import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import argon2
import pytest

from carrel.targets.waiting import until
from nix.desks import ROOT


@pytest.fixture
def editor(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "editor.sock"
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "nix/editor.py"), "--auth=password", f"--socket={path}"],
        env={"HASHED_PASSWORD": argon2.PasswordHasher().hash("dan has a desk")},
    )
    try:
        until(path.exists, seconds=20, what="the editor")
        yield path
    finally:
        process.terminate()
        process.wait(10)


def ask(path: Path, request: str, body: str = "") -> int:
    """The status of an answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        head = f"{request} HTTP/1.0\r\nHost: dan\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall((head + body).encode())
        with connection.makefile("rb") as stream:
            return int(stream.readline().split()[1])


def test_it_signs_in_who_knows_the_password_and_nobody_else(editor: Path) -> None:
    assert ask(editor, "GET /healthz") == 200
    right = urllib.parse.urlencode({"password": "dan has a desk"})
    assert ask(editor, "POST /login", right) == 302
    for wrong in ("password=dan", "other=x", ""):
        assert ask(editor, "POST /login", wrong) == 200
