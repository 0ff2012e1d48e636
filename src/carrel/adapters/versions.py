"""Versions of the kernel and of tools, to tell an old machine early that it is one."""

from __future__ import annotations

import platform
import re
import shutil

from carrel.adapters import process
from carrel.adapters.process import World

Version = tuple[int, ...]
WORLD = World({"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"})


def kernel() -> Version:
    """The version of the running kernel."""
    return _first(platform.release())


def of(tool: str, option: str) -> Version:
    """The first number that a tool says of itself."""
    return _first(process.run([tool, option], WORLD).output)


def nginx() -> Version:
    """The version of nginx; empty where there is none, which preflight says in better words."""
    return _first(nginx_options())


def nginx_options() -> str:
    """What nginx says of itself and how it was made; empty where there is none."""
    if shutil.which("nginx", path=WORLD.environment["PATH"]) is None:
        return ""
    return process.run(["nginx", "-V"], WORLD).errors


def _first(text: str) -> Version:
    match = re.search(r"\d+(\.\d+)*", text)
    return tuple(map(int, match[0].split("."))) if match else ()
