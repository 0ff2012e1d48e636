"""An Edge as options of NixOS's `services.nginx`, for render.nixos."""

from __future__ import annotations

from carrel.core.ai import Json
from carrel.core.edge import Edge
from carrel.render import nginx, nginx_maps
from carrel.render.nginx_server import Location, Role, Server

FIRST_PRIORITY = 1000
"""NixOS's default."""


def parts(settings: Edge) -> dict[str, Json]:
    """The servers by what they are for, and what goes around them.

    Those of a desk are there once, for the one user of `settings`; NixOS redirects by itself.
    """
    (user,) = settings.users
    upstream = nginx.upstream(user, settings)
    return {
        "http": _lines(nginx_maps.maps()),
        "desks": {
            "head": nginx.DESKS,
            "default": [nginx.other_desks(settings)],
            "known": nginx.known_desk(user),
        },
        "upstream": {
            "name": upstream.name,
            "address": upstream.address,
            "lines": _lines(upstream.text),
        },
        **{
            server.role.value: _server(server)
            for server in nginx.servers(settings)
            if server.role is not Role.REDIRECT
        },
    }


def _server(server: Server) -> Json:
    return {
        "names": [name.strip('"') for name in server.names],
        "lines": _lines(server.lines),
        "locations": {
            location.match: _location(location, number)
            for number, location in enumerate(server.locations)
        },
    }


def _location(location: Location, number: int) -> Json:
    return {
        "proxyPass": location.upstream or None,
        "priority": FIRST_PRIORITY + number,
        "lines": _lines(location.lines),
    }


def _lines(text: str) -> list[Json]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]
