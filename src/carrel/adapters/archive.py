"""Root file systems of images: out of podman's store into a directory, owners and all."""

from __future__ import annotations

from carrel.adapters import process
from carrel.adapters.podman import Podman
from carrel.adapters.process import World

UNPACK_SECONDS = 1800
WORLD = World({"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"})


def unpack_image(podman: Podman, reference: str, directory: str) -> None:
    """Write the files of an image into `directory`, with the owners that they have in it.

    Only root can give files to others. Nothing of the archive leaves `directory`: it becomes tar's
    root, and the links in it are what a container will see.
    """
    container = podman.cli("create", "--pull=never", reference).output.strip()
    try:
        process.pipe(
            ("podman", "export", container),
            podman.world,
            ("tar", "--extract", "--file=-", f"--directory={directory}", "--numeric-owner",
             "--preserve-permissions", "--same-owner", "--xattrs", "--delay-directory-restore"),
            WORLD,
            seconds=UNPACK_SECONDS,
        )  # fmt: skip
    finally:
        podman.cli("rm", "--force", container)
