"""Looks, before anything is changed, whether the machine has what local mode needs."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from carrel.adapters import accounts
from carrel.adapters.process import PACKAGES, Identity
from carrel.core.machine import Machine
from carrel.core.names import LocalLayout
from carrel.core.site import Site
from carrel.errors import ConfigError, Missing
from carrel.render.engine import PATH

TOOLS = ("podman", "nginx", "newuidmap", "newgidmap")
TUN = "/dev/net/tun"
FEWEST_IDS = 65536


def check(site: Site, layout: LocalLayout, machine: Machine) -> None:
    """Raise the first thing that would make `up` fail half-way."""
    for tool in (*TOOLS, machine.runtime):
        if shutil.which(tool, path=PATH) is None:
            package = PACKAGES.get(tool, "uidmap" if tool.startswith("new") else tool)
            raise Missing(
                f"The program {tool} is not installed. Nothing was changed.",
                fix=f"apt-get install {package}",
            )
    _device()
    _subordinate_ids(layout)
    _reachable(site, layout)


def _device() -> None:
    try:
        mode = Path(TUN).stat().st_mode
    except OSError:
        raise Missing(
            f"There is no {TUN}, which the containers' network needs. Nothing was changed.",
            fix="load the kernel module: modprobe tun",
        ) from None
    if mode & 0o006 != 0o006:  # noqa: PLR2004 - readable and writable for others
        raise Missing(
            f"Only root may open {TUN}, but the containers' network needs it. Nothing was changed.",
            fix=f"as root: chmod 0666 {TUN} (Debian's default mode)",
        )


def _subordinate_ids(layout: LocalLayout) -> None:
    if layout.account == layout.owner and accounts.subordinate_ids(layout.account) < FEWEST_IDS:
        raise Missing(
            f"The account {layout.account} has no subordinate ids. Nothing was changed.",
            why="a rootless container needs a range of ids of its own",
            fix=f"as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "
            f"{layout.account}",
        )


def _reachable(site: Site, layout: LocalLayout) -> None:
    if layout.account == layout.owner:
        return
    uid = Identity.of(layout.account).uid if accounts.exists(layout.account) else None
    for parent in Path(site.storage).parents:
        if parent.exists() and not _enterable(parent, uid):
            raise ConfigError(
                f"storage.base: the account {layout.account} cannot enter {parent}. "
                "Nothing was changed.",
                why="local mode run by root keeps the containers under that account",
                fix=f'choose another directory, for example "{layout.root}/data"',
            )


def _enterable(directory: Path, uid: int | None) -> bool:
    status = os.stat(directory)
    return bool(status.st_mode & stat.S_IXOTH) or status.st_uid == uid
