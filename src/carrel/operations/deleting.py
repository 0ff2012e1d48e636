"""Deletes what a user made, for ever, if that was asked for: promised in the journal until it is done.

Used by `user remove --delete-data`, and by whatever changes the site after it, should it have been
interrupted. Touches nobody else's files.
"""

from __future__ import annotations

from carrel.core import guard, names
from carrel.core.plan import diff
from carrel.core.resources import (
    Account,
    Directory,
    Holds,
    Resource,
    Secret,
    Service,
    State,
    Unit,
    key,
)
from carrel.core.site import Site
from carrel.errors import CarrelError
from carrel.targets.protocol import Target, Told


def kept(target: Target, name: str) -> bool:
    """Whether there is still something of a user that was made here."""
    owned = Account(names.account(name), "")
    mine = (_is_data(r, f"/{name}") or key(r) == key(owned) for r in target.store.recorded())
    return name in target.store.journal.doomed or any(mine)


def delete(target: Target, name: str, data: str, told: Told) -> None:
    """Stop a user's workspace and delete `data`; on a server also the account, if it owned nothing else.

    The site is held. Raises if it cannot be done; it stays promised then.
    """
    store = target.store
    store.journal.doom(name, data)
    now = store.observe()
    doomed = frozenset(r.path for r in now if isinstance(r, Directory) and _below(r, data))
    # Who gets its id next must not get files with it. A disk that is not there may come back.
    data_of = (r for r in store.recorded() if isinstance(r, Directory) and r.holds is Holds.DATA)
    mine = (r for r in data_of if r.owner == names.account(name))
    left = [r.path for r in mine if not _below(r, data)]
    if left:
        target.say(
            f"the account of {name} stays: {left[0]} was theirs too, when the data was there"
        )
    gone = frozenset() if left else frozenset({names.account(name)})
    steps = diff(now, State.of(r for r in now if not _goes(r, name, doomed | gone)))
    guard.check(steps, may_stop=frozenset({name}), may_delete=doomed)
    store.apply(steps, told)
    store.journal.deleted(name)


def finish(target: Target, site: Site, told: Told) -> None:
    """Keep every promise that is left. What cannot be done stands in nobody else's way."""
    for name, data in target.store.journal.doomed.items():
        try:
            delete(target, name, data, told)
        except (CarrelError, OSError) as error:
            # Who is to have a new workspace must not find the old one's files in it.
            if site.user(name) is not None:
                raise
            target.say(f"what {name} made, in {data}, could not be deleted yet: {error}")


def _goes(resource: Resource, user: str, doomed: frozenset[str]) -> bool:
    match resource:
        case Service(name=name) | Unit(name=name):
            return names.workspace_user(name) == user
        case Directory(path=identity) | Account(name=identity):
            return identity in doomed
        case Secret(path=path, owner=owner):
            # It would be of whoever gets the account's id.
            return owner == names.account(user) and path.endswith(f"/{names.secrets_name(user)}")
        case _:
            return False


def _below(directory: Directory, data: str) -> bool:
    within = directory.path == data or directory.path.startswith(f"{data}/")
    return within and directory.holds is Holds.DATA


def _is_data(resource: Resource, end: str) -> bool:
    return (
        isinstance(resource, Directory)
        and resource.holds is Holds.DATA
        and resource.path.endswith(end)
    )
