"""Where a site lives: what every verb may ask of a target, whether local mode or a server.

operations.local and operations.server are the two; the verbs know only this.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from carrel.core import names
from carrel.core.certificate import Served
from carrel.core.layout import Layout
from carrel.core.machine import Machine, Shortfall
from carrel.core.resources import Image, State
from carrel.core.site import Site
from carrel.targets.images import Built
from carrel.targets.journal import Journal
from carrel.targets.protocol import Backend, Told

Say = Callable[[str], None]


class Condition(StrEnum):
    """How a workspace or the edge is."""

    RUNNING = "running"
    STARTING = "starting"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a workspace uses now: bytes, seconds of CPU time, processes and threads, seconds up."""

    memory: int
    cpu_seconds: float
    tasks: int
    uptime: float
    restarts: int
    last_kill: str
    """The last time that the kernel ended a process for want of memory, in words; empty if never."""


@dataclass(frozen=True, slots=True)
class Running:
    """A workspace or the edge at one moment. `usage` is None where the target cannot tell."""

    condition: Condition
    detail: str = ""
    usage: Usage | None = None


def title(name: str) -> str:
    """What people call what the commands call `name`."""
    match name:
        case names.EDGE_SERVICE:
            return "The edge (nginx)"
        case names.GATEWAY:
            return "The AI gateway"
        case _:
            return f"The workspace of {name}"


class Store(Backend, Protocol):
    """A backend that remembers what it made, and lets one command at a time change it."""

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Hold the site, after those who hold it; `Conflict` if that takes too long."""

    def recorded(self) -> State:
        """What was made here, whether or not it is still there."""

    @property
    def journal(self) -> Journal:
        """Where that is written down."""


class Place(Protocol):
    """A site's place, known without reading its configuration."""

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
    def authority(self) -> str:
        """Where people find the local authority's certificate."""

    @property
    def layout(self) -> Layout:
        """Where everything is."""

    @property
    def bring(self) -> str:
        """The command that brings everything about: up, or apply."""

    @property
    def books(self) -> str:
        """Where the AI gateway writes what it counted."""

    @property
    def ready_seconds(self) -> float:
        """How long a workspace may take until it answers."""

    def machine(self) -> Machine:
        """What this machine can do."""

    def image(self, site: Site) -> Image:
        """The image that workspaces run, or will."""

    def built(self, image: Image) -> Built | None:
        """The record of an image, if it is here."""

    def images(self) -> list[Built]:
        """The records of all images here, the newest first."""

    def build(self, site: Site, told: Told, *, retry: bool = False, fresh: bool = False) -> Built:
        """Make the image of the configuration's recipe.

        `retry`: again if an extension could not be fetched; `fresh`: from a new base, no cache.
        """

    def prune(self) -> int:
        """Remove the images that nothing uses; how many went."""

    def desired(self, site: Site, machine: Machine, image: Image) -> State:
        """Everything that should exist."""

    def shortfalls(self, site: Site, machine: Machine) -> tuple[Shortfall, ...]:
        """What this machine cannot keep of the configuration."""

    def check(self, site: Site, machine: Machine) -> None:
        """Raise what would make applying fail half-way, before anything is changed."""

    def certificate(self, site: Site) -> Served:
        """The certificate that the edge serves here, whatever the configuration asks for."""

    def port(self, site: Site) -> int:
        """The HTTPS port."""

    def active(self) -> bool:
        """Whether the site is up, so that a change of its configuration should take effect."""

    def answers(self, site: Site, name: str) -> bool:
        """Whether a user's workspace, or the edge, answers; raises `NotReady` if it has given up."""

    def running(self, site: Site) -> Mapping[str, Running]:
        """How every user's workspace and the edge are, by name."""

    def cgroup(self, user: str) -> str:
        """The cgroup that holds a user's limits; empty when nobody can tell."""

    def rest(self) -> None:
        """After everything was stopped: leave nothing running or mounted."""

    def log(self, name: str, *, lines: int, follow: bool) -> int:
        """Hand a workspace's or the edge's log to the terminal; an exit status."""

    def execute(self, user: str, command: tuple[str, ...], *, terminal: bool) -> int:
        """Run a command as `coder` in a user's container; its exit status."""
