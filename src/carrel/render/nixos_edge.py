"""An Edge as options of NixOS's `services.nginx`, for render.nixos."""

from __future__ import annotations

from carrel.core.ai import Json
from carrel.core.edge import Edge
from carrel.render import nginx
from carrel.render.parse_back import Statement, statements

_SAID_BY_VHOST = frozenset(
    {
        "listen",
        "server_name",
        "ssl_certificate",
        "ssl_certificate_key",
        "http2",
        "ssl_reject_handshake",
    }
)
"""What a virtual host of NixOS has options for."""
FIRST_PRIORITY = 1000
"""NixOS's default."""


NOBODY = "carrel.invalid"
"""The name of a server that answers for all that is nobody's, if the edge has one."""


def parts(settings: Edge) -> dict[str, Json]:
    """The servers by what they are for, and what goes around them."""
    top = list(statements(nginx.config(settings)))
    shared = [s.text for s in top if s.word not in {"server", "include"}]
    desks, upstream = statements(nginx.kept(settings))
    *default, known = statements(desks.body or "")
    servers = {_kind(s, settings.domain): _server(s) for s in top if s.word == "server"}
    address, *more = statements(upstream.body or "")
    return {
        "http": list(shared),
        "desks": {
            "head": desks.head,
            "default": [s.text for s in default],
            "known": known.text,
        },
        "upstream": {
            "name": upstream.rest,
            "address": address.rest.strip('"'),
            "lines": [s.text for s in more],
        },
        **servers,
    }


def _kind(server: Statement, domain: str) -> str:
    """Which of the edge's servers this is; ValueError for one that is new here."""
    inside = list(statements(server.body or ""))
    name = next((s.rest for s in inside if s.word == "server_name"), "")
    listens = [s.rest for s in inside if s.word == "listen"]
    if any(listen.startswith("127.0.0.1:") for listen in listens):
        return "tunnel" if all("default_server" not in listen for listen in listens) else "stray"
    if name == NOBODY:
        return "nobody"
    if not any("ssl" in listen.split() for listen in listens):
        return "redirect"
    if "?<carrel_user>" in name:
        return "desk"
    if ".+" in name:
        return "unknown"
    if name == f'"{domain}"':
        return "welcome"
    raise ValueError(f"the NixOS module does not know the server {name} of the edge")


def _server(server: Statement) -> Json:
    inside = list(statements(server.body or ""))
    places = [s for s in inside if s.word == "location"]
    names = next((s.rest.split() for s in inside if s.word == "server_name"), [])
    said = _SAID_BY_VHOST | {"location"}
    return {
        "names": [name.strip('"') for name in names],
        "lines": [s.text for s in inside if s.word not in said],
        # nginx takes the first pattern that fits, so their order counts.
        "locations": {s.rest: _location(s, number) for number, s in enumerate(places)},
    }


def _location(location: Statement, number: int) -> Json:
    inside = list(statements(location.body or ""))
    address = next((s.rest.strip('"') for s in inside if s.word == "proxy_pass"), None)
    return {
        "proxyPass": address,
        "priority": FIRST_PRIORITY + number,
        "lines": [s.text for s in inside if s.word != "proxy_pass"],
    }
