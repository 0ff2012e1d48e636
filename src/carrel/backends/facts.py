"""Finds out what this machine can do for local mode: cgroups, runtime, limits, directories.

The only place that looks; everything that decides gets the answers as values.
"""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

from carrel.adapters.process import Identity
from carrel.core.machine import Machine
from carrel.core.names import LocalLayout, site_id

ACCOUNT = "carrel-local"
"""Whom local mode becomes when root runs it: containers are rootless everywhere."""

MOST_OPEN_FILES = 65536
CGROUPS = Path("/sys/fs/cgroup")


def layout(config: Path) -> LocalLayout:
    """Where local mode keeps the site that `config` describes."""
    site = site_id(str(config.resolve()))
    me = Identity.ours()
    if me.uid == 0:
        return LocalLayout(
            site,
            root=f"/var/lib/{ACCOUNT}",
            runtime=f"/run/{ACCOUNT}",
            account=ACCOUNT,
            owner=me.name,
        )
    data = os.environ.get("XDG_DATA_HOME") or f"{me.home}/.local/share"
    session = os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/carrel-{me.uid}"  # noqa: S108
    return LocalLayout(
        site,
        root=os.path.realpath(f"{data}/carrel"),
        runtime=os.path.realpath(f"{session}/carrel"),
        account=me.name,
        owner=me.name,
    )


def machine(layout: LocalLayout) -> Machine:
    """What the machine enforces for containers of the layout's account."""
    _, open_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not (CGROUPS / "cgroup.controllers").exists():
        # crun refuses the hybrid layout; runc takes it. Rootless limits do not exist on v1.
        runtime = "runc" if shutil.which("runc") else "crun"
        return Machine(cgroups="v1", runtime=runtime, open_files=_at_most(open_files))
    delegated = _delegated() if layout.account == layout.owner else frozenset()
    return Machine(
        controllers=delegated,
        cgroups="v2",
        runtime="crun" if shutil.which("crun") else "runc",
        cgroup_manager="systemd" if delegated else "cgroupfs",
        open_files=_at_most(open_files),
    )


def _at_most(open_files: int) -> int:
    if open_files == resource.RLIM_INFINITY:
        return MOST_OPEN_FILES
    return min(open_files, MOST_OPEN_FILES)


def _delegated() -> frozenset[str]:
    """The controllers that systemd hands to this user's own services."""
    uid = os.geteuid()
    if not Path(f"/run/user/{uid}/systemd/private").exists():
        return frozenset()
    slice_ = CGROUPS / f"user.slice/user-{uid}.slice/user@{uid}.service/cgroup.controllers"
    try:
        return frozenset(slice_.read_text(encoding="utf-8").split()) & {"memory", "cpu", "pids"}
    except OSError:
        return frozenset()
