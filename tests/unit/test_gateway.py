"""What the gateway makes of a site, of a request's body, and of the name of a model."""

import json
import re
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from carrel.core.gateway import Chosen, Gateway, Unknown, Upstream, choose, gateway
from carrel.core.prices import price
from carrel.core.site import Ai, AiLimits, Price, Provider, User, Wire
from carrel.gateway import request as requests
from carrel.gateway import settings, standin, wire
from carrel.gateway.request import Replacement, Unreadable, asked
from carrel.gateway.usage import Kind, Meter
from carrel.render.gateway import document
from samples import HASH, TWO_USERS

PRICE = price(1, 2)


def told(*providers: Provider, **more: object) -> Gateway:
    """The gateway of a site with these providers."""
    ai = replace(Ai(providers=providers), **more)  # type: ignore[arg-type]
    paths = {"sockets": "/s", "admin": "/a", "books": "/b", "secrets": "/c"}
    return gateway(ai, TWO_USERS.users, **paths)


def body(**values: object) -> bytes:
    return json.dumps(values, indent=1).encode()


def chosen(found: Chosen | Unknown) -> tuple[str, str]:
    assert isinstance(found, Chosen)
    return found.provider.name, found.model


# -- the settings ------------------------------------------------------------------------------


def test_a_known_provider_needs_nothing_but_its_name() -> None:
    found = told(Provider("anthropic", wire=Wire.ANTHROPIC))
    (provider,) = found.providers
    assert provider.base_url == "https://api.anthropic.com/v1"
    assert provider.needs_key
    assert found.model == f"anthropic/{provider.models[0][0]}"


def test_the_configuration_beats_the_shipped_price() -> None:
    own = Price(1, 2, 3, 4)
    found = told(Provider("openai", prices=(("gpt-5", own),), models=("gpt-5", "new")))
    assert dict(found.providers[0].models) == {"gpt-5": own, "new": None}


def test_suspended_people_have_no_socket() -> None:
    users = (User("ada", TWO_USERS.users[0].password, suspended=True),)
    found = gateway(Ai(), users, sockets="/s", admin="/a", books="/b", secrets="/c")
    assert found.people == ()


