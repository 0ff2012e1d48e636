"""The programs of others that judge what we render, in an environment of their own (`make judges`)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / ".cache/judges/bin"


def _run(program: str, *arguments: str, statuses: tuple[int, ...] = (0,)) -> str:
    path = FOLDER / program
    assert path.exists(), f"there is no {path}: run `make judges`"
    result = subprocess.run(
        [str(path), *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode in statuses, f"{result.stdout}\n{result.stderr}"
    return result.stdout


def gixy(config: Path) -> list[dict[str, Any]]:
    """What gixy finds in a whole configuration."""
    # Status 1: it found something.
    found: list[dict[str, Any]] = json.loads(
        _run("gixy", "--format=json", str(config), statuses=(0, 1))
    )
    return found


def sslyze(host: str, port: int, authority: Path, result: Path) -> str:
    """What sslyze says of a server with TLS on loopback, held against Mozilla's "intermediate"."""
    return _run(
        "sslyze", f"{host}:{port}{{127.0.0.1}}", "--mozilla_config=intermediate",
        f"--certinfo_ca_file={authority}", f"--json_out={result}", statuses=(0, 1),
    )  # fmt: skip
