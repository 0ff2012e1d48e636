"""The units of a server: workspaces, their mounts, the gateway, and the network rules.

One template holds what all workspaces share; a drop-in holds what is particular to one, so that a
change for one person leaves the others' units alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from carrel.core import metadata, names
from carrel.core.layout import HostLayout
from carrel.core.names import CODER_UID
from carrel.core.resources import Directory
from carrel.core.site import MIB, Limits
from carrel.core.workspace import Ids, Workspace
from carrel.render import podman
from carrel.render.unit_file import MADE_BY, Command, Line, Note, UnitFile, quoted, unit_file

METADATA = (
    f"{metadata.LINK_LOCAL}/32",
    f"{metadata.V6}/128",
    *(f"{address}/32" for address in metadata.V4),
)
MANUAL: Line = ("Documentation", "man:carrel(1)")
AT_BOOT: Line = ("WantedBy", "multi-user.target")


def at_boot(directories: Iterable[Directory]) -> str:
    """tmpfiles.d(5) for what has to be in /run again after a boot, so that nothing is missing then."""
    lines = (f"d {d.path} {d.mode:04o} {d.owner} {d.owner}\n" for d in directories)
    return MADE_BY + "".join(lines)


# $$ keeps systemd from expanding them; the shell is quiet when we stopped it ourselves.
_FAREWELL = (
    'case "$$SERVICE_RESULT,$$EXIT_CODE" in success,*) exit ;; *,) how="did not start" ;; '
    '*) how="ended by itself ($$EXIT_CODE, $$EXIT_STATUS)" ;; esac; echo "The workspace of %i $$how. '
    'It is started again; after six times in five minutes, no more."'
)


def template(layout: HostLayout) -> UnitFile:
    """The unit that every workspace is an instance of; %i is the user."""
    account = names.account("%i")
    return unit_file(
        Unit=(
            ("Description", "Carrel: the workspace of %i"),
            MANUAL,
            ("Requires", names.NETWORK_UNIT),
            ("Wants", "network-online.target"),
            ("After", f"network-online.target {names.NETWORK_UNIT}"),
            Note(
                "Somebody whose workspace ends at once, again and again, gets a rest; "
                "`carrel status` says so."
            ),
            ("StartLimitIntervalSec", "300"),
            ("StartLimitBurst", "6"),
        ),
        Service=(
            ("Type", "forking"),
            ("NotifyAccess", "none"),
            ("User", account),
            ("Group", account),
            ("WorkingDirectory", "/"),
            ("RuntimeDirectoryMode", "0700"),
            ("Environment", f"CONTAINERS_CONF={layout.engine}/containers.conf"),
            ("Environment", f"CONTAINERS_STORAGE_CONF={layout.engine}/storage.conf"),
            ("Environment", "LANG=C.UTF-8"),
            ("Restart", "always"),
            ("RestartSec", "2"),
            ("ExecStopPost", f"-/bin/sh -c '{_FAREWELL}'"),
            ("TimeoutStartSec", "180"),
            ("TimeoutStopSec", "40"),
            ("KillMode", "mixed"),
            Note(),
            Note("podman makes a cgroup below ours. The limits are in the drop-in, on ours."),
            ("Slice", names.SLICE),
            ("Delegate", "yes"),
            Note("The kernel ends the process that asked for too much, and the rest goes on."),
            ("OOMPolicy", "continue"),
            ("MemorySwapMax", "0"),
            ("CPUWeight", "100"),
            ("IOWeight", "100"),
            Note(),
            Note(
                "What rootless podman can do without. docs/explanation/security.md says why not more."
            ),
            ("CapabilityBoundingSet", "CAP_SETUID CAP_SETGID CAP_DAC_OVERRIDE CAP_SYS_ADMIN"),
            ("ProtectSystem", "strict"),
            ("ReadWritePaths", layout.socket_directory("%i")),
            ("ProtectHome", "tmpfs"),
            ("PrivateTmp", "yes"),
            ("ProtectClock", "yes"),
            ("ProtectKernelModules", "yes"),
            ("LockPersonality", "yes"),
            ("RemoveIPC", "yes"),
            ("RestrictRealtime", "yes"),
            ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"),
            ("SystemCallArchitectures", "native"),
            ("SystemCallFilter", "~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap"),
            ("SystemCallErrorNumber", "EPERM"),
            ("KeyringMode", "private"),
            ("DevicePolicy", "closed"),
            ("DeviceAllow", "/dev/net/tun rw"),
            ("DeviceAllow", "/dev/ptmx rw"),
            ("DeviceAllow", "char-pts rw"),
            ("UMask", "0077"),
            ("IPAddressDeny", " ".join(METADATA)),
        ),
        Install=(AT_BOOT,),
    )


def slice_() -> UnitFile:
    """All workspaces together: what the machine keeps for itself, whatever they do."""
    return unit_file(
        Unit=(("Description", "Carrel: all workspaces"), MANUAL),
        Slice=(
            Note(
                "A tenth is for the host: when all workspaces together want more, one of theirs is "
                "ended, and not the\nweb server or sshd. Each workspace's own soft limit counts "
                "up to three quarters of the machine."
            ),
            ("MemoryMax", "90%"),
            ("MemoryLow", "75%"),
        ),
    )


def drop_in(workspace: Workspace, layout: HostLayout, uid: int) -> UnitFile:
    """What is particular to one workspace: limits, container, and what has to be mounted."""
    mounts = " ".join(name for name in workspace.after if name.endswith(".mount"))
    place = layout.podman(uid)
    options = podman_options(place)
    program, *start = podman.run_in_unit(workspace, options, pid_file(place))
    stop = (*options, "stop", "--ignore", "--time=10", workspace.name)
    return unit_file(
        Unit=(
            ("BindsTo", mounts),
            ("After", mounts),
            ("RequiresMountsFor", quoted(workspace.storage)),
        ),
        Service=(
            ("PIDFile", pid_file(place)),
            ("RuntimeDirectory", names.RUNTIME_DIRECTORY.format(uid=uid)),
            ("Environment", f"HOME={place} XDG_RUNTIME_DIR={place}"),
            ("BindPaths", place),
            ("ReadWritePaths", quoted(workspace.storage)),
            *_limits(workspace.limits),
            Command("ExecStart", program, tuple(start)),
            Command("ExecStop", program, stop),
        ),
    )


def _limits(limits: Limits) -> tuple[Line, ...]:
    # No MemoryHigh: without swap it throttles a runaway almost to a stop instead of ending it. The
    # soft limit is podman's: memory that is kept for the workspace when the machine runs short.
    return (
        ("MemoryMax", str(limits.memory)),
        ("MemoryLow", str(limits.memory_soft)),
        ("CPUQuota", f"{round(limits.cpus * 100)}%"),
        ("TasksMax", str(limits.processes)),
    )


def pid_file(place: str) -> str:
    """Where conmon writes its number: it is the unit's main process, as long as the container lives."""
    return f"{place}/conmon.pid"


