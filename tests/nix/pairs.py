"""One site twice: as the module declares it, and as Carrel's own State of a server. For test_same_*.py.

What NixOS does differently, and why, is in `ELSEWHERE` and `OTHERWISE`. Nothing else may differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from carrel.core import names
from carrel.core.layout import HostLayout
from carrel.core.machine import NIXOS_NGINX, server_machine
from carrel.core.resources import File, Image, Include, Resource, State
from carrel.core.site import SecretFile, Site, User
from carrel.core.workspace import Ids
from carrel.render import host
from nix.desks import EXAMPLE, Desks, configuration, evaluate
from taken_apart import Sections, unit

R = TypeVar("R", bound=Resource)
LAYOUT = HostLayout(web_group="nginx")
NGINX_GID = 60
HERE = "services.code-server-multi"

ELSEWHERE = {
    "/var/lib/carrel/agent": "opencode.json is made when the system is built, and is in the Nix store",
    "/var/lib/carrel/pages": "the pages are in the Nix store",
    "/var/lib/carrel/trust": "whom the system trusts is in the Nix store",
    "/var/lib/carrel/tls": "certificates are security.acme's, or the operator's",
    "/var/lib/carrel/nginx": "upstreams are in NixOS's own nginx.conf",
    "/var/lib/carrel/engine": "a link into the Nix store",
    "/etc/systemd/system": "NixOS makes the directory of units anew each time",
}
"""Directories that the module does not make, nor anything in them."""

OTHERWISE = {
    "nginx.service.d": "NixOS's nginx is restarted after any failure already",
    "carrel-certificate": "security.acme renews, and NixOS's nginx is reloaded by it",
    "CONTAINERS_STORAGE_CONF": "says where the store is: NixOS runs podman without our options too",
    "CONTAINERS_CONF": "added to NixOS's own settings, which know where its programs are",
    "ExecStart": "compared as podman's arguments",
    "ExecStop": "NixOS stops a container by its id file, and takes as long (--stop-timeout)",
    "gateway.env": "root's, and handed over by systemd (LoadCredential=)",
    "image": "units follow a link to it: its digest is not known when NixOS is built",
    "revision": "NixOS restarts a unit whose text changed; a secret's own unit is restarted by sops",
}
"""What is compared differently, or is another thing on NixOS."""

EXAMPLE_OF_THE_REQUEST = "the example of the request"
SITES = {
    EXAMPLE_OF_THE_REQUEST: ("", ""),
    "nobody": (f"{HERE}.users = lib.mkForce {{ }};", ""),
    "limits, a tunnel and a directory of one's own": (
        f'{HERE} = {{ workspaceBase = "/srv/desks"; memoryLimit = "1.5G"; cpuLimit = "0.75"; '
        "processLimit = 300; };",
        'dan = { port = 9000; fullName = "Dan Döe, jr."; email = "d@example.net"; }; '
        'eve = { passwordFile = "/e"; memoryLimit = "700M"; '
        'memorySoftLimit = "300M"; cpuLimit = 4; };',
    ),
    "shared keys and a suspended user": (
        f'{HERE}.ai = {{ mode = "shared-keys"; providers.anthropic.apiKeyFile = "/k"; '
        'model = "anthropic/x"; };',
        'eve = { passwordFile = "/e"; suspended = true; };',
    ),
    "the gateway, keys of one's own, and limits": (
        f'{HERE} = {{ ai = {{ mode = "gateway"; providers.anthropic.apiKeyFile = "/k"; }}; '
        "settings.ai.limits.money_per_day = 5; };",
        'dan.environment.OPENROUTER_API_KEY = "/o"; eve = { passwordFile = "/e"; port = 9001; };',
    ),
    "a proxy and hosts without it": (
        f'{HERE}.settings.network = {{ http_proxy = "http://proxy.example.net:3128"; '
        'https_proxy = "http://proxy.example.net:3129"; no_proxy = [ ".example.net" "10.0.0.1" ]; };',
        'eve.passwordFile = "/e";',
    ),
    "a proxy for https alone": (
        f'{HERE} = {{ ai.mode = "gateway"; '
        'settings.network.https_proxy = "http://proxy.example.net:3128"; };',
        "",
    ),
    "a server of one's own and many people": (
        f'{HERE} = {{ domain = lib.mkForce "desks.example.net"; ai = {{ mode = "shared-keys"; '
        'providers.mine = { baseUrl = "http://10.0.0.1:8000/v1"; models = [ "small" "large" ]; }; '
        "}; };",
        "".join(f'u{n} = {{ passwordFile = "/p{n}"; port = {9000 + n}; }};' for n in range(12)),
    ),
}
"""By what is special: more of the module's options, and of its users."""


@dataclass(frozen=True)
class Pair:
    """One site on both targets."""

    desks: Desks
    site: Site
    state: State
    folder: Path
    """Where its carrel.toml is."""

    @staticmethod
    def of(name: str, folder: Path) -> Pair:
        more, users = SITES[name]
        file = configuration(folder, more, users=users)
        desks = evaluate(EXAMPLE if name == EXAMPLE_OF_THE_REQUEST else file)
        assert desks.broken == []
        site = desks.site(folder)
        return Pair(desks, site, host.state(site, _surroundings(desks, site)), folder)

    @property
    def config(self) -> Path:
        return self.folder / "carrel.toml"

    @property
    def working(self) -> list[User]:
        """Those who have a desk."""
        return [user for user in self.site.users if not user.suspended]

    def resources(self, kind: type[R]) -> list[R]:
        return [resource for resource in self.state if isinstance(resource, kind)]

    def file(self, path: str) -> str:
        """The text of a file of ours."""
        return next(file.content for file in self.resources(File) if file.path == path)

    def unit(self, name: str) -> Sections:
        """A unit of ours, taken apart."""
        return unit(self.file(LAYOUT.unit_file(name)))

    @property
    def nginx(self) -> str:
        """Our file for the operator's nginx, with the pages where NixOS has them."""
        (include,) = self.resources(Include)
        return include.content.replace(LAYOUT.pages, "/nix/store/carrel-pages")


def _surroundings(desks: Desks, site: Site) -> host.HostSurroundings:
    accounts = desks.found["users"]["users"]
    found = {user.name: accounts[names.account(user.name)] for user in site.users}
    ids = {u: Ids(a["uid"], a["subUidRanges"][0]["startUid"]) for u, a in found.items()}
    if site.has_gateway:
        ids[names.GATEWAY] = Ids(accounts[names.GATEWAY_ACCOUNT]["uid"], 0)
    references = (
        *(user.password for user in site.users),
        *(provider.api_key for provider in site.ai.providers),
        SecretFile(LAYOUT.secret_key),
    )
    return host.HostSurroundings(
        layout=LAYOUT,
        machine=server_machine(ipv6=True, nginx=NIXOS_NGINX),
        image=Image(names.image_reference("0123456789ab"), "", (), ()),
        image_directory=LAYOUT.current_image,
        ids=ids,
        web_gid=NGINX_GID,
        fingerprints={r: "print" for r in references if isinstance(r, SecretFile)},
        python="/nix/store/carrel/libexec/carrel-python",
        authorities="-----BEGIN CERTIFICATE-----",
    )
