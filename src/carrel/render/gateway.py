"""gateway.json: what the AI gateway is told, as text. No secret is in it."""

from __future__ import annotations

import json
from dataclasses import asdict

from carrel.core.gateway import Gateway


def document(settings: Gateway) -> str:
    """The text of gateway.json."""
    return json.dumps(asdict(settings), indent=2, ensure_ascii=False) + "\n"
