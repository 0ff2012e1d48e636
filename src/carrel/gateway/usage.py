"""What a request used, as its provider told it, and what that costs.

Used by the gateway. The three wires count differently (Anthropic's input leaves out what came from
or went into the cache); here, `input` is everything that was read, whatever the wire.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from carrel.core.site import Price

MILLION = 1_000_000

MOST_TOKENS = 1 << 40
"""More than any model reads or writes in a lifetime."""


class Kind(StrEnum):
    """What is asked for; the last part of its path."""

    CHAT = "chat/completions"
    RESPONSES = "responses"
    MESSAGES = "messages"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. `cached` and both `cache_write` are parts of `input`; `reasoning` is one of `output`."""

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    cache_write_hour: int = 0
    """Written to be kept for an hour, which costs twice the input instead of `Price.cache_write`."""
    reasoning: int = 0

    @property
    def total(self) -> int:
        """What counts against a limit of tokens."""
        return self.input + self.output

    def cost(self, price: Price) -> int:
        """In nano-dollars, rounded up."""
        plain = max(0, self.input - self.cached - self.cache_write - self.cache_write_hour)
        millionths = (
            plain * price.input
            + self.cached * price.cached_input
            + self.cache_write * price.cache_write
            + self.cache_write_hour * 2 * price.input
            + self.output * price.output
        )
        return -(-millionths // MILLION)


class _NoCount(ValueError):
    """Something stands where a number of tokens should."""


def told(kind: Kind, value: object, before: Usage | None = None) -> Usage | None:
    """The usage that `value`, an answer or an event of a stream, tells; `before` if it tells none.

    Figures that cannot be (negative, no numbers, more than `MOST_TOKENS`) tell nothing: what was used is
    then estimated from sizes, so that a provider can neither give away nor earn what it did not serve.
    """
    try:
        return _told(kind, value, before)
    except _NoCount:
        return before


def _told(kind: Kind, value: object, before: Usage | None) -> Usage | None:
    if not isinstance(value, dict):
        return before
    match kind:
        case Kind.CHAT:
            return _openai(value.get("usage"), "prompt", "completion") or before
        case Kind.RESPONSES:
            answer = value.get("response", value)
            usage = answer.get("usage") if isinstance(answer, dict) else None
            return _openai(usage, "input", "output") or before
        case Kind.MESSAGES:
            message = value.get("message")
            usage = value.get("usage") or (
                message.get("usage") if isinstance(message, dict) else None
            )
            return _anthropic(usage, before)


def _openai(usage: object, read: str, written: str) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    input_ = _count(usage, f"{read}_tokens")
    return Usage(
        input=input_,
        # Some leave reasoning out of what was written, but not out of the total.
        output=max(_count(usage, f"{written}_tokens"), _count(usage, "total_tokens") - input_),
        cached=_count(usage.get(f"{read}_tokens_details"), "cached_tokens"),
        reasoning=_count(usage.get(f"{written}_tokens_details"), "reasoning_tokens"),
    )


def _anthropic(usage: object, before: Usage | None) -> Usage | None:
    """The counts of a `message_delta` are cumulative; what it leaves out stays as it was."""
    if not isinstance(usage, dict):
        return before
    start = before or Usage()
    if "input_tokens" in usage and usage["input_tokens"] is not None:
        cached = _count(usage, "cache_read_input_tokens")
        written = _count(usage, "cache_creation_input_tokens")
        hour = min(written, _count(usage.get("cache_creation"), "ephemeral_1h_input_tokens"))
        start = replace(
            start,
            input=_count(usage, "input_tokens") + cached + written,
            cached=cached,
            cache_write=written - hour,
            cache_write_hour=hour,
        )
    if "output_tokens" in usage:
        start = replace(start, output=_count(usage, "output_tokens"))
    return start


def _count(table: object, key: str) -> int:
    """A count; 0 where none is told. Raises `_NoCount`."""
    value = table.get(key) if isinstance(table, dict) else None
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _NoCount(key)
    # Also false for what is not a number, or infinite.
    if not 0 <= value <= MOST_TOKENS or value != int(value):
        raise _NoCount(key)
    return int(value)


class Meter:
    """Reads along with an answer, in bytes as they come, and knows at any moment what it used.

    Memory is bounded: an event or a body longer than `limit` is passed over, and the usage is then
    estimated from the size.
    """

    __slots__ = ("_complete", "_kind", "_lines", "_stream", "_usage")

    def __init__(self, kind: Kind, *, stream: bool, limit: int = 4 << 20) -> None:
        self._kind = kind
        self._stream = stream
        self._lines = Lines(limit)
        self._usage: Usage | None = None
        self._complete = False

    def feed(self, data: bytes) -> None:
        """The next bytes of the answer."""
        if not self._stream:
            self._lines.keep(data)
            return
        for line in self._lines.feed(data):
            self._event(line)

    def end(self) -> None:
        """The answer is whole."""
        if self._stream:
            for line in self._lines.rest():
                self._event(line)
            return
        value = _parsed(self._lines.kept)
        self._usage = told(self._kind, value)
        self._complete = self._usage is not None

    @property
    def usage(self) -> Usage | None:
        """What the provider told so far."""
        return self._usage

    @property
    def complete(self) -> bool:
        """Whether the provider told the last figures."""
        return self._complete

    @property
    def output(self) -> int:
        """An estimate of the tokens written so far, from sizes alone."""
        return self._lines.tokens if self._stream else self._lines.bytes // 4

    def _event(self, line: bytes) -> None:
        # Most events are words; only those that can tell a usage are worth parsing. In a chat nobody
        # but the provider writes bare JSON, so that its "not yet" needs no parsing either.
        if b'usage"' not in line or (self._kind is Kind.CHAT and b'"usage":null' in line):
            return
        value = _parsed(line[5:])
        usage = told(self._kind, value, self._usage)
        if usage is not self._usage and isinstance(value, dict):
            self._usage = usage
            self._complete = self._complete or value.get("type") != "message_start"


def _parsed(text: bytes) -> object:
    try:
        # Decoded here: json would look for other encodings, and import them.
        value: Any = json.loads(text.decode())
    except (ValueError, RecursionError):
        return None
    return value


class Lines:
    """The `data:` lines of server-sent events out of bytes that come in any pieces."""

    __slots__ = ("_limit", "_open", "_over", "_smallest", "bytes", "events")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open = bytearray()
        self._over = False
        self._smallest = 0
        self.bytes = 0
        self.events = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes."""
        if b"\n" not in data and b"\r" not in data:
            self.keep(data)
            return []
        # A carriage return is an end of line too; CRLF then gives an empty line, which is no data.
        *ends, rest = data.replace(b"\r", b"\n").split(b"\n")
        found: list[bytes] = []
        for piece in ends:
            self.keep(piece)
            found += self._taken()
        self.keep(rest)
        return found

    def keep(self, data: bytes) -> None:
        """Hold `data` until a line, or the body, is whole."""
        self.bytes += len(data)
        if self._over or len(self._open) + len(data) > self._limit:
            self._over = True
            self._open.clear()
            return
        self._open += data

    def rest(self) -> list[bytes]:
        """What came after the last end of line."""
        return self._taken()

    @property
    def kept(self) -> bytes:
        """All that came, if nothing was taken and it was not too much."""
        return bytes(self._open)

    @property
    def tokens(self) -> int:
        """An estimate: one for each event, and one for every four bytes beyond the envelope.

        The smallest event of a stream is taken to be the envelope.
        """
        return self.events + max(0, self.bytes - self.events * self._smallest) // 4

    def _taken(self) -> list[bytes]:
        line = bytes(self._open)
        self._open.clear()
        over, self._over = self._over, False
        if over or not line.startswith(b"data:") or line == b"data: [DONE]":
            if not over:
                self.bytes -= len(line)
            return []
        self.events += 1
        self._smallest = min(self._smallest or len(line), len(line))
        return [line]
