"""Local mode as a target: supervisord, one account, one loopback port."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from carrel.adapters.process import Identity
from carrel.core.layout import LocalLayout
from carrel.core.machine import Machine
from carrel.core.resources import Image, State
from carrel.core.site import Site
from carrel.render import local
from carrel.targets import facts
from carrel.targets.editor_files import EditorFiles
from carrel.targets.fingerprint import fingerprints
from carrel.targets.images import Builder, Workshop
from carrel.targets.local.backend import Local
from carrel.targets.local.facts import LocalFacts
from carrel.targets.local.images import LocalImages
from carrel.targets.local.runtime import LocalRuntime
from carrel.targets.protocol import Say


@dataclass(frozen=True, slots=True)
class LocalTarget:
    """Where local mode keeps the site of one configuration file."""

    config: Path
    layout: LocalLayout
    say: Say

    @staticmethod
    def of(config: Path, say: Say) -> LocalTarget:
        """The target of the site that `config` describes, or would describe."""
        return LocalTarget(config, facts.layout(config), say)

    @property
    def store(self) -> Local:
        """The backend."""
        return Local(self.layout, self._build)

    @property
    def runtime(self) -> LocalRuntime:
        """Asks supervisord."""
        return LocalRuntime(self.store)

    @property
    def images(self) -> LocalImages:
        """In podman's store."""
        return LocalImages(self.store, lambda: self.builder, self.facts, self.desired)

    @property
    def facts(self) -> LocalFacts:
        """What this machine can do."""
        return LocalFacts(self.config, self.store)

    @property
    def declared(self) -> None:
        """Carrel makes it."""
        return None

    @property
    def builder(self) -> Builder:
        """Builds images into the account's store."""
        owner = Identity.of(self.layout.owner)
        here = EditorFiles(self.layout.editor_files, owner)
        return Builder(self.store.podman, Workshop.of(self.layout), self.say, here)

    def _build(self, image: Image) -> None:
        self.builder.build(image)

    def desired(self, site: Site, machine: Machine, image: Image) -> State:
        """Everything that should exist."""
        around = local.LocalSurroundings(
            layout=self.layout,
            machine=machine,
            image=image,
            authority_copy=self.facts.authority,
            fingerprints=fingerprints(site, self.layout.secret_key, Identity.of(self.layout.owner)),
            python=sys.executable,
            authorities=facts.authorities(site.network),
            removals=self.store.journal.removals,
        )
        return local.state(site, around)
