"""The *applied* disk: what the installed one becomes when an operator configures and applies.

Used by the tests and by `python -m vm`. What an operator does is in setup.sh.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from carrel.errors import ToolFailed
from vm import cache
from vm.cache import say
from vm.disk import Disk
from vm.guest import Guest, Restarted
from vm.installed import installed
from vm.machine import Kind

SETUP = Path(__file__).parent / "setup.sh"
SECONDS = 3600
LINES = 60


def applied(kind: Kind = Kind.CONTAINED) -> Disk:
    """Carrel installed and applied, with the users dan and bob, and switched off.

    One for each `kind`: what is applied depends on what the machine can enforce.
    """
    ground = installed()
    name = cache.key(str(ground.image), SETUP.read_bytes())
    place = cache.made(f"applied-{kind}", name, lambda target: _make(ground, kind, target / "disk"))
    format_ = "raw" if kind is Kind.CONTAINED else "qcow2"
    return replace(ground, image=place / "disk", format=format_)


def _make(ground: Disk, kind: Kind, file: Path) -> None:
    try:
        _boot_and_set_up(ground, kind, file)
    except Restarted as error:
        # The emulator's fault (vm/qemu.py), which must not end a run of all tests. Once is bad luck.
        say(f"{error}\nonce more, from the start")
        file.unlink()
        _boot_and_set_up(ground, kind, file)


def _boot_and_set_up(ground: Disk, kind: Kind, file: Path) -> None:
    with Guest(ground, keep=file, kind=kind) as guest:
        say(f"booted in {guest.boot_seconds:.0f} s; running {SETUP.name} in it")
        guest.put(f"/root/{SETUP.name}", SETUP)
        _set_up(guest)
        guest.power_off()


def _set_up(guest: Guest) -> None:
    try:
        guest.follow(f"timeout {SECONDS} sh /root/{SETUP.name}", lambda line: say(f"| {line}"))
    except Restarted:
        raise
    except ToolFailed:
        units = guest.run(f"journalctl --no-pager --lines={LINES} --unit='carrel-*'", check=False)
        raise ToolFailed(
            f"{SETUP.name} failed in the guest.",
            why=f"it said what is above, and the units said:\n{units.output}",
            fix="mend it; `python -m vm --disk bare shell` is the machine as it was before",
        ) from None
