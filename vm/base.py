"""The Debian that a test machine starts from: packages, kernel, and settings for a quick boot.

Used by disk. Knows nothing of Carrel but the packages that it needs on a server.
"""

from __future__ import annotations

from pathlib import Path

from carrel.adapters import bootstrap, process
from vm import cache
from vm.cache import say

PACKAGES = (
    # The system, as a server has it.
    "systemd systemd-sysv libpam-systemd dbus udev kmod iproute2 procps psmisc util-linux mount "
    "e2fsprogs curl ca-certificates openssh-server less bash-completion strace "
    # The kernel recommends it, so Debian's installer brings it; it has a profile for pasta.
    "linux-image-cloud-amd64 apparmor "
    # What Carrel needs, and what `make install` finds installed: the guest has no network.
    "python3 python3-venv make git podman crun uidmap passt nftables nginx-light catatonit "
    "mmdebstrap lego "
    # The authority that tests ask for certificates.
    "pebble"
).split()

UNNEEDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
"""Thousands of small files that no test reads."""

SETTINGS = Path(__file__).parent / "base.sh"


def directory() -> Path:
    """A directory with `root.tar`, `vmlinuz` and `initrd`."""
    name = cache.key(" ".join(PACKAGES), repr(UNNEEDED), SETTINGS.read_bytes())
    return cache.made("base", name, _make)


def _make(target: Path) -> None:
    say(f"installing {len(PACKAGES)} packages of Debian {bootstrap.SUITE}, a minute or two")
    process.follow(
        [
            "mmdebstrap", "--quiet", "--mode=root", "--variant=apt",
            f"--include={','.join(PACKAGES)}",
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in UNNEEDED),
            f"--customize-hook={SETTINGS}",
            f'--customize-hook=cp -L "$1/vmlinuz" "{target}/vmlinuz"',
            f'--customize-hook=cp -L "$1/initrd.img" "{target}/initrd"',
            bootstrap.SUITE, str(target / "root.tar"), bootstrap.mirror(),
        ],
        process.here(),
        _quiet,
    )  # fmt: skip


def _quiet(_line: str) -> None:
    """What mmdebstrap says is only of interest when it fails; then the error has it."""
