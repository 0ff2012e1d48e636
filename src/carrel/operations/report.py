"""What there is to say about a site: its users' addresses and states, its image, its shortfalls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from carrel.core import names
from carrel.core.resources import File, Include, State
from carrel.core.site import GIB, SecretFile, TlsMode, User
from carrel.operations import certificate
from carrel.operations.certificate import CertificateReport
from carrel.operations.site import Opened
from carrel.targets.condition import Condition, ResourceUsage, Running

SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class WorkspaceReport:
    """One user's workspace. `state`: running, starting, failed, stopped or suspended."""

    user: str
    address: str
    state: str
    detail: str
    password: str
    """Where the password is, never what it is."""
    workspace: str
    """The project's directory on the host."""
    memory: str
    cpus: float
    processes: int
    usage: ResourceUsage | None = None
    """What it uses now; None where nobody can tell."""


@dataclass(frozen=True, slots=True)
class Report:
    """A site at one moment."""

    address: str
    edge: str
    gateway: str
    """Empty where there is none."""
    workspaces: tuple[WorkspaceReport, ...]
    image: str
    image_state: str
    missing_extensions: tuple[str, ...]
    shortfalls: tuple[str, ...]
    authority: str
    certificate: CertificateReport
    fault: str
    """What is wrong with the configuration, if this is about what was applied last instead."""

    @property
    def healthy(self) -> bool:
        """Whether everything that should run does, and its certificate will do for a while."""
        return (
            {self.edge, self.gateway or "running"} == {"running"}
            and not self.certificate.concern
            and not self.fault
            and all(w.state in {Condition.RUNNING, SUSPENDED} for w in self.workspaces)
        )

    def plain(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def nginx_files(state: State) -> Iterator[tuple[str, str]]:
    """What nginx reads of ours: paths and texts."""
    for resource in state:
        match resource:
            case Include(path=path, content=text):
                yield path, text
            case File(path=path, content=text) if path.endswith(".conf") and "/nginx/" in path:
                yield path, text
            case _:
                continue


def report(opened: Opened) -> Report:
    """The site as it is now."""
    target = opened.target
    running = target.runtime.running(opened.site)
    built = opened.built()
    standing = certificate.standing(opened)
    return Report(
        address=names.address(opened.site.domain, target.facts.port(opened.site)),
        edge=running[names.EDGE_SERVICE].condition,
        gateway=running[names.GATEWAY].condition if opened.site.has_gateway else "",
        workspaces=tuple(
            _workspace(opened, user, running[user.name]) for user in opened.site.users
        ),
        image=opened.image.reference,
        image_state="not built yet" if built is None else f"{built.size / GIB:.2f} GB",
        missing_extensions=() if built is None else built.missing_extensions,
        shortfalls=tuple(map(str, opened.shortfalls())),
        authority=target.facts.authority if standing.source == TlsMode.LOCAL else "",
        certificate=standing,
        fault=opened.fault,
    )


def _workspace(opened: Opened, user: User, now: Running) -> WorkspaceReport:
    in_config = "in the configuration (hash)"
    port = opened.target.facts.port(opened.site)
    return WorkspaceReport(
        user=user.name,
        address=names.address(names.host(user.name, opened.site.domain), port),
        state=SUSPENDED if user.suspended else now.condition,
        detail=now.detail,
        password=user.password.path if isinstance(user.password, SecretFile) else in_config,
        workspace=names.user_paths(opened.site.storage, user.name).workspace,
        memory=f"{user.limits.memory / GIB:g}G",
        cpus=user.limits.cpus,
        processes=user.limits.processes,
        usage=now.usage,
    )
