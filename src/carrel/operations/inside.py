"""Looking into one workspace: its log, and a shell in its container."""

from __future__ import annotations

from carrel.adapters import files, process
from carrel.core import names
from carrel.errors import NotReady
from carrel.operations.site import Place

SHELL = ("bash", "--login")

WITHOUT_HASH = ("env", "--unset=HASHED_PASSWORD")
"""podman hands the container's variables to every command. code-server forgets the hash at its start,
and nobody else needs it: it is as good as a session (facts of code-server 4.139)."""


def logs(place: Place, name: str, *, lines: int, follow: bool) -> int:
    """Hand a service's log to the terminal; `name` is a user or the edge."""
    service = name if name == names.EDGE_SERVICE else names.workspace_service(name)
    path = place.layout.log(service)
    if files.look(path) is None:
        raise NotReady(f"There is no log of {name} yet.", fix="start the site with `carrel up`")
    following = ["--follow=name", "--retry"] if follow else []
    return process.hand_over(["tail", f"--lines={lines}", *following, path], process.here())


def shell(place: Place, user: str, command: tuple[str, ...], *, terminal: bool) -> int:
    """Run a command (or a login shell) as `coder` in the user's container; its exit status."""
    container = place.layout.container(user)
    if not place.local.supervisor.running() or not place.local.podman.running(container):
        raise NotReady(f"The workspace of {user} is not running.", fix="start it with `carrel up`")
    full = (*WITHOUT_HASH, *(command or SHELL))
    return place.local.podman.execute(container, full, terminal=terminal)
