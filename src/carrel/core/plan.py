"""The difference between two States as a list of steps that people can read.

diff(a, b) applied to a gives b, and diff(a, a) is empty: hypothesis checks both.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from carrel.core.resources import (
    Account,
    Bundle,
    Certificate,
    Directory,
    File,
    Holds,
    Image,
    Include,
    Resource,
    Secret,
    Service,
    State,
    Unit,
    key,
)


@dataclass(frozen=True, slots=True)
class Create:
    """Make what is not there."""

    resource: Resource


@dataclass(frozen=True, slots=True)
class Change:
    """Turn `before` into `after`; both have the same key."""

    before: Resource
    after: Resource


@dataclass(frozen=True, slots=True)
class Remove:
    """Take away what is there."""

    resource: Resource


Step = Create | Change | Remove


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in a safe order: first all that is made or changed, then removals, backwards."""

    steps: tuple[Step, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.steps)

    def applied_to(self, state: State) -> State:
        """What `state` becomes."""
        found = state.by_key()
        for step in self.steps:
            match step:
                case Create(resource) | Change(_, resource):
                    found[key(resource)] = resource
                case Remove(resource):
                    del found[key(resource)]
        return State.of(found.values())


def diff(now: State, wanted: State) -> Plan:
    """The steps that turn `now` into `wanted`."""
    old, new = now.by_key(), wanted.by_key()
    steps: list[Step] = []
    for resource in wanted:
        before = old.get(key(resource))
        if before is None:
            steps.append(Create(resource))
        elif before != resource:
            steps.append(Change(before, resource))
    steps += [Remove(resource) for resource in reversed(now.resources) if key(resource) not in new]
    return Plan(tuple(steps))


def keep(wanted: State, now: State) -> State:
    """`wanted`, plus everything of `now` that no plan takes away in passing.

    That is users' data, the account that owns it, and images (going back needs the old one).
    """
    asked_for = wanted.by_key()
    kept = [r for r in now if outlives(r) and key(r) not in asked_for]
    return State.of([*wanted, *kept])


def outlives(resource: Resource) -> bool:
    """Whether it stays when nothing asks for it any more."""
    match resource:
        case Account() | Image():
            return True
        case Directory(holds=holds):
            return holds is Holds.DATA
        case File() | Secret() | Certificate() | Bundle() | Service() | Include() | Unit():
            return False


def title(resource: Resource) -> str:
    """A few words that name a resource to a person."""
    match resource:
        case Account(name=name) | Service(name=name) | Unit(name=name):
            words = f"{type(resource).__name__.lower()} {name}"
        case Directory(path=path):
            words = f"directory {path}"
        case File(path=path):
            words = f"file {path}"
        case Secret(path=path):
            words = f"secrets {path}"
        case Include(path=path):
            words = f"nginx configuration {path}"
        case Certificate(names=names) | Bundle(names=names):
            words = f"certificate for {', '.join(names)}"
        case Image(reference=reference):
            words = f"image {reference}"
    return words


def changed_fields(step: Change) -> tuple[str, ...]:
    """The names of the fields in which the two sides of a change differ."""
    if type(step.before) is not type(step.after):
        return ("kind",)
    return tuple(
        f.name
        for f in fields(step.before)
        if f.compare and getattr(step.before, f.name) != getattr(step.after, f.name)
    )


def sentence(step: Step) -> str:
    """One line per step, as `plan` prints it."""
    match step:
        case Create(resource):
            return f"+ {title(resource)}"
        case Change(_, after):
            return f"~ {title(after)} ({', '.join(changed_fields(step))})"
        case Remove(resource):
            return f"- {title(resource)}"
