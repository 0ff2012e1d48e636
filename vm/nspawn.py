"""One container of systemd-nspawn that boots a disk: its console, its ports, its starts.

Used by guest. The kernel is this machine's, and so is the speed. It has a network of its own, which
slirp4netns joins to ports of this machine's loopback, as QEMU does. All of it ends with this process.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from carrel.adapters import process
from carrel.errors import Missing, NotReady, ToolFailed
from carrel.targets.waiting import until
from vm import cache
from vm.disk import Disk

SCRIPT = Path(__file__).parent / "nspawn.sh"
ADDRESS = "10.0.2.15"
"""The guest's (vm/base.sh)."""
RESTART = 133
"""What systemd-nspawn ends with when the guest wants to start again (with `--keep-unit`)."""
CONSOLE_LINES = 60
SECONDS = 30


class Contained:
    """A machine that is switched on. `keep`: the file that holds what it writes; None for none."""

    def __init__(self, disk: Disk, folder: Path, keep: Path | None, ports: Sequence[int]) -> None:
        if disk.format != "raw":
            raise Missing(f"{disk.image} is {disk.format}; only raw disks can be mounted.")
        self._folder = folder
        self._file = keep or cache.FOLDER / f"{folder.name}.img"
        self._second = [str(disk.sources)] if disk.sources else []
        self._cgroup = _unified() / folder.name
        self._starts = 0
        self._processes: list[subprocess.Popen[bytes]] = []
        self._open = contextlib.ExitStack()
        if keep is None:
            self._open.callback(self._file.unlink, missing_ok=True)
        copy = ["cp", "--sparse=always", "--reflink=auto", str(disk.image), str(self._file)]
        self._open.callback(self._end)
        try:
            process.run(copy, process.here(), seconds=600)
            (folder / "root").mkdir()
            self.ports: Mapping[int, int] = {port: _free() for port in ports}
            self._start()
        except BaseException:
            self.kill()
            raise

    def console(self) -> str:
        """The last lines of its console."""
        with contextlib.suppress(FileNotFoundError):
            text = (self._folder / "console").read_text(encoding="utf-8", errors="replace")
            return "\n".join(text.replace("\r", "").splitlines()[-CONSOLE_LINES:])
        return ""

    def check_running(self) -> None:
        """Start it again when it wants that; raise when it has ended otherwise."""
        status = self._systemd.poll()
        if status == RESTART:
            self._start_again()
        elif status is not None:
            raise ToolFailed(f"systemd-nspawn has ended ({status}).", why=self.console())

    def reset(self) -> None:
        """End all its processes at once, and start it again. What they wrote is on the disk."""
        self._start_again()

    def restarts(self) -> int:
        """How often the guest has started again."""
        if self._systemd.poll() == RESTART:
            self._start_again()
        return self._starts

    def wait_for_restart(self, before: int, seconds: float) -> None:
        """Return when the guest has started again more often than it had `before`."""
        until(lambda: self.restarts() > before, seconds=seconds, what="the guest's next start")

    def wait_for_end(self, seconds: float) -> None:
        """Return when the guest has switched itself off; `NotReady` when it does not."""
        try:
            self._systemd.wait(seconds)
        except subprocess.TimeoutExpired:
            raise NotReady(f"The guest did not switch off within {seconds:g} s.") from None
        self._end()

    def kill(self) -> None:
        """Pull the plug."""
        self._open.close()

    def _start_again(self) -> None:
        self._end()
        self._starts += 1
        self._start()

    def _start(self) -> None:
        root = self._folder / "root"
        self._systemd = self._begin(
            ["unshare", "--mount", "--net", "sh", str(SCRIPT), str(self._file), str(root),
             str(self._cgroup), *self._second]
        )  # fmt: skip
        pid, ours = self._systemd.pid, _network("self")

        def apart() -> bool:
            if self._systemd.poll() is not None:
                raise ToolFailed("systemd-nspawn did not start.", why=self.console())
            return _network(pid) != ours

        until(apart, seconds=SECONDS, what="the guest's network")
        control = self._folder / "slirp"
        control.unlink(missing_ok=True)
        self._begin(
            ["slirp4netns", "--mtu=65520", "--disable-host-loopback", "--disable-dns",
             f"--api-socket={control}", str(pid), "eth0"]
        )  # fmt: skip
        until(control.exists, seconds=SECONDS, what="slirp4netns")
        for there, here in self.ports.items():
            _forward(control, here, there)

    def _begin(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self._folder / "console").open("ab") as console:
            begun = subprocess.Popen(
                # The kernel ends it when this thread ends: nobody else would after SIGKILL.
                ["setpriv", "--pdeathsig=KILL", "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        self._processes.append(begun)
        return begun

    def _end(self) -> None:
        """End all its processes; its mounts and its network end with them."""
        for begun in self._processes:
            begun.kill()
            begun.wait(timeout=SECONDS)
        self._processes.clear()
        if self._cgroup.exists():
            (self._cgroup / "cgroup.kill").write_text("1", encoding="ascii")
            until(self._is_empty, seconds=SECONDS, what="the end of the guest's processes")
            for directory, _, _ in os.walk(self._cgroup, topdown=False):
                Path(directory).rmdir()

    def _is_empty(self) -> bool:
        return "populated 0" in (self._cgroup / "cgroup.events").read_text(encoding="ascii")


def _network(pid: int | str) -> int:
    return Path(f"/proc/{pid}/ns/net").stat().st_ino


def _unified() -> Path:
    found = process.run(
        ["findmnt", "--noheadings", "--first-only", "--types=cgroup2", "--output=TARGET"],
        process.here(),
        statuses=None,
    ).output.strip()
    if not found or shutil.which("systemd-nspawn") is None:
        raise Missing("There is no cgroup v2, or no systemd-nspawn.", fix="make prepare-test")
    return Path(found)


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def _forward(control: Path, port: int, there: int) -> None:
    arguments = {
        "proto": "tcp",
        "host_addr": "127.0.0.1",
        "host_port": port,
        "guest_addr": ADDRESS,
        "guest_port": there,
    }
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS)
        connection.connect(str(control))
        connection.sendall(json.dumps({"execute": "add_hostfwd", "arguments": arguments}).encode())
        connection.shutdown(socket.SHUT_WR)
        answer = json.loads(connection.makefile().read())
    if "error" in answer:
        raise ToolFailed(f"slirp4netns does not forward port {port}.", why=str(answer["error"]))
