"""One QEMU process: its command line, its console, its ports.

Used by guest. Knows nothing of what runs inside. QEMU ends with this process, whatever ends it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from carrel.adapters import process
from carrel.errors import ConfigError, NotReady, ToolFailed
from vm import cache
from vm.disk import Disk
from vm.monitor import Monitor

MEMORY = "5000"
# panic=1: on a busy host the emulator now and then shows one processor half of what another patches
# into the kernel's code (QEMU before 8.1 reads code before it watches the page), which is then an oops,
# mostly in the first seconds. It starts again by itself.
# norandmaps: the emulator translates code once for each address that it is found at. With a program
# always at the same one, boots are a quarter quicker, and commands a seventh.
KERNEL = (
    "console=ttyS0 root=/dev/vda rootflags=noatime rw quiet mitigations=off panic=1 norandmaps "
    "systemd.show_status=no TERM=dumb"
)
ACCELERATORS = {
    # Without AVX, which programs prefer and the emulator is slow at: a tenth less of everything.
    # Room (MiB) for what is translated: when it is full, all of it is thrown away.
    "tcg": ("-accel", "tcg,thread=multi,tb-size=2047", "-cpu", "max,-avx,-avx2,-f16c,-fma"),
    # A stock kernel does not start on every host that has /dev/kvm, so nobody gets it unasked.
    "kvm": ("-accel", "kvm", "-cpu", "host"),
}
VARIABLE = "CARREL_VM_ACCEL"
CONSOLE_LINES = 60
"""A panic and the start after it."""
RESTART = "RESET"
"""What the monitor calls it."""

_FORWARD = re.compile(r"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+(\d+)")


class Emulated:
    """A machine that is switched on. `keep`: the file that holds what it writes; None for none."""

    def __init__(self, disk: Disk, folder: Path, keep: Path | None, ports: Sequence[int]) -> None:
        if keep is not None:
            _overlay(disk, keep)
        self._console = folder / "console"
        self._complaints = folder / "qemu.log"
        control = folder / "qmp"
        with self._complaints.open("wb") as complaints:
            self._process = subprocess.Popen(
                # The kernel ends it when this thread ends: nobody else would after SIGKILL.
                ["setpriv", "--pdeathsig=KILL", "--",
                 *_command(disk, self._console, control, keep, ports)],
                stdin=subprocess.DEVNULL,
                stdout=complaints,
                stderr=complaints,
                start_new_session=True,
                # Where the throw-away copies are, without a name.
                env={**os.environ, "TMPDIR": str(cache.FOLDER)},
            )  # fmt: skip
        self._open = contextlib.ExitStack()
        self._open.callback(self._end)
        try:
            monitor = Monitor(control, self.check_running)
            self._monitor = self._open.enter_context(contextlib.closing(monitor))
            self.ports: Mapping[int, int] = self._forwarded()
        except BaseException:
            self.kill()
            raise

    def console(self, lines: int = CONSOLE_LINES) -> str:
        """The last lines of the serial console."""
        with contextlib.suppress(FileNotFoundError):
            text = self._console.read_text(encoding="utf-8", errors="replace")
            return "\n".join(text.replace("\r", "").splitlines()[-lines:])
        return ""

    def check_running(self) -> None:
        """Raise when QEMU has ended."""
        if self._process.poll() is not None:
            said = self._complaints.read_text(encoding="utf-8", errors="replace").strip()
            raise ToolFailed("QEMU has ended.", why=said or self.console())

    def reset(self) -> None:
        """The reset button: a power cut and a new start."""
        self._monitor.execute("system_reset")

    def restarts(self) -> int:
        """How often the guest has started again, for whatever reason."""
        return self._monitor.count(RESTART)

    def wait_for_restart(self, before: int, seconds: float) -> None:
        """Return when the guest has started again more often than it had `before`."""
        self._monitor.wait_for(RESTART, before, seconds)

    def wait_for_end(self, seconds: float) -> None:
        """Return when the guest has switched itself off; `NotReady` when it does not."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise NotReady(f"The guest did not switch off within {seconds:g} s.") from None

    def kill(self) -> None:
        """Pull the plug."""
        self._open.close()

    def _end(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=30)

    def _forwarded(self) -> dict[int, int]:
        """The host's port for each of the guest's; QEMU took free ones."""
        text = self._monitor.execute("human-monitor-command", **{"command-line": "info usernet"})
        return {int(there): int(here) for here, there in _FORWARD.findall(text)}


def _overlay(disk: Disk, file: Path) -> None:
    process.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", disk.format, "-b", str(disk.image),
         str(file)],
        process.here(),
    )  # fmt: skip


def _accelerator() -> tuple[str, ...]:
    name = os.environ.get(VARIABLE, "tcg")
    if name not in ACCELERATORS:
        raise ConfigError(f"{VARIABLE} is {name}.", fix=f"use one of {', '.join(ACCELERATORS)}")
    return ACCELERATORS[name]


def _command(
    disk: Disk, console: Path, control: Path, keep: Path | None, ports: Sequence[int]
) -> list[str]:
    file, form, fate = (keep, "qcow2", "off") if keep else (disk.image, disk.format, "on")
    # Port 0 has the host's kernel choose one.
    forwards = "".join(f",hostfwd=tcp:127.0.0.1:0-:{port}" for port in ports)
    command = [
        "qemu-system-x86_64", "-M", "q35", *_accelerator(),
        "-smp", "2", "-m", MEMORY, "-nodefaults", "-display", "none",
        "-kernel", str(disk.kernel), "-initrd", str(disk.initrd), "-append", KERNEL,
        "-drive", f"file={file},format={form},if=virtio,cache=unsafe,snapshot={fate}",
        "-netdev", f"user,id=n0,restrict=on{forwards}", "-device", "virtio-net-pci,netdev=n0,romfile=",
        "-device", "virtio-rng-pci", "-serial", f"file:{console}",
        "-qmp", f"unix:{control},server=on,wait=off",
    ]  # fmt: skip
    if disk.sources:
        drive = f"file={disk.sources},format=raw,if=virtio,readonly=on"
        command += ["-drive", drive]
    return command
