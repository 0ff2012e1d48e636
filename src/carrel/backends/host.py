"""A server: one account per user, workspaces as systemd units, the operator's nginx in front.

Used by operations, as root. Remembers in a journal what it made, and compares that with what is
there; what the journal does not name, it never touches.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import assert_never

from carrel.adapters import accounts, files, nginx, systemd
from carrel.adapters.process import Identity
from carrel.adapters.systemd import UnitState
from carrel.backends import disk, record
from carrel.backends.protocol import Told
from carrel.backends.shelf import Shelf, digest_of
from carrel.core.names import HostLayout
from carrel.core.plan import Change, Create, Plan, Remove
from carrel.core.resources import (
    Account,
    Certificate,
    Directory,
    File,
    Image,
    Include,
    OnChange,
    Resource,
    Secret,
    Service,
    State,
    Unit,
)

NO_SERVICES = "a server has no services of supervisord"
EDITED = "edited"
"""The revision of a unit of which somebody changed a file."""
CHANGING = "changing"
"""The revision of a unit that was about to take up a new one when something went wrong."""

Started = Callable[[Unit], None]
"""Called after a unit was started; raises when it does not answer."""


class Host:
    """The backend of `carrel apply`."""

    def __init__(
        self, layout: HostLayout, fetch: Callable[[Image], None], started: Started
    ) -> None:
        self.layout = layout
        self.shelf = Shelf(layout.images)
        self._fetch = fetch
        self._started = started

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Hold the server: one command at a time changes it."""
        files.make_directory(self.layout.state, Identity.ours(), 0o755)
        return files.locked(f"{self.layout.state}/lock")

    def recorded(self) -> State:
        """What the journal says was made."""
        return record.load(files.text(self.layout.journal) or "[]")

    def forget(self, images: Iterable[str]) -> None:
        """Take images that were removed out of the journal."""
        gone = frozenset(images)
        left = [r for r in self.recorded() if not (isinstance(r, Image) and r.reference in gone)]
        self._write(State.of(left))

    # -- looking ---------------------------------------------------------------------------

    def observe(self) -> State:
        """What of the recorded things is still there, as it is now."""
        recorded = self.recorded()
        there = {r.path: disk.seen(r) for r in recorded if isinstance(r, File)}
        edited = frozenset(r.path for r in recorded if isinstance(r, File) and there[r.path] != r)
        units = systemd.states(r.name for r in recorded if isinstance(r, Unit))
        seen = (self._seen(resource, units, edited) for resource in recorded)
        return State.of(resource for resource in seen if resource is not None)

    def _seen(
        self, resource: Resource, units: Mapping[str, UnitState], edited: frozenset[str]
    ) -> Resource | None:
        match resource:
            case Account() | Directory() | File() | Secret() | Certificate():
                return disk.seen(resource)
            case Image(reference=reference):
                # On the shelf it no longer matters what it was made from.
                there = self.shelf.get(digest_of(reference)) is not None
                return Image(reference, "", (), ()) if there else None
            case Unit():
                state = units[resource.name]
                if not (state.alive and state.enabled):
                    return None
                return (
                    replace(resource, revision=EDITED) if edited & {*resource.files} else resource
                )
            case Include():
                content = files.text(resource.path)
                return None if content is None else replace(resource, content=content)
            case Service():
                raise AssertionError(NO_SERVICES)
            case _:
                assert_never(resource)

    # -- doing -----------------------------------------------------------------------------

    def apply(self, plan: Plan, told: Told) -> None:
        """Take the steps one by one; each is in the journal before the next begins."""
        stale = True
        for step in plan.steps:
            told(step)
            match step:
                case Create(Unit() as unit) | Change(_, Unit() as unit):
                    # systemd is asked once to read the files that the steps before have written.
                    if stale:
                        systemd.reload_units()
                        stale = False
                    # Until it answers, the journal says that it is neither the old nor the new one.
                    self._note(Plan((Create(replace(unit, revision=CHANGING)),)))
                    self._run(unit, fresh=isinstance(step, Create))
                case Create(resource) | Change(_, resource):
                    self._make(resource)
                case Remove(resource):
                    self._remove(resource)
                case _:
                    assert_never(step)
            self._note(Plan((step,)))
        if any(isinstance(step, Remove) for step in plan.steps):
            systemd.reload_units()

    def _note(self, step: Plan) -> None:
        self._write(step.applied_to(self.recorded()))

    def _write(self, state: State) -> None:
        files.write(self.layout.journal, record.dump(state), Identity.ours(), 0o600)

    def _make(self, resource: Resource) -> None:
        match resource:
            case Certificate():
                disk.make(resource)
                if files.look(self.layout.nginx) is not None:
                    nginx.reload()
            case Account() | Directory() | File() | Secret():
                disk.make(resource)
            case Image():
                self._fetch(resource)
            case Include():
                nginx.switch(resource.path, resource.content)
            case Unit():
                self._run(resource, fresh=True)
            case Service():
                raise AssertionError(NO_SERVICES)
            case _:
                assert_never(resource)

    def _run(self, unit: Unit, *, fresh: bool) -> None:
        systemd.enable(unit.name)
        if unit.on_change is OnChange.RELOAD and systemd.states([unit.name])[unit.name].alive:
            systemd.reload(unit.name)
        else:
            # Also one that is new to us may be running, left by an interrupted command.
            if not fresh or systemd.states([unit.name])[unit.name].alive:
                systemd.stop([unit.name, *unit.parts])
            systemd.start(unit.name)
        self._started(unit)

    def _remove(self, resource: Resource) -> None:
        match resource:
            case Directory():
                # Accounts map their containers' ids, but root may remove whatever they made.
                files.remove_tree(resource.path)
            case File() | Secret():
                files.remove_file(resource.path)
            case Certificate():
                disk.remove_certificate(resource)
            case Include():
                nginx.remove(resource.path)
            case Unit():
                systemd.disable(resource.name)
                systemd.stop([resource.name, *resource.parts])
            case Image():
                self.shelf.discard(digest_of(resource.reference))
            case Account():
                accounts.remove(resource.name)
            case Service():
                raise AssertionError(NO_SERVICES)
            case _:
                assert_never(resource)
