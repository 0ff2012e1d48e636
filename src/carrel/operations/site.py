"""A site, opened: its configuration, where it lives, and what the machine can do."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from carrel.config import load
from carrel.core.machine import Machine, Shortfall
from carrel.core.resources import Image, State
from carrel.core.site import Site
from carrel.errors import ConfigError
from carrel.operations import applied
from carrel.targets.host.place import ServerPlace
from carrel.targets.images import Built
from carrel.targets.nixos import place as nixos
from carrel.targets.place import Place, Say

SERVER_CONFIG = Path("/etc/carrel/carrel.toml")
PLACES = (Path("carrel.toml"), SERVER_CONFIG)


class Target(StrEnum):
    """Where a site runs (design §3)."""

    LOCAL = "local"
    HOST = "host"

    @staticmethod
    def of(config: Path) -> Target:
        """A configuration in /etc/carrel is a server's; any other is for local mode."""
        return Target.HOST if config.resolve().parent == SERVER_CONFIG.parent else Target.LOCAL


def config_path(given: str | None) -> Path:
    """The configuration to use: the one given, $CARREL_CONFIG, here, or the server's."""
    chosen = given or os.environ.get("CARREL_CONFIG")
    if chosen:
        return Path(chosen)
    return next((place for place in PLACES if place.is_file()), PLACES[0])


def place(config: Path, say: Say, target: Target | None = None) -> Place:
    """The place of the site that `config` describes, or would describe."""
    match target or Target.of(config):
        case Target.LOCAL:
            # A server has no use for supervisord's client, a tenth of what a command loads.
            from carrel.targets.local.place import LocalPlace  # noqa: PLC0415

            return LocalPlace.of(config, say)
        case Target.HOST if nixos.is_declared(config):
            return nixos.NixosPlace.of(config, say)
        case Target.HOST:
            return ServerPlace.of(config, say)


def editable(config: Path, say: Say, target: Target | None = None) -> Place:
    """The place, for a command that edits its configuration or takes it down.

    `Refused` where Nix declares it.
    """
    if (target or Target.of(config)) is Target.HOST and nixos.is_declared(config):
        nixos.refuse()
    return place(config, say, target)


def server(where: Place) -> ServerPlace:
    """The place as a server; ConfigError if it is local mode."""
    if not isinstance(where, ServerPlace):
        raise ConfigError(
            "Only a server can do that; this is a configuration for local mode. "
            "Nothing was changed.",
            fix="name the server's configuration with --config FILE, or use `carrel up` and `down`",
        )
    return where


@dataclass(frozen=True, slots=True)
class Opened:
    """A site with its valid configuration."""

    place: Place
    site: Site
    machine: Machine
    image: Image
    text: str
    """What the configuration says, word for word."""
    fault: str = ""
    """What is wrong with the file, if this is not what it says now but what was applied last."""

    @staticmethod
    def at(config: Path, say: Say, target: Target | None = None) -> Opened:
        """Open the site; raises ConfigError with all faults of its configuration."""
        return Opened.of(place(config, say, target))

    @staticmethod
    def of(where: Place) -> Opened:
        """Open the site that lives there."""
        return Opened.saying(where, load.read(where.config))

    @staticmethod
    def saying(where: Place, text: str) -> Opened:
        """The place with what its configuration is about to say."""
        site = load.parse(text, where.config)
        return Opened(where, site, where.machine(), where.image(site), text)

    @staticmethod
    def to_read(config: Path, say: Say, target: Target | None = None) -> Opened:
        """Open the site for a command that changes nothing in it.

        While its configuration has a fault, this is what was applied last, and `say` tells so.
        """
        where = place(config, say, target)
        try:
            return Opened.of(where)
        except ConfigError as error:
            text = applied.recalled(where)
            if text is None:
                raise
            site = load.recalled(text, where.config)
            say(
                f"{error.what} This is about what was applied last. `carrel config check` says more."
            )
            return Opened(where, site, where.machine(), where.image(site), text, fault=error.what)

    def desired(self) -> State:
        """Everything that should exist."""
        return self.place.desired(self.site, self.machine, self.image)

    def shortfalls(self) -> tuple[Shortfall, ...]:
        """What this machine cannot keep of the configuration."""
        return self.place.shortfalls(self.site, self.machine)

    def built(self) -> Built | None:
        """The site's image, if it is there."""
        return self.place.built(self.image)
