"""Makes test machines, and opens one: `python -m vm prepare`, `shell`, `run FILE`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from carrel.errors import INTERRUPTED, CarrelError
from vm import disk
from vm.applied import applied
from vm.cache import say
from vm.guest import Guest
from vm.machine import Kind

DISKS = ("bare", "applied")
NAME = "dan.code.example.org"


def main(arguments: Sequence[str]) -> int:
    """The exit status of what ran in the guest, or of the error that kept it from running."""
    # Whatever ends us, the guest ends too.
    signal.signal(signal.SIGTERM, _interrupted)
    chosen = _parser().parse_args(arguments)
    try:
        return _obey(chosen)
    except CarrelError as error:
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vm", description=__doc__)
    parser.add_argument("--disk", choices=DISKS, default="applied", help="what to boot")
    parser.add_argument(
        "--emulated",
        action="store_true",
        help="a whole machine: slow, with limits and a power switch",
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("prepare", help="make the disk, and boot nothing")
    verbs.add_parser("shell", help="a root shell in a fresh copy of the disk")
    run = verbs.add_parser("run", help="run a script as root in a fresh copy of the disk")
    run.add_argument("file", type=Path)
    return parser


def _obey(chosen: argparse.Namespace) -> int:
    if chosen.verb == "run" and not chosen.file.is_file():
        say(f"{chosen.file} is no file")
        return 2
    kind = Kind.EMULATED if chosen.emulated else Kind.CONTAINED
    found = disk.bare() if chosen.disk == "bare" else applied(kind)
    if chosen.verb == "prepare":
        return 0
    say("booting a fresh copy; it is thrown away at the end")
    with Guest(found, kind=kind) as guest:
        say(f"booted in {guest.boot_seconds:.0f} s")
        if chosen.verb == "run":
            return _run(guest, chosen.file)
        _explain(guest.https_port)
        return guest.attach(terminal=True)


def _run(guest: Guest, file: Path) -> int:
    path = f"/root/{file.name}"
    guest.put(path, file, 0o755)
    # Like a shell's own way with a file: without a first line that names one, it is a script.
    return guest.attach(path if file.read_bytes().startswith(b"#!") else f"sh {path}")


def _explain(port: int) -> None:
    say(f"HTTPS: chromium --host-resolver-rules='MAP {NAME} 127.0.0.1' https://{NAME}:{port}/")
    say(f"   or: curl -k --resolve {NAME}:{port}:127.0.0.1 https://{NAME}:{port}/")


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
