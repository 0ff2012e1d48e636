"""The configuration files and the environment of podman, for containers.conf(5) and storage.conf(5).

Ours alone, named by CONTAINERS_CONF and CONTAINERS_STORAGE_CONF, so that Carrel neither reads nor
changes what the account uses podman for otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator

from carrel.core.layout import LocalLayout
from carrel.core.machine import Machine
from carrel.core.resources import Account, Directory, File, Resource

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def containers(machine: Machine) -> str:
    """containers.conf for `machine`."""
    return f"""\
# Made by Carrel; changes are overwritten.
[containers]
base_hosts_file = "none"
default_ulimits = ["nofile={machine.open_files}:{machine.open_files}"]
http_proxy = false

[engine]
runtime = "{machine.runtime}"
cgroup_manager = "{machine.cgroup_manager}"
events_logger = "none"
"""


NO_STORAGE = """\
# Made by Carrel; changes are overwritten. On a server, podman stores nothing that outlives a
# container: the image is a directory, and the options of each unit say where the rest is.
[storage]
driver = "vfs"
"""


def storage(layout: LocalLayout) -> str:
    """storage.conf: a store of our own. Without `driver`, Debian's podman may choose vfs."""
    return f"""\
# Made by Carrel; changes are overwritten.
[storage]
driver = "overlay"
graphroot = "{layout.store}"
rootless_storage_path = "{layout.store}"
runroot = "{layout.engine_runtime}/containers"
"""


def foundation(layout: LocalLayout, machine: Machine) -> Iterator[Resource]:
    """What podman needs to keep images for one account."""
    account, owner = layout.account, layout.owner
    yield Directory(layout.root, owner, 0o755)
    if layout.divided:
        yield Account(account, home=layout.home)
        yield Directory(layout.home, account, 0o700)
        yield Directory(layout.store, account, 0o700)
    yield Directory(layout.runtime, owner, 0o755)
    yield Directory(layout.engine, owner, 0o755)
    yield Directory(layout.engine_runtime, account, 0o700)
    yield File(f"{layout.engine}/containers.conf", owner, 0o644, containers(machine))
    yield File(f"{layout.engine}/storage.conf", owner, 0o644, storage(layout))


def environment(layout: LocalLayout) -> tuple[tuple[str, str], ...]:
    """All of the environment that podman gets; nothing of the caller's."""
    return (
        ("CONTAINERS_CONF", f"{layout.engine}/containers.conf"),
        ("CONTAINERS_STORAGE_CONF", f"{layout.engine}/storage.conf"),
        ("HOME", layout.home),
        ("LANG", "C.UTF-8"),
        ("PATH", PATH),
        ("XDG_RUNTIME_DIR", layout.engine_runtime),
    )
