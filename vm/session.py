"""Root's SSH session in the guest: one connection that all commands share.

Used by guest, because each handshake costs an emulated processor a second. Reaches nothing but a
port of this machine's loopback.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from carrel.adapters import process
from carrel.adapters.process import Result, World
from carrel.errors import ToolFailed
from carrel.targets.waiting import until
from vm.disk import Disk

LOST = 255
"""ssh's own exit status, when the connection is what failed."""


class Session:
    """Commands in the guest whose SSH is at `port` of this machine."""

    def __init__(self, disk: Disk, port: int, folder: Path) -> None:
        self._port = port
        self._control = folder / "ssh"
        self._master: subprocess.Popen[bytes] | None = None
        self._options = (
            # Nothing of the operator's own; the guest is new, and so is its host key.
            "-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "LogLevel=ERROR", "-o", f"ControlPath={self._control}",
            # The quickest that is still safe: the default costs an emulated processor seconds.
            "-o", "KexAlgorithms=curve25519-sha256", "-o", "ConnectTimeout=60",
            # A guest that has started again knows nothing of us, and would never say so. One that only
            # has a lot to do gets three minutes.
            "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=12",
            "-i", str(disk.key), "-p", str(port),
        )  # fmt: skip

    def open(self, seconds: float, check_running: Callable[[], None]) -> None:
        """Connect anew as soon as the guest answers; `NotReady` if not within `seconds`."""
        self.close()

        def answers() -> bool:
            check_running()
            return self._answers()

        until(answers, seconds=seconds, what="SSH in the guest")
        self._master = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", "--", *self.command(), "-M", "-N"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        master = self._master
        until(lambda: self._connected(master), seconds=90, what="root's session in the guest")

    def close(self) -> None:
        """Forget the connection, whatever state it is in."""
        if self._master is not None:
            self._master.kill()
            self._master.communicate()
            self._master = None
        self._control.unlink(missing_ok=True)

    def command(self, *arguments: str) -> list[str]:
        """The command line of ssh, for programs that want our terminal."""
        return ["ssh", *self._options, "root@127.0.0.1", *arguments]

    def run(self, script: str, seconds: float) -> Result:
        """Run the text as a script, whose standard input is empty."""
        # One process less than `bash -s`, and a command that reads its input cannot eat the script.
        return process.run(
            self.command('eval "$(cat)"'), WORLD, given=script, statuses=None, seconds=seconds
        )

    def send(self, command: str, data: bytes, seconds: float) -> None:
        """Run a command with `data` on its standard input."""
        result = subprocess.run(
            self.command(command), input=data, capture_output=True, timeout=seconds, check=False
        )
        if result.returncode != 0:
            why = result.stderr.decode(errors="replace")
            raise ToolFailed(f"`{command}` failed in the guest.", why=why)

    def _connected(self, master: subprocess.Popen[bytes]) -> bool:
        if master.poll() is not None:
            _, said = master.communicate()
            raise ToolFailed("ssh cannot sign in to the guest.", why=said.decode(errors="replace"))
        return self._control.exists()

    def _answers(self) -> bool:
        # QEMU accepts every connection; only the guest says the first word.
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._port), timeout=3) as connection,
        ):
            return connection.recv(4) == b"SSH-"
        return False


WORLD = World({"PATH": "/usr/bin:/bin"})
