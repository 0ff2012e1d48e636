"""What a workspace is, as one value: who works there, what runs, how it is confined, what it reads.

Every target renders this value, and decides nothing about a workspace anywhere else. Knows nothing
of podman's command line; render.podman spells it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from carrel.core import names, network
from carrel.core.machine import Machine
from carrel.core.resources import Directory, Holds, revision
from carrel.core.site import MIB, Limits, Site, User


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory or a file of the host inside the container."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Temporary:
    """A directory in memory, of at most `size` bytes.

    Somebody may fill it, and that has to end before the workspace's own memory does: no process that
    could be ended would make room.
    """

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image in podman's store, by its reference; it brings its environment and entrypoint."""

    reference: str


@dataclass(frozen=True, slots=True)
class RootDirectory:
    """An unpacked root file system; the image's environment is in a file beside it."""

    path: str
    environment_file: str


class NetworkMode(StrEnum):
    """Who decides what a workspace reaches."""

    OPEN = "whatever the account that runs it reaches"
    RULED = "the rules of render.nftables, for the account"


class Run(StrEnum):
    """When it runs."""

    ALWAYS = "from the start of the machine on"
    ON_DEMAND = "when somebody visits"
    STOPPED = "not: its user is suspended"


@dataclass(frozen=True, slots=True)
class Ids:
    """The account's user id (also its group's), and the first of its 65536 subordinate ids."""

    uid: int
    first: int


@dataclass(frozen=True, slots=True)
class Reads:
    """A file that a workspace reads when it starts. `print` is another when the content is.

    That is the text itself, or a keyed fingerprint where the text is secret.
    """

    path: str
    print: str


@dataclass(frozen=True, slots=True)
class Placement:
    """What the target decides about a workspace, and not the site."""

    account: str
    ids: Ids | None
    """None where one account has all workspaces: its ids are then of no account's in particular."""
    name: str
    labels: tuple[tuple[str, str], ...]
    root: StoredImage | RootDirectory
    network: NetworkMode
    reads: tuple[Reads, ...]
    after: tuple[str, ...]
    """The services or units that are started before it, by name."""
    sockets: str
    """The user's socket directory on the host."""
    agent: str
    """The directory with the managed configuration of opencode."""
    secrets_file: str
    ai: str
    """The directory with the gateway's socket for this user; used if the site has a gateway."""
    ca_bundle: Reads | None = None
    """The file with the authorities to trust; None: those of the image."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Everything that one workspace is. `name` is its container's."""

    user: str
    account: str
    ids: Ids | None
    storage: str
    """The user's own directory on the host: the one that holds the others."""
    run: Run
    name: str
    hostname: str
    labels: tuple[tuple[str, str], ...]
    root: StoredImage | RootDirectory
    network: NetworkMode
    mounts: tuple[Mount, ...]
    temporary: tuple[Temporary, ...]
    environment_files: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    limits: Limits
    enforced: frozenset[str]
    """The limits that cgroups hold; the others are left out, because podman would refuse them."""
    open_files: int
    arguments: tuple[str, ...]
    """What the image's entrypoint is given: options of code-server."""
    reads: tuple[Reads, ...]
    after: tuple[str, ...]

    def revision(self, *texts: str) -> str:
        """Another one when it has to be started anew: `texts` that render it, or what it reads."""
        return revision(*texts, *(file.print for file in self.reads))


@dataclass(frozen=True, slots=True)
class Share:
    """How large a `Temporary` is: one part in `parts` of the memory, at most `most` bytes."""

    path: str
    parts: int
    most: int | None = None

    def of(self, memory: int) -> Temporary:
        """The directory in a workspace with so much memory."""
        size = memory // self.parts
        return Temporary(self.path, size if self.most is None else min(size, self.most))


SHARES = (
    Share("/tmp", 4),  # noqa: S108 - inside the container
    Share("/var/tmp", 8),  # noqa: S108
    Share("/run", 16, 64 * MIB),
)
"""The writable directories outside the user's own."""


