"""A Container as options of NixOS's `virtualisation.oci-containers`, for render.nixos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from carrel.core.ai import Json
from carrel.core.workspace import Container
from carrel.render import podman


@dataclass(frozen=True, slots=True)
class _Native:
    """What `virtualisation.oci-containers` has an option for: our argument, and its own name."""

    argument: str
    option: str


_ONE = (
    _Native("--hostname=", "hostname"),
    _Native("--user=", "user"),
    _Native("--workdir=", "workdir"),
    _Native("--pull=", "pull"),
    _Native("--log-driver=", "log-driver"),
)
_MANY = (_Native("--env-file=", "environmentFiles"), _Native("--volume=", "volumes"))
_PAIRS = (_Native("--env=", "environment"), _Native("--label=", "labels"))
_SAID_BY_NIXOS = ("--detach", "--sdnotify=conmon", "--rm", "--replace", "--name=")
"""What it writes itself, always."""


def options(container: Container, before: tuple[str, ...]) -> dict[str, Json]:
    """The container; `before` are podman's options before its subcommand.

    What NixOS has no option for is among the extraOptions.
    """
    _, *line = podman.run_in_unit(container, before)
    sizes = {f"--tmpfs={place.path}:": place.size for place in container.temporary}
    words = [_sized(word, sizes) for word in line[len(before) + 1 :]]
    cut = words.index("--rootfs")
    image, *command = words[cut + 1 :]
    found: dict[str, Json] = {
        "preRunExtraOptions": list(before),
        "image": image,
        "cmd": list(command),
        "capabilities": {},
        "extraOptions": [],
    }
    for word in words[:cut]:
        _sort(found, word)
    # With it, podman takes the image's name for a directory.
    _list(found, "extraOptions").append("--rootfs")
    return found


def _sized(argument: str, sizes: Mapping[str, int]) -> str:
    for beginning, size in sizes.items():
        if argument.startswith(beginning):
            path = beginning.removeprefix("--tmpfs=").rstrip(":")
            return argument.replace(f"size={size}", f"size=@size:{path}@")
    return argument


def _sort(found: dict[str, Json], argument: str) -> None:
    if argument.startswith(_SAID_BY_NIXOS):
        return
    if argument.startswith("--cap-drop="):
        _dict(found, "capabilities")[argument.removeprefix("--cap-drop=")] = False
        return
    for native in (*_ONE, *_MANY, *_PAIRS):
        if argument.startswith(native.argument):
            value = argument.removeprefix(native.argument)
            if native in _ONE:
                found[native.option] = value
            elif native in _MANY:
                _list(found, native.option).append(value)
            else:
                name, _, text = value.partition("=")
                _dict(found, native.option)[name] = text
            return
    _list(found, "extraOptions").append(argument)


def _list(found: dict[str, Json], name: str) -> list[Json]:
    value = found.setdefault(name, [])
    assert isinstance(value, list)  # noqa: S101 - for the type checker
    return value


def _dict(found: dict[str, Json], name: str) -> dict[str, Json]:
    value = found.setdefault(name, {})
    assert isinstance(value, dict)  # noqa: S101
    return value
