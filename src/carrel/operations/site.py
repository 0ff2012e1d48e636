"""A site in local mode, opened: its configuration, where it lives, and what the machine can do."""

from __future__ import annotations

import os
import secrets as randomness
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from carrel.adapters import files
from carrel.adapters.process import Identity
from carrel.backends import facts, images
from carrel.backends.images import Builder, Built
from carrel.backends.local import Local
from carrel.config import load, secrets
from carrel.core.machine import Machine, Shortfall, local_shortfalls
from carrel.core.names import LocalLayout
from carrel.core.resources import Image, State
from carrel.core.site import Site
from carrel.render import local

Say = Callable[[str], None]

PLACES = ("carrel.toml", "/etc/carrel/carrel.toml")


def config_path(given: str | None) -> Path:
    """The configuration to use: the one given, $CARREL_CONFIG, here, or the server's."""
    chosen = given or os.environ.get("CARREL_CONFIG")
    if chosen:
        return Path(chosen)
    return next((Path(place) for place in PLACES if Path(place).is_file()), Path(PLACES[0]))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a site lives, known without reading its configuration."""

    config: Path
    layout: LocalLayout
    say: Say

    @staticmethod
    def of(config: Path, say: Say) -> Place:
        """The place of the site that `config` describes, or would describe."""
        return Place(config, facts.layout(config), say)

    @property
    def local(self) -> Local:
        """The backend."""
        return Local(self.layout, self._build)

    @property
    def builder(self) -> Builder:
        """Builds images into the account's store."""
        owner = Identity.of(self.layout.account)
        return Builder(self.local.podman, f"{self.layout.root}/images", owner, self.say)

    def _build(self, image: Image) -> None:
        self.builder.build(image)


@dataclass(frozen=True, slots=True)
class Opened:
    """A site with its valid configuration."""

    place: Place
    site: Site
    machine: Machine
    image: Image

    @staticmethod
    def at(config: Path, say: Say) -> Opened:
        """Open the site; raises ConfigError with all faults of its configuration."""
        place = Place.of(config, say)
        site = load.load(config)
        return Opened(place, site, facts.machine(place.layout), images.image(site.image))

    def desired(self) -> State:
        """Everything that should exist."""
        around = local.Surroundings(
            layout=self.place.layout,
            machine=self.machine,
            image=self.image,
            authority_copy=str(self.place.config.resolve().parent / "ca.crt"),
            fingerprints=secrets.fingerprints(secrets.references(self.site), self._key()),
        )
        return local.state(self.site, around)

    def shortfalls(self) -> tuple[Shortfall, ...]:
        """What this machine cannot keep of the configuration."""
        return local_shortfalls(self.site, self.machine)

    def built(self) -> Built | None:
        """The site's image, if it is there."""
        if files.look(self.place.layout.engine) is None:
            return None
        found = self.place.builder.built()
        return next((built for built in found if built.reference == self.image.reference), None)

    def _key(self) -> bytes:
        """What secrets' fingerprints are keyed with; a throw-away one before the first `up`."""
        path = f"{self.place.layout.state}/fingerprint.key"
        text = files.text(path)
        if text is None:
            text = randomness.token_hex(32)
            if files.look(self.place.layout.state) is not None:
                files.write(path, text, Identity.of(self.place.layout.owner), 0o600)
        return bytes.fromhex(text)
