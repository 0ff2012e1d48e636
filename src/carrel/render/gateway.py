"""gateway.json: what the AI gateway is told, as text. No secret is in it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Protocol

from carrel.core import gateway
from carrel.core.gateway import Gateway
from carrel.core.site import Site

PROGRAM = "carrel.services.gateway"
"""What Python runs."""


class Layout(Protocol):
    """Where a target keeps what the gateway needs."""

    @property
    def ai_sockets(self) -> str:
        """One directory per user."""

    @property
    def gateway_admin(self) -> str:
        """The socket for metrics and health."""

    @property
    def gateway_secrets(self) -> str:
        """Keys, and hashes of tokens."""

    @property
    def books(self) -> str:
        """What was used, and what it cost."""


def config(site: Site, layout: Layout) -> str:
    """The text of gateway.json for a site."""
    return document(
        gateway.gateway(
            site.ai,
            site.users,
            sockets=layout.ai_sockets,
            admin=layout.gateway_admin,
            books=layout.books,
            secrets=layout.gateway_secrets,
        )
    )


def document(settings: Gateway) -> str:
    """The text of gateway.json."""
    return json.dumps(asdict(settings), indent=2, ensure_ascii=False) + "\n"
