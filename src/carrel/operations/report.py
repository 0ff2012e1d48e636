"""What there is to say about a site: its users' addresses and states, its image, its shortfalls."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from carrel.adapters import probe
from carrel.adapters.supervisor import ProgramState
from carrel.core import names
from carrel.core.site import GIB, SecretFile, User
from carrel.operations.site import Opened


@dataclass(frozen=True, slots=True)
class Workspace:
    """One user's workspace. `state`: running, starting, failed or stopped."""

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


@dataclass(frozen=True, slots=True)
class Report:
    """A site at one moment."""

    address: str
    edge: str
    workspaces: tuple[Workspace, ...]
    image: str
    image_state: str
    missing_extensions: tuple[str, ...]
    shortfalls: tuple[str, ...]
    authority: str

    @property
    def healthy(self) -> bool:
        """Whether everything that should run does."""
        return self.edge == "running" and all(w.state == "running" for w in self.workspaces)

    def plain(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def report(opened: Opened) -> Report:
    """The site as it is now."""
    programs = opened.place.local.supervisor.programs()
    port = opened.site.local_port
    edge = programs.get(names.EDGE_SERVICE)
    built = opened.built()
    return Report(
        address=names.address(opened.site.domain, port),
        edge=_state(edge, answers=edge is not None and probe.port_open(port)),
        workspaces=tuple(_workspace(opened, user, programs) for user in opened.site.users),
        image=opened.image.reference,
        image_state="not built yet" if built is None else f"{built.size / GIB:.2f} GB",
        missing_extensions=() if built is None else built.missing_extensions,
        shortfalls=tuple(map(str, opened.shortfalls())),
        authority=str(opened.place.config.resolve().parent / "ca.crt"),
    )


def _workspace(opened: Opened, user: User, programs: dict[str, ProgramState] | Any) -> Workspace:
    program = programs.get(names.workspace_service(user.name))
    answers = program is not None and probe.editor_alive(
        opened.place.layout.editor_socket(user.name)
    )
    in_config = "in the configuration (hash)"
    return Workspace(
        user=user.name,
        address=names.address(names.host(user.name, opened.site.domain), opened.site.local_port),
        state=_state(program, answers=answers),
        detail=program.description if program else "",
        password=user.password.path if isinstance(user.password, SecretFile) else in_config,
        workspace=names.user_paths(opened.site.storage, user.name).workspace,
        memory=f"{user.limits.memory / GIB:g}G",
        cpus=user.limits.cpus,
        processes=user.limits.processes,
    )


def _state(program: ProgramState | None, *, answers: bool) -> str:
    if program is None:
        return "stopped"
    match program.state:
        case "RUNNING" | "STARTING":
            return "running" if answers else "starting"
        case "BACKOFF" | "FATAL" | "EXITED" | "UNKNOWN":
            return "failed"
        case _:
            return "stopped"
