"""What runs in local mode: supervisord's programs, and podman's containers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from carrel.adapters import files, probe, process
from carrel.adapters.supervisor import ProgramState
from carrel.core import names
from carrel.core.site import Site
from carrel.errors import NotReady
from carrel.targets.condition import Condition, Running
from carrel.targets.local.backend import ALIVE, Local

LOG_LINES = 12


@dataclass(frozen=True, slots=True)
class LocalRuntime:
    """Asks supervisord."""

    local: Local

    @property
    def ready_seconds(self) -> float:
        """A minute is a hundred times what it takes."""
        return 60

    def active(self) -> bool:
        """Whether supervisord runs."""
        return self.local.supervisor.running()

    def answers(self, site: Site, name: str) -> bool:
        """Whether it answers; raises `NotReady` with its log when supervisord has given it up."""
        service = _service(name)
        match name:
            case names.EDGE_SERVICE:
                alive = probe.port_open(site.local_port)
            case names.GATEWAY:
                alive = probe.healthy(self.local.layout.gateway_admin)
            case _:
                alive = probe.healthy(self.local.layout.editor_socket(name))
        if alive:
            return True
        program = self.local.supervisor.programs().get(service)
        if program is None or program.state not in {*ALIVE, "BACKOFF"}:
            raise self._failed(service, program)
        return False

    def _failed(self, service: str, program: ProgramState | None) -> NotReady:
        log = files.text(self.local.layout.log(service)) or ""
        said = "\n  ".join(log.splitlines()[-LOG_LINES:])
        state = program.state.lower() if program else "gone"
        return NotReady(
            f"The service {service} does not start ({state}).",
            why=f"its log ends with:\n  {said}" if said else "its log is empty",
            fix="mend the cause, then run `carrel up` again",
        )

    def running(self, site: Site) -> Mapping[str, Running]:
        """What supervisord says of each, and whether it answers."""
        programs = self.local.supervisor.programs()
        edge = programs.get(names.EDGE_SERVICE)
        found = {
            names.EDGE_SERVICE: _running(
                edge, answers=edge is not None and probe.port_open(site.local_port)
            )
        }
        for user in site.users:
            program = programs.get(names.workspace_service(user.name))
            socket = self.local.layout.editor_socket(user.name)
            alive = program is not None and probe.healthy(socket)
            found[user.name] = _running(program, answers=alive)
        if site.has_gateway:
            alive = probe.healthy(self.local.layout.gateway_admin)
            found[names.GATEWAY] = _running(programs.get(names.GATEWAY), answers=alive)
        return found

    def cgroup(self, user: str) -> str:
        """Podman makes one for each container, under a name of its own."""
        del user
        return ""

    def rest(self) -> None:
        """End supervisord and what podman keeps."""
        self.local.shut_down()

    def log(self, name: str, *, lines: int, follow: bool) -> int:
        """Hand a service's log to the terminal."""
        path = self.local.layout.log(_service(name))
        if files.look(path) is None:
            raise NotReady(f"There is no log of {name} yet.", fix="start the site with `carrel up`")
        paths = [path]
        if name == names.EDGE_SERVICE and files.look(self.local.layout.sign_ins) is not None:
            paths.append(self.local.layout.sign_ins)
        following = ["--follow=name", "--retry"] if follow else []
        command = ["tail", "--quiet", f"--lines={lines}", *following, *paths]
        return process.hand_over(command, process.here())

    def execute(self, user: str, command: tuple[str, ...], *, terminal: bool) -> int:
        """Run a command in the user's container."""
        container = self.local.layout.container(user)
        if not self.local.supervisor.running() or not self.local.podman.running(container):
            raise NotReady(
                f"The workspace of {user} is not running.", fix="start it with `carrel up`"
            )
        return self.local.podman.execute(container, command, terminal=terminal)


def _service(name: str) -> str:
    """Supervisord's name for what commands call `name`."""
    ours = name in {names.EDGE_SERVICE, names.GATEWAY}
    return name if ours else names.workspace_service(name)


def _running(program: ProgramState | None, *, answers: bool) -> Running:
    if program is None:
        return Running(Condition.STOPPED)
    match program.state:
        case "RUNNING" | "STARTING":
            condition = Condition.RUNNING if answers else Condition.STARTING
        case "BACKOFF" | "FATAL" | "EXITED" | "UNKNOWN":
            condition = Condition.FAILED
        case _:
            condition = Condition.STOPPED
    return Running(condition, program.description)
