"""What local mode can do on this machine, and where it keeps what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from carrel.core.certificate import Served
from carrel.core.layout import LocalLayout
from carrel.core.machine import Machine, Shortfall, local_shortfalls
from carrel.core.resources import Bundle
from carrel.core.site import Site, TlsMode
from carrel.targets import facts, preflight
from carrel.targets.local.backend import Local


@dataclass(frozen=True, slots=True)
class LocalFacts:
    """The machine, for one account without root."""

    config: Path
    local: Local

    @property
    def layout(self) -> LocalLayout:
        """Where everything is."""
        return self.local.layout

    @property
    def authority(self) -> str:
        """Beside the configuration."""
        return str(self.config.resolve().parent / "ca.crt")

    @property
    def bring(self) -> str:
        """`carrel up`."""
        return "up"

    def machine(self) -> Machine:
        """What this machine can do."""
        return facts.machine(self.layout)

    def shortfalls(self, site: Site, machine: Machine) -> tuple[Shortfall, ...]:
        """What this machine cannot keep of the configuration."""
        return local_shortfalls(site, machine)

    def check(self, site: Site, machine: Machine) -> None:
        """Tools, devices, ids, and the port."""
        preflight.check(site, self.layout, machine)
        self.local.check_port(site.local_port)

    def certificate(self, site: Site) -> Served:
        """Always of the local authority."""
        del site
        return Served(f"{self.layout.tls}/site.crt", f"{self.layout.tls}/site.key", TlsMode.LOCAL)

    def bundle(self, site: Site) -> Bundle | None:
        """None: the authority is always the local one."""
        del site
        return None

    def port(self, site: Site) -> int:
        """The port of the configuration."""
        return site.local_port
