"""The *bare* disk: Debian, the workspace image, and all that installing Carrel reads.

Used by the tests and by installed. Nobody writes to a disk that is made; a Guest has its own copy.
"""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from carrel.adapters import process
from carrel.errors import Missing
from vm import base, cache, image, sources, wheels
from vm.cache import say

SIZE = "12G"

PIP = """\
[global]
no-index = true
find-links = /srv/wheels
disable-pip-version-check = true
"""


@dataclass(frozen=True, slots=True)
class Disk:
    """What a Guest boots: an image, the kernel for it, and the key that root's SSH accepts.

    `sources` is a second disk; the guest unpacks it into /srv/carrel unless that is there.
    """

    image: Path
    format: str
    kernel: Path
    initrd: Path
    key: Path
    sources: Path | None = None


def bare() -> Disk:
    """Debian with all that Carrel needs, its sources in /srv/carrel, the image in its place."""
    ground = _ground()
    return Disk(
        image=ground / "disk.img",
        format="raw",
        kernel=ground / "vmlinuz",
        initrd=ground / "initrd",
        key=_ssh_key(),
        sources=sources.archive(),
    )


def _ground() -> Path:
    """The directory with the bare disk and its kernel."""
    if os.geteuid() != 0:
        raise Missing("Only root can make disks with files of many owners.", fix="run it as root")
    debian, packages, public = base.directory(), wheels.directory(), _public(_ssh_key())
    name = cache.key(
        debian.name,
        packages.name,
        image.wanted().reference,
        public,
        PIP,
        SIZE,
        Path(__file__).read_text(),
    )

    def make(target: Path) -> None:
        tree = target / "tree"
        _plant(tree, debian, packages, public)
        say(f"writing a disk of {SIZE}")
        _format(tree, target / "disk.img")
        shutil.rmtree(tree)
        for file in ("vmlinuz", "initrd"):
            shutil.copy(debian / file, target / file)

    return cache.made("bare", name, make)


def _plant(tree: Path, debian: Path, packages: Path, public: str) -> None:
    tree.mkdir()
    say("unpacking Debian")
    archive = debian / "root.tar"
    process.run(
        ["tar", "--extract", "--numeric-owner", "--xattrs", "--xattrs-include=*",
         f"--directory={tree}", f"--file={archive}"],
        process.here(),
        seconds=600,
    )  # fmt: skip
    image.image_directory(tree / "var/lib/carrel/images")
    shutil.copytree(packages, tree / "srv/wheels")
    (tree / "etc/pip.conf").write_text(PIP, encoding="utf-8")
    keys = tree / "root/.ssh/authorized_keys"
    keys.parent.mkdir(mode=0o700, exist_ok=True)
    keys.write_text(public, encoding="utf-8")
    # Otherwise systemd takes each boot of a copy for the first one, and sets everything up anew.
    (tree / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n", encoding="utf-8")
    for place in ("etc", "var"):
        (tree / place / ".updated").touch()


def _format(tree: Path, file: Path) -> None:
    # Not lazily, or the guest's kernel would finish the work in every copy.
    lazy = "lazy_itable_init=0,lazy_journal_init=0"
    process.run(
        ["mkfs.ext4", "-q", "-L", "root", "-m", "0", "-E", lazy, "-d", str(tree), str(file), SIZE],
        process.here(),
        seconds=900,
    )


def _ssh_key() -> Path:
    def make(target: Path) -> None:
        process.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "carrel-vm", "-f",
             str(target / "id")],
            process.here(),
        )  # fmt: skip

    return cache.made("ssh", "key", make) / "id"


def _public(key: Path) -> str:
    return key.with_suffix(".pub").read_text(encoding="utf-8")
