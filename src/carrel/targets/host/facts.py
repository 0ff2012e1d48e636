"""What a server can do, and where it keeps what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from carrel.core import certificate, names
from carrel.core.certificate import Served
from carrel.core.layout import HostLayout
from carrel.core.machine import Machine, Shortfall, host_shortfalls
from carrel.core.resources import Bundle
from carrel.core.site import Site, TlsMode
from carrel.targets import facts, preflight


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The machine, all of it."""

    layout: HostLayout
    served: Callable[[Site], Served] | None = None
    """The certificate, where Carrel does not look after it."""

    @property
    def authority(self) -> str:
        """Beside the configuration."""
        return f"{self.layout.config}/ca.crt"

    @property
    def bring(self) -> str:
        """`carrel apply`."""
        return "apply"

    def machine(self) -> Machine:
        """What this machine can do."""
        return facts.host_machine()

    def shortfalls(self, site: Site, machine: Machine) -> tuple[Shortfall, ...]:
        """What this version cannot keep of the configuration."""
        return host_shortfalls(site, machine)

    def check(self, site: Site, machine: Machine) -> None:
        """Versions, tools, the web server."""
        del machine
        preflight.server(site)

    def certificate(self, site: Site) -> Served:
        """Of the local authority, or from elsewhere with both in one file."""
        if self.served is not None:
            return self.served(site)
        bundle = self.bundle(site)
        if bundle is not None:
            return Served(bundle.path, bundle.path, site.tls.mode)
        return Served(f"{self.layout.tls}/site.crt", f"{self.layout.tls}/site.key", TlsMode.LOCAL)

    def bundle(self, site: Site) -> Bundle | None:
        """Where it is kept, and the unit that brings it."""
        return certificate.bundle(site, self.layout)

    def port(self, site: Site) -> int:
        """The usual one."""
        del site
        return names.HTTPS
