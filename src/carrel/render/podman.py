"""A Workspace as podman's options: values that a target writes down in its own way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from carrel.core.names import CODER_UID, PROJECT
from carrel.core.workspace import NetworkMode, RootDirectory, StoredImage, Workspace

ENTRYPOINT = ("/usr/bin/tini", "--", "/opt/carrel/entrypoint")
"""What the image starts with; an unpacked root file system no longer says it."""


@dataclass(frozen=True, slots=True)
class Option:
    """One of podman's options, by its name without dashes; `value` is None for a mere flag."""

    name: str
    value: str | None = None

    def __str__(self) -> str:
        """As an argument."""
        return f"--{self.name}" if self.value is None else f"--{self.name}={self.value}"


def run(workspace: Workspace) -> tuple[str, ...]:
    """The command that runs a workspace in the foreground and leaves nothing when it ends."""
    return (
        "podman",
        "run",
        *map(str, _common(workspace)),
        str(Option("log-driver", "none")),
        *map(str, _network(workspace)),
        *map(str, _root(workspace)),
        *command(workspace),
    )


def run_in_unit(workspace: Workspace, before: tuple[str, ...], pid_file: str) -> tuple[str, ...]:
    """The command of a systemd unit, whose cgroup has the limits and whose journal gets the output.

    `before` are podman's own options, which come before its subcommand; `pid_file` names conmon.
    """
    return (
        "/usr/bin/podman",
        *before,
        "run",
        *map(str, options_in_unit(workspace, pid_file)),
        *command(workspace),
    )


def options_in_unit(workspace: Workspace, pid_file: str) -> Iterator[Option]:
    """The options of `run_in_unit`."""
    yield Option("detach")
    # Its message would come from a child that has ended before systemd can look up whose it was: on a
    # busy server, every second start failed.
    yield Option("sdnotify", "ignore")
    yield Option("conmon-pidfile", pid_file)
    # The container's processes stay below the unit, and so do its limits.
    yield Option("cgroups", "split")
    yield from _common(workspace)
    # No copy of each line through a file: the journal is the unit's own standard output.
    yield Option("log-driver", "passthrough")
    yield from _network(workspace)
    yield from _root(workspace)


def command(workspace: Workspace) -> tuple[str, ...]:
    """What follows the options: the image, or its directory, and what runs in it."""
    match workspace.root:
        case StoredImage(reference=reference):
            return (reference, *workspace.arguments)
        case RootDirectory(path=path):
            return (path, *ENTRYPOINT, *workspace.arguments)


def _root(workspace: Workspace) -> Iterator[Option]:
    if isinstance(workspace.root, RootDirectory):
        yield Option("workdir", PROJECT)
        yield Option("rootfs")


def _common(workspace: Workspace) -> Iterator[Option]:
    yield from (Option("rm"), Option("replace"), Option("pull", "never"))
    yield Option("name", workspace.name)
    yield Option("hostname", workspace.hostname)
    for name, value in workspace.labels:
        yield Option("label", f"{name}={value}")
    yield Option("userns", f"keep-id:uid={CODER_UID},gid={CODER_UID}")
    yield Option("user", f"{CODER_UID}:{CODER_UID}")
    yield Option("cap-drop", "all")
    yield Option("security-opt", "no-new-privileges")
    yield Option("read-only")
    for place in workspace.temporary:
        # exec: compilers and opencode run what they have just written there.
        yield Option("tmpfs", f"{place.path}:rw,exec,nosuid,nodev,mode=1777,size={place.size}")
    for file in workspace.environment_files:
        yield Option("env-file", file)
    for name, value in workspace.environment:
        yield Option("env", f"{name}={value}")
    for mount in workspace.mounts:
        access = "ro" if mount.read_only else "rw"
        yield Option("volume", f"{mount.source}:{mount.target}:{access},nosuid,nodev")
    yield Option("stop-timeout", "15")
    yield from _limits(workspace)


def _network(workspace: Workspace) -> Iterator[Option]:
    if workspace.network is NetworkMode.RULED:
        # Neither an address that stands for the host nor one for its loopback. What pasta may
        # connect to on the container's behalf is decided by the rules.
        yield Option("network", "pasta:--no-map-gw,--map-guest-addr,none")


def _limits(workspace: Workspace) -> Iterator[Option]:
    limits = workspace.limits
    if "memory" in workspace.enforced:
        yield Option("memory", str(limits.memory))
        yield Option("memory-reservation", str(limits.memory_soft))
        yield Option("memory-swap", str(limits.memory))
    if "cpu" in workspace.enforced:
        yield Option("cpus", f"{limits.cpus:g}")
    if "pids" in workspace.enforced:
        yield Option("pids-limit", str(limits.processes))
    yield Option("ulimit", f"nproc={limits.processes}:{limits.processes}")
    yield Option("ulimit", f"nofile={workspace.open_files}:{workspace.open_files}")
