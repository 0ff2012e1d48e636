"""Local mode as a place: supervisord, one account, one loopback port."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from carrel.adapters import files, probe, process
from carrel.adapters.process import Identity
from carrel.adapters.supervisor import ProgramState
from carrel.core import names
from carrel.core.certificate import Served
from carrel.core.layout import LocalLayout
from carrel.core.machine import Machine, Shortfall, local_shortfalls
from carrel.core.plan import diff, keep
from carrel.core.resources import Image, Secret, Service, State
from carrel.core.site import Site, TlsMode
from carrel.errors import NotReady
from carrel.render import local
from carrel.targets import facts, images, preflight
from carrel.targets.fingerprint import fingerprints
from carrel.targets.images import Builder, Built
from carrel.targets.local.backend import ALIVE, Local
from carrel.targets.place import Condition, Running, Say
from carrel.targets.protocol import Told

LOG_LINES = 12


@dataclass(frozen=True, slots=True)
class LocalPlace:
    """Where local mode keeps the site of one configuration file."""

    config: Path
    layout: LocalLayout
    say: Say

    @staticmethod
    def of(config: Path, say: Say) -> LocalPlace:
        """The place of the site that `config` describes, or would describe."""
        return LocalPlace(config, facts.layout(config), say)

    @property
    def local(self) -> Local:
        """The backend."""
        return Local(self.layout, self._build)

    @property
    def store(self) -> Local:
        """The backend, as the verbs know it."""
        return self.local

    @property
    def authority(self) -> str:
        """Beside the configuration."""
        return str(self.config.resolve().parent / "ca.crt")

    @property
    def bring(self) -> str:
        """`carrel up`."""
        return "up"

    @property
    def books(self) -> str:
        """In the gateway's own directory."""
        return self.layout.books

    @property
    def ready_seconds(self) -> float:
        """A minute is a hundred times what it takes."""
        return 60

    @property
    def builder(self) -> Builder:
        """Builds images into the account's store."""
        owner = Identity.of(self.layout.account)
        return Builder(self.local.podman, f"{self.layout.root}/images", owner, self.say)

    def _build(self, image: Image) -> None:
        self.builder.build(image)

    def machine(self) -> Machine:
        """What this machine can do."""
        return facts.machine(self.layout)

    def image(self, site: Site) -> Image:
        """The image of the configuration's recipe."""
        return images.image(site.image)

    def built(self, image: Image) -> Built | None:
        """The record of an image, if it is in the store."""
        if files.look(self.layout.engine) is None:
            return None
        found = self.builder.built()
        return next((built for built in found if built.reference == image.reference), None)

    def images(self) -> list[Built]:
        """The records of the images in the account's store."""
        return [] if files.look(self.layout.engine) is None else list(self.builder.built())

    def build(self, site: Site, told: Told, *, retry: bool = False, fresh: bool = False) -> Built:
        """Make the image, and before it what building needs: account, directories, engine files."""
        machine, image = self.machine(), self.image(site)
        preflight.check(site, self.layout, machine)
        with self.local.locked():
            now = self.local.observe()
            # Nothing of the users yet: their secrets and services are for `up`.
            desired = self.desired(site, machine, image)
            ground = {r for r in desired if not isinstance(r, Secret | Service)}
            running = {r for r in now if isinstance(r, Secret | Service)}
            self.local.apply(diff(now, keep(State.of(ground | running), now)), told)
            known = self.built(image)
            again = fresh or (retry and known is not None and bool(known.missing_extensions))
            return self.builder.build(image, fresh=fresh, again=again)

    def prune(self) -> int:
        """Remove what no container uses from the account's store."""
        return 0 if files.look(self.layout.engine) is None else self.builder.prune()

    def desired(self, site: Site, machine: Machine, image: Image) -> State:
        """Everything that should exist."""
        around = local.Surroundings(
            layout=self.layout,
            machine=machine,
            image=image,
            authority_copy=self.authority,
            fingerprints=fingerprints(site, self.layout.secret_key, Identity.of(self.layout.owner)),
            python=sys.executable,
        )
        return local.state(site, around)

    def shortfalls(self, site: Site, machine: Machine) -> tuple[Shortfall, ...]:
        """What this machine cannot keep of the configuration."""
        return local_shortfalls(site, machine)

    def check(self, site: Site, machine: Machine) -> None:
        """Tools, devices, ids, and the port."""
        preflight.check(site, self.layout, machine)
        self.local.check_port(site.local_port)

    def certificate(self, site: Site) -> Served:
        """Always of the local authority."""
        del site
        return Served(f"{self.layout.tls}/site.crt", f"{self.layout.tls}/site.key", TlsMode.LOCAL)

    def port(self, site: Site) -> int:
        """The port of the configuration."""
        return site.local_port

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
                alive = probe.healthy(self.layout.gateway_admin)
            case _:
                alive = probe.healthy(self.layout.editor_socket(name))
        if alive:
            return True
        program = self.local.supervisor.programs().get(service)
        if program is None or program.state not in {*ALIVE, "BACKOFF"}:
            raise self._failed(service, program)
        return False

    def _failed(self, service: str, program: ProgramState | None) -> NotReady:
        log = files.text(self.layout.log(service)) or ""
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
            socket = self.layout.editor_socket(user.name)
            alive = program is not None and probe.healthy(socket)
            found[user.name] = _running(program, answers=alive)
        if site.has_gateway:
            alive = probe.healthy(self.layout.gateway_admin)
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
        path = self.layout.log(_service(name))
        if files.look(path) is None:
            raise NotReady(f"There is no log of {name} yet.", fix="start the site with `carrel up`")
        paths = [path]
        if name == names.EDGE_SERVICE and files.look(self.layout.sign_ins) is not None:
            paths.append(self.layout.sign_ins)
        following = ["--follow=name", "--retry"] if follow else []
        command = ["tail", "--quiet", f"--lines={lines}", *following, *paths]
        return process.hand_over(command, process.here())

    def execute(self, user: str, command: tuple[str, ...], *, terminal: bool) -> int:
        """Run a command in the user's container."""
        container = self.layout.container(user)
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
