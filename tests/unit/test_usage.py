"""Usage out of answers on three wires, in whatever pieces they come."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import provider_server as provider
from carrel.core.prices import SHIPPED, price
from carrel.gateway.scrub import Scrubber
from carrel.gateway.usage import Kind, Lines, Meter, Usage, told

SECRET = b"sk-secret-sk-s"


def stream(kind: Kind, *, model: str = "plain") -> bytes:
    """A stream of the provider of the tests."""
    answer = provider.Answer({"model": model}, 400)
    events = {
        Kind.CHAT: provider.chat_events(answer, {"stream_options": {"include_usage": True}}),
        Kind.RESPONSES: provider.responses_events(answer),
        Kind.MESSAGES: provider.messages_events(answer),
    }[kind]
    named = kind is not Kind.CHAT
    text = "".join(
        (f"event: {e['type']}\r\n" if named else "") + f"data: {json.dumps(e)}\n\n" for e in events
    )
    return text.encode() + (b"" if named else b"data: [DONE]\n\n")


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


def read(kind: Kind, pieces: list[bytes], *, limit: int = 4 << 20) -> tuple[object, ...]:
    meter = Meter(kind, stream=True, limit=limit)
    for piece in pieces:
        meter.feed(piece)
    before = (meter.usage, meter.output, meter.complete)
    meter.end()
    return (*before, meter.usage, meter.output, meter.complete)


@pytest.mark.parametrize("kind", Kind)
def test_a_stream_tells_the_same_as_an_answer_in_one_piece(kind: Kind) -> None:
    make = {
        Kind.CHAT: provider.chat,
        Kind.RESPONSES: provider.responses,
        Kind.MESSAGES: provider.messages,
    }[kind]
    answer = provider.Answer({"model": "plain"}, 400)
    whole = Meter(kind, stream=False)
    for piece in split(json.dumps(make(answer)).encode(), [7, 99]):
        whole.feed(piece)
    whole.end()
    assert whole.complete
    assert whole.usage == read(kind, [stream(kind)])[3]
    assert whole.usage is not None
    assert (whole.usage.input, whole.usage.output, whole.usage.cached) == (105, 6, 3)


@given(st.sampled_from(Kind), st.lists(st.integers(0, 5000), max_size=60))
def test_any_split_of_a_stream_gives_the_same_books(kind: Kind, cuts: list[int]) -> None:
    data = stream(kind)
    assert read(kind, split(data, cuts)) == read(kind, [data])


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=20), st.integers(1, 60))
@example(b'data: {"usage":\rdata:\n\r\n', [3, 9, 16], 9)
def test_any_split_of_garbage_gives_the_same_books(
    data: bytes, cuts: list[int], limit: int
) -> None:
    pieces = split(data, cuts)
    assert read(Kind.CHAT, pieces, limit=limit) == read(Kind.CHAT, [data], limit=limit)


@given(st.sampled_from(Kind), st.integers(0, 5000))
def test_a_stream_cut_anywhere_is_never_taken_for_a_whole_one(kind: Kind, at: int) -> None:
    data = stream(kind)
    meter = Meter(kind, stream=True)
    meter.feed(data[:at])
    last = data.rfind(b'"usage"')
    assert not meter.complete or at > last


def test_an_aborted_message_keeps_the_input_that_its_start_told() -> None:
    data = stream(Kind.MESSAGES)
    meter = Meter(Kind.MESSAGES, stream=True)
    meter.feed(data[: data.index(b"content_block_stop")])
    assert meter.usage == Usage(input=105, output=1, cached=3, cache_write=2)
    assert not meter.complete
    assert meter.output >= 5


def test_an_event_of_any_size_takes_bounded_memory() -> None:
    lines = Lines(100)
    for _ in range(1000):
        assert lines.feed(b"x" * 1000) == []
    assert len(lines.kept) <= 100
    assert lines.feed(b"\ndata: 1\n") == [b"data: 1"]


def test_writing_a_cache_for_an_hour_costs_twice_the_input() -> None:
    usage = told(
        Kind.MESSAGES,
        {
            "usage": {
                "input_tokens": 10,
                "cache_creation_input_tokens": 1000,
                "cache_creation": {"ephemeral_1h_input_tokens": 400},
                "output_tokens": 1,
            }
        },
    )
    assert usage == Usage(1010, 1, 0, 600, 400, 0)
    assert usage.cost(price(1, 2, cache_write=1.25)) == 1000 * (10 + 750 + 800 + 2)


def test_reasoning_that_is_only_in_the_total_is_output() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40}
    assert told(Kind.CHAT, {"usage": usage}) == Usage(input=10, output=30)


NO_COUNTS = [-5, 1.5, "9", True, 1 << 60, 10**400, float("nan"), float("inf"), 1e300, {}, [1]]


@pytest.mark.parametrize("count", NO_COUNTS)
@pytest.mark.parametrize("key", ["prompt_tokens", "completion_tokens", "total_tokens"])
def test_figures_that_cannot_be_tell_nothing(key: str, count: object) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 1, key: count}
    assert told(Kind.CHAT, {"usage": usage}) is None
    assert told(Kind.CHAT, {"usage": usage}, Usage(7, 7)) == Usage(7, 7)


@pytest.mark.parametrize("count", NO_COUNTS)
def test_a_message_keeps_what_was_told_before_figures_that_cannot_be(count: object) -> None:
    begun = told(Kind.MESSAGES, {"message": {"usage": {"input_tokens": 3, "output_tokens": 1}}})
    assert told(Kind.MESSAGES, {"usage": {"output_tokens": count}}, begun) == Usage(3, 1)


@pytest.mark.parametrize(("count", "read"), [(None, 0), (12.0, 12), (0, 0)])
def test_a_count_may_be_missing_or_written_with_a_point(count: object, read: int) -> None:
    usage = {"prompt_tokens": count, "completion_tokens": 1}
    assert told(Kind.CHAT, {"usage": usage}) == Usage(read, 1)


@given(st.sampled_from(Kind), st.recursive(st.none() | st.integers() | st.text(), st.lists))
def test_no_answer_makes_the_count_fall_over(kind: Kind, value: object) -> None:
    told(kind, value)
    told(kind, {"usage": value, "response": value, "message": value})


@given(st.lists(st.sampled_from([SECRET, b"sk-", b"sk-secret-", b"x", b"\n"])), st.data())
def test_a_secret_never_passes_whatever_the_pieces(parts: list[bytes], data: st.DataObject) -> None:
    text = b"".join(parts)
    cuts = data.draw(st.lists(st.integers(0, 200), max_size=30))
    scrubber = Scrubber(SECRET)
    out = b"".join(scrubber.feed(piece) for piece in split(text, cuts)) + scrubber.end()
    assert SECRET not in out
    assert out.replace(b"[key]", b"") == text.replace(SECRET, b"") or b"[key]" in out
    if SECRET not in text:
        assert out == text


def test_text_without_the_beginning_of_a_secret_is_not_held_back() -> None:
    assert Scrubber(SECRET).feed(b"data: yes\n\n") == b"data: yes\n\n"
    assert Scrubber(b"").feed(b"anything") == b"anything"


def test_every_shipped_model_has_a_price_and_a_longest_answer() -> None:
    for models in SHIPPED.values():
        for model, its in models.items():
            assert 0 < its.cached_input <= its.input < its.output, model
            assert its.cache_write >= its.input
            assert 0 < its.max_output < its.context
