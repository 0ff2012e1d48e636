"""The verbs that bring a site into being and take it down: plan, up, down, reset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeGuard

from carrel.adapters import files
from carrel.core import guard, names
from carrel.core.audit import Did
from carrel.core.plan import Change, Plan, diff, keep
from carrel.core.resources import Account, Directory, Holds, Resource, Service, State, Unit
from carrel.errors import ConfigError
from carrel.operations import applied, audit, deleting
from carrel.operations.site import Opened
from carrel.targets.condition import title
from carrel.targets.protocol import Target, Told
from carrel.targets.waiting import until


def plan(opened: Opened) -> Plan:
    """What `up` or `apply` would do now."""
    now = opened.target.store.observe()
    return diff(now, keep(opened.desired(), now))


def up(target: Target, told: Told) -> Plan:
    """Make everything that the configuration asks for, and wait until it answers.

    The configuration is read when nobody else can change the site any more.
    """
    # Faults are told at once, and not after somebody else's command.
    Opened.of(target)
    with target.store.locked():
        opened = Opened.of(target)
        steps = prepared(opened, told)
        _check(steps, opened)
        if steps:
            audit.record(target, Did(target.facts.bring), about=_whose(steps))
        take(opened, steps, told)
    wait(opened)
    return steps


def prepared(opened: Opened, told: Told) -> Plan:
    """What there is to do, if the machine allows it; what was promised before is done by then."""
    opened.target.facts.check(opened.site, opened.machine)
    deleting.finish(opened.target, opened.site, told)
    return plan(opened)


def take(opened: Opened, steps: Plan, told: Told) -> None:
    """Take the steps, and remember what was asked for."""
    opened.target.store.apply(steps, told)
    applied.remember(opened.target, opened.text)


def _whose(steps: Plan) -> str:
    """The users whose workspaces begin, change or end by it, in words."""
    touched = (step.after if isinstance(step, Change) else step.resource for step in steps.steps)
    whose = {names.workspace_user(r.name) for r in touched if isinstance(r, Service | Unit)}
    return ", ".join(sorted(name for name in whose if name is not None))


def _check(steps: Plan, opened: Opened) -> None:
    recorded = opened.target.store.recorded().running()
    known = {names.workspace_user(running.name) for running in recorded}
    gone = frozenset(n for n in known if n is not None and not _works(opened, n))
    guard.check(steps, may_stop=gone)


def _works(opened: Opened, name: str) -> bool:
    user = opened.site.user(name)
    return user is not None and not user.suspended


def wait(opened: Opened) -> None:
    """Return when everything answers; `NotReady` with its log otherwise."""
    users = (user.name for user in opened.site.users if not user.suspended)
    gateway = (names.GATEWAY,) if opened.site.has_gateway else ()
    for name in (names.EDGE_SERVICE, *gateway, *users):
        wait_for(opened, name)


def wait_for(opened: Opened, name: str) -> None:
    """Return when one workspace, the edge or the gateway answers."""
    until(
        partial(opened.target.runtime.answers, opened.site, name),
        seconds=opened.target.runtime.ready_seconds,
        what=title(name),
        fix=f"see `carrel logs {name}`",
    )


def down(target: Target, told: Told) -> Plan:
    """Stop everything of the site; files and images stay."""
    if files.look(target.facts.layout.state) is None:
        return Plan()
    store = target.store
    with store.locked():
        if not store.recorded().resources:
            return Plan()
        now = store.observe()
        steps = diff(now, now.without_running())
        if steps:
            audit.record(target, Did.DOWN)
        store.apply(steps, told)
        target.runtime.rest()
    return steps


def retire(target: Target, told: Told) -> Plan:
    """Take everything away that was made here, but users' data and the accounts that own them."""
    if files.look(target.facts.layout.state) is None:
        return Plan()
    store = target.store
    with store.locked():
        if not store.recorded().resources:
            return Plan()
        now = store.observe()
        users = frozenset(
            name for r in now.running() for name in [names.workspace_user(r.name)] if name
        )
        data = [r.path for r in now if _is_data(r)]
        steps = diff(now, State.of(r for r in now if _stays(r, data)))
        guard.check(steps, may_stop=users)
        audit.record(target, Did.RETIRE)
        store.apply(steps, told)
        applied.forget(target)
        target.runtime.rest()
    return steps


def _stays(resource: Resource, data: Sequence[str]) -> bool:
    match resource:
        case Account():
            return True
        case Directory(path=path):
            # Also one of ours, if an operator chose to keep users' data below it.
            return any(kept == path or kept.startswith(f"{path}/") for kept in data)
        case _:
            return False


def _is_data(resource: Resource) -> TypeGuard[Directory]:
    return isinstance(resource, Directory) and resource.holds is Holds.DATA


@dataclass(frozen=True, slots=True)
class Reset:
    """What `reset` is allowed to remove besides the container."""

    settings: bool = False


def reset(opened: Opened, user: str, what: Reset, told: Told) -> None:
    """Destroy the user's container and make a new one; the project is never touched.

    While the configuration has a fault, the new one is what was applied last.
    """
    must_exist(opened, user)
    target, store = opened.target, opened.target.store
    paths = names.user_paths(opened.site.storage, user)
    doomed = frozenset({paths.home, paths.config}) if what.settings else frozenset()
    did = Did.RESET_SETTINGS if what.settings else Did.RESET
    if target.declared is not None:
        audit.record(target, did, user=user)
        target.declared.reset(opened.site, user, doomed)
        return
    with store.locked():
        now = store.observe()
        gone = [r for r in now if _goes(r, user, doomed)]
        steps = diff(now, State.of(r for r in now if r not in gone))
        guard.check(steps, may_stop=frozenset({user}), may_delete=doomed)
        audit.record(target, did, user=user)
        store.apply(steps, told)
        if opened.fault:
            now = store.observe()
            store.apply(diff(now, State.of([*now, *gone])), told)
    if opened.fault:
        wait_for(opened, user)
    else:
        up(target, told)


def _goes(resource: Resource, user: str, doomed: frozenset[str]) -> bool:
    match resource:
        case Service(name=name) | Unit(name=name):
            return names.workspace_user(name) == user
        case Directory(path=path):
            return path in doomed
        case _:
            return False


def must_exist(opened: Opened, user: str) -> None:
    """ConfigError when there is no such user."""
    if opened.site.user(user) is None:
        known = ", ".join(u.name for u in opened.site.users) or "none yet"
        raise ConfigError(f"There is no user {user}.", fix=f"users here: {known}")
