"""What is taken out of a stream, and how a packed answer is opened, in whatever pieces they come."""

import gzip
import json
import zlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.gateway.decoding import PIECE, Decoder, Undecodable
from carrel.gateway.unasked import LONGEST, Unasked

Event = Mapping[str, object]

WORDS: list[Event] = [
    {"choices": [{"index": 0, "delta": {"content": word}}], "usage": None} for word in "abc"
]
FILTER: Event = {"choices": [], "prompt_filter_results": [{}], "usage": None}
USAGE: Event = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
LAST: Event = {"choices": [{"delta": {}}], "usage": {"prompt_tokens": 1}}


def text(events: list[Event], end: str) -> bytes:
    done = [*(json.dumps(event) for event in events), "[DONE]"]
    return "".join(f"data: {one}{end}{end}" for one in done).encode()


def passed(data: bytes, cuts: list[int]) -> bytes:
    ends = sorted({cut % (len(data) + 1) for cut in cuts})
    filter_, found = Unasked(), b""
    for a, b in zip([0, *ends], [*ends, len(data)], strict=True):
        found += filter_.feed(data[a:b])
    return found + filter_.end()


CUTS = st.lists(st.integers(0, 10_000), max_size=8)


@given(CUTS, st.sampled_from(["\n", "\r\n", "\r"]))
def test_the_event_that_only_we_asked_for_is_kept_from_the_client(
    cuts: list[int], end: str
) -> None:
    whole = text([FILTER, *WORDS, USAGE], end)
    assert passed(whole, cuts) == text([FILTER, *WORDS], end)


@given(CUTS, st.sampled_from(["\n", "\r\n", "\r"]))
def test_every_other_event_passes_byte_for_byte(cuts: list[int], end: str) -> None:
    long: Event = {"choices": [{"delta": {"content": "x" * LONGEST}}], "usage": {}}
    whole = b": ping\n\n" + text([FILTER, *WORDS, long, LAST], end) + b"data: {cut"
    assert passed(whole, cuts) == whole


@given(st.binary(), CUTS)
def test_garbage_passes_byte_for_byte(data: bytes, cuts: list[int]) -> None:
    assert passed(data, cuts) == data


def test_a_line_is_passed_on_as_soon_as_it_is_whole() -> None:
    filter_, line = Unasked(), text(WORDS[:1], "\n")
    assert filter_.feed(line) == line


def opened(encoding: str, data: bytes, size: int) -> bytes:
    decoder = Decoder(encoding)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    found = [piece for one in pieces for piece in decoder.feed(one)]
    assert all(len(piece) <= max(PIECE, size) for piece in found)
    return b"".join(found)


@given(st.binary(max_size=4000), st.integers(1, 500))
def test_what_was_packed_is_opened(data: bytes, size: int) -> None:
    assert opened("", data, size) == opened("identity", data, size) == data
    assert opened("gzip", gzip.compress(data), size) == data
    assert opened("deflate", zlib.compress(data), size) == data
    assert opened("GZIP", gzip.compress(data) + gzip.compress(b"more"), size) == data + b"more"


def test_a_bomb_goes_off_in_small_pieces() -> None:
    packed = gzip.compress(b"0" * (1 << 24))
    assert len(packed) < 1 << 15
    assert opened("gzip", packed, len(packed)) == b"0" * (1 << 24)


@pytest.mark.parametrize(("encoding", "data"), [("br", b""), ("gzip", b"no gzip"), ("zstd", b"")])
def test_what_cannot_be_opened_is_refused(encoding: str, data: bytes) -> None:
    with pytest.raises(Undecodable):
        opened(encoding, data, 100)
