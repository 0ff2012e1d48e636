"""Reads what matters from a request's body, and says what to change in it, byte by byte.

Used by the gateway. Everything that it does not understand goes on as it came: the provider judges it.
What a provider could read differently from us (a key twice, a key in other letters) is refused,
because whoever pays has to know the model. Time grows with the body's size and with nothing else that
somebody could write into it; memory does not grow with it.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from mmap import mmap
from typing import Any

import msgspec

from carrel.gateway.usage import MOST_TOKENS, Kind

BYTES_PER_TOKEN = 2
"""A cautious guess for what is not counted yet; four is usual for English."""

DEFAULT_OUTPUT, DEFAULT_CONTEXT = 32_768, 200_000
"""What is reserved for a model of which nobody said how much it writes or reads at once."""

BASE64_TOKENS, BASE64_PER_TOKEN = 2_000, 24
"""An image costs about as much whatever its size; a document of many pages costs by its size."""

MOST_KEYS = 1_000
"""Keys of the outermost object; the wires have a few dozen."""
LONGEST = 1 << 16
"""Bytes of a value that decides something, and characters of a key."""

Text = bytes | mmap
"""A body: in memory, or a file's."""

_CHUNK = 1 << 18
_RUN = b"A" * 512
"""The shortest data; a word of that length is none."""
_DATA = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-"
_MARKS = bytes(65 if byte in _DATA else 32 for byte in range(256))
"""Turns what data consists of into an A, and all else into a space."""

