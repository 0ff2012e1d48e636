"""Looks, before anything is changed, whether the machine has what local mode or a server needs."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from carrel.adapters import accounts, systemd, versions
from carrel.adapters.process import PACKAGES, Identity
from carrel.adapters.versions import Version
from carrel.core.layout import LocalLayout
from carrel.core.machine import Machine
from carrel.core.site import Site, TlsMode
from carrel.errors import ConfigError, Missing
from carrel.render.engine import PATH

TOOLS = ("podman", "nginx", "newuidmap", "newgidmap")
SERVER_TOOLS = ("podman", "crun", "pasta", "newuidmap", "nginx", "nft", "unshare", "setpriv")
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


def server_at_all() -> None:
    """Raise if this cannot be a server, or we may not touch it."""
    if not systemd.here():
        raise Missing(
            "systemd does not run this machine. Nothing was changed.",
            fix="to try Carrel here, use local mode: `carrel up --config FILE`",
        )
    if os.geteuid() != 0:
        raise Missing("Only root may look after a server.", fix="run the same command with sudo")


def server(site: Site) -> None:
    """Raise the first thing that would make `apply` fail half-way."""
    lego = ("lego",) if site.tls.mode is TlsMode.ACME else ()
    for tool in (*SERVER_TOOLS, *lego):
        if shutil.which(tool, path=PATH) is None:
            raise Missing(
                f"The program {tool} is not installed. Nothing was changed.",
                fix=f"apt-get install {PACKAGES.get(tool, tool)}",
            )
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        raise Missing(
            "This machine has no unified cgroup hierarchy (v2), which the limits need. "
            "Nothing was changed.",
            fix="boot without systemd.unified_cgroup_hierarchy=0",
        )
    for what, found, needed, why in _versions():
        if found < needed:
            raise Missing(
                f"{what} {_dotted(found)} is too old: Carrel needs {_dotted(needed)}. "
                "Nothing was changed.",
                why=why,
                fix="use Debian 13, Ubuntu 24.04, or newer",
            )
    _device()
    _certificate(site)


def _versions() -> Iterator[tuple[str, Version, Version, str]]:
    yield "Linux", versions.kernel(), (5, 19), "the image is mounted with a map of ids"
    yield "systemd", versions.of("systemctl", "--version"), (252,), "units use its settings"
    yield "podman", versions.of("podman", "--version"), (4, 9), "its network is made by pasta"
    yield "mount", versions.of("mount", "--version"), (2, 39), "it has to know X-mount.idmap"


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))


def _certificate(site: Site) -> None:
    if site.tls.mode is not TlsMode.FILES:
        return
    for path in (site.tls.certificate, site.tls.key.path if site.tls.key else ""):
        if not path or not Path(path).is_file():
            raise ConfigError(
                f'tls: there is no file "{path}". Nothing was changed.',
                fix="set tls.certificate_file and tls.key_file to your certificate's files",
            )


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