def run_root(place: str) -> str:
    """Where podman keeps what a boot ends. A rootless one takes this path whatever storage.conf says.

    NixOS also calls it without our options, and podman refuses a store that it knows with another path.
    """
    return f"{place}/containers"


def podman_options(place: str) -> tuple[str, ...]:
    """Podman's options before the subcommand: all of its own state is below one directory."""
    return (
        f"--root={place}/store",
        f"--runroot={run_root(place)}",
        "--storage-driver=vfs",
        "--cgroup-manager=cgroupfs",
        "--events-backend=none",
        # At the next level it complains at every start that there is no session of systemd.
        "--log-level=error",
    )


def root_mount(layout: HostLayout, user: str, directory: str, ids: Ids) -> UnitFile:
    """The image's files as the user's container sees them, read-only: root is nobody on the host.

    The container's ids are podman's keep-id with 65536 subordinate ids: 0 to 999 and 1001 upwards are
    subordinate, 1000 is the account itself.
    """
    above = 65536 - CODER_UID - 1
    maps = " ".join(
        f"{kind}:0:{ids.first}:{CODER_UID} {kind}:{CODER_UID}:{own}:1 "
        f"{kind}:{CODER_UID + 1}:{ids.first + CODER_UID}:{above}"
        for kind, own in (("u", ids.uid), ("g", ids.uid))
    )
    return _mount(
        description=f"Carrel: the root file system of {user}",
        what=directory,
        where=layout.root(user),
        kind="none",
        options=f'bind,ro,nosuid,nodev,X-mount.idmap="{maps}"',
    )


def socket_mount(layout: HostLayout, user: str, ids: Ids, web_gid: int) -> UnitFile:
    """The socket directory: a small file system, for the account and the web server only.

    nosymfollow, because the user may put a symbolic link in the socket's place, and the web server
    would follow it to a socket of somebody else.
    """
    return _sockets(
        f"Carrel: the sockets of {user}",
        layout.socket_directory(user),
        f"mode=0750,uid={ids.uid},gid={web_gid}",
    )


def ai_mount(layout: HostLayout, user: str, gateway_uid: int, user_gid: int) -> UnitFile:
    """Where the gateway listens for one user: only it may put sockets there, only the user connects."""
    return _sockets(
        f"Carrel: the AI gateway for {user}",
        layout.ai_directory(user),
        f"mode=0710,uid={gateway_uid},gid={user_gid}",
    )


