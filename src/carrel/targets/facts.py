"""Finds out what this machine can do: cgroups, runtime, limits, directories, ids.

The only place that looks; everything that decides gets the answers as values.
"""

from __future__ import annotations

import grp
import os
import resource
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from carrel.adapters import accounts, nginx, versions
from carrel.adapters.process import Identity
from carrel.core import names, network
from carrel.core.layout import HostLayout, LocalLayout
from carrel.core.machine import MOST_OPEN_FILES, Machine, server_machine
from carrel.core.names import site_id
from carrel.core.site import Network
from carrel.core.workspace import Ids
from carrel.errors import Missing

ACCOUNT = "carrel-local"
"""Whom local mode becomes when root runs it: containers are rootless everywhere."""

WEB_GROUPS = ("www-data", "nginx")
"""As which nginx runs: Debian's name, and everybody else's."""

SUBORDINATE_IDS = 65536

CA_BUNDLES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
    Path("/etc/ssl/ca-bundle.pem"),
)
"""Where Debian and NixOS, Fedora, and openSUSE keep the authorities that they trust."""

PROXIES = ("http_proxy", "https_proxy", "no_proxy")

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


def host_layout(config: Path) -> HostLayout:
    """Where a server keeps what Carrel makes."""
    group = next((name for name in WEB_GROUPS if _group(name) is not None), WEB_GROUPS[0])
    return HostLayout(config=str(config.resolve().parent), web_group=group)


def host_machine() -> Machine:
    """What a server enforces: everything, or preflight has said no."""
    return server_machine(
        ipv6=Path("/proc/net/if_inet6").exists(),
        nginx=versions.nginx(),
        brotli=nginx.loaded(nginx.BROTLI),
    )


def build_layout(layout: HostLayout) -> LocalLayout:
    """The store of the account that builds a server's images."""
    return LocalLayout(
        "build",
        root=layout.builder,
        runtime=f"{layout.runtime}/{names.BUILDER}",
        account=names.BUILDER,
        owner="root",
    )


def ids(users: Iterable[str]) -> Mapping[str, Ids]:
    """The ids of each user's account: those it has, or the next that nobody has."""
    free = accounts.free_ids()
    first = accounts.next_subordinate_id()
    found = {}
    for user in users:
        name = names.account(user)
        start = accounts.first_subordinate_id(name)
        if start is None:
            start, first = first, first + SUBORDINATE_IDS
        uid = Identity.of(name).uid if accounts.exists(name) else next(free)
        found[user] = Ids(uid, start)
    return found


def group_id(name: str) -> int:
    """The id of a group; `Missing` if there is none."""
    found = _group(name)
    if found is None:
        raise Missing(
            f"There is no group {name}, as which nginx runs. Nothing was changed.",
            fix="apt-get install nginx-light",
        )
    return found


def _group(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def machine(layout: LocalLayout) -> Machine:
    """What the machine enforces for containers of the layout's account."""
    _, open_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not (CGROUPS / "cgroup.controllers").exists():
        # crun refuses the hybrid layout; runc takes it. Rootless limits do not exist on v1.
        runtime = "runc" if shutil.which("runc") else "crun"
        return Machine(
            cgroups="v1",
            runtime=runtime,
            open_files=_at_most(open_files),
            nginx=versions.nginx(),
            brotli=nginx.installed(nginx.BROTLI),
        )
    delegated = _delegated() if layout.account == layout.owner else frozenset()
    return Machine(
        controllers=delegated,
        cgroups="v2",
        runtime="crun" if shutil.which("crun") else "runc",
        cgroup_manager="systemd" if delegated else "cgroupfs",
        open_files=_at_most(open_files),
        nginx=versions.nginx(),
        brotli=nginx.installed(nginx.BROTLI),
    )


def authorities(site: Network, *more: str) -> str:
    """The certificates of the authorities to trust: this machine's, the site's own, and those in `more`.

    `Missing` when this machine has none: the site's own alone would make everybody else a stranger.
    """
    ours = next((path for path in CA_BUNDLES if path.is_file()), None)
    if ours is None:
        raise Missing(
            "This machine has no list of certificate authorities, and so could not tell workspaces "
            "whom to trust. Nothing was changed.",
            fix="apt-get install ca-certificates",
        )
    files = (ours, *(Path(file) for file in (site.ca_file, *more) if file))
    return network.bundle(path.read_text(encoding="ascii", errors="replace") for path in files)


def build_authorities(site: Network) -> str:
    """Those to trust in a build: also whom the operator's own environment trusts."""
    own = os.environ.get("SSL_CERT_FILE", "")
    return authorities(site, own if Path(own).is_file() else "")


def way_out(site: Network, bundle: str) -> network.Variables:
    """What a build is told so that it gets out; `bundle` is the file with what `authorities` said.

    Without a proxy in the configuration, that of the operator's own environment: somebody is there,
    waits for the build, and what comes of it does not depend on the proxy.
    """
    configured = network.through_proxy(site)
    return (("SSL_CERT_FILE", bundle), *(configured or _environment()))


def _environment() -> network.Variables:
    given = ((name, os.environ.get(name) or os.environ.get(name.upper())) for name in PROXIES)
    return tuple((name, value) for name, value in given if value)


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
