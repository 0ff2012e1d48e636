"""What `pip` needs to install Carrel inside the guest, which has no network: a directory of wheels.

Used by disk. The versions and hashes are those that the project pins.
"""

from __future__ import annotations

import sys
from pathlib import Path

from carrel.adapters import process
from carrel.adapters.process import World
from vm import cache

PYTHON = "3.13"
"""Debian 13's."""

PLATFORMS = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux1")


def directory() -> Path:
    """A directory of wheels: what runs, and what builds."""
    text = _pinned()
    return cache.made("wheels", cache.key(text, PYTHON, *PLATFORMS), lambda at: _make(at, text))


def _make(target: Path, text: str) -> None:
    wanted = target / "requirements.txt"
    wanted.write_text(text, encoding="utf-8")
    process.run(
        [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
            "--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation=cp",
            f"--python-version={PYTHON}",
            *(f"--platform={platform}_x86_64" for platform in PLATFORMS),
            f"--requirement={wanted}", f"--dest={target}",
        ],
        World(process.here().environment, directory=str(target)),
        seconds=600,
    )  # fmt: skip
    wanted.unlink()


def _pinned() -> str:
    files = ("requirements.txt", "requirements-build.txt")
    return "".join((cache.PROJECT / name).read_text(encoding="utf-8") for name in files)
