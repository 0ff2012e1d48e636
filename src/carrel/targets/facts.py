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

from carrel.adapters import accounts, files, nginx, versions
from carrel.adapters.process import Identity
from carrel.core import names, network
from carrel.core.ids import SUBORDINATE_IDS
from carrel.core.layout import HostLayout, LocalLayout
from carrel.core.machine import LIMITS, MOST_OPEN_FILES, Machine, server_machine
from carrel.core.names import site_id
from carrel.core.resources import Account, Directory, Holds, State
from carrel.core.site import Network
from carrel.core.workspace import Ids
from carrel.errors import Conflict, Missing

ACCOUNT = "carrel-local"
"""Whom local mode becomes when root runs it: containers are rootless everywhere."""

WEB_GROUPS = ("www-data", "nginx")
"""As which nginx runs: Debian's name, and everybody else's."""

SHARED = "/tmp"  # noqa: S108 - what is below it is looked at first
"""Where there is a directory for those whom no login session gave one."""

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
    session = _session(me)
    return LocalLayout(
        site,
        root=os.path.realpath(f"{data}/carrel"),
        runtime=os.path.realpath(f"{session}/carrel"),
        account=me.name,
        owner=me.name,
    )


def _session(me: Identity) -> str:
    """A directory of this account's own that does not outlive a reboot."""
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    if not given:
        made = f"{SHARED}/carrel-{me.uid}"
        files.make_private(made)
        return made
    owner = Path(given).stat().st_uid if Path(given).exists() else me.uid
    if owner != me.uid:
        raise Conflict(
            f"XDG_RUNTIME_DIR is {given}, which belongs to uid {owner}. Nothing was changed.",
            why="they could exchange what is in it; su(1) leaves it like this",
            fix="unset XDG_RUNTIME_DIR, or sign in as the account itself",
        )
    return given


def host_layout(config: Path) -> HostLayout:
    """Where a server keeps what Carrel makes."""
    group = next((name for name in WEB_GROUPS if _group(name) is not None), WEB_GROUPS[0])
    return HostLayout(config=str(config.resolve().parent), web_group=group)


def host_machine() -> Machine:
    """What this server enforces: everything, but for a container of somebody's, or a Raspberry Pi."""
    return server_machine(
        controllers=_limits(CGROUPS),
        open_files=_at_most(_open_files_of_units()),
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


def ids(users: Iterable[str], recorded: State, storage: str) -> Mapping[str, Ids]:
    """The ids of each user's account: those it has, or the next that nobody has.

    Nor had: files of somebody who is gone may still be where the journal (`recorded`) says that Carrel
    put them, or in `storage`.
    """
    people = [names.account(user) for user in users]
    before = {r.name: r for r in recorded if isinstance(r, Account)}
    free = accounts.free_ids(_owners(before.values(), recorded, storage))
    starts = [a.first_subordinate_id for a in before.values() if a.first_subordinate_id is not None]
    first = max([accounts.next_subordinate_id(), *(start + SUBORDINATE_IDS for start in starts)])
    found = {}
    for name in people:
        own, start = before.get(name), _range(name)
        if start is None and own is not None and own.first_subordinate_id is not None:
            # It was promised, or somebody removed the account; the files are theirs.
            promised = own.first_subordinate_id
            start = promised if accounts.nobody_has(promised, SUBORDINATE_IDS) else None
        if start is None:
            start, first = first, first + SUBORDINATE_IDS
        if accounts.exists(name):
            uid: int | None = Identity.of(name).uid
        elif own is not None and own.uid is not None and accounts.is_free(own.uid):
            uid = own.uid
        else:
            uid = next(free, None)
        if uid is None:
            raise Conflict(
                f"There is no system id left for the account {name}. Nothing was changed.",
                why="all from 101 to 999 are taken, or files of somebody who is gone have them",
                fix="remove accounts, or with `carrel user remove --delete-data` what they left",
            )
        found[name.removeprefix(names.account(""))] = Ids(uid, start)
    return found


def _range(account: str) -> int | None:
    spans = accounts.spans(account)
    start = spans.begun if spans.first is None else spans.first
    if start is None and spans:
        raise Conflict(
            f"The subordinate ids of {account} cannot be used. Nothing was changed.",
            why=f"the first range of it has to be the same in {accounts.SUBUID} and "
            f"{accounts.SUBGID}, with {SUBORDINATE_IDS} ids: the container's files are mapped by it",
            fix=f"remove or move the other lines of {account} in both files",
        )
    return start


def _owners(gone: Iterable[Account], recorded: State, storage: str) -> frozenset[int]:
    """The ids that files may have: of accounts that were made, and of what is where data was put."""
    data = [r.path for r in recorded if isinstance(r, Directory) and r.holds is Holds.DATA]
    places = {storage, *(path.rpartition("/")[0] for path in data)}
    known = {account.uid for account in gone if account.uid is not None}
    return frozenset(known | {uid for place in places for uid in files.owners(place)})


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
    return _limits(CGROUPS / f"user.slice/user-{uid}.slice/user@{uid}.service")


def _limits(cgroup: Path) -> frozenset[str]:
    """Which limits the processes of a cgroup can have."""
    try:
        text = (cgroup / "cgroup.controllers").read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    return LIMITS & set(text.split())


def _open_files_of_units() -> int:
    """The hard limit that units inherit: systemd's own, whatever our shell's is (setrlimit(2))."""
    try:
        _, most = resource.prlimit(1, resource.RLIMIT_NOFILE)
    except PermissionError:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most