def temporary(limits: Limits) -> tuple[Temporary, ...]:
    """The writable directories outside the user's own, with their sizes."""
    return tuple(share.of(limits.memory) for share in SHARES)


def workspace(site: Site, user: User, placement: Placement, machine: Machine) -> Workspace:
    """The workspace of `user`."""
    paths = names.user_paths(site.storage, user.name)
    return Workspace(
        user=user.name,
        account=placement.account,
        ids=placement.ids,
        storage=paths.base,
        run=Run.STOPPED if user.suspended else Run.ALWAYS,
        name=placement.name,
        hostname=user.name,
        labels=placement.labels,
        root=placement.root,
        network=placement.network,
        mounts=(
            Mount(paths.home, names.HOME),
            Mount(paths.workspace, names.PROJECT),
            Mount(paths.config, names.SETTINGS),
            Mount(placement.sockets, names.RUN),
            Mount(placement.agent, names.AGENT_CONFIG, read_only=True),
            *_ai(site, placement),
            *_trust(placement),
        ),
        temporary=temporary(user.limits),
        environment_files=_environment_files(placement),
        environment=(
            ("OPENCODE_DISABLE_MODELS_FETCH", "1"),
            ("OPENCODE_DISABLE_AUTOUPDATE", "1"),
            *_signature(user),
            *(network.trusting(names.CA_BUNDLE) if placement.ca_bundle else ()),
            *network.through_proxy(site.network),
        ),
        limits=user.limits,
        enforced=machine.controllers,
        open_files=machine.open_files,
        arguments=(
            "--auth=password",
            f"--socket={names.RUN}/{names.EDITOR_SOCKET}",
            # The directory around the socket decides who may connect (facts §3).
            "--socket-mode=666",
            f"--app-name={user.name} · {site.about.name}",
            # The image has words of its own, in English; these come later and win.
            f"--i18n={names.AGENT_CONFIG}/{names.SIGN_IN_WORDS}",
        ),
        reads=(*placement.reads, *([placement.ca_bundle] if placement.ca_bundle else [])),
        after=placement.after,
    )


def _ai(site: Site, placement: Placement) -> tuple[Mount, ...]:
    """The gateway's socket. Read-only is enough to connect to it, and nobody can put another there."""
    if not site.has_gateway:
        return ()
    return (Mount(placement.ai, names.AI_RUN, read_only=True),)


def _signature(user: User) -> tuple[tuple[str, str], ...]:
    given = ((names.FULL_NAME, user.full_name), (names.EMAIL, user.email))
    return tuple((name, value) for name, value in given if value)


def _trust(placement: Placement) -> tuple[Mount, ...]:
    """The authorities of this machine in the place of the image's, which are as old as the image."""
    if placement.ca_bundle is None:
        return ()
    return (Mount(placement.ca_bundle.path, names.CA_BUNDLE, read_only=True),)


def _environment_files(placement: Placement) -> tuple[str, ...]:
    match placement.root:
        case RootDirectory(environment_file=file):
            return (file, placement.secrets_file)
        case StoredImage():
            return (placement.secrets_file,)


def data_directories(site: Site, user: User, account: str) -> tuple[Directory, ...]:
    """The user's own directories.

    The home gets its mount points beforehand: a runtime would make them as the container's root, and
    `coder` could then not write next to them.
    """
    paths = names.user_paths(site.storage, user.name)
    points = tuple(
        point.removeprefix(f"{names.HOME}/") for point in (names.PROJECT, names.SETTINGS)
    )
    return (
        Directory(paths.base, account, 0o700, Holds.DATA),
        Directory(paths.workspace, account, 0o700, Holds.DATA),
        Directory(paths.config, account, 0o700, Holds.DATA),
        Directory(paths.home, account, 0o700, Holds.DATA, skeleton=points),
    )