def test_what_is_written_is_read_back_the_same(tmp_path: Path) -> None:
    limits = AiLimits(money_per_day=5, concurrent=2)
    found = told(
        Provider("mine", None, "http://h/v1", ("a", "b"), prices=(("a", PRICE),)),
        total=limits,
        aliases=(("fast", "mine/a"),),
    )
    file = tmp_path / "gateway.json"
    file.write_text(document(found))
    assert settings.read(str(file)) == found
    assert HASH not in document(found)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"model"', '"modle"', "model is missing or unknown"),
        ('"refuse"', '"maybe"', "maybe"),
        ('"people": [', '"people": [3,', r"people\[0\] is not an object"),
        ('"allow_own_keys": false', '"allow_own_keys": 0', "allow_own_keys"),
        ('"sockets": "/s"', '"sockets": null', "sockets"),
        ("{", "[{", "not valid"),
    ],
)
def test_settings_that_are_none_are_refused_with_their_place(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    file = tmp_path / "gateway.json"
    file.write_text(document(told()).replace(old, new, 1))
    with pytest.raises(settings.Invalid, match=words):
        settings.read(str(file))


@pytest.mark.parametrize(
    ("text", "words"), [("a b=c\n", "line 1"), ("A=\x01\n", "A has"), ("x", "line 1")]
)
def test_a_secrets_file_that_is_none_is_refused_without_what_is_in_it(
    tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "secrets.env"
    file.write_text(text)
    with pytest.raises(settings.Invalid, match=words):
        settings.read_secrets(str(file))


# -- whom a request is for ---------------------------------------------------------------------

ONE = Upstream("one", Wire.OPENAI, "http://1", (("a", None), ("shared", None), ("two/a", None)))
TWO = Upstream("two", Wire.OPENAI, "http://2", (("b", None), ("shared", None), ("x/y", None)))
BOTH = Gateway("", "", "", "", providers=(ONE, TWO), aliases=(("fast", "two/b"),))


@pytest.mark.parametrize(
    ("model", "at", "wanted"),
    [
        ("a", None, ("one", "a")),
        ("one/a", None, ("one", "a")),
        ("fast", None, ("two", "b")),
        ("fast", TWO, ("two", "b")),
        ("b", TWO, ("two", "b")),
        ("two/b", TWO, ("two", "b")),
        ("x/y", None, ("two", "x/y")),
        ("two/x/y", None, ("two", "x/y")),
        ("two/a", None, ("one", "two/a")),
        ("shared", ONE, ("one", "shared")),
    ],
)
def test_a_model_is_found(model: str, at: Upstream | None, wanted: tuple[str, str]) -> None:
    assert chosen(choose(BOTH, model, at)) == wanted


@pytest.mark.parametrize(
    ("model", "at", "words"),
    [
        ("shared", None, "write one/shared or two/shared"),
        ("nothing", None, "There are: fast, one/a"),
        ("b", ONE, "There are: a, shared"),
        ("fast", ONE, "no model"),
        ("two/b", ONE, "no model"),
        ("", None, "no model"),
    ],
)
def test_a_model_that_is_none_is_refused_in_words(
    model: str, at: Upstream | None, words: str
) -> None:
    found = choose(BOTH, model, at)
    assert isinstance(found, Unknown)
    assert words in found.sentence


# -- the body ----------------------------------------------------------------------------------


def outgoing(kind: Kind, data: bytes, model: str, *, tells_unasked: bool = False) -> bytes:
    """What goes on of `data`."""
    changes = requests.outgoing(asked(kind, data), kind, model, tells_unasked=tells_unasked)
    return requests.changed(data, changes)


def test_a_body_passes_byte_for_byte() -> None:
    data = b' {"model" : "a",\n"messages":[ {"role":"user","content":"\\u00e4 \xc3\xa4"}] } '
    assert outgoing(Kind.CHAT, data, "a") is data


def test_an_alias_changes_the_model_and_nothing_else() -> None:
    data = '{"messages":[{"model":"fast"}], "model" :  "fast" ,"user":"fäst"}'.encode()
    wanted = '{"messages":[{"model":"fast"}], "model" :  "b" ,"user":"fäst"}'.encode()
    assert outgoing(Kind.CHAT, data, "b") == wanted


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (
            b'{"model":"a","stream":true}',
            b'{"stream_options":{"include_usage": true},"model":"a","stream":true}',
        ),
        (
            b'{"model":"a","stream":true,"stream_options":{"x":1}}',
            b'{"model":"a","stream":true,"stream_options":{"x": 1, "include_usage": true}}',
        ),
        (
            b'{"model":"a","stream":true,"stream_options":null}',
            b'{"model":"a","stream":true,"stream_options":{"include_usage": true}}',
        ),
        (
            b'{"model":"a","stream_options":{"include_usage":true},"stream":true}',
            b'{"model":"a","stream_options":{"include_usage":true},"stream":true}',
        ),
        (b'{"model":"a","stream":false}', b'{"model":"a","stream":false}'),
    ],
)  # fmt: skip
def test_a_chat_that_streams_always_asks_for_its_usage(given: bytes, wanted: bytes) -> None:
    assert outgoing(Kind.CHAT, given, "a") == wanted
    assert outgoing(Kind.MESSAGES, given, "a") == given


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (b'{"stream_options":{"a":[1,2]} ,"model":"a"}', b'{"model":"a"}'),
        (b'{"model":"a" , "stream_options":null}', b'{"model":"a" }'),
        (b'{"model":"a","stream_options":{},"n":1}', b'{"model":"a","n":1}'),
        (b'{"model":"a","stream":true}', b'{"model":"a","stream":true}'),
    ],
)
def test_a_provider_that_tells_unasked_is_not_asked(given: bytes, wanted: bytes) -> None:
    assert outgoing(Kind.CHAT, given, "a", tells_unasked=True) == wanted


def test_only_the_known_provider_tells_unasked() -> None:
    there, own = (Provider("mistral"), Provider("mistral", None, "http://h/v1", ("m",)))
    assert told(there).providers[0].tells_unasked
    assert not told(own).providers[0].tells_unasked


@pytest.mark.parametrize(
    "data",
    [
        b"", b"null", b"[]", b'"x"', b"{", b'{"model":"a"', b'{"model":"a"}x', b'{"model":"a",}', b"{}",
        b'{"model":3}', b'{"model":""}', b'{model:"a"}', b'\xff{"model":"a"}',
        b'\xef\xbb\xbf{"model":"a"}',
        b'{"model":"a","model":"b"}', b'{"model":"a","Model":"b"}', b'{"model":"a","STREAM":true}',
        b'{"model":"a","stream":"yes"}', b'{"model":"a","n":0}', b'{"model":"a","n":1e9}',
        b'{"model":"a","max_tokens":-1}', b'{"model":"a","max_tokens":"9"}',
        b'{"model":"a","max_tokens":true}',
        b'{"model":"a","x":' + b"[" * 100_000, b'{"model":"a","n":' + b"9" * 10_000 + b"}",
        b'{"model":"a","x":NaN}', b'{"model":"a","x":"\xff"}', b'{"model":"a","x":{"\xff":1}}',
        b'{"model":"a","x":"\x01"}', b'{"model":"a","x":[1,]}', b'{"model":"a","x":01}',
        b'{"model":"a","x":"\\ud83"}', b'{"model":"\\ud83d"}',
        b'{"model":"a","x":1,"x":1}', b'{"model":"a","x":{"a":1,"model":"c"},"x":[]}',
        b'{"\\u006dodel":"a","model":"b"}',
    ],
)  # fmt: skip
def test_a_body_that_could_be_read_in_two_ways_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable):
        asked(Kind.CHAT, data)


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_no_body_makes_the_reader_fall_over(data: bytes) -> None:
    for kind in Kind:
        try:
            changed = outgoing(kind, data, "other")
        except Unreadable:
            continue
        assert json.loads(changed)["model"] == "other"


