"""gateway.json: what the AI gateway is told, as text. No secret is in it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from carrel.core import gateway
from carrel.core.gateway import Gateway
from carrel.core.layout import Layout
from carrel.core.site import Site

PROGRAM = "carrel.gateway"
"""What Python runs."""


def config(site: Site, layout: Layout) -> str:
    """The text of gateway.json for a site."""
    settings = gateway.gateway(
        site.ai,
        site.users,
        sockets=layout.ai_sockets,
        admin=layout.gateway_admin,
        books=layout.books,
        secrets=layout.gateway_secrets,
    )
    trusted = layout.ca_bundle if site.network.ca_file else ""
    return document(replace(settings, network=replace(site.network, ca_file=trusted)))


def document(settings: Gateway) -> str:
    """The text of gateway.json."""
    return json.dumps(asdict(settings), indent=2, ensure_ascii=False) + "\n"
