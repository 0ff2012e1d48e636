"""A real site for tests: its own configuration, port and storage, on the real tools.

Uses the machine's image store, so that the image is built once. Cleans up after itself.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from carrel.adapters import files
from carrel.targets import facts
from carrel.targets.local.target import LocalTarget

CONFIG = """\
domain = "code.localhost"
[local]
port = {port}
[storage]
base = "{storage}"
{more}
"""


class RealSite:
    """A site that is brought up with the command line, as an operator does."""

    def __init__(self, folder: Path, users: Sequence[str], more: str = "") -> None:
        self.folder = folder
        self.config = folder / "carrel.toml"
        self.port: int = free_port()
        self.layout = facts.layout(self.config)
        self.target = LocalTarget.of(self.config, lambda _: None)
        self.storage = self._storage()
        self.more = more
        self.write(users)

    def _storage(self) -> str:
        # The account that root's local mode uses cannot enter pytest's own directories.
        if self.layout.account == self.layout.owner:
            return str(self.folder / "data")
        return f"{self.layout.root}/test-{secrets.token_hex(4)}"

    def write(self, users: Sequence[str]) -> None:
        """Write the configuration anew; passwords that are there stay."""
        text = CONFIG.format(port=self.port, storage=self.storage, more=self.more)
        (self.folder / "secrets").mkdir(exist_ok=True, mode=0o700)
        for user in users:
            file = self.folder / "secrets" / user
            if not file.exists():
                file.write_text(f"password-of-{user}-{secrets.token_hex(4)}\n")
            text += f'[users.{user}]\npassword_file = "secrets/{user}"\n'
        self.config.write_text(text)

    def carrel(
        self,
        *arguments: str,
        status: int | None = 0,
        given: str | None = None,
        seconds: float = 900,
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line; `status` None takes any exit status."""
        command = [sys.executable, "-m", "carrel", *arguments]
        result = subprocess.run(
            command,
            env={**os.environ, "CARREL_CONFIG": str(self.config)},
            input=given,
            text=True,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
        if status is not None:
            assert result.returncode == status, f"{arguments}: {result.stdout}\n{result.stderr}"
        return result

    def interrupted(self, *arguments: str, at: str) -> str:
        """Press Ctrl-C when the story of a command says `at`; what it says afterwards."""
        process = subprocess.Popen(
            [sys.executable, "-m", "carrel", *arguments],
            env={**os.environ, "CARREL_CONFIG": str(self.config)},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        for line in process.stderr:
            if at in line:
                process.send_signal(signal.SIGINT)
                break
        _, rest = process.communicate(timeout=60)
        assert process.returncode == 130, rest
        assert "Traceback" not in rest
        return rest

    def killed(self, *arguments: str, line: int) -> None:
        """Lose power when a command has told `line` lines of its story; what is on disk stays.

        /run stays too, as when a container or a CI machine is started again. With the account's
        other sites: they have the same podman.
        """
        process = subprocess.Popen(
            [sys.executable, "-m", "carrel", *arguments],
            env={**os.environ, "CARREL_CONFIG": str(self.config)},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        for _ in zip(range(line), process.stderr, strict=False):
            pass
        process.kill()
        self.lose_power()
        process.communicate()

    def lose_power(self) -> None:
        """Kill all that runs for the account's sites, until nothing is left."""
        while pids := self._running():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _running(self) -> set[int]:
        found, children = set[int](), dict[int, list[int]]()
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended
                pid = int(path.name)
                state, parent = (path / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    children.setdefault(int(parent), []).append(pid)
                    words = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
                    if self.layout.engine_runtime.encode() in words or (
                        b"supervisord" in words and f"{self.layout.root}/sites".encode() in words
                    ):
                        found.add(pid)
        ahead = list(found)
        while ahead:
            more = children.get(ahead.pop(), [])
            found.update(more)
            ahead += more
        return found - {os.getpid()}

    def inside(
        self, user: str, *command: str, status: int | None = 0, given: str | None = None
    ) -> str:
        """The output of a command in the user's container."""
        return self.carrel("shell", user, "--", *command, status=status, given=given).stdout

    def status(self) -> dict[str, Any]:
        """What `carrel status --json` says."""
        found: dict[str, Any] = json.loads(self.carrel("status", "--json", status=None).stdout)
        return found

    def password(self, user: str) -> str:
        """The user's password."""
        return (self.folder / "secrets" / user).read_text().strip()

    def workspace(self, user: str) -> Path:
        """The user's project on the host."""
        return Path(self.storage) / user / "workspace"

    def watched(self, user: str) -> bool:
        """Whether a window shows what changes in the project from now on.

        VS Code lists the files first, and starts a process that watches them a second later.
        """
        # Linux, Documentation/filesystems/proc.rst, 3.8: the inode in hexadecimal.
        watch = f" ino:{self.workspace(user).stat().st_ino:x} "
        for info in Path("/proc").glob("[0-9]*/fdinfo/*"):
            with contextlib.suppress(OSError):  # it has ended
                process = info.parents[1]
                if (
                    watch in info.read_text()
                    and b"fileWatcher" in (process / "cmdline").read_bytes()
                ):
                    return True
        return False

    def welcomed(self, user: str) -> Path:
        """What the editor leaves in the user's home once it has shown the first steps."""
        return Path(self.storage) / user / "home/.local/state/carrel/welcomed"

    @property
    def authority(self) -> Path:
        """The certificate to trust."""
        return self.folder / "ca.crt"

    def address(self, name: str = "", path: str = "/") -> str:
        """An address of the site; without a name, the bare domain."""
        host = f"{name}.code.localhost" if name else "code.localhost"
        return f"https://{host}:{self.port}{path}"

    def get(
        self,
        name: str = "",
        path: str = "/",
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> tuple[int, dict[str, str], str]:
        """Status, headers and body of a request through nginx; follows no redirect."""
        context = ssl.create_default_context(cafile=str(self.authority))
        connection = _Loopback(f"{name}.code.localhost".lstrip("."), self.port, context)
        try:
            method = "GET" if data is None else "POST"
            connection.request(method, path, body=data, headers=headers or {})
            reply = connection.getresponse()
            return reply.status, dict(reply.headers), reply.read().decode(errors="replace")
        finally:
            connection.close()

    def sign_in(self, user: str, password: str | None = None) -> tuple[int, dict[str, str], str]:
        """The answer to the sign-in form; without a password, the right one is given."""
        form = f"password={password or self.password(user)}".encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.get(user, "/login", headers, form)

    def clean(self) -> None:
        """Stop it and remove everything that it made."""
        self.carrel("down", status=None)
        for path in Path(self.storage).glob("*"):
            self.target.store.delete_data(str(path))
        files.remove_tree(self.storage)
        if self.target.store.podman.containers() == 0:
            self.target.store.podman.rest()
        files.remove_tree(self.layout.state)
        files.remove_file(f"{self.layout.root}/sites/{self.layout.site}.lock")
        shutil.rmtree(self.folder, ignore_errors=True)


class _Loopback(http.client.HTTPSConnection):
    """TLS for a name below localhost, which only browsers resolve by themselves."""

    def __init__(self, name: str, port: int, context: ssl.SSLContext) -> None:
        super().__init__(name, port, timeout=30, context=context)
        self._wrap = context.wrap_socket

    def connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self.sock = self._wrap(plain, server_hostname=self.host)


def free_port() -> int:
    """A port on loopback that nobody uses.

    Without "443" in it: gixy takes every such port for one of TLS.
    """
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if "443" not in str(port):
            return port
