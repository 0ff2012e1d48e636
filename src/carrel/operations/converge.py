"""The verbs that bring a site into being and take it down: plan, up, down, reset."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from carrel.adapters import files, probe
from carrel.adapters.supervisor import ProgramState
from carrel.backends.local import ALIVE
from carrel.backends.protocol import Told
from carrel.backends.waiting import until
from carrel.core import guard, names
from carrel.core.plan import Plan, diff, keep
from carrel.core.resources import Directory, Resource, Service, State
from carrel.errors import ConfigError, NotReady
from carrel.operations import preflight
from carrel.operations.site import Opened, Place

READY_SECONDS = 60
LOG_LINES = 12


def plan(opened: Opened) -> Plan:
    """What `up` would do now."""
    now = opened.place.local.observe()
    return diff(now, keep(opened.desired(), now))


def up(opened: Opened, told: Told) -> Plan:
    """Make everything that the configuration asks for, and wait until it answers."""
    layout = opened.place.layout
    preflight.check(opened.site, layout, opened.machine)
    local = opened.place.local
    local.check_port(opened.site.local_port)
    with local.locked():
        steps = plan(opened)
        _check(steps, opened)
        local.apply(steps, told)
    wait(opened)
    return steps


def _check(steps: Plan, opened: Opened) -> None:
    recorded = opened.place.local.recorded().running()
    known = {names.workspace_user(service.name) for service in recorded}
    gone = frozenset(n for n in known if n is not None and opened.site.user(n) is None)
    guard.check(steps, may_stop=gone)


def wait(opened: Opened) -> None:
    """Return when the edge and every workspace answer; `NotReady` with its log otherwise."""
    layout = opened.place.layout
    until(
        partial(_answers, opened, names.EDGE_SERVICE),
        seconds=READY_SECONDS,
        what="The edge (nginx)",
        fix=f"see {layout.log(names.EDGE_SERVICE)}",
    )
    for user in opened.site.users:
        until(
            partial(_answers, opened, names.workspace_service(user.name)),
            seconds=READY_SECONDS,
            what=f"The workspace of {user.name}",
            fix=f"see `carrel logs {user.name}`",
        )


def _answers(opened: Opened, service: str) -> bool:
    place = opened.place
    user = names.workspace_user(service)
    if user is None:
        alive = probe.port_open(opened.site.local_port)
    else:
        alive = probe.editor_alive(place.layout.editor_socket(user))
    if alive:
        return True
    program = place.local.supervisor.programs().get(service)
    if program is None or program.state not in {*ALIVE, "BACKOFF"}:
        raise _failed(place, service, program)
    return False


def _failed(place: Place, service: str, program: ProgramState | None) -> NotReady:
    log = files.text(place.layout.log(service)) or ""
    said = "\n  ".join(log.splitlines()[-LOG_LINES:])
    state = program.state.lower() if program else "gone"
    return NotReady(
        f"The service {service} does not start ({state}).",
        why=f"its log ends with:\n  {said}" if said else "its log is empty",
        fix="mend the cause, then run `carrel up` again",
    )


def down(place: Place, told: Told) -> Plan:
    """Stop everything of the site; files and images stay."""
    local = place.local
    if files.look(place.layout.journal) is None:
        return Plan()
    with local.locked():
        now = local.observe()
        steps = diff(now, now.without_running())
        local.apply(steps, told)
        local.shut_down()
    return steps


@dataclass(frozen=True, slots=True)
class Reset:
    """What `reset` is allowed to remove besides the container."""

    settings: bool = False


def reset(opened: Opened, user: str, what: Reset, told: Told) -> None:
    """Destroy the user's container and make a new one; the project is never touched."""
    must_exist(opened, user)
    local = opened.place.local
    paths = names.user_paths(opened.site.storage, user)
    doomed = frozenset({paths.home, paths.config}) if what.settings else frozenset()
    service = names.workspace_service(user)
    with local.locked():
        now = local.observe()
        rest = State.of(r for r in now if not _goes(r, service, doomed))
        steps = diff(now, rest)
        guard.check(steps, may_stop=frozenset({user}), may_delete=doomed)
        local.apply(steps, told)
    up(opened, told)


def _goes(resource: Resource, service: str, doomed: frozenset[str]) -> bool:
    match resource:
        case Service(name=name):
            return name == service
        case Directory(path=path):
            return path in doomed
        case _:
            return False


def must_exist(opened: Opened, user: str) -> None:
    """ConfigError when there is no such user."""
    if opened.site.user(user) is None:
        known = ", ".join(u.name for u in opened.site.users) or "none yet"
        raise ConfigError(f"There is no user {user}.", fix=f"users here: {known}")
