"""A server that NixOS declares as a target: read, reset and kept going here, made by nixos-rebuild.

Accounts, directories, units and nginx are NixOS's: nothing in this module makes one of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from carrel.adapters import files, systemd
from carrel.adapters.process import Identity
from carrel.config import load, secrets
from carrel.core import names
from carrel.core.certificate import Served
from carrel.core.layout import HostLayout
from carrel.core.machine import Machine
from carrel.core.resources import Image, State, Unit
from carrel.core.site import Site
from carrel.errors import CarrelError, NotReady
from carrel.targets import disk, facts, preflight
from carrel.targets.host.backend import Host
from carrel.targets.host.facts import HostFacts
from carrel.targets.host.images import HostImages
from carrel.targets.host.runtime import HostRuntime
from carrel.targets.image_store import ImageStore, digest_of
from carrel.targets.images import Built
from carrel.targets.nixos.declared import refuse, secrets_of
from carrel.targets.protocol import Say
from carrel.targets.waiting import until


@dataclass(frozen=True, slots=True)
class NixosTarget:
    """The server that this machine is, declared in Nix."""

    config: Path
    layout: HostLayout
    say: Say

    @staticmethod
    def of(config: Path, say: Say) -> NixosTarget:
        """The server whose configuration is `config`."""
        preflight.server_at_all()
        return NixosTarget(config, facts.host_layout(config), say)

    @property
    def store(self) -> Host:
        """Where nothing is recorded but images: all else is NixOS's."""
        return Host(self.layout, self._fetch, self._started)

    @property
    def runtime(self) -> HostRuntime:
        """Units, here too."""
        return HostRuntime(self.layout, self.store.recorded)

    @property
    def images(self) -> HostImages:
        """Unpacked, each once, here too."""
        return HostImages(self.store, self.layout, self.say, keeps_run=False)

    @property
    def facts(self) -> HostFacts:
        """As on any server, but for the certificate."""
        return HostFacts(self.layout, _served)

    @property
    def declared(self) -> NixosDeclared:
        """What is done without applying anything."""
        return NixosDeclared(self.config, self.layout, self.images.store, self.runtime)

    def desired(self, site: Site, machine: Machine, image: Image) -> State:
        """Nobody's business here but Nix's."""
        del site, machine, image
        refuse()

    def _fetch(self, image: Image) -> None:
        self.images.fetch(image)

    def _started(self, unit: Unit) -> None:
        self.runtime.started(unit)


def _served(site: Site) -> Served:
    """The files that NixOS's nginx reads."""
    key = site.tls.key.path if site.tls.key else ""
    return Served(site.tls.certificate, key, site.tls.mode)


@dataclass(frozen=True, slots=True)
class NixosDeclared:
    """What the operator does here between two runs of nixos-rebuild."""

    config: Path
    layout: HostLayout
    images: ImageStore
    runtime: HostRuntime

    def use(self, built: Built) -> None:
        """Switch every workspace to an image, one after the other; if one fails, all go back."""
        unpacked, site = self.images, load.declared(self.config)
        before = (unpacked.selected, unpacked.previous)
        unpacked.select(digest_of(built.reference))
        try:
            self._renew_all(site)
        except CarrelError as error:
            if not before[0] or before[0] == digest_of(built.reference):
                raise
            unpacked.restore(*before)
            self._renew_all(site)
            raise NotReady(
                f"The image {digest_of(built.reference)} does not work. "
                f"Every workspace is back on {before[0]}.",
                why=str(error),
                fix="look at what it says, and build the image again; nothing of the users was lost",
            ) from error

    def _renew_all(self, site: Site) -> None:
        point(self.layout, self.images)
        for user in site.users:
            if not user.suspended:
                root = names.mount_unit(self.layout.root(user.name))
                systemd.stop([names.workspace_unit(user.name), root])
                self._start(site, user.name)

    def reset(self, site: Site, user: str, doomed: Iterable[str]) -> None:
        """Destroy the user's container and make a new one, without the directories in `doomed`."""
        systemd.stop([names.workspace_unit(user)])
        for directory in doomed:
            files.remove_tree(directory)
        systemd.make_again(names.user_paths(site.storage, user).base)
        self._start(site, user)

    def end_sessions(self, site: Site, user: str) -> None:
        """Give the user's password another salt, by which every session ends; a workspace starts again.

        In one write: whenever the unit starts, there is a password to sign in with.
        """
        anew = secrets_of(self.config, self.layout, user)
        text = secrets.environment_file(anew.entries, existing="")
        files.write(anew.path, text, Identity.of(anew.owner), disk.SECRET_MODE)
        known = site.user(user)
        if known is not None and not known.suspended:
            systemd.stop([names.workspace_unit(user)])
            self._start(site, user)

    def _start(self, site: Site, user: str) -> None:
        systemd.start(names.workspace_unit(user))
        until(
            partial(self.runtime.answers, site, user),
            seconds=self.runtime.ready_seconds,
            what=f"The workspace of {user}",
            fix=f"see `carrel logs {user}`",
        )


def point(layout: HostLayout, images: ImageStore) -> None:
    """Lead the mount units, which know no digest, to the image in use."""
    images.close()
    files.replace_link(layout.current_image, images.path(images.selected))


def provide_image(target: NixosTarget) -> None:
    """Build an image if there is none yet, and lead the units to the one in use."""
    images = target.images
    if images.store.get(images.store.selected) is None:
        built = images.build(load.declared(target.config), lambda _: None)
        with target.store.locked():
            images.store.select(digest_of(built.reference))
    point(target.layout, images.store)
