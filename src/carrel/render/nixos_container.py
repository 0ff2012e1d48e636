"""A Workspace as options of NixOS's `virtualisation.oci-containers`, for render.nixos."""

from __future__ import annotations

from carrel.core.ai import Json
from carrel.core.workspace import Workspace
from carrel.render import podman
from carrel.render.podman import Option

ONE = {"hostname", "user", "workdir", "pull", "log-driver"}
"""What it has an option of the same name for."""
MANY = {"env-file": "environmentFiles", "volume": "volumes"}
PAIRS = {"env": "environment", "label": "labels"}
SAID_BY_NIXOS = {"detach", "rm", "replace", "name"}
"""What it writes itself, always. It also writes `sdnotify`, and ours comes after that."""


def options(workspace: Workspace, before: tuple[str, ...], pid_file: str) -> dict[str, Json]:
    """The workspace's container; `before` are podman's options before its subcommand.

    `pid_file` is conmon's. What NixOS has no option for is among the extraOptions.
    """
    image, *command = podman.command(workspace)
    wanted = [o for o in podman.options_in_unit(workspace, pid_file) if o.name not in SAID_BY_NIXOS]
    known = {"cap-drop", *ONE, *MANY, *PAIRS}
    # `--rootfs` is the last of them: with it, podman takes the image's name for a directory.
    extra = [str(_sized(o, workspace)) for o in wanted if o.name not in known]
    return {
        "preRunExtraOptions": list(before),
        "image": image,
        "cmd": list(command),
        "capabilities": {o.value or "": False for o in wanted if o.name == "cap-drop"},
        "extraOptions": list(extra),
        **{o.name: o.value for o in wanted if o.name in ONE},
        **{name: [o.value for o in wanted if o.name == ours] for ours, name in MANY.items()},
        **{name: dict(_pair(o) for o in wanted if o.name == ours) for ours, name in PAIRS.items()},
    }


def _pair(option: Option) -> tuple[str, str]:
    name, _, value = (option.value or "").partition("=")
    return name, value


def _sized(option: Option, workspace: Workspace) -> Option:
    """With a placeholder for the size of a directory in memory, which follows from the limit."""
    for place in workspace.temporary:
        if option.name == "tmpfs" and option.value and option.value.startswith(f"{place.path}:"):
            size = f"size={place.size}"
            return Option("tmpfs", option.value.replace(size, f"size=@size:{place.path}@"))
    return option
