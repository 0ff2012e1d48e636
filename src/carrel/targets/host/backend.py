"""A server: one account per user, workspaces as systemd units, the operator's nginx in front.

Used by operations, as root. Remembers in a journal what it made, and compares that with what is
there; what the journal does not name, it never touches.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import assert_never

from carrel.adapters import accounts, files, locking, nginx, systemd
from carrel.adapters.process import Identity
from carrel.adapters.systemd import UnitState
from carrel.core import names
from carrel.core.intent import CHANGING, begun, doubt, may_come_back
from carrel.core.layout import HostLayout
from carrel.core.plan import Change, Create, Plan, Remove, Step
from carrel.core.resources import (
    Account,
    Bundle,
    Certificate,
    Directory,
    File,
    Holds,
    Image,
    Include,
    OnChange,
    Resource,
    Secret,
    Service,
    State,
    Unit,
    key,
)
from carrel.errors import ToolFailed
from carrel.targets import disk, reloading
from carrel.targets.editor_files import EditorFiles
from carrel.targets.image_store import ImageStore, digest_of
from carrel.targets.journal import Journal
from carrel.targets.protocol import Told

NO_SERVICES = "a server has no services of supervisord"
EDITED = "edited"
"""The revision of a unit of which somebody changed a file."""
HALTED = "halted"
"""The revision of a unit that does not run, or would not at the next boot."""
INCOMPLETE = "incomplete"
"""The base of an image of which only a part is in the store."""

Started = Callable[[Unit], None]
"""Called after a unit was started; raises when it does not answer."""


class Host:
    """The backend of `carrel apply`."""

    def __init__(
        self, layout: HostLayout, fetch: Callable[[Image], None], started: Started
    ) -> None:
        self.layout = layout
        self.images = ImageStore(layout.images, EditorFiles(layout.editor_files, Identity.ours()))
        self.journal = Journal(layout.journal, layout.steps, "root")
        self._fetch = fetch
        self._started = started

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Hold the server: one command at a time changes it."""
        files.make_directory(self.layout.state, Identity.ours(), 0o755)
        return locking.alone(f"{self.layout.state}/lock")

    def recorded(self) -> State:
        """What the journal says was made, or was about to be."""
        return self.journal.state

    def forget(self, images: Iterable[str]) -> None:
        """Take images that were removed out of the journal."""
        gone = frozenset(images)
        left = [r for r in self.recorded() if not (isinstance(r, Image) and r.reference in gone)]
        self.journal.write(State.of(left))

    # -- looking ---------------------------------------------------------------------------

    def observe(self) -> State:
        """What of the recorded things is still there, as it is now."""
        recorded = self.recorded()
        units = systemd.states(r.name for r in recorded if isinstance(r, Unit))
        seen = [(resource, self._seen(resource, units)) for resource in recorded]
        edited = frozenset(r.path for r, now in seen if isinstance(r, File) and now != r)
        return State.of(_doubted(now, edited) for _, now in seen if now is not None)

    def _seen(self, resource: Resource, units: Mapping[str, UnitState]) -> Resource | None:
        match resource:
            case Account() | Directory() | File() | Secret() | Certificate():
                return disk.seen(resource)
            case Bundle():
                return disk.seen_bundle(resource)
            case Image(reference=reference):
                return self._seen_image(reference)
            case Unit():
                return _seen_unit(resource, units[resource.name])
            case Include():
                content = files.text(resource.path)
                if content is None and resource.revision != CHANGING:
                    return None
                return replace(resource, content=content or "")
            case Service():
                raise AssertionError(NO_SERVICES)
            case _:
                assert_never(resource)

    def _seen_image(self, reference: str) -> Image | None:
        # In the store it no longer matters what it was made from.
        digest = digest_of(reference)
        if self.images.get(digest) is not None:
            return Image(reference, "", (), ())
        there = files.look(self.images.path(digest)) is not None
        return Image(reference, INCOMPLETE, (), ()) if there else None

    # -- doing -----------------------------------------------------------------------------

    def apply(self, plan: Plan, told: Told) -> None:
        """Take the steps one by one; the journal says of each that it begins, and that it is done."""
        self._settle()
        for step in plan.steps:
            if isinstance(step, Change) and step.before == doubt(step.before, EDITED):
                # Its files are mended first, and would not tell any more that it read others.
                self.journal.note(Create(begun(step)))
        # Files of units that systemd has not read.
        stale: set[str] = set()
        for step in plan.steps:
            told(step)
            self.journal.note(Create(begun(step)))
            if stale and isinstance(_made(step), Unit | Bundle):
                self._reload(stale)
            self._take(step)
            stale |= self._unit_files(step)
            self.journal.note(step)
        if stale:
            self._reload(stale)
        if plan:
            self.journal.write(self.recorded())

    def _take(self, step: Step) -> None:
        match step:
            case Create(resource):
                self._make(resource)
            case Change(before, after):
                self._make(disk.unmade(before, after))
            case Remove(resource):
                self._remove(resource)
            case _:
                assert_never(step)

    def _unit_files(self, step: Step) -> set[str]:
        resource = step.after if isinstance(step, Change) else step.resource
        if isinstance(resource, File) and resource.path.startswith(f"{self.layout.units}/"):
            return {resource.path}
        return set()

    def _reload(self, stale: set[str]) -> None:
        systemd.reload_units()
        slice_ = self.layout.unit_file(names.SLICE)
        if slice_ in stale and files.look(slice_) is not None:
            systemd.realize(names.SLICE)
        stale.clear()

    def _settle(self) -> None:
        """After an interruption: forget what is gone, or never came to be."""
        if not self.journal.interrupted:
            return
        systemd.reload_units()
        there = self.observe().by_key()
        kept = (r for r in self.recorded() if key(r) in there or may_come_back(r))
        self.journal.write(State.of(kept))

    def _make(self, resource: Resource) -> None:
        match resource:
            case Certificate():
                disk.make(resource)
                if files.look(self.layout.nginx) is not None:
                    with reloading.taken_up():
                        nginx.reload()
            case Account() | Directory() | File() | Secret():
                disk.make(resource)
            case Bundle():
                self._bring(resource)
            case Image():
                self._fetch(resource)
            case Include():
                with reloading.taken_up():
                    nginx.switch(resource.path, resource.content)
            case Unit():
                self._run(resource)
            case Service():
                raise AssertionError(NO_SERVICES)
            case _:
                assert_never(resource)

    def _bring(self, bundle: Bundle) -> None:
        try:
            systemd.run_once(bundle.unit, names.CERTIFICATE_STATE)
        except ToolFailed as error:
            raise ToolFailed(
                f"There is no certificate for {bundle.names[0]} yet. nginx keeps what it had.",
                why=error.why,
                fix="mend the cause, then run `carrel apply` again",
            ) from error
        if disk.seen_bundle(bundle) != bundle:
            raise ToolFailed(f"{bundle.unit} ended well, but {bundle.path} is not as it should be.")

    def _run(self, unit: Unit) -> None:
        systemd.enable(unit.name)
        if unit.on_change is OnChange.RELOAD and systemd.states([unit.name])[unit.name].alive:
            systemd.reload(unit.name)
        else:
            # Also one that is new to us, and its parts: an interrupted command may have left them.
            systemd.stop([unit.name, *unit.parts])
            systemd.start(unit.name)
        self._started(unit)

    def _remove(self, resource: Resource) -> None:
        match resource:
            case Directory(holds=Holds.SHARED):
                files.remove_empty(resource.path)
            case Directory():
                # Accounts map their containers' ids, but root may remove whatever they made.
                files.remove_tree(resource.path)
            case File() | Secret():
                files.remove_file(resource.path)
            case Certificate() | Bundle():
                disk.remove_certificate(resource)
            case Include():
                with reloading.taken_up():
                    nginx.remove(resource.path)
            case Unit():
                _end(resource)
            case Image():
                self.images.discard(digest_of(resource.reference))
            case Account():
                accounts.remove(resource.name)
            case Service():
                raise AssertionError(NO_SERVICES)
            case _:
                assert_never(resource)


def _end(unit: Unit) -> None:
    systemd.disable(unit.name)
    units = [unit.name, *unit.parts]
    systemd.stop(units)
    for name in units:
        if name.endswith(".mount"):
            # For nginx, who has a directory there is somebody.
            files.remove_empty(names.mount_point(name))


def _made(step: Step) -> Resource | None:
    match step:
        case Create(resource) | Change(_, resource):
            return resource
        case Remove():
            return None


def _doubted(now: Resource, edited: frozenset[str]) -> Resource:
    unit = isinstance(now, Unit) and now.revision != CHANGING and bool(edited & {*now.files})
    return doubt(now, EDITED) if unit else now


def _seen_unit(unit: Unit, state: UnitState) -> Unit | None:
    if unit.revision == CHANGING or (state.alive and state.enabled):
        return unit
    return replace(unit, revision=HALTED) if state.alive or state.enabled else None
