"""Unix accounts and their subordinate ids, through shadow's tools. Only root calls it."""

from __future__ import annotations

import pwd
from pathlib import Path

from carrel.adapters import process
from carrel.adapters.process import World

WORLD = World({"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"})
FIRST_ID = 1_000_000
"""Well above what useradd hands out by itself (100000 to 600100000 upwards from the bottom)."""


def exists(name: str) -> bool:
    """Whether there is an account called `name`."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def create(name: str, home: str) -> None:
    """A system account that nobody can sign in to."""
    process.run(
        ["useradd", "--system", "--user-group", "--no-create-home", f"--home-dir={home}",
         "--shell=/usr/sbin/nologin", name],
        WORLD,
    )  # fmt: skip


def subordinate_ids(name: str) -> int:
    """How many subordinate user ids the account has, if it has as many group ids; else the less."""
    return min(
        sum(count for owner, _, count in _ranges(file) if owner == name)
        for file in ("/etc/subuid", "/etc/subgid")
    )


def add_subordinate_ids(name: str, count: int) -> None:
    """Give the account `count` ids that nobody else has, the same range for users and groups."""
    taken = [
        start + length
        for file in ("/etc/subuid", "/etc/subgid")
        for _, start, length in _ranges(file)
    ]
    start = max([FIRST_ID, *taken])
    span = f"{start}-{start + count - 1}"
    process.run(["usermod", f"--add-subuids={span}", f"--add-subgids={span}", name], WORLD)


def _ranges(file: str) -> list[tuple[str, int, int]]:
    path = Path(file)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    fields = [line.split(":") for line in lines if line.count(":") == 2]  # noqa: PLR2004
    return [(name, int(start), int(count)) for name, start, count in fields]