_SPACE = re.compile(rb"[ \t\n\r]*+")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_COLON = re.compile(rb"[ \t\n\r]*+:[ \t\n\r]*+")
_HALF = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair: no character, and nothing that a model has in its name."""
_ESCAPES = (b"\\ud", b"\\uD")
"""How half of a surrogate pair begins where it is written as an escape; some characters do, too."""

_MAXIMA = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_DECISIVE = frozenset(
    (*_MAXIMA, "model", "stream", "stream_options", "n", "background", "previous_response_id")
) | {"conversation", "service_tier"}


class Unreadable(ValueError):
    """The body is not what the wire says it is; the text is a sentence for the client."""


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the body, in bytes."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A request's body, understood as far as it has to be."""

    size: int
    model: str
    stream: bool
    max_output: int | None
    """The most that may be written, or None if the request leaves that to the model."""
    choices: int
    remembers: bool
    """Whether the provider adds input from earlier, which nobody sees in the body."""
    data_size: int
    """How much of the body is data in base64."""
    data_tokens: int
    asks_for_usage: bool
    """Whether a chat that streams is to end with an event that tells its usage."""
    asking: str | None
    """The `stream_options` that make it do so; None if they are there already."""
    inside: int
    """Where the outermost object's members begin."""
    model_at: Span
    options_at: Span | None
    """Where the value of `stream_options` is, if there is one."""
    options_whole: Span | None
    """What to leave out so that there is none."""

    def input_estimate(self, context: int) -> int:
        """How many tokens the body may be, at most what the model reads at once."""
        most = context or DEFAULT_CONTEXT
        if self.remembers:
            return most
        estimate = -(-(self.size - self.data_size) // BYTES_PER_TOKEN) + self.data_tokens
        return min(estimate, most) if context else estimate

    def output_estimate(self, most: int) -> int:
        """How many tokens the answer may be."""
        one = self.max_output if self.max_output is not None else most or DEFAULT_OUTPUT
        return one * self.choices


def asked(kind: Kind, body: Text) -> Asked:
    """What `body` asks for. Raises `Unreadable`."""
    try:
        _check_text(body)
        members = {member.key: member for member in _members(body)}
        values = {key: member.value(body) for key, member in members.items() if key in _DECISIVE}
        model, stream, count = values.get("model"), values.get("stream", False), values.get("n", 1)
    except Unreadable:
        raise
    except (ValueError, RecursionError):
        raise Unreadable("The body of the request is not JSON.") from None
    if not isinstance(model, str) or not model or _HALF.search(model):
        raise Unreadable('The body of the request names no "model".')
    if stream not in (True, False, None):
        raise Unreadable('"stream" has to be true or false.')
    if type(count) is not int or not 1 <= count <= 128:  # noqa: PLR2004 - the wire's own limit
        raise Unreadable('"n" has to be a number from 1 to 128.')
    if kind is Kind.RESPONSES and values.get("background"):
        raise Unreadable('"background" is not offered here: nobody could count what it uses.')
    given, at = values.get("stream_options"), members.get("stream_options")
    options = given if isinstance(given, dict) else {}
    wanted = {**options, "include_usage": True}
    runs = list(_runs(body)) if body.find(b"base64") >= 0 else []
    return Asked(
        size=len(body),
        model=model,
        stream=bool(stream),
        max_output=_maximum(values),
        choices=count if kind is Kind.CHAT else 1,
        remembers=bool(values.get("previous_response_id") or values.get("conversation")),
        data_size=sum(runs),
        data_tokens=sum(BASE64_TOKENS + run // BASE64_PER_TOKEN for run in runs),
        asks_for_usage=bool(options.get("include_usage")),
        asking=None if options == wanted else json.dumps(wanted),
        inside=body.find(b"{") + 1,
        model_at=members["model"].at,
        options_at=at.at if at else None,
        options_whole=at.whole if at else None,
    )


@dataclass(frozen=True, slots=True)
class Replacement:
    """What stands instead of a part of the body."""

    at: Span
    data: bytes


def outgoing(
    request: Asked, kind: Kind, model: str, *, tells_unasked: bool = False
) -> tuple[Replacement, ...]:
    """What to change in the body for the provider, in order: nothing, but for two stated exceptions.

    An alias or a prefixed name becomes the provider's `model`, and a chat that streams asks for its
    usage, because nobody could count it otherwise; it must not where the provider `tells_unasked`.
    """
    changes: list[Replacement] = []
    if model != request.model:
        changes.append(Replacement(request.model_at, json.dumps(model).encode()))
    if kind is Kind.CHAT:
        changes += _unasking(request) if tells_unasked else _asking(request)
    return tuple(sorted(changes, key=lambda change: change.at.start))


def pieces(size: int, changes: Sequence[Replacement]) -> Iterator[Span | bytes]:
    """What a body of `size` bytes consists of after `changes`: parts of it, and other bytes."""
    at = 0
    for change in changes:
        yield Span(at, change.at.start)
        yield change.data
        at = change.at.end
    yield Span(at, size)


def size_after(size: int, changes: Sequence[Replacement]) -> int:
    """How many bytes that is."""
    return size + sum(len(one.data) - (one.at.end - one.at.start) for one in changes)


def changed(body: bytes, changes: Sequence[Replacement]) -> bytes:
    """`body` after `changes`."""
    if not changes:
        return body
    return b"".join(
        body[piece.start : piece.end] if isinstance(piece, Span) else piece
        for piece in pieces(len(body), changes)
    )


def _asking(request: Asked) -> list[Replacement]:
    if not request.stream or request.asking is None:
        return []
    if request.options_at is not None:
        return [Replacement(request.options_at, request.asking.encode())]
    at = Span(request.inside, request.inside)
    return [Replacement(at, f'"stream_options":{request.asking},'.encode())]


def _unasking(request: Asked) -> list[Replacement]:
    return [Replacement(request.options_whole, b"")] if request.options_whole else []


def _maximum(values: dict[str, Any]) -> int | None:
    given = [values[key] for key in _MAXIMA if values.get(key) is not None]
    if any(type(value) is not int or value < 0 for value in given):
        raise Unreadable("The most tokens to write have to be a number.")
    # Who asks for more than that asks for as much as there is.
    return min(max(given), MOST_TOKENS) if given else None


# -- the outermost object --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Member:
    key: str
    at: Span
    """Its value."""
    whole: Span
    """The member with one of its commas."""

    def value(self, body: Text) -> Any:
        """Its value. Raises ValueError."""
        if self.at.end - self.at.start > LONGEST:
            raise Unreadable(f'"{self.key}" is longer than the {LONGEST:,} bytes that it may have.')
        return json.loads(body[self.at.start : self.at.end])


class _Beyond(Exception):
    """There is more of something than any request has; the text is a sentence for the client."""


class _Key:
    """A key of the outermost object. It equals no other, so that none that comes twice is lost."""

    __slots__ = ()


class _Keys:
    """Counts the keys as they come, so that they cannot fill the memory."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, _kind: type, text: object) -> _Key:
        self._count += 1
        if self._count > MOST_KEYS:
            raise _Beyond(f"The body of the request has more than {MOST_KEYS:,} keys.")
        if len(str(text)) > LONGEST:
            raise _Beyond(f"The body of the request has a key of more than {LONGEST:,} characters.")
        return _Key()


def _members(body: Text) -> Iterator[_Member]:
    """The members of the outermost object, none of them ambiguous."""
    at = _end(_SPACE, body, 0)
    if body[at : at + 1] != b"{":
        raise Unreadable("The body of the request is not a JSON object.")
    lengths = _lengths(body)
    seen = set()
    for number, length in enumerate(lengths, 1):
        begun = _end(_SPACE, body, at + 1)
        ended = _end(_STRING, body, begun)
        key = json.loads(body[begun:ended])
        if key in seen or (key not in _DECISIVE and key.lower() in _DECISIVE):
            raise Unreadable(
                f"The body of the request is ambiguous: look at {json.dumps(key[:64])}."
            )
        seen.add(key)
        start = _end(_COLON, body, ended)
        following = _end(_SPACE, body, start + length)
        last = number == len(lengths)
        whole = Span(at, start + length) if last else Span(begun, following + 1)
        yield _Member(key, Span(start, start + length), whole)
        at = following


def _end(pattern: re.Pattern[bytes], body: Text, at: int) -> int:
    found = pattern.match(body, at)
    if found is None:
        raise ValueError(at)
    return found.end()


def _lengths(body: Text) -> list[int]:
    """How long the values of the outermost object are, in their order; the whole has been checked."""
    try:
        return _decoded(body)
    except msgspec.DecodeError:
        if not any(body.find(escape) >= 0 for escape in _ESCAPES):
            raise
        # The grammar allows half of a surrogate pair, which clients send that cut a text in two;
        # msgspec does not.
        return _decoded(_without_halves(body))


def _decoded(body: Text | bytearray) -> list[int]:
    decoder = msgspec.json.Decoder(dict[_Key, msgspec.Raw], dec_hook=_Keys())
    try:
        return [memoryview(raw).nbytes for raw in decoder.decode(body).values()]
    except _Beyond as error:
        raise Unreadable(str(error)) from None


def _without_halves(body: Text) -> bytearray:
    """As long and as valid as `body`, with other characters where it has surrogates."""
    copy = bytearray(len(body))
    at = 0
    while at < len(body):
        end = min(at + _CHUNK, len(body))
        if end < len(body):
            # Not in the middle of an escape.
            begun = body.rfind(b"\\", end - len(_ESCAPES[0]) + 1, end)
            end = begun if begun >= 0 else end
        chunk = body[at:end]
        for escape in _ESCAPES:
            chunk = chunk.replace(escape, b"\\u0")
        copy[at:end] = chunk
        at = end
    return copy


def _chunks(body: Text) -> Iterator[bytes]:
    return (body[at : at + _CHUNK] for at in range(0, len(body), _CHUNK))


def _check_text(body: Text) -> None:
    """Raises ValueError if it is not UTF-8; msgspec looks only at what it builds."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for chunk in _chunks(body):
        decoder.decode(chunk)
    decoder.decode(b"", final=True)


def _runs(body: Text) -> Iterator[int]:
    """How long each run of data is, if it is long enough to be data."""
    begun = 0
    for chunk in _chunks(body):
        marked = chunk.translate(_MARKS)
        at = 0
        if begun:
            at = marked.find(b" ")
            if at < 0:
                begun += len(marked)
                continue
            if begun + at >= len(_RUN):
                yield begun + at
        while (start := marked.find(_RUN, at)) >= 0:
            at = marked.find(b" ", start)
            if at < 0:
                break
            yield at - start
        begun = len(marked) - marked.rfind(b" ") - 1
    if begun >= len(_RUN):
        yield begun
