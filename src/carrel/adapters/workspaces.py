"""Commands inside a workspace on a server, where podman runs below a unit of systemd."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from carrel.adapters import process, systemd
from carrel.adapters.process import Identity, World
from carrel.core import names
from carrel.core.layout import HostLayout
from carrel.render.systemd import podman_options

# podman may only add to a container that is in its own cgroup's neighbourhood, so root first moves
# this process to where podman's own processes are, and then becomes the user's account.
_ENTER = 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"'


def execute(layout: HostLayout, user: str, command: Sequence[str], *, terminal: bool) -> int:
    """Run a command in the user's container with our own standard streams; its exit status."""
    account = names.account(user)
    place = layout.podman(Identity.of(account).uid)
    options = ("--interactive", "--tty") if terminal else ("--interactive",)
    return process.hand_over(
        ["sh", "-c", _ENTER, "sh", _engine_cgroup(user),
         "setpriv", f"--reuid={account}", f"--regid={account}", "--clear-groups",
         "podman", *podman_options(place), "exec", *options, account, *command],
        World(
            {
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": place,
                "XDG_RUNTIME_DIR": place,
                "CONTAINERS_CONF": f"{layout.engine}/containers.conf",
                "CONTAINERS_STORAGE_CONF": f"{layout.engine}/storage.conf",
                "LANG": "C.UTF-8",
            },
            directory="/",
        ),
    )  # fmt: skip


def _engine_cgroup(user: str) -> str:
    """The cgroup of conmon, which is the unit's main process."""
    unit = names.workspace_unit(user)
    pid = systemd.main_pid(unit)
    # A server that is somebody's container may also have lines of cgroup v1 (cgroups(7)).
    lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
    path = next(line.removeprefix("0::") for line in lines if line.startswith("0::"))
    return f"/sys/fs/cgroup{path}"
