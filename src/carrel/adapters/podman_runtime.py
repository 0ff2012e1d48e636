"""What rootless podman keeps for as long as the machine runs, and how to give it up when it lies.

Podman holds a user namespace open with a "pause" process, and writes down in its runtime directory
which containers run. It expects that directory to be empty after a restart. When everything was
killed and the directory stayed (a container or a CI machine that was restarted, the kernel's
out-of-memory killer), it refuses every command: "invalid internal status, try resetting the pause
process". Its own remedy, `podman system migrate`, then waits for containers that are dead and gives
up. See github.com/containers/podman, issues 4057, 16641, 17484, 19456, 20697, 22327 and 23752.

Used by adapters.podman. It needs no podman.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

from carrel.adapters import files

PAUSE = "libpod/tmp/pause.pid"
"""Below the runtime directory (XDG_RUNTIME_DIR): podman's libpod/rootless."""

LOST = re.compile(r"invalid internal status|cannot set user namespace|/pause\.pid")
"""What podman says when it cannot enter the namespace that it wrote down."""


def lost(said: str) -> bool:
    """Whether podman failed because of what it remembers, and not because of what it was asked."""
    return LOST.search(said) is not None


def revive(runtime: str) -> bool:
    """Have podman begin anew if what it remembers in `runtime` is of processes that are gone.

    With a container still running, only the name of the dead pause process goes: podman finds the
    namespace through the container. Otherwise everything does, as when the machine restarts; the
    containers themselves are in podman's store, and are found there as not running. Nothing happens
    while the pause process lives. Returns whether something was forgotten.
    """
    with _alone(runtime) as here:
        pid = _pause(runtime)
        if not here or (pid is not None and _is_pause(pid)):
            return False
        files.remove_file(f"{runtime}/{PAUSE}")
        if not any(_monitors(runtime)):
            _empty(runtime)
        return True


def _pause(runtime: str) -> int | None:
    # It is the account's directory, and we may be root: no link in it leads us anywhere.
    text = files.text(f"{runtime}/{PAUSE}")
    if text is None:
        return None
    # Killed while it wrote, it left an empty file: a process that cannot be.
    return int(text) if text.isascii() and text.strip().isdigit() else 0


def _is_pause(pid: int) -> bool:
    """Whether a process is podman's pause process; another one may have got its number since."""
    # Debian's podman starts `catatonit -P`; without catatonit, itself under the name "podman pause".
    words = _command(pid)
    return bool(words) and (
        words[0] == "podman pause" or (words[0].endswith("catatonit") and words[1:2] == ["-P"])
    )


def _monitors(runtime: str) -> Iterator[int]:
    """The processes that watch over running containers of this runtime directory."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            words = _command(int(entry.name))
            if words[:1] and words[0].endswith("conmon") and f"{runtime}/libpod/tmp" in words:
                yield int(entry.name)


def _command(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return []
    return text.rstrip("\0").split("\0") if text else []


@contextlib.contextmanager
def _alone(runtime: str) -> Iterator[bool]:
    """Hold the directory, so that one process at a time forgets; False if there is none."""
    try:
        handle = os.open(runtime, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield True
    finally:
        os.close(handle)


def _empty(runtime: str) -> None:
    for name in os.listdir(runtime):
        found = files.look(f"{runtime}/{name}")
        remove = files.remove_tree if found and found.directory else files.remove_file
        remove(f"{runtime}/{name}")
