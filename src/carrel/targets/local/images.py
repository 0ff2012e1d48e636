"""The images of local mode: in podman's store of the account, one for each recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from carrel.adapters import files
from carrel.core.machine import Machine
from carrel.core.plan import diff, keep
from carrel.core.resources import Image, Secret, Service, State
from carrel.core.site import Site
from carrel.targets import images, preflight
from carrel.targets.images import Builder, Built
from carrel.targets.local.backend import Local
from carrel.targets.local.facts import LocalFacts
from carrel.targets.protocol import Told, no_server

Desired = Callable[[Site, Machine, Image], State]


@dataclass(frozen=True, slots=True)
class LocalImages:
    """Builds into the account's store, and keeps what is there."""

    local: Local
    builder: Callable[[], Builder]
    """It needs the account, which `up` makes."""
    facts: LocalFacts
    desired: Desired

    @property
    def store(self) -> None:
        """The recipe decides."""
        return None

    def wanted(self, site: Site) -> Image:
        """The image of the configuration's recipe."""
        return images.image(site.image, site.network)

    def built(self, image: Image) -> Built | None:
        """The record of an image, if it is in the store."""
        if files.look(self.local.layout.engine) is None:
            return None
        found = self.builder().built()
        return next((built for built in found if built.reference == image.reference), None)

    def all(self) -> list[Built]:
        """The records of the images in the account's store."""
        return [] if files.look(self.local.layout.engine) is None else list(self.builder().built())

    def build(self, site: Site, told: Told, *, retry: bool = False, fresh: bool = False) -> Built:
        """Make the image, and before it what building needs: account, directories, engine files."""
        machine, image = self.facts.machine(), self.wanted(site)
        preflight.check(site, self.local.layout, machine)
        with self.local.locked():
            now = self.local.observe()
            # Nothing of the users yet: their secrets and services are for `up`.
            desired = self.desired(site, machine, image)
            ground = {r for r in desired if not isinstance(r, Secret | Service)}
            running = {r for r in now if isinstance(r, Secret | Service)}
            self.local.apply(diff(now, keep(State.of(ground | running), now)), told)
            known = self.built(image)
            again = fresh or (retry and known is not None and bool(known.missing_extensions))
            return self.builder().build(image, fresh=fresh, again=again)

    def load(self, archive: Path, told: Told) -> Built:
        """Not here."""
        del archive, told
        raise no_server()

    def prune(self) -> int:
        """Remove what no container uses from the account's store."""
        return 0 if files.look(self.local.layout.engine) is None else self.builder().prune()
