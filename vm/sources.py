"""The project's files as they are in the work tree, in a tar archive that becomes /srv/carrel.

Used by disk. Leaves out what installing Carrel does not read, so that a new test costs no new disk.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from carrel.adapters import process
from vm import cache

LEFT_OUT = (".ci/", "bench/", "docs/", "tests/", "vm/")

_WHEN = 1_000_000_000
"""A date that every archive format can hold."""


def archive() -> Path:
    """The archive; its path changes with any file in it."""
    data = _packed(_paths())
    place = cache.made("sources", cache.key(data), lambda at: _write(at, data))
    return place / "sources.tar"


def _write(target: Path, data: bytes) -> None:
    (target / "sources.tar").write_bytes(data)


def _paths() -> list[str]:
    listed = process.run(
        ["git", "-C", str(cache.PROJECT), "ls-files", "-z", "--cached", "--others",
         "--exclude-standard", "--deduplicate"],
        process.here(),
    ).output.split("\0")  # fmt: skip
    # A file that was deleted but not yet committed is still listed.
    return sorted(
        path
        for path in listed
        if path and not path.startswith(LEFT_OUT) and (cache.PROJECT / path).is_file()
    )


def _packed(paths: list[str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in paths:
            tar.add(cache.PROJECT / path, path, filter=_plain)
    return buffer.getvalue()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Only content and the executable bit count: not who checked it out, nor when."""
    member.mode = 0o755 if member.mode & 0o111 else 0o644
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mtime = _WHEN
    return member
