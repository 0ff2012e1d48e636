"""Decides how a workspace is confined: its mounts, limits and the facts of its container.

Knows nothing of podman's command line; render.podman spells it.
"""

from __future__ import annotations

from dataclasses import dataclass

from carrel.core import names
from carrel.core.machine import Machine
from carrel.core.resources import Directory, Holds
from carrel.core.site import Limits, Site, User


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory of the host inside the container."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Container:
    """Everything that the container of one workspace is."""

    name: str
    hostname: str
    labels: tuple[tuple[str, str], ...]
    image: str
    mounts: tuple[Mount, ...]
    environment_file: str
    environment: tuple[tuple[str, str], ...]
    limits: Limits
    enforced: frozenset[str]
    """The limits that cgroups hold; the others are left out, because podman would refuse them."""
    open_files: int
    arguments: tuple[str, ...]
    """What the image's entrypoint is given: options of code-server."""


def container(
    site: Site, user: User, layout: names.LocalLayout, machine: Machine, image: str
) -> Container:
    """The container of `user`."""
    paths = names.user_paths(site.storage, user.name)
    return Container(
        name=layout.container(user.name),
        hostname=user.name,
        labels=((names.LABEL_SITE, layout.site), (names.LABEL_USER, user.name)),
        image=image,
        mounts=(
            Mount(paths.home, names.HOME),
            Mount(paths.workspace, names.PROJECT),
            Mount(paths.config, names.SETTINGS),
            Mount(layout.socket_directory(user.name), names.RUN),
            Mount(layout.agent, names.AGENT_CONFIG, read_only=True),
        ),
        environment_file=layout.secrets_file(user.name),
        environment=(("OPENCODE_DISABLE_MODELS_FETCH", "1"), ("OPENCODE_DISABLE_AUTOUPDATE", "1")),
        limits=user.limits,
        enforced=machine.controllers,
        open_files=machine.open_files,
        arguments=(
            "--auth=password",
            f"--socket={names.RUN}/{names.EDITOR_SOCKET}",
            # The directory around the socket decides who may connect (facts §3).
            "--socket-mode=666",
            f"--app-name={user.name} · Carrel",
        ),
    )


def data_directories(site: Site, user: User, account: str) -> tuple[Directory, ...]:
    """The user's own directories.

    The home gets its mount points beforehand: a runtime would make them as the container's root, and
    `coder` could then not write next to them.
    """
    paths = names.user_paths(site.storage, user.name)
    points = tuple(
        point.removeprefix(f"{names.HOME}/") for point in (names.PROJECT, names.SETTINGS)
    )
    return (
        Directory(paths.base, account, 0o700, Holds.DATA),
        Directory(paths.workspace, account, 0o700, Holds.DATA),
        Directory(paths.config, account, 0o700, Holds.DATA),
        Directory(paths.home, account, 0o700, Holds.DATA, skeleton=points),
    )
