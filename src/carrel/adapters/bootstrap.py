"""Makes a minimal Debian root file system with mmdebstrap, from the machine's own apt sources.

For machines that reach a Debian mirror but no container registry.
"""

from __future__ import annotations

from collections.abc import Callable

from carrel.adapters import process
from carrel.adapters.process import World
from carrel.errors import Missing

SUITE = "trixie"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def mirror() -> str:
    """The address from which this machine's apt gets Debian's main packages."""
    result = process.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(COMPONENT)|$(CODENAME)|$(REPO_URI)"],
        World({"PATH": PATH}),
        statuses=None,
    )
    for line in result.output.splitlines():
        origin, component, codename, address = line.split("|", 3)
        if (origin, component) == ("Debian", "main") and "-" not in codename:
            return address
    raise Missing(
        "This machine's apt knows no Debian mirror.",
        why="the base image comes from there, because no container registry answers",
        fix="run `apt-get update`, or set image.base to an image that podman can pull",
    )


def root_file_system(archive: str, world: World, line: Callable[[str], None]) -> None:
    """Write a tar archive of a minimal Debian to `archive`, as the account of `world`."""
    bundle = world.environment.get("SSL_CERT_FILE")
    trust = [f'--aptopt=Acquire::https::CAInfo "{bundle}"'] if bundle else []
    process.follow(
        ["mmdebstrap", "--variant=minbase", "--mode=auto", "--include=ca-certificates", *trust,
         SUITE, archive, mirror()],
        world,
        line,
    )  # fmt: skip
