"""code-server without Carrel: the image's own files and Node, on a loopback port, in no container.

The peer of the benches. It sees the image through chroot, because the machine's C library may be
older than the image's; it has no network, process or memory namespace of its own, no seccomp filter
and no overlay that podman made. Its password hash is the workspace's, so the same cookie opens it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench import processes
from bench.entrance import Entrance
from bench.workspace import Workspace
from carrel.adapters import files, probe
from carrel.adapters.process import Identity
from carrel.core.edge import SESSION_COOKIE
from sites import free_port

# The mounts are in a mount namespace of this process: they end with it, whatever happens.
_STAGE = """\
set -eu
root=$1 layers=$2 home=$3
shift 3
mount -t overlay -o "lowerdir=$layers,userxattr" overlay "$root"
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
for place in tmp var/tmp run; do mount -t tmpfs tmpfs "$root/$place"; done
mount --bind "$home" "$root/home/coder"
exec chroot "$root" /usr/bin/env "$@"
"""

# Everything before the line on standard input is preparation that nobody is charged for.
_LAUNCH = 'cd "$HOME/project" && echo ready && read -r _ && exec /opt/carrel/entrypoint "$@"'


@dataclass(frozen=True, slots=True)
class Running:
    """One code-server that runs. `started`: the `time.perf_counter()` of its start."""

    process: subprocess.Popen[str]
    started: float

    def processes(self) -> set[int]:
        """code-server's own processes, without the `podman unshare` that is around them."""
        found = processes.with_descendants({self.process.pid}, processes.table())
        commands = processes.commands()
        return {pid for pid in found if commands.get(pid, [""])[0].endswith("node")}

    def check_alive(self) -> None:
        """Raise when it has ended."""
        assert self.process.poll() is None, "the bare code-server has ended"


class Bare:
    """Starts bare code-servers, one after the other, on the same data."""

    def __init__(self, workspace: Workspace) -> None:
        layout = workspace.layout
        self._world = workspace.site.target.store.world
        self._account = Identity.of(layout.account)
        self._image = workspace.image()
        self._home = f"{workspace.storage}/bare/home"
        self._root = f"{workspace.storage}/bare/root"
        for path in (f"{self._home}/project", self._root):
            files.make_directory(path, self._account, 0o700)
        for path in (self._home, f"{workspace.storage}/bare"):
            files.make_directory(path, self._account, 0o700)
        self._hash = workspace.password_hash()
        self.port = free_port()
        cookie = f"{SESSION_COOKIE}={workspace.session}"
        self.entrance = Entrance(port=self.port, host="127.0.0.1", cookie=cookie)

    @contextlib.contextmanager
    def running(self) -> Iterator[Running]:
        """One start of it; it has ended when the context has."""
        process = self._stage()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line == "ready\n", f"the bare code-server cannot be prepared: {line}"
            started = time.perf_counter()
            process.stdin.write("go\n")
            process.stdin.flush()
            yield Running(process, started)
        finally:
            _end(process)
            assert probe.port_free(self.port), "the bare code-server still listens"

    def _stage(self) -> subprocess.Popen[str]:
        arguments = ("--auth=password", f"--bind-addr=127.0.0.1:{self.port}", "--app-name=bare")
        switch: dict[str, Any] = {}
        if self._account.uid != os.geteuid():
            switch = {"user": self._account.uid, "group": self._account.gid, "extra_groups": ()}
        return subprocess.Popen(
            [
                "podman", "unshare", "unshare", "--mount",
                "sh", "-c", _STAGE, "sh", self._root, self._layers(), self._home,
                *self._image["Config"]["Env"],
                "sh", "-c", _LAUNCH, "sh", *arguments,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            env={**self._world.environment, "HASHED_PASSWORD": self._hash},
            start_new_session=True,
            **switch,
        )  # fmt: skip

    def _layers(self) -> str:
        layers = self._image["GraphDriver"]["Data"]
        return ":".join(filter(None, (layers["UpperDir"], layers.get("LowerDir"))))


def _end(process: subprocess.Popen[str]) -> None:
    """End the whole group: podman, and code-server's two processes."""
    for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        end = time.monotonic() + patience
        while time.monotonic() < end:
            process.poll()
            if not _group(process.pid):
                break
            time.sleep(0.01)
        else:
            continue
        break
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _group(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True
