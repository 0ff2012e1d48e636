"""What a journal says of a step from before it begins until it is done: neither the old nor the new.

Used by the targets. So that whatever is made is named in the journal first, a command that is killed
leaves nothing behind that nobody knows of.
"""

from __future__ import annotations

from dataclasses import replace

from carrel.core.plan import Change, Create, Remove, Step, outlives
from carrel.core.resources import (
    Certificate,
    Directory,
    Image,
    Include,
    Resource,
    Secret,
    Service,
    Unit,
)

CHANGING = "changing"
"""The revision, or fingerprint, of what was about to become another when something went wrong."""


def begun(step: Step) -> Resource:
    """What the journal says from before a step until it is done: neither the old nor the new.

    Whatever is made is named there first, so that it can be taken away again.
    """
    match step:
        case Create(Directory() as directory):
            return replace(directory, skeleton=())
        case Change(Directory(skeleton=made), Directory() as directory):
            return replace(directory, skeleton=made)
        case Remove(Secret() as secret):
            # From here on, what is in it counts no more: a token in it is not given again.
            return doubt(replace(secret, entries=()), CHANGING)
        case Create(resource) | Change(_, resource) | Remove(resource):
            return doubt(resource, CHANGING)


def doubt(resource: Resource, why: str) -> Resource:
    """`resource`, if more belongs to it than a look at the disk tells, as one that nobody wants."""
    match resource:
        case Unit() | Include():
            return replace(resource, revision=why)
        case Secret():
            return replace(resource, fingerprint=why)
        case Certificate():
            return replace(resource, names=())
        case Service():
            return replace(resource, command=())
        case _:
            # A bundle comes about whole, and by another program.
            return resource


def may_come_back(resource: Resource) -> bool:
    """Whether it is remembered when it is not there: a disk with data may not be mounted."""
    return outlives(resource) and not isinstance(resource, Image)
