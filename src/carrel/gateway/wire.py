"""How the wires look from outside: paths, the shape of errors and of lists of models.

Used by the gateway. What requests and answers hold beyond that is none of its business.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from carrel.core.site import Wire
from carrel.gateway.usage import Kind

USAGE_PATH = "/carrel/usage"


@dataclass(frozen=True, slots=True)
class Route:
    """What a path asks for: `kind` None is the list of models. `provider` is empty if it names none."""

    provider: str
    kind: Kind | None


def wire_of(kind: Kind) -> Wire:
    """The wire that has this kind of request."""
    return Wire.ANTHROPIC if kind is Kind.MESSAGES else Wire.OPENAI


def routes(providers: Sequence[str]) -> dict[tuple[str, str], Route]:
    """Every (method, path) that exists for these providers; all others do not.

    Whole strings are looked up, so that no way of writing a path differently is a path.
    """
    found = {}
    for name in ("", *providers):
        start = f"/{name}/v1" if name else "/v1"
        for kind in Kind:
            found["POST", f"{start}/{kind}"] = Route(name, kind)
        found["GET", f"{start}/models"] = Route(name, None)
    return found


_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}
"""Both wires' word for a status; what is missing here is `api_error`."""


def error(wire: Wire, status: int, sentence: str, code: str | None = None) -> bytes:
    """The body of an error as clients of that wire expect it."""
    kind = _TYPES.get(status, "api_error")
    if wire is Wire.ANTHROPIC:
        return _bytes({"type": "error", "error": {"type": kind, "message": sentence}})
    detail = {"message": sentence, "type": kind, "param": None, "code": code}
    return _bytes({"error": detail})


def models(wire: Wire, names: Sequence[str]) -> bytes:
    """The list of models as that wire has it."""
    if wire is Wire.ANTHROPIC:
        data: list[dict[str, Any]] = [
            {"type": "model", "id": n, "display_name": n, "created_at": "1970-01-01T00:00:00Z"}
            for n in names
        ]
        ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
        return _bytes({"data": data, "has_more": False, **ends})
    data = [{"id": n, "object": "model", "created": 0, "owned_by": "carrel"} for n in names]
    return _bytes({"object": "list", "data": data})


def _bytes(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
