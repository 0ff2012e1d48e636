"""Reads what matters from a request's body, and changes it where it must, byte by byte.

Used by the gateway. Everything that it does not understand goes on as it came: the provider judges it.
What a provider could read differently from us (a key twice, a key in other letters) is refused,
because whoever pays has to know the model.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from json.decoder import WHITESPACE, scanstring  # type: ignore[attr-defined]
from typing import Any

from carrel.gateway.usage import MOST_TOKENS, Kind

BYTES_PER_TOKEN = 2
"""A cautious guess for what is not counted yet; four is usual for English."""

DEFAULT_OUTPUT, DEFAULT_CONTEXT = 32_768, 200_000
"""What is reserved for a model of which nobody said how much it writes or reads at once."""

BASE64_TOKENS, BASE64_PER_TOKEN = 2_000, 24
"""An image costs about as much whatever its size; a document of many pages costs by its size."""

_DATA = re.compile(r"[A-Za-z0-9+/=_-]{512,}")
_DECODER = json.JSONDecoder()
_MAXIMA = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_DECISIVE = frozenset(
    (*_MAXIMA, "model", "stream", "stream_options", "n", "background", "previous_response_id")
) | {"conversation", "service_tier"}


class Unreadable(ValueError):
    """The body is not what the wire says it is; the text is a sentence for the client."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where a key and its value begin in the body's text, and where the value ends."""

    key: int
    value: int
    end: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A request's body, understood as far as it has to be."""

    body: bytes
    model: str
    stream: bool
    max_output: int | None
    """The most that may be written, or None if the request leaves that to the model."""
    choices: int
    remembers: bool
    """Whether the provider adds input from earlier, which nobody sees in the body."""
    spans: dict[str, Span]
    options: dict[str, Any] | None
    """`stream_options`, if there are any."""

    @property
    def asks_for_usage(self) -> bool:
        """Whether a chat that streams is to end with an event that tells its usage."""
        return bool((self.options or {}).get("include_usage"))

    def input_estimate(self, context: int) -> int:
        """How many tokens the body may be, at most what the model reads at once."""
        most = context or DEFAULT_CONTEXT
        if self.remembers:
            return most
        size, extra = len(self.body), 0
        if b"base64" in self.body:
            runs = [len(run[0]) for run in _DATA.finditer(self.body.decode())]
            size -= sum(runs)
            extra = sum(BASE64_TOKENS + run // BASE64_PER_TOKEN for run in runs)
        estimate = -(-size // BYTES_PER_TOKEN) + extra
        return min(estimate, most) if context else estimate

    def output_estimate(self, most: int) -> int:
        """How many tokens the answer may be."""
        one = self.max_output if self.max_output is not None else most or DEFAULT_OUTPUT
        return one * self.choices


def asked(kind: Kind, body: bytes) -> Asked:
    """What `body` asks for. Raises `Unreadable`."""
    try:
        text = body.decode()
        values, spans = _top(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable("The body of the request is not JSON.") from None
    model, stream, count = values.get("model"), values.get("stream", False), values.get("n", 1)
    if not isinstance(model, str) or not model:
        raise Unreadable('The body of the request names no "model".')
    if stream not in (True, False, None):
        raise Unreadable('"stream" has to be true or false.')
    if type(count) is not int or not 1 <= count <= 128:  # noqa: PLR2004 - the wire's own limit
        raise Unreadable('"n" has to be a number from 1 to 128.')
    if kind is Kind.RESPONSES and values.get("background"):
        raise Unreadable('"background" is not offered here: nobody could count what it uses.')
    options = values.get("stream_options")
    return Asked(
        body=body,
        model=model,
        stream=bool(stream),
        max_output=_maximum(values),
        choices=count if kind is Kind.CHAT else 1,
        remembers=bool(values.get("previous_response_id") or values.get("conversation")),
        spans=spans,
        options=options if isinstance(options, dict) else None,
    )


def outgoing(request: Asked, kind: Kind, model: str, *, tells_unasked: bool = False) -> bytes:
    """The body for the provider: the same bytes, but for two stated exceptions.

    An alias or a prefixed name becomes the provider's `model`, and a chat that streams asks for its
    usage, because nobody could count it otherwise; it must not where the provider `tells_unasked`.
    """
    changes: list[Change] = []
    if model != request.model:
        span = request.spans["model"]
        changes.append(Change(span.value, span.end, json.dumps(model)))
    if kind is Kind.CHAT:
        changes += _unasking(request) if tells_unasked else _asking(request)
    if not changes:
        return request.body
    text = request.body.decode()
    for change in sorted(changes, key=lambda change: change.start, reverse=True):
        text = text[: change.start] + change.text + text[change.end :]
    return text.encode()


@dataclass(frozen=True, slots=True)
class Change:
    """What stands instead of a part of the text."""

    start: int
    end: int
    text: str


def _asking(request: Asked) -> list[Change]:
    options = {**(request.options or {}), "include_usage": True}
    if not request.stream or request.options == options:
        return []
    value = json.dumps(options)
    span = request.spans.get("stream_options")
    if span is not None:
        return [Change(span.value, span.end, value)]
    start = request.body.index(b"{") + 1
    return [Change(start, start, f'"stream_options":{value},')]


def _unasking(request: Asked) -> list[Change]:
    span = request.spans.get("stream_options")
    if span is None:
        return []
    text = request.body.decode()
    end = WHITESPACE.match(text, span.end).end()
    if text[end] == ",":
        return [Change(span.key, end + 1, "")]
    return [Change(text[: span.key].rindex(","), span.end, "")]


def _maximum(values: dict[str, Any]) -> int | None:
    given = [values[key] for key in _MAXIMA if values.get(key) is not None]
    if any(type(value) is not int or value < 0 for value in given):
        raise Unreadable("The most tokens to write have to be a number.")
    # Who asks for more than that asks for as much as there is.
    return min(max(given), MOST_TOKENS) if given else None


def _top(text: str) -> tuple[dict[str, Any], dict[str, Span]]:
    """The members of the outermost object and where their values stand."""
    space = WHITESPACE.match
    values: dict[str, Any] = {}
    spans: dict[str, Span] = {}
    at = space(text, 0).end()
    if text[at : at + 1] != "{":
        raise Unreadable("The body of the request is not a JSON object.")
    at = space(text, at + 1).end()
    if text[at : at + 1] == "}":
        return values, spans
    while True:
        if text[at : at + 1] != '"':
            raise ValueError(at)
        begun = at
        key, at = scanstring(text, at + 1, True)
        at = space(text, at).end()
        if text[at : at + 1] != ":":
            raise ValueError(at)
        start = space(text, at + 1).end()
        value, at = _DECODER.raw_decode(text, start)
        if key in values or (key not in _DECISIVE and key.lower() in _DECISIVE):
            raise Unreadable(
                f"The body of the request is ambiguous: look at {json.dumps(key[:64])}."
            )
        values[key], spans[key] = value, Span(begun, start, at)
        at = space(text, at).end()
        following = text[at : at + 1]
        at = space(text, at + 1).end()
        if following == "}":
            if at != len(text):
                raise ValueError(at)
            return values, spans
        if following != ",":
            raise ValueError(at)
