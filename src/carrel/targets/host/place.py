"""A server as a place: systemd, one account per user, the operator's nginx."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from carrel.adapters import accounts, probe, systemd, workspaces
from carrel.adapters.podman import Podman
from carrel.adapters.process import Identity, World
from carrel.core import certificate, names, oom
from carrel.core.certificate import Served
from carrel.core.layout import HostLayout, LocalLayout
from carrel.core.machine import Machine, Shortfall, host_shortfalls
from carrel.core.plan import diff
from carrel.core.resources import Image, State, Unit
from carrel.core.site import Site, TlsMode
from carrel.errors import ConfigError, NotReady, Refused
from carrel.render import engine, host
from carrel.targets import facts, images, preflight
from carrel.targets.fingerprint import fingerprints
from carrel.targets.host.backend import Host
from carrel.targets.image_store import digest_of
from carrel.targets.images import Builder, Built
from carrel.targets.place import Condition, Running, Say, Usage, title
from carrel.targets.protocol import Told
from carrel.targets.waiting import until

HTTPS = 443
PATIENCE = 3
"""How often a workspace may end at its start before we give it up: a busy server is no broken image."""


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """The server that this machine is."""

    config: Path
    layout: HostLayout
    say: Say

    @staticmethod
    def of(config: Path, say: Say) -> ServerPlace:
        """The server whose configuration is `config`."""
        preflight.server_at_all()
        return ServerPlace(config, facts.host_layout(config), say)

    @property
    def store(self) -> Host:
        """The backend."""
        return Host(self.layout, self._fetch, self._started)

    @property
    def authority(self) -> str:
        """Beside the configuration."""
        return f"{self.layout.config}/ca.crt"

    @property
    def bring(self) -> str:
        """`carrel apply`."""
        return "apply"

    @property
    def books(self) -> str:
        """In the gateway's own directory."""
        return self.layout.books

    @property
    def ready_seconds(self) -> float:
        """Half a minute is usual on a slow machine that starts many at once."""
        return 180

    def machine(self) -> Machine:
        """What this machine can do."""
        return facts.host_machine()

    def image(self, site: Site) -> Image:
        """The image that was selected; before the first, the one of the configuration's recipe."""
        selected = self.store.images.selected
        if selected:
            return Image(names.image_reference(selected), "", (), ())
        return images.image(site.image)

    def built(self, image: Image) -> Built | None:
        """The record of an image, if it is here."""
        return self.store.images.get(digest_of(image.reference))

    def desired(self, site: Site, machine: Machine, image: Image) -> State:
        """Everything that should exist."""
        build = facts.build_layout(self.layout)
        around = host.Surroundings(
            layout=self.layout,
            machine=machine,
            image=image,
            image_directory=self.store.images.path(digest_of(image.reference)),
            # The gateway's comes last: it needs no range, and moves nobody's.
            ids=facts.ids([*(user.name for user in site.users), names.GATEWAY]),
            web_gid=facts.group_id(self.layout.web_group),
            fingerprints=fingerprints(site, self.layout.secret_key, Identity.ours()),
            python=sys.executable,
        )
        wanted = host.state(site, around)
        if not accounts.exists(build.account):
            return wanted
        return State.of([*wanted, *engine.foundation(build, facts.machine(build))])

    def shortfalls(self, site: Site, machine: Machine) -> tuple[Shortfall, ...]:
        """What this version cannot keep of the configuration."""
        del machine
        return host_shortfalls(site)

    def check(self, site: Site, machine: Machine) -> None:
        """Versions, tools, the web server."""
        del machine
        preflight.server(site)

    def certificate(self, site: Site) -> Served:
        """Of the local authority, or from elsewhere with both in one file."""
        bundle = certificate.bundle(site, self.layout)
        if bundle is not None:
            return Served(bundle.path, bundle.path, site.tls.mode)
        return Served(f"{self.layout.tls}/site.crt", f"{self.layout.tls}/site.key", TlsMode.LOCAL)

    def port(self, site: Site) -> int:
        """The usual one."""
        del site
        return HTTPS

    def active(self) -> bool:
        """Whether something was applied here."""
        return any(isinstance(r, Unit) for r in self.store.recorded())

    # -- images ----------------------------------------------------------------------------

    def images(self) -> list[Built]:
        """The records of all images here."""
        return list(self.store.images.all())

    def build(self, site: Site, told: Told, *, retry: bool = False, fresh: bool = False) -> Built:
        """Build and unpack the image of the recipe; the first one is selected."""
        image, unpacked = images.image(site.image), self.store.images
        known = unpacked.get(digest_of(image.reference))
        again = fresh or (retry and known is not None and bool(known.missing_extensions))
        if known is not None and not again:
            return known
        with self.store.locked():
            if known is not None and digest_of(image.reference) == unpacked.selected:
                raise Refused(
                    "The image of this recipe is in use, and would be replaced under the feet of its "
                    "users. Nothing was changed.",
                    fix="change [image], for example a package, so that it becomes another image",
                )
            podman = self._builder_podman(told)
            built = self._builder(podman).build(image, fresh=fresh, again=again)
            if known is not None:
                unpacked.remove(digest_of(image.reference))
            self._unpack(podman, built)
        return built

    def load(self, archive: Path, told: Told) -> Built:
        """Unpack an image that `podman save` or `docker save` wrote, and keep it beside the others."""
        if not archive.is_file():
            raise ConfigError(f"There is no file {archive}. Nothing was changed.")
        with self.store.locked():
            podman = self._builder_podman(told)
            self.say("reading the archive")
            id_ = podman.load(str(archive.resolve()))
            reference = names.image_reference(id_)
            podman.tag(id_, reference)
            built = Built(reference, podman.image_size(reference), {"loaded_from": archive.name})
            self._unpack(podman, built)
            podman.discard(reference)
        return built

    def prune(self) -> int:
        """Remove all images but the one in use and the one before it."""
        unpacked = self.store.images
        with self.store.locked():
            kept = {unpacked.selected, unpacked.previous}
            gone = [digest_of(b.reference) for b in unpacked.all()]
            gone = [digest for digest in gone if digest not in kept]
            for digest in (*gone, *unpacked.leftovers()):
                unpacked.remove(digest)
            self.store.forget(names.image_reference(digest) for digest in gone)
            build = facts.build_layout(self.layout)
            if accounts.exists(build.account):
                self._builder(self._podman(build)).prune()
        return len(gone)

    def _fetch(self, image: Image) -> None:
        digest, unpacked = digest_of(image.reference), self.store.images
        if unpacked.get(digest) is None:
            podman = self._builder_podman(lambda _: None)
            self._unpack(podman, self._builder(podman).build(image))
        elif not unpacked.selected:
            unpacked.select(digest)

    def _unpack(self, podman: Podman, built: Built) -> None:
        unpacked = self.store.images
        self.say("unpacking the image")
        unpacked.add(podman, built)
        if not unpacked.selected:
            unpacked.select(digest_of(built.reference))

    def _builder_podman(self, told: Told) -> Podman:
        """Podman of the account that builds images; makes the account if need be."""
        build = facts.build_layout(self.layout)
        store = self.store
        now = store.observe()
        ground = State.of(engine.foundation(build, facts.machine(build))).by_key()
        rest = {k: r for k, r in now.by_key().items() if k not in ground}
        store.apply(diff(now, State.of([*rest.values(), *ground.values()])), told)
        return self._podman(build)

    def _podman(self, build: LocalLayout) -> Podman:
        return Podman(
            World(dict(engine.environment(build)), Identity.of(build.account), directory="/")
        )

    def _builder(self, podman: Podman) -> Builder:
        build = facts.build_layout(self.layout)
        return Builder(podman, f"{build.root}/images", Identity.of(build.account), self.say)

    # -- what runs -------------------------------------------------------------------------

    def _started(self, unit: Unit) -> None:
        user = names.workspace_user(unit.name)
        if user is not None:
            until(
                partial(self._alive, user),
                seconds=self.ready_seconds,
                what=f"The workspace of {user}",
                fix=f"see `carrel logs {user}`",
            )

    def _alive(self, user: str) -> bool:
        if probe.healthy(self.layout.editor_socket(user)):
            return True
        unit = names.workspace_unit(user)
        state = systemd.states([unit])[unit]
        # A workspace that ends at once is started again a few times; these are enough to know.
        if not state.alive or state.restarts > PATIENCE:
            raise self._failed(user, unit)
        return False

    def _failed(self, name: str, unit: str) -> NotReady:
        return NotReady(
            f"{title(name)} does not start.",
            why=systemd.last_words(unit),
            fix="mend the cause, then run `carrel apply` again",
        )

    def answers(self, site: Site, name: str) -> bool:
        """Whether it answers; raises `NotReady` with its log when it has ended."""
        del site
        match name:
            case names.EDGE_SERVICE:
                alive = probe.port_open(HTTPS)
            case names.GATEWAY:
                alive = probe.healthy(self.layout.gateway_admin)
            case _:
                return self._alive(name)
        unit = _unit(name)
        if not alive and not systemd.states([unit])[unit].alive:
            raise self._failed(name, unit)
        return alive

    def running(self, site: Site) -> Mapping[str, Running]:
        """What systemd says of each, and whether it answers."""
        units = {user.name: names.workspace_unit(user.name) for user in site.users}
        states = systemd.states([names.NGINX_UNIT, *units.values()])
        alive = probe.port_open(HTTPS)
        found = {names.EDGE_SERVICE: Running(_condition(states[names.NGINX_UNIT], answers=alive))}
        if site.has_gateway:
            unit = names.GATEWAY_UNIT
            alive = probe.healthy(self.layout.gateway_admin)
            found[names.GATEWAY] = Running(_condition(systemd.states([unit])[unit], answers=alive))
        kills = oom.last(systemd.kernel_messages(oom.PATTERN, lines=200))
        now = probe.uptime()
        for name, unit in units.items():
            state = states[unit]
            answers = state.alive and probe.healthy(self.layout.editor_socket(name))
            user = site.user(name)
            suspended = user is not None and user.suspended
            usage = Usage(
                memory=state.memory or 0,
                cpu_seconds=state.cpu_seconds or 0,
                tasks=state.tasks or 0,
                uptime=now - state.since if state.since else 0,
                restarts=state.restarts,
                last_kill=kills.get(name, ""),
            )
            found[name] = Running(
                _condition(state, answers=answers),
                detail="suspended" if suspended else "",
                usage=usage if state.active == "active" else None,
            )
        return found

    def cgroup(self, user: str) -> str:
        """That of the user's unit, when it runs."""
        unit = names.workspace_unit(user)
        return systemd.states([unit])[unit].cgroup

    def rest(self) -> None:
        """Nothing is left: podman's own state ends with each unit."""

    def log(self, name: str, *, lines: int, follow: bool) -> int:
        """Hand a unit's journal to the terminal."""
        return systemd.journal(_unit(name), lines=lines, follow=follow)

    def execute(self, user: str, command: tuple[str, ...], *, terminal: bool) -> int:
        """Run a command in the user's container."""
        unit = names.workspace_unit(user)
        if systemd.states([unit])[unit].active != "active":
            raise NotReady(
                f"The workspace of {user} is not running.",
                fix=f"see `carrel status` and `carrel logs {user}`",
            )
        return workspaces.execute(self.layout, user, command, terminal=terminal)


def _unit(name: str) -> str:
    """Systemd's name for what commands call `name`."""
    match name:
        case names.EDGE_SERVICE:
            return names.NGINX_UNIT
        case names.GATEWAY:
            return names.GATEWAY_UNIT
        case _:
            return names.workspace_unit(name)


def _condition(state: systemd.UnitState, *, answers: bool) -> Condition:
    if answers:
        return Condition.RUNNING
    match state.active:
        case "active" | "activating" | "reloading":
            return Condition.STARTING
        case "failed":
            return Condition.FAILED
        case _:
            return Condition.STOPPED
