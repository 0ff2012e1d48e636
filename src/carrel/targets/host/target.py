"""A server as a target: systemd, one account per user, the operator's nginx."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from carrel.adapters import accounts
from carrel.adapters.process import Identity
from carrel.core import names
from carrel.core.layout import HostLayout
from carrel.core.machine import Machine
from carrel.core.resources import Image, State, Unit
from carrel.core.site import Site
from carrel.render import host
from carrel.targets import facts, preflight
from carrel.targets.fingerprint import fingerprints
from carrel.targets.host.backend import Host
from carrel.targets.host.facts import HostFacts
from carrel.targets.host.images import HostImages
from carrel.targets.host.runtime import HostRuntime
from carrel.targets.image_store import digest_of
from carrel.targets.protocol import Say


@dataclass(frozen=True, slots=True)
class HostTarget:
    """The server that this machine is."""

    config: Path
    layout: HostLayout
    say: Say

    @staticmethod
    def of(config: Path, say: Say) -> HostTarget:
        """The server whose configuration is `config`."""
        preflight.server_at_all()
        return HostTarget(config, facts.host_layout(config), say)

    @property
    def store(self) -> Host:
        """The backend."""
        return Host(self.layout, self._fetch, self._started)

    @property
    def runtime(self) -> HostRuntime:
        """Asks systemd."""
        return HostRuntime(self.layout, self.store.recorded)

    @property
    def images(self) -> HostImages:
        """Unpacked, each once."""
        return HostImages(self.store, self.layout, self.say)

    @property
    def facts(self) -> HostFacts:
        """All of the machine."""
        return HostFacts(self.layout)

    @property
    def declared(self) -> None:
        """Carrel makes it."""
        return None

    def _fetch(self, image: Image) -> None:
        self.images.fetch(image)

    def _started(self, unit: Unit) -> None:
        self.runtime.started(unit)

    def desired(self, site: Site, machine: Machine, image: Image) -> State:
        """Everything that should exist."""
        build = facts.build_layout(self.layout)
        around = host.HostSurroundings(
            layout=self.layout,
            machine=machine,
            image=image,
            image_directory=self.images.store.path(digest_of(image.reference)),
            # The gateway's comes last: it needs no range, and moves nobody's.
            ids=facts.ids(
                [*(user.name for user in site.users), names.GATEWAY],
                self.store.recorded(),
                site.storage,
            ),
            web_gid=facts.group_id(self.layout.web_group),
            fingerprints=fingerprints(site, self.layout.secret_key, Identity.ours()),
            python=sys.executable,
            authorities=facts.authorities(site.network),
            removals=self.store.journal.removals,
        )
        wanted = host.state(site, around)
        if not accounts.exists(build.account):
            return wanted
        return State.of([*wanted, *host.builder(self.layout, build, facts.machine(build))])
