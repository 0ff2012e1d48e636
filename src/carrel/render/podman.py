"""A Container as podman's arguments."""

from __future__ import annotations

from collections.abc import Iterator

from carrel.core.names import CODER_UID, PROJECT
from carrel.core.workspace import Container, RootDirectory, StoredImage

ENTRYPOINT = ("/usr/bin/tini", "--", "/opt/carrel/entrypoint")
"""What the image starts with; an unpacked root file system no longer says it."""


def run(container: Container) -> tuple[str, ...]:
    """The command that runs a workspace in the foreground and leaves nothing when it ends."""
    return (
        "podman",
        "run",
        *_common(container),
        *_limits(container),
        "--log-driver=none",
        *_root(container),
        *container.arguments,
    )


def run_in_unit(container: Container, options: tuple[str, ...]) -> tuple[str, ...]:
    """The command of a systemd unit, whose cgroup has the limits and whose journal gets the output.

    `options` are podman's own, which come before its subcommand.
    """
    return (
        "/usr/bin/podman",
        *options,
        "run",
        "--detach",
        "--sdnotify=conmon",
        # The container's processes stay below the unit, and so do its limits.
        "--cgroups=split",
        *_common(container),
        *_limits(container),
        # No copy of each line through a file: the journal is the unit's own standard output.
        "--log-driver=passthrough",
        *_network(),
        *_root(container),
        *container.arguments,
    )


def _common(container: Container) -> Iterator[str]:
    yield from ("--rm", "--replace", "--pull=never")
    yield f"--name={container.name}"
    yield f"--hostname={container.hostname}"
    for name, value in container.labels:
        yield f"--label={name}={value}"
    yield f"--userns=keep-id:uid={CODER_UID},gid={CODER_UID}"
    yield f"--user={CODER_UID}:{CODER_UID}"
    yield from ("--cap-drop=all", "--security-opt=no-new-privileges", "--read-only")
    for place in container.temporary:
        # exec: compilers and opencode run what they have just written there.
        yield f"--tmpfs={place.path}:rw,exec,nosuid,nodev,mode=1777,size={place.size}"
    for file in container.environment_files:
        yield f"--env-file={file}"
    for name, value in container.environment:
        yield f"--env={name}={value}"
    for mount in container.mounts:
        access = "ro" if mount.read_only else "rw"
        yield f"--volume={mount.source}:{mount.target}:{access},nosuid,nodev"
    yield "--stop-timeout=15"


def _root(container: Container) -> tuple[str, ...]:
    match container.root:
        case StoredImage(reference=reference):
            return (reference,)
        case RootDirectory(path=path):
            return (f"--workdir={PROJECT}", "--rootfs", path, *ENTRYPOINT)


def _network() -> tuple[str, ...]:
    # Neither an address that stands for the host nor one for its loopback. What pasta may connect to
    # on the container's behalf is decided by the rules in render.nftables.
    return ("--network=pasta:--no-map-gw,--map-guest-addr,none",)


def _limits(container: Container) -> Iterator[str]:
    limits = container.limits
    if "memory" in container.enforced:
        yield f"--memory={limits.memory}"
        yield f"--memory-reservation={limits.memory_soft}"
        yield f"--memory-swap={limits.memory}"
    if "cpu" in container.enforced:
        yield f"--cpus={limits.cpus:g}"
    if "pids" in container.enforced:
        yield f"--pids-limit={limits.processes}"
    yield f"--ulimit=nproc={limits.processes}:{limits.processes}"
    yield f"--ulimit=nofile={container.open_files}:{container.open_files}"
