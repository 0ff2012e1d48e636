"""The facts of the machine that explain a figure: processors, kernel, versions, load."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

_TOOLS = {
    "podman": ("podman", "--version"),
    "runc": ("runc", "--version"),
    "crun": ("crun", "--version"),
    "slirp4netns": ("slirp4netns", "--version"),
    "nginx": ("nginx", "-v"),
    "wrk": ("wrk", "-v"),
}
_VERSION = re.compile(r"\d+\.\d+(\.\d+)?")


def facts() -> Mapping[str, str]:
    """What to print above the figures."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    versions = {name: _version(command) for name, command in _TOOLS.items()}
    return {
        "processors": f"{os.cpu_count()} x {_processor()}, {memory:.0f} GiB of memory",
        "system": f"{_system()}, Linux {platform.release()}, Python {platform.python_version()}",
        "tools": ", ".join(f"{name} {found}" for name, found in versions.items() if found),
        "load": f"{load()} before the first measurement",
    }


def load() -> str:
    """The load averages of the last 1, 5 and 15 minutes."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def _version(command: tuple[str, ...]) -> str:
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=10, cwd="/"
        )
    except FileNotFoundError:
        return ""
    found = _VERSION.search(result.stdout + result.stderr)
    return found[0] if found else ""


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _system() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