VALUES = st.none() | st.booleans() | st.text() | st.floats(allow_nan=False, allow_infinity=False)


@given(st.dictionaries(st.text(), st.recursive(VALUES, st.lists, max_leaves=8), max_size=6))
def test_changing_a_body_changes_what_was_meant_and_no_more(values: dict[str, object]) -> None:
    rest = {key: value for key, value in values.items() if key.lower() not in requests._DECISIVE}
    data = json.dumps({**rest, "model": "fäst", "stream": True}).encode()
    changed = json.loads(outgoing(Kind.CHAT, data, "b"))
    wanted = {**rest, "model": "b", "stream": True, "stream_options": {"include_usage": True}}
    assert json.dumps(changed, sort_keys=True) == json.dumps(wanted, sort_keys=True)


def top(text: str) -> list[tuple[str, object]]:
    """The outermost members of a text as Python's own reader has them."""
    outermost: list[tuple[str, object]] = []

    def keep(pairs: list[tuple[str, object]]) -> dict[str, object]:
        # The outermost object is the last to be whole.
        outermost[:] = pairs
        return dict(pairs)

    found = json.loads(text, object_pairs_hook=keep, parse_constant=lambda _: 1 / 0)
    assert isinstance(found, dict)
    return outermost


WORDS = [
    "{", "}", "[", "]", ",", ":", " ", "\n", '"', "\\", '"model"', '"a"', '"stream_options"', '"Model"',
    '"é"', '"\\u006dodel"', '"\\ud83d"', '"\\ud83d\\ude00"', '"\\\\ud83d"', '"{"', "1", "-0", "1e5",
    "true", "null", "NaN", "01", '{"a":1}', '{"include_usage":true}', "[[],{}]", '"model":"x"',
    ',"a":[1]', ',"b":{}',
]  # fmt: skip


def likely(draw: st.DrawFn) -> str:
    """Text that is JSON, or nearly."""
    middle = "".join(draw(st.lists(st.sampled_from(WORDS), max_size=8)))
    ends = [("", ""), ('{"model":"m"', "}"), ("{", ',"model":"m"}'), ('{"model":"m","x":', "}")]
    start, end = draw(st.sampled_from(ends))
    return start + middle + end


@settings_of_hypothesis(max_examples=300)
@given(st.composite(likely)())
def test_the_outermost_object_is_read_as_pythons_own_reader_has_it(text: str) -> None:
    try:
        members = top(text)
        keys = [key for key, _ in members]
        wanted = len(set(keys)) == len(keys) and not any(
            key not in requests._DECISIVE and key.lower() in requests._DECISIVE for key in keys
        )
    except (ValueError, ArithmeticError, AssertionError):
        wanted = False
    try:
        found = asked(Kind.MESSAGES, text.encode())
    except Unreadable as error:
        # Whatever else: what is wrong with a value is said of one that was read.
        readable = not any(word in str(error) for word in ("JSON", "ambiguous"))
        assert wanted == readable
        return
    assert wanted
    assert dict(members)["model"] == found.model
    data, at = text.encode(), found.model_at
    assert json.loads(data[at.start : at.end]) == found.model


def test_half_of_a_surrogate_pair_passes_because_the_grammar_allows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(requests, "_CHUNK", 32)
    for n in range(40):
        # Wherever one piece ends and the next begins.
        data = b'{"a":"' + b"x" * n + b'\\ud83d\\\\ud83d\\uDE00\\"","model":"fast"}'
        assert outgoing(Kind.CHAT, data, "b") == data.replace(b'"fast"', b'"b"')


def test_a_number_that_decides_nothing_is_the_providers_business() -> None:
    data = b'{"model":"a","x":' + b"9" * 10_000 + b"}"
    assert outgoing(Kind.CHAT, data, "a") is data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"model":"a"' + b"".join(b',"%d":0' % n for n in range(1000)) + b"}", "1,000 keys"),
        (b'{"model":"a","' + b"k" * 70_000 + b'":0}', "65,536 characters"),
        (b'{"model":"' + b"m" * 70_000 + b'"}', '"model" is longer'),
        (
            b'{"model":"a","stream_options":[' + b"0," * 70_000 + b"0]}",
            '"stream_options" is longer',
        ),
    ],
)
def test_what_would_fill_the_memory_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        asked(Kind.CHAT, data)


