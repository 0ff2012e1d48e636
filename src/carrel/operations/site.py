"""A site, opened: its configuration, where it lives, and what the machine can do."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from carrel.config import load
from carrel.config.exposure import exposed
from carrel.core.machine import Machine, Shortfall
from carrel.core.resources import Image, State
from carrel.core.site import Site
from carrel.errors import ConfigError
from carrel.operations import applied
from carrel.targets.host.target import HostTarget
from carrel.targets.image_store import ImageStore
from carrel.targets.images import Built
from carrel.targets.nixos import declared
from carrel.targets.nixos.target import NixosTarget
from carrel.targets.protocol import Say, Target, no_server

SERVER_CONFIG = Path("/etc/carrel/carrel.toml")
PLACES = (Path("carrel.toml"), SERVER_CONFIG)


class TargetKind(StrEnum):
    """Where a site runs (design §3)."""

    LOCAL = "local"
    HOST = "host"

    @staticmethod
    def of(config: Path) -> TargetKind:
        """A configuration in /etc/carrel is a server's; any other is for local mode."""
        return (
            TargetKind.HOST if config.resolve().parent == SERVER_CONFIG.parent else TargetKind.LOCAL
        )


def config_path(given: str | None) -> Path:
    """The configuration to use: the one given, $CARREL_CONFIG, here, or the server's."""
    chosen = given or os.environ.get("CARREL_CONFIG")
    if chosen:
        return Path(chosen)
    return next((path for path in PLACES if path.is_file()), PLACES[0])


def target_at(config: Path, say: Say, target: TargetKind | None = None) -> Target:
    """The place of the site that `config` describes, or would describe."""
    match target or TargetKind.of(config):
        case TargetKind.LOCAL:
            # A server has no use for supervisord's client, a tenth of what a command loads.
            from carrel.targets.local.target import LocalTarget  # noqa: PLC0415

            return LocalTarget.of(config, say)
        case TargetKind.HOST if declared.is_declared(config):
            return NixosTarget.of(config, say)
        case TargetKind.HOST:
            return HostTarget.of(config, say)


def editable(config: Path, say: Say, target: TargetKind | None = None) -> Target:
    """The place, for a command that edits its configuration or takes it down.

    `Refused` where Nix declares it.
    """
    if (target or TargetKind.of(config)) is TargetKind.HOST and declared.is_declared(config):
        declared.refuse()
    return target_at(config, say, target)


def server(where: Target) -> ImageStore:
    """The images of a server, of which one is in use; ConfigError for local mode."""
    store = where.images.store
    if store is None:
        raise no_server()
    return store


@dataclass(frozen=True, slots=True)
class Opened:
    """A site with its valid configuration."""

    target: Target
    site: Site
    machine: Machine
    image: Image
    text: str
    """What the configuration says, word for word."""
    fault: str = ""
    """What is wrong with the file, if this is not what it says now but what was applied last."""

    @staticmethod
    def at(config: Path, say: Say, target: TargetKind | None = None) -> Opened:
        """Open the site; raises ConfigError with all faults of its configuration."""
        return Opened.of(target_at(config, say, target))

    @staticmethod
    def of(where: Target) -> Opened:
        """Open the site that lives there."""
        return Opened.saying(where, load.read(where.config))

    @staticmethod
    def saying(where: Target, text: str) -> Opened:
        """The place with what its configuration is about to say."""
        site = load.parse(text, where.config)
        return Opened.opened(where, site, text)

    @staticmethod
    def opened(where: Target, site: Site, text: str) -> Opened:
        """The target with what `text` says."""
        return Opened(where, site, where.facts.machine(), where.images.wanted(site), text)

    @staticmethod
    def to_read(config: Path, say: Say, target: TargetKind | None = None) -> Opened:
        """Open the site for a command that changes nothing in it.

        While its configuration has a fault, this is what was applied last, and `say` tells so.
        """
        where = target_at(config, say, target)
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
            return Opened(
                where,
                site,
                where.facts.machine(),
                where.images.wanted(site),
                text,
                fault=error.what,
            )

    def desired(self) -> State:
        """Everything that should exist."""
        return self.target.desired(self.site, self.machine, self.image)

    def shortfalls(self) -> tuple[Shortfall, ...]:
        """What this machine cannot keep of the configuration, and secrets that are none."""
        found = self.target.facts.shortfalls(self.site, self.machine)
        return (*found, *exposed(self.site, self.target.config))

    def built(self) -> Built | None:
        """The site's image, if it is there."""
        return self.target.images.built(self.image)
