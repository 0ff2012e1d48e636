"""What a target is: four small parts, and where a site becomes a State. The verbs know only this.

Each folder beside this file is one target, with a class for each part. None inherits from another,
and nobody outside asks which one it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from carrel.core.certificate import Served
from carrel.core.layout import Layout
from carrel.core.machine import Machine, Shortfall
from carrel.core.plan import Plan, Step
from carrel.core.resources import Bundle, Image, State
from carrel.core.site import Site
from carrel.errors import ConfigError
from carrel.targets.condition import Running
from carrel.targets.image_store import ImageStore
from carrel.targets.images import Built
from carrel.targets.journal import Journal

Told = Callable[[Step], None]
"""Called before each step, so that long work can be shown."""

Say = Callable[[str], None]
"""Tells the operator what is going on."""


class Backend(Protocol):
    """A place where a State lives."""

    def observe(self) -> State:
        """What Carrel made here and is still there, as it is now."""

    def apply(self, plan: Plan, told: Told) -> None:
        """Bring the steps about, in their order; stops at the first that fails."""


class Store(Backend, Protocol):
    """A backend that remembers what it made, and lets one command at a time change it."""

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Hold the site, after those who hold it; `Conflict` if that takes too long."""

    def recorded(self) -> State:
        """What was made here, whether or not it is still there."""

    @property
    def journal(self) -> Journal:
        """Where that is written down."""


class Runtime(Protocol):
    """What runs: workspaces, the edge, the gateway, each by the name that commands call it."""

    @property
    def ready_seconds(self) -> float:
        """How long a workspace may take until it answers."""

    def active(self) -> bool:
        """Whether the site is up, so that a change of its configuration should take effect."""

    def answers(self, site: Site, name: str) -> bool:
        """Whether one of them answers; raises `NotReady` if it has given up."""

    def running(self, site: Site) -> Mapping[str, Running]:
        """How every user's workspace, the edge and the gateway are, by name."""

    def cgroup(self, user: str) -> str:
        """The cgroup that holds a user's limits; empty when nobody can tell."""

    def log(self, name: str, *, lines: int, follow: bool) -> int:
        """Hand the log of one of them to the terminal; an exit status."""

    def execute(self, user: str, command: tuple[str, ...], *, terminal: bool) -> int:
        """Run a command as `coder` in a user's container; its exit status."""

    def rest(self) -> None:
        """After everything was stopped: leave nothing running or mounted."""


class Images(Protocol):
    """The images that are here."""

    @property
    def store(self) -> ImageStore | None:
        """Where one of several is in use; None where the configuration's recipe decides."""

    def wanted(self, site: Site) -> Image:
        """The image that workspaces run, or will."""

    def built(self, image: Image) -> Built | None:
        """The record of an image, if it is here."""

    def all(self) -> list[Built]:
        """The records of all images here, the newest first."""

    def build(self, site: Site, told: Told, *, retry: bool = False, fresh: bool = False) -> Built:
        """Make the image of the configuration's recipe.

        `retry`: again if an extension could not be fetched; `fresh`: from a new base, no cache.
        """

    def load(self, archive: Path, told: Told) -> Built:
        """Keep an image that `podman save` or `docker save` wrote beside the others."""

    def prune(self) -> int:
        """Remove the images that nothing uses; how many went."""


class Facts(Protocol):
    """What the machine is and can do, and where on it everything has its place."""

    @property
    def layout(self) -> Layout:
        """Where everything is."""

    @property
    def authority(self) -> str:
        """Where people find the local authority's certificate."""

    @property
    def bring(self) -> str:
        """The command that brings everything about: up, or apply."""

    def machine(self) -> Machine:
        """What this machine can do."""

    def shortfalls(self, site: Site, machine: Machine) -> tuple[Shortfall, ...]:
        """What this machine cannot keep of the configuration."""

    def check(self, site: Site, machine: Machine) -> None:
        """Raise what would make applying fail half-way, before anything is changed."""

    def certificate(self, site: Site) -> Served:
        """The certificate that the edge serves here, whatever the configuration asks for."""

    def bundle(self, site: Site) -> Bundle | None:
        """The certificate from elsewhere, where one is looked after here."""

    def port(self, site: Site) -> int:
        """The HTTPS port."""


class Declared(Protocol):
    """What is done differently where somebody else's tool makes the site: nothing is applied here."""

    def use(self, built: Built) -> None:
        """Switch every workspace to an image, one after the other; if one fails, all go back."""

    def reset(self, site: Site, user: str, doomed: Iterable[str]) -> None:
        """Destroy the user's container and make a new one, without the directories in `doomed`."""

    def end_sessions(self, site: Site, user: str) -> None:
        """Sign a user out everywhere, at once."""


class Target(Protocol):
    """Where one site lives, known without reading its configuration."""

    @property
    def config(self) -> Path:
        """The configuration file."""

    @property
    def say(self) -> Say:
        """Tells the operator what is going on."""

    @property
    def store(self) -> Store:
        """Where its State lives."""

    @property
    def runtime(self) -> Runtime:
        """What runs."""

    @property
    def images(self) -> Images:
        """What it runs."""

    @property
    def facts(self) -> Facts:
        """On what."""

    @property
    def declared(self) -> Declared | None:
        """None where Carrel makes the site."""

    def desired(self, site: Site, machine: Machine, image: Image) -> State:
        """Everything that should exist."""


def no_server() -> ConfigError:
    """What is said to those who ask local mode for what only a server does."""
    return ConfigError(
        "Only a server can do that; this is a configuration for local mode. Nothing was changed.",
        fix="name the server's configuration with --config FILE, or use `carrel up` and `down`",
    )