@given(
    st.lists(st.tuples(st.sampled_from(['"a', " ", "é", "="]), st.integers(0, 3)), max_size=12),
    st.sampled_from([300, 512, 700]),
)
def test_data_is_found_wherever_it_stands(parts: list[tuple[str, int]], chunk: int) -> None:
    text = "base64".join(one + "A" * length * 257 for one, length in parts)
    runs = [len(run[0]) for run in re.finditer("[A-Za-z0-9+/=_-]{512,}", text)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(requests, "_CHUNK", chunk)
        assert list(requests._runs(text.encode())) == runs


@pytest.mark.parametrize(
    "values",
    [
        b"[" + b"{}," * 700_000 + b"{}]", b'"base64' + (b"A" * 511 + b" ") * 4096 + b'"',
        b'"' + b"\\ud83d" * 350_000 + b'"', b"[" + b'"",' * 700_000 + b"0]",
        b"[" + (b"[" * 900 + b"]" * 900 + b",") * 1100 + b"0]",
    ],
    ids=["objects", "words", "halves", "strings", "nests"],
)  # fmt: skip
def test_two_megabytes_of_anything_are_read_at_once_and_without_memory(values: bytes) -> None:
    data = b'{"model":"a","x":' + values + b"}"
    tracemalloc.start()
    begun = time.process_time()
    try:
        found = asked(Kind.CHAT, data)
        # Under the tracer, which counts each piece of memory; without it, a tenth.
        assert time.process_time() - begun < 1
        assert tracemalloc.get_traced_memory()[1] < 2 * len(data)
    finally:
        tracemalloc.stop()
    assert found.input_estimate(0) > 0


@given(
    st.binary(max_size=60), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=4)
)
def test_a_body_in_pieces_is_the_changed_body(data: bytes, cuts: list[tuple[int, int]]) -> None:
    changes, wanted, at = [], b"", 0
    for start, length in sorted(cuts):
        if at <= start and start + length <= len(data):
            changes.append(Replacement(requests.Span(start, start + length), b"new"))
            wanted += data[at:start] + b"new"
            at = start + length
    wanted += data[at:]
    assert requests.changed(data, changes) == wanted
    assert requests.size_after(len(data), changes) == len(wanted)


def test_a_background_answer_is_refused_because_nobody_could_count_it() -> None:
    with pytest.raises(Unreadable, match="background"):
        asked(Kind.RESPONSES, body(model="a", background=True))


def test_an_estimate_is_cautious_but_knows_images_and_the_models_reach() -> None:
    text = asked(Kind.CHAT, body(model="a", messages="x" * 10_000))
    assert 5_000 < text.input_estimate(0) < 5_100
    assert text.input_estimate(4_000) == 4_000
    image = asked(Kind.CHAT, body(model="a", url="data:image/png;base64," + "iVBOR" * 20_000))
    assert 2_000 < image.input_estimate(0) < 10_000
    earlier = asked(Kind.RESPONSES, body(model="a", previous_response_id="r"))
    assert earlier.input_estimate(4_000) == 4_000


def test_the_longest_answer_is_what_is_asked_for_or_the_models() -> None:
    assert asked(Kind.CHAT, body(model="a", max_completion_tokens=7, n=3)).output_estimate(9) == 21
    assert asked(Kind.RESPONSES, body(model="a", max_output_tokens=7)).output_estimate(9) == 7
    assert asked(Kind.MESSAGES, body(model="a")).output_estimate(9) == 9
    assert asked(Kind.MESSAGES, body(model="a")).output_estimate(0) > 1000


# -- words -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", Kind)
def test_without_a_key_the_answer_is_whole_and_free_on_every_wire(kind: Kind) -> None:
    text = standin.words("anthropic", own_keys=False)
    assert "carrel ai key add anthropic" in text
    for stream in (False, True):
        _, data = standin.answer(kind, "m", text, stream=stream, now=1)
        meter = Meter(kind, stream=stream)
        meter.feed(data)
        meter.end()
        assert meter.complete
        assert meter.usage is not None
        assert meter.usage.total == 0
        assert json.dumps("carrel ai key add anthropic")[1:-1].encode() in data


def test_own_keys_are_mentioned_only_where_they_are_allowed() -> None:
    assert "opencode auth login" in standin.words("", own_keys=True)
    assert "opencode auth login" not in standin.words("", own_keys=False)


def test_errors_have_the_shape_of_their_wire() -> None:
    openai, anthropic = (json.loads(wire.error(one, 403, "No.", "x")) for one in Wire)
    assert openai["error"]["message"] == anthropic["error"]["message"] == "No."
    assert anthropic["type"] == "error"
