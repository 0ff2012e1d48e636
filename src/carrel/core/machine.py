"""What a machine can do, as facts that a backend found out, and what it therefore cannot keep.

Nothing that a configuration asks for is dropped in silence: it becomes a Shortfall, which `plan`,
`up` and `status` print.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from carrel.core.site import AiMode, Site, TlsMode


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts about the machine that change what Carrel makes."""

    controllers: frozenset[str] = frozenset()
    """The cgroup controllers that are enforced for our containers: memory, cpu, pids."""
    cgroups: str = "v2"
    """`v1` or `v2`, for the explanation."""
    runtime: str = "crun"
    """The OCI runtime that works here."""
    cgroup_manager: str = "cgroupfs"
    open_files: int = 1024
    """The hard limit of open files that this account may hand on."""
    ipv6: bool = False
    """Whether the kernel speaks IPv6."""
    nginx: tuple[int, ...] = ()
    """The version of nginx."""
    brotli: str = ""
    """The file of nginx's module for files that are compressed with brotli; empty: it has none."""


MOST_OPEN_FILES = 65536
"""Of one workspace: enough for anything, and few enough for the kernel."""


LIMITS = frozenset({"memory", "cpu", "pids"})
"""The cgroup controllers that the limits of a workspace need."""

NIXOS_NGINX = (1, 28)
"""What NixOS has at least, since 25.05."""


def server_machine(
    *,
    ipv6: bool,
    nginx: tuple[int, ...],
    brotli: str = "",
    controllers: frozenset[str] = LIMITS,
    open_files: int = MOST_OPEN_FILES,
) -> Machine:
    """A server: one that enforces all there is, unless it was looked at. `nginx`: its version."""
    return Machine(
        controllers=controllers,
        open_files=open_files,
        ipv6=ipv6,
        nginx=nginx,
        brotli=brotli,
    )


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Something asked for that does not hold here, and what holds instead."""

    problem: str
    fallback: str

    def __str__(self) -> str:
        return f"{self.problem}; {self.fallback}"


def host_shortfalls(site: Site, machine: Machine) -> tuple[Shortfall, ...]:
    """What a server cannot keep of `site`: small ones run in containers, or on a Raspberry Pi."""
    return (*_limits(machine, "this server has no cgroup controller for them"), *_shared_keys(site))


def _limits(machine: Machine, reason: str) -> Iterator[Shortfall]:
    """Each limit that nothing enforces."""
    if "memory" not in machine.controllers:
        yield Shortfall(f"memory limits are not enforced ({reason})", "one user can use all memory")
    if "cpu" not in machine.controllers:
        yield Shortfall(f"CPU limits are not enforced ({reason})", "busy workspaces share the CPUs")
    if "pids" not in machine.controllers:
        yield Shortfall(
            f"the process limit is not a cgroup limit ({reason})",
            "a ulimit per container holds it",
        )


def _shared_keys(site: Site) -> tuple[Shortfall, ...]:
    """The risk that the operator took (R16): said, because it is a promise that does not hold."""
    if site.ai.mode is not AiMode.SHARED_KEYS:
        return ()
    return (
        Shortfall(
            'ai.mode = "shared-keys" puts the keys of the providers into every workspace, where its '
            "user, and whatever an agent runs there, can read them",
            'set spending limits at the provider; "gateway" keeps the keys on the host',
        ),
    )


def local_shortfalls(site: Site, machine: Machine) -> tuple[Shortfall, ...]:
    """What local mode on this machine cannot keep of `site`."""
    found = [*_limits(machine, f"cgroup {machine.cgroups} without delegation")]
    if site.tls.mode is TlsMode.ACME:
        found.append(
            Shortfall(
                "tls.mode = acme needs a public server", "a certificate of the local authority"
            )
        )
    if site.tls.mode is TlsMode.FILES:
        found.append(
            Shortfall("tls.mode = files is for servers", "a certificate of the local authority")
        )
    return (*found, *_shared_keys(site))
