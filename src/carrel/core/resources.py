"""The things that can exist: a closed union of frozen values, and a State that holds them.

Made by core.desired, compared by core.plan, brought about by the targets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from graphlib import TopologicalSorter

from carrel.core.site import Network, PasswordHash, SecretFile


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged Unix account with subordinate ids for a user namespace.

    `uid` (also its group's id) and `first_subordinate_id` are given where something else is made
    from them; None lets the system choose.
    """

    name: str
    home: str
    subordinate_ids: int = 65536
    uid: int | None = None
    first_subordinate_id: int | None = None


class Holds(StrEnum):
    """What a directory holds, and therefore whether it may ever be removed in passing."""

    OURS = "made by Carrel, can be made again"
    SHARED = "other people's files too: goes when it is empty"
    DATA = "a user's data"


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory with its owner and mode. Only `DATA` never goes without being asked for.

    `skeleton`: directories inside it that are made once, with it; later they are the user's.
    """

    path: str
    owner: str
    mode: int
    holds: Holds = Holds.OURS
    skeleton: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class File:
    """A text file; never one with a secret in it."""

    path: str
    owner: str
    mode: int
    content: str


class Form(StrEnum):
    """How a secret's value is written."""

    AS_IS = "as it is"
    IF_ANY = "as it is, or nothing where there is no such file"
    PASSWORD_HASH = "argon2 hash"  # noqa: S105 - the name of a form
    SHA256 = "sha256"


@dataclass(frozen=True, slots=True)
class Token:
    """What a user is known by to the AI gateway: made from a key, and written down nowhere else.

    `turn`: another number makes another token, and the old one worthless. So does each time that
    somebody of this name was removed: what a predecessor had opens nothing.
    """

    user: str
    turn: int
    key: SecretFile
    removals: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One variable of an environment file, from a file, a token, or a hash in the configuration.

    `given` does not count in comparisons: it is never recorded, and the fingerprint covers it.
    """

    variable: str
    source: SecretFile | Token | None
    form: Form = Form.AS_IS
    given: PasswordHash | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Secret:
    """An environment file (0600) made from secrets.

    `fingerprint` changes when one of the values does; it is a keyed hash, useless to others.
    """

    path: str
    owner: str
    entries: tuple[Entry, ...]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of the local authority for `names`, with its key, in `directory`.

    `owner` may read the certificate's key; the authority's stays with whoever runs Carrel.
    `public_copy` is where people find the authority's certificate, to trust it.
    """

    directory: str
    owner: str
    names: tuple[str, ...]
    public_copy: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """A certificate for `names` from elsewhere, with its chain and key in one file.

    `unit` brings it, and renews it from then on; `folder` is where it keeps what it needs for that,
    or empty.
    """

    path: str
    names: tuple[str, ...]
    unit: str
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """The workspace image. `reference` contains the digest of everything that goes into it.

    `network` does not go into it and is never recorded: it is how the build gets out.
    """

    reference: str
    base: str
    packages: tuple[str, ...]
    extensions: tuple[str, ...]
    network: Network = field(default_factory=Network, compare=False)


@dataclass(frozen=True, slots=True)
class Service:
    """A program that is kept running as `account`.

    `revision` changes when anything it reads at start changes; then it is restarted.
    `check`, if any, must exit with 0 before the service is started or replaced.
    """

    name: str
    account: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    log: str
    revision: str
    check: tuple[str, ...] = ()
    stop_seconds: int = 20
    after: tuple[str, ...] = field(default=(), compare=False)
    """The services that are started before it, if there are such; another order restarts nothing."""


@dataclass(frozen=True, slots=True)
class Include:
    """A file that the operator's nginx reads. The whole configuration is tested before it counts.

    `revision` changes when a file that nginx reads only at a reload does, such as a certificate.
    """

    path: str
    content: str
    revision: str = ""


class OnChange(StrEnum):
    """How a running unit takes up a new revision."""

    RESTART = "restart"
    RELOAD = "reload"


@dataclass(frozen=True, slots=True)
class Unit:
    """A systemd unit that is enabled and running.

    `revision` changes when anything it reads at start changes. `files` make it up: one that somebody
    edited makes the unit another. `parts` are units that it needs, and that are stopped with it.
    """

    name: str
    revision: str
    files: tuple[str, ...]
    parts: tuple[str, ...] = ()
    on_change: OnChange = OnChange.RESTART
    after: tuple[str, ...] = field(default=(), compare=False)
    """The units that are started before it, if there are such; another order restarts nothing."""


Resource = (
    Account | Directory | File | Secret | Certificate | Bundle | Image | Include | Service | Unit
)

ORDER: tuple[type, ...] = (
    Account, Directory, File, Secret, Certificate, Bundle, Image, Unit, Include, Service,
)  # fmt: skip
"""What must exist before what."""


Running = Service | Unit
"""What has processes."""


def key(resource: Resource) -> tuple[int, str]:
    """What makes a resource the same one over time; kinds sort in the order of making."""
    match resource:
        case Account(name=name) | Service(name=name) | Unit(name=name):
            identity = name
        case Directory(path=path) | File(path=path) | Secret(path=path):
            identity = path
        case Include(path=path) | Bundle(path=path):
            identity = path
        case Certificate(directory=directory):
            identity = directory
        case Image(reference=reference):
            identity = reference
    return ORDER.index(type(resource)), identity


@dataclass(frozen=True)
class State:
    """A set of resources, no two with the same key, in the order in which they are made."""

    resources: tuple[Resource, ...] = ()

    @staticmethod
    def of(resources: Iterable[Resource]) -> State:
        """The state of exactly these; two with one key are a mistake of the caller."""
        ordered = _ordered(resources)
        keys = [key(resource) for resource in ordered]
        if len(set(keys)) != len(keys):
            twice = next(k for i, k in enumerate(keys) if k in keys[:i])
            raise ValueError(f"two resources with the key {twice}")
        return State(ordered)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.resources)

    def by_key(self) -> dict[tuple[int, str], Resource]:
        """The resources, to be looked up."""
        return {key(resource): resource for resource in self.resources}

    def running(self) -> tuple[Running, ...]:
        """What runs: services and units only."""
        return tuple(r for r in self.resources if isinstance(r, Service | Unit))

    def without_running(self) -> State:
        """The same with nothing running."""
        return State(tuple(r for r in self.resources if not isinstance(r, Service | Unit)))


def _ordered(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    """By kind, then what runs after what it says that it comes after, otherwise by name."""
    listed = sorted(resources, key=key)
    turn = {name: number for number, name in enumerate(_in_turn(listed))}
    return tuple(sorted(listed, key=lambda r: (key(r)[0], turn[key(r)[1]] if _runs(r) else 0)))


def _runs(resource: Resource) -> bool:
    return isinstance(resource, Service | Unit)


def _in_turn(resources: Iterable[Resource]) -> Iterator[str]:
    """The names of services and units, each after those that it comes after."""
    graph = {r.name: r.after for r in resources if isinstance(r, Service | Unit)}
    sorter = TopologicalSorter(
        {name: [a for a in after if a in graph] for name, after in graph.items()}
    )
    sorter.prepare()
    while sorter.is_active():
        for name in sorted(sorter.get_ready()):
            yield name
            sorter.done(name)


def revision(*parts: str) -> str:
    """Another one when one of `parts` is another."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
