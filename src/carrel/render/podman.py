"""A Container as podman's arguments."""

from __future__ import annotations

from collections.abc import Iterator

from carrel.core.names import CODER_UID
from carrel.core.workspace import Container

TEMPORARY = ("/tmp", "/var/tmp", "/run")  # noqa: S108 - paths inside the container


def run(container: Container) -> tuple[str, ...]:
    """The command that runs a workspace in the foreground and leaves nothing when it ends."""
    return (
        "podman",
        "run",
        "--rm",
        "--replace",
        "--pull=never",
        f"--name={container.name}",
        f"--hostname={container.hostname}",
        *(f"--label={name}={value}" for name, value in container.labels),
        f"--userns=keep-id:uid={CODER_UID},gid={CODER_UID}",
        f"--user={CODER_UID}:{CODER_UID}",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        "--read-only",
        *_temporary(),
        *_limits(container),
        f"--env-file={container.environment_file}",
        *(f"--env={name}={value}" for name, value in container.environment),
        *_mounts(container),
        "--log-driver=none",
        "--stop-timeout=15",
        container.image,
        *container.arguments,
    )


def _temporary() -> Iterator[str]:
    # exec: compilers and opencode run what they have just written there.
    for path in TEMPORARY:
        yield f"--tmpfs={path}:rw,exec,nosuid,nodev,mode=1777"


def _mounts(container: Container) -> Iterator[str]:
    for mount in container.mounts:
        access = "ro" if mount.read_only else "rw"
        yield f"--volume={mount.source}:{mount.target}:{access},nosuid,nodev"


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
