"""What runs on a server: units of systemd."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from carrel.adapters import probe, systemd, workspaces
from carrel.core import names, oom
from carrel.core.layout import HostLayout
from carrel.core.resources import State, Unit
from carrel.core.site import Site
from carrel.errors import NotReady
from carrel.targets.condition import Condition, ResourceUsage, Running, title
from carrel.targets.waiting import until

PATIENCE = 3
"""How often a workspace may end at its start before we give it up: a busy server is no broken image."""


@dataclass(frozen=True, slots=True)
class HostRuntime:
    """Asks systemd. `recorded`: what was applied."""

    layout: HostLayout
    recorded: Callable[[], State]

    @property
    def ready_seconds(self) -> float:
        """Half a minute is usual on a slow machine that starts many at once."""
        return 180

    def active(self) -> bool:
        """Whether something was applied here."""
        return any(isinstance(r, Unit) for r in self.recorded())

    def started(self, unit: Unit) -> None:
        """Wait until a unit that was just started answers, if people are waiting for it."""
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
                alive = probe.port_open(names.HTTPS)
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
        alive = probe.port_open(names.HTTPS)
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
            usage = ResourceUsage(
                memory=state.memory,
                cpu_seconds=state.cpu_seconds,
                tasks=state.tasks,
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
