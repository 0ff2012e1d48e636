"""Builds the image of a site outside of `up`."""

from __future__ import annotations

from carrel.adapters import files
from carrel.backends.images import Built
from carrel.backends.protocol import Told
from carrel.core.plan import Plan, diff, keep
from carrel.core.resources import Secret, Service, State
from carrel.operations import preflight
from carrel.operations.site import Opened, Place


def build(opened: Opened, told: Told, *, retry: bool = False, fresh: bool = False) -> Built:
    """Make the image, and before it what building needs: account, directories, engine files."""
    preflight.check(opened.site, opened.place.layout, opened.machine)
    local = opened.place.local
    with local.locked():
        now = local.observe()
        # Nothing of the users yet: their secrets and services are for `up`.
        ground = State.of(r for r in opened.desired() if not isinstance(r, Secret | Service))
        steps = diff(now, keep(State.of({*ground, *_running(now)}), now))
        local.apply(Plan(steps.steps), told)
        known = opened.built()
        again = fresh or (retry and known is not None and bool(known.missing_extensions))
        return opened.place.builder.build(opened.image, fresh=fresh, again=again)


def _running(now: State) -> tuple[Secret | Service, ...]:
    return tuple(r for r in now if isinstance(r, Secret | Service))


def prune(place: Place) -> int:
    """Remove what no container uses from the account's store; how many images went."""
    if files.look(place.layout.engine) is None:
        return 0
    return place.builder.prune()