def _sockets(description: str, where: str, access: str) -> UnitFile:
    return _mount(
        description=description,
        what="tmpfs",
        where=where,
        kind="tmpfs",
        options=f"size={MIB},nr_inodes=64,{access},nosuid,nodev,noexec,nosymfollow",
        # Who listens or looks there is told after the unit has been stopped (nixos-rebuild), and must
        # not keep it.
        more=(("LazyUnmount", "yes"),),
    )


def _mount(
    *, description: str, what: str, where: str, kind: str, options: str, more: tuple[Line, ...] = ()
) -> UnitFile:
    escaped = options.replace("\\", "\\\\").replace("%", "%%")
    return unit_file(
        Unit=(("Description", description),),
        Mount=(
            ("What", what),
            ("Where", where),
            ("Type", kind),
            ("Options", escaped),
            ("DirectoryMode", "0755"),
            *more,
        ),
        Install=(AT_BOOT,),
    )


CONFINED: tuple[Line, ...] = (
    ("NoNewPrivileges", "yes"),
    ("ProtectSystem", "strict"),
    ("ProtectHome", "yes"),
    ("PrivateTmp", "yes"),
    ("PrivateDevices", "yes"),
    ("ProtectClock", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectProc", "invisible"),
    ("ProcSubset", "pid"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("LockPersonality", "yes"),
    ("MemoryDenyWriteExecute", "yes"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallFilter", "@system-service"),
    ("SystemCallFilter", "~@privileged @resources"),
    ("UMask", "0077"),
)
"""What our own daemons can do without."""


def gateway(layout: HostLayout, command: tuple[str, ...]) -> UnitFile:
    """The AI gateway: the only one that reads the providers' keys, and what people's agents speak to."""
    program, *arguments = command
    return unit_file(
        Unit=(
            ("Description", "Carrel: the AI gateway"),
            MANUAL,
            ("Wants", "network-online.target"),
            ("After", "network-online.target"),
        ),
        Service=(
            ("Type", "notify"),
            ("User", names.GATEWAY_ACCOUNT),
            ("Group", names.GATEWAY_ACCOUNT),
            Command("ExecStart", program, tuple(arguments)),
            ("Environment", "LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1"),
            ("RuntimeDirectory", names.GATEWAY_ACCOUNT),
            ("RuntimeDirectoryMode", "0700"),
            ("Restart", "always"),
            ("RestartSec", "1"),
            ("TimeoutStopSec", "20"),
            ("MemoryMax", "512M"),
            ("ReadWritePaths", f"{layout.gateway} -{layout.ai_sockets}"),
            ("CapabilityBoundingSet", ""),
            *CONFINED,
            ("PrivateUsers", "yes"),
            ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6"),
            ("IPAddressDeny", "link-local multicast"),
            ("LimitNOFILE", "16384"),
        ),
        Install=(AT_BOOT,),
    )


def nginx() -> UnitFile:
    """What Carrel adds to the operator's nginx: that it comes back when it was killed."""
    return unit_file(Service=(("Restart", "on-failure"), ("RestartSec", "1")))


def firewall() -> UnitFile:
    """What Carrel adds to the operator's nftables: that ours come back when all rules were flushed.

    Debian's unit flushes them when it starts, is reloaded, and stops. A dependency would restart
    the rules' unit, and with it all workspaces.
    """
    again = f"-/usr/bin/systemctl --no-block reload {names.NETWORK_UNIT}"
    moments = ("ExecStartPost", "ExecReload", "ExecStopPost")
    return unit_file(Service=tuple((moment, again) for moment in moments))


def network(layout: HostLayout) -> UnitFile:
    """The rules of what workspaces reach; a workspace does not start without them."""
    return unit_file(
        Unit=(
            ("Description", "Carrel: what workspaces cannot reach"),
            MANUAL,
            ("After", "nftables.service"),
            ("Before", "network-pre.target"),
            ("Wants", "network-pre.target"),
        ),
        Service=(
            ("Type", "oneshot"),
            ("RemainAfterExit", "yes"),
            ("ExecStart", f"/usr/sbin/nft --file {layout.network}"),
            ("ExecReload", f"/usr/sbin/nft --file {layout.network}"),
            ("ExecStop", "/usr/sbin/nft destroy table inet carrel"),
            ("CapabilityBoundingSet", "CAP_NET_ADMIN"),
            *CONFINED,
            ("RestrictAddressFamilies", "AF_NETLINK AF_UNIX"),
            ("IPAddressDeny", "any"),
        ),
        Install=(AT_BOOT,),
    )
