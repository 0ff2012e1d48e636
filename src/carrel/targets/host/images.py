"""The images of a server: built by an account of their own, unpacked once, one of them in use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from carrel.adapters import accounts
from carrel.adapters.podman import Podman
from carrel.adapters.process import Identity, World
from carrel.core import names
from carrel.core.layout import HostLayout, LocalLayout
from carrel.core.plan import diff
from carrel.core.resources import Image, State
from carrel.core.site import Site
from carrel.errors import Refused
from carrel.render import engine, host
from carrel.targets import facts, images
from carrel.targets.host.backend import Host
from carrel.targets.image_store import ImageStore, digest_of
from carrel.targets.images import Builder, Built, Workshop
from carrel.targets.protocol import Say, Told


@dataclass(frozen=True, slots=True)
class HostImages:
    """Builds, loads and unpacks them. `host` remembers which are here."""

    host: Host
    layout: HostLayout
    say: Say
    keeps_run: bool = True
    """Whether a boot makes the builder's directories in /run again: not where /etc is Nix's."""

    @property
    def store(self) -> ImageStore:
        """Where they are unpacked."""
        return self.host.images

    def wanted(self, site: Site) -> Image:
        """The image that was selected; before the first, the one of the configuration's recipe."""
        selected = self.store.selected
        if selected:
            return Image(names.image_reference(selected), "", (), ())
        return images.image(site.image, site.network)

    def built(self, image: Image) -> Built | None:
        """The record of an image, if it is here."""
        return self.store.get(digest_of(image.reference))

    def all(self) -> list[Built]:
        """The records of all images here."""
        return list(self.store.all())

    def build(self, site: Site, told: Told, *, retry: bool = False, fresh: bool = False) -> Built:
        """Build and unpack the image of the recipe; the first one is selected."""
        image, unpacked = images.image(site.image, site.network), self.store
        known = unpacked.get(digest_of(image.reference))
        again = fresh or (retry and known is not None and bool(known.missing_extensions))
        if known is not None and not again:
            return known
        with self.host.locked():
            if known is not None and digest_of(image.reference) == unpacked.selected:
                raise Refused(
                    "The image of this recipe is in use, and would be replaced under the feet of its "
                    "users. Nothing was changed.",
                    fix="change [image], for example a package, so that it becomes another image",
                )
            podman = self._builder_podman(told)
            built = self._builder(podman).build(image, fresh=fresh, again=again)
            if known is not None:
                unpacked.remove(digest_of(image.reference))
            self._unpack(podman, built)
        return built

    def load(self, archive: Path, told: Told) -> Built:
        """Unpack an image that `podman save` or `docker save` wrote, and keep it beside the others."""
        with self.host.locked():
            podman = self._builder_podman(told)
            self.say("reading the archive")
            id_ = podman.load(str(archive.resolve()))
            reference = names.image_reference(id_)
            podman.tag(id_, reference)
            built = Built(reference, podman.image_size(reference), {"loaded_from": archive.name})
            self._unpack(podman, built)
            podman.discard(reference)
        return built

    def prune(self) -> int:
        """Remove all images but the one in use and the one before it."""
        unpacked = self.store
        with self.host.locked():
            kept = {unpacked.selected, unpacked.previous}
            gone = [digest_of(b.reference) for b in unpacked.all()]
            gone = [digest for digest in gone if digest not in kept]
            for digest in (*gone, *unpacked.leftovers()):
                unpacked.remove(digest)
            self.host.forget(names.image_reference(digest) for digest in gone)
            build = facts.build_layout(self.layout)
            if accounts.exists(build.account):
                self._builder(self._podman(build)).prune()
        return len(gone)

    def fetch(self, image: Image) -> None:
        """See that an image is here, and that one is selected."""
        digest, unpacked = digest_of(image.reference), self.store
        if unpacked.get(digest) is None:
            podman = self._builder_podman(lambda _: None)
            self._unpack(podman, self._builder(podman).build(image))
        elif not unpacked.selected:
            unpacked.select(digest)

    def _unpack(self, podman: Podman, built: Built) -> None:
        unpacked = self.store
        self.say("unpacking the image")
        unpacked.add(podman, built)
        if not unpacked.selected:
            unpacked.select(digest_of(built.reference))

    def _builder_podman(self, told: Told) -> Podman:
        """Podman of the account that builds images; makes the account if need be."""
        build = facts.build_layout(self.layout)
        store = self.host
        now = store.observe()
        machine = facts.machine(build)
        needed = (
            host.builder(self.layout, build, machine)
            if self.keeps_run
            else engine.foundation(build, machine)
        )
        ground = State.of(needed).by_key()
        rest = {k: r for k, r in now.by_key().items() if k not in ground}
        store.apply(diff(now, State.of([*rest.values(), *ground.values()])), told)
        return self._podman(build)

    def _podman(self, build: LocalLayout) -> Podman:
        return Podman(
            World(dict(engine.environment(build)), Identity.of(build.account), directory="/")
        )

    def _builder(self, podman: Podman) -> Builder:
        return Builder(podman, Workshop.of(facts.build_layout(self.layout)), self.say)
