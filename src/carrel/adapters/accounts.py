"""Unix accounts and their subordinate ids, through shadow's tools. Only root calls it."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Collection, Iterator
from pathlib import Path

from carrel.adapters import process
from carrel.adapters.process import World
from carrel.core.ids import Spans

WORLD = World({"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"})
LOGIN_UID, NOBODY_SIGNED_IN = Path("/proc/self/loginuid"), 2**32 - 1

FIRST_ID = 1_000_000
"""Well above what useradd hands out by itself (100000 to 600100000 upwards from the bottom)."""

SUBUID, SUBGID = "/etc/subuid", "/etc/subgid"

FIRST_SYSTEM_ID, LAST_SYSTEM_ID = 100, 999
"""Debian's range for system accounts (adduser.conf, login.defs)."""


def exists(name: str) -> bool:
    """Whether there is an account called `name`."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def at_the_terminal() -> str:
    """Who is behind this process: who signed in, whatever they became since; "root" for a timer's.

    The kernel remembers (proc_pid_loginuid(5)); where it does not, in a container, sudo tells root.
    """
    try:
        signed_in = int(LOGIN_UID.read_text())
    except (OSError, ValueError):
        signed_in = NOBODY_SIGNED_IN
    if signed_in == NOBODY_SIGNED_IN:
        if os.geteuid() == 0 and os.environ.get("SUDO_USER"):
            return os.environ["SUDO_USER"]
        signed_in = os.getuid()
    try:
        return pwd.getpwuid(signed_in).pw_name
    except KeyError:
        return str(signed_in)


def create(name: str, home: str, uid: int | None = None) -> None:
    """A system account that nobody can sign in to, with a group of its own."""
    number = [] if uid is None else [f"--uid={uid}"]
    process.run(
        ["useradd", "--system", "--user-group", "--no-create-home", f"--home-dir={home}",
         "--shell=/usr/sbin/nologin", *number, name],
        WORLD,
    )  # fmt: skip


def subordinate_ids(name: str) -> int:
    """How many subordinate user ids the account has, if it has as many group ids; else the less."""
    return min(
        sum(count for owner, _, count in _ranges(file) if owner == name)
        for file in (SUBUID, SUBGID)
    )


def remove(name: str) -> None:
    """Remove an account with its group and subordinate ids; one that is not there is no fault."""
    if exists(name):
        process.run(["userdel", name], WORLD)


def spans(name: str) -> Spans:
    """The ranges of the account, in the order in which they are listed."""
    users, groups = (
        tuple((start, count) for owner, start, count in _ranges(file) if owner == name)
        for file in (SUBUID, SUBGID)
    )
    return Spans(users, groups)


def next_subordinate_id() -> int:
    """The first id after all ranges that anybody has."""
    taken = [start + length for file in (SUBUID, SUBGID) for _, start, length in _ranges(file)]
    return max([FIRST_ID, *taken])


def nobody_has(first: int, count: int) -> bool:
    """Whether none of the subordinate ids from `first` belongs to anybody."""
    spans = [span for file in (SUBUID, SUBGID) for _, *span in _ranges(file)]
    return all(first >= start + length or first + count <= start for start, length in spans)


def is_free(number: int) -> bool:
    """Whether neither an account nor a group has this id."""
    return number not in _taken()


def _taken() -> set[int]:
    return {entry.pw_uid for entry in pwd.getpwall()} | {entry.gr_gid for entry in grp.getgrall()}


def free_ids(but: Collection[int] = ()) -> Iterator[int]:
    """System ids that no account, no group and none of `but` has, the highest first, as useradd does."""
    taken = _taken() | {*but}
    return (number for number in range(LAST_SYSTEM_ID, FIRST_SYSTEM_ID, -1) if number not in taken)


def add_subordinate_ids(name: str, count: int, first: int | None = None) -> None:
    """Give the account `count` ids, from `first` or that nobody has; users' and groups' alike.

    What it has of them already, stays: an interruption may have left one half.
    """
    start = next_subordinate_id() if first is None else first
    had, wanted = spans(name), f"{start}-{start + count - 1}"
    options = [
        *([] if (start, count) in had.users else [f"--add-subuids={wanted}"]),
        *([] if (start, count) in had.groups else [f"--add-subgids={wanted}"]),
    ]
    process.run(["usermod", *options, name], WORLD)


def _ranges(file: str) -> list[tuple[str, int, int]]:
    path = Path(file)
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    fields = [line.split(":") for line in lines if line.count(":") == 2]  # noqa: PLR2004
    return [(name, int(start), int(count)) for name, start, count in fields]
