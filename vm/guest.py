"""A running test machine, for as long as a `with` block: boot, run, copy, cut the power, switch off.

Used by the tests, by applied and by `python -m vm`. Nothing that happens in it reaches the disk it
booted from, and nobody reaches it but this machine's loopback.
"""

from __future__ import annotations

import contextlib
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from carrel.adapters import process
from carrel.adapters.process import Result
from carrel.errors import CarrelError, ToolFailed
from vm.disk import Disk
from vm.machine import Kind, Machine
from vm.nspawn import Contained
from vm.qemu import Emulated
from vm.session import LOST, WORLD, Session

BOOT_SECONDS = 300
SSH = 22
HTTPS = 443
SAID_LINES = 40
MACHINES: dict[Kind, Callable[[Disk, Path, Path | None, Sequence[int]], Machine]] = {
    Kind.CONTAINED: Contained,
    Kind.EMULATED: Emulated,
}


class Restarted(ToolFailed):
    """The guest started again while a command ran in it. Its own kernel, or the script, did that."""


class Guest:
    """A machine that boots a fresh copy of `disk`.

    `keep`: a file to make, which holds what the guest changes: all of a disk when it is contained, and
    what lies on top of `disk` (qcow2) when it is emulated.
    """

    def __init__(self, disk: Disk, keep: Path | None = None, kind: Kind = Kind.CONTAINED) -> None:
        self._disk = disk
        self._kind = kind
        self._keep = keep
        self._open = contextlib.ExitStack()
        self.boot_seconds = 0.0

    def __enter__(self) -> Guest:
        try:
            # Short, because of the sockets in it.
            folder = Path(
                self._open.enter_context(tempfile.TemporaryDirectory(prefix="carrel-vm-"))
            )
            self._machine: Machine = MACHINES[self._kind](
                self._disk, folder, self._keep, (SSH, HTTPS)
            )
            self._open.callback(self._machine.kill)
            self._session = Session(self._disk, self._machine.ports[SSH], folder)
            self._open.callback(self._session.close)
            self.wait()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def https_port(self) -> int:
        """The port of 127.0.0.1 that leads to the guest's 443."""
        return self._machine.ports[HTTPS]

    @property
    def starts(self) -> int:
        """How often it has started again, as far as somebody waited for it."""
        return self._starts

    @property
    def console(self) -> str:
        """The last lines of the serial console."""
        return self._machine.console()

    def wait(self, seconds: float = BOOT_SECONDS) -> None:
        """Return when the guest has booted: SSH answers, and systemd has no job left to do."""
        begun = time.monotonic()
        with self._with_console():
            self._session.open(seconds, self._machine.check_running)
            self._starts = self._machine.restarts()
            self.run("systemctl is-system-running --wait", check=False, seconds=seconds)
        self.boot_seconds = time.monotonic() - begun

    def run(self, script: str, *, check: bool = True, seconds: float = 120) -> Result:
        """Run a shell script as root; it ends at the first command that fails (`set -eu`).

        `check`: raise `ToolFailed`, with what it said, when its exit status is not 0.
        """
        with self._up():
            result = self._session.run(f"set -eu\n{script}", seconds)
            if result.status == LOST:
                raise ToolFailed("The guest did not answer.", why=result.errors)
        if check and result.status != 0:
            raise ToolFailed(
                f"A script failed in the guest (status {result.status}).",
                why=f"it is\n{script.strip()}\nand said\n{_last(result)}",
            )
        return result

    def follow(self, command: str, line: Callable[[str], None]) -> None:
        """Run a command, and hand each line that it says to `line` at once."""
        with self._up():
            process.follow(self._session.command(command), WORLD, line)

    def attach(self, command: str = "", *, terminal: bool = False) -> int:
        """Run a command, or a shell, with our own standard streams; its exit status.

        `Restarted`: the guest has started again meanwhile, so that the command never came to its end.
        """
        options = ["-t"] if terminal else []
        full = self._session.command(*([command] if command else []))
        status = process.hand_over([full[0], *options, *full[1:]], WORLD)
        if status == LOST:
            with self._with_console():
                self._check_up()
        return status

    def put(self, path: str, content: str | bytes | Path, mode: int = 0o644) -> None:
        """Write a file, and the directories above it."""
        match content:
            case Path():
                data = content.read_bytes()
            case str():
                data = content.encode()
            case bytes():
                data = content
        with self._up():
            self._session.send(f"install -D -m {mode:o} /dev/stdin {shlex.quote(path)}", data, 120)

    def reset(self) -> None:
        """Cut the power, start again, and wait for it."""
        self._machine.reset()
        self.wait()

    def reboot(self, seconds: float = 180) -> None:
        """Have it restart in good order, and wait for it."""
        self._start_again("systemctl --no-block reboot", seconds)

    def power_off(self, seconds: float = 180) -> None:
        """Have it switch off in good order; everything is on its disk then."""
        self._leave("systemctl --no-block poweroff")
        with self._with_console():
            self._machine.wait_for_end(seconds)

    def _start_again(self, command: str, seconds: float) -> None:
        self._leave(command)
        with self._with_console():
            self._machine.wait_for_restart(self._starts, seconds)
        self.wait()

    def _leave(self, command: str) -> None:
        # The connection may be gone before the answer: no exit status says anything.
        self._session.run(command, 60)

    def _check_up(self) -> None:
        if self._machine.restarts() != self._starts:
            raise Restarted(
                "The guest has started again, in the middle of what it was told to do.",
                fix="try again: unless the script had it restart, the emulator made its kernel give up",
            )

    @contextlib.contextmanager
    def _up(self) -> Iterator[None]:
        with self._with_console():
            try:
                yield
            except CarrelError:
                self._check_up()
                raise

    @contextlib.contextmanager
    def _with_console(self) -> Iterator[None]:
        try:
            yield
        except CarrelError as error:
            said = self._machine.console()
            error.why = "\n".join(filter(None, (error.why, "The console's last lines:", said)))
            raise


def _last(result: Result) -> str:
    return "\n".join((result.output + result.errors).splitlines()[-SAID_LINES:])
