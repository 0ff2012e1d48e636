"""The *installed* disk: the bare one after `make install`, which this machine's own processors have run.

Used by applied. In the guest it would take eight minutes: an emulated processor unpacks and compiles.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from carrel.adapters import process
from vm import cache, disk
from vm.cache import say
from vm.disk import Disk

SCRIPT = Path(__file__).parent / "install.sh"


def installed() -> Disk:
    """Debian with Carrel installed, and nothing configured."""
    bare = disk.bare()
    assert bare.sources is not None
    name = cache.key(str(bare.image), str(bare.sources), SCRIPT.read_bytes())
    place = cache.made("installed", name, lambda target: _make(bare, target))
    return replace(bare, image=place / "disk.img", sources=None)


def _make(bare: Disk, target: Path) -> None:
    image, root = target / "disk.img", target / "root"
    process.run(
        ["cp", "--sparse=always", "--reflink=auto", str(bare.image), str(image)],
        process.here(),
        seconds=600,
    )
    root.mkdir()
    command = ["unshare", "--mount", "sh", str(SCRIPT), str(image), str(bare.sources), str(root)]
    process.follow(command, process.here(), lambda line: say(f"| {line}"))
    root.rmdir()
