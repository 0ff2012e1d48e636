"""What the gateway makes of a site, of a request's body, and of the name of a model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.core.gateway import Chosen, Gateway, Unknown, Upstream, choose, gateway
from carrel.core.prices import price
from carrel.core.site import Ai, AiLimits, Price, Provider, User, Wire
from carrel.gateway import request as requests
from carrel.gateway import settings, standin, wire
from carrel.gateway.request import Unreadable, asked, outgoing
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


def test_a_body_passes_byte_for_byte() -> None:
    data = b' {"model" : "a",\n"messages":[ {"role":"user","content":"\\u00e4 \xc3\xa4"}] } '
    assert outgoing(asked(Kind.CHAT, data), Kind.CHAT, "a") is data


def test_an_alias_changes_the_model_and_nothing_else() -> None:
    data = '{"messages":[{"model":"fast"}], "model" :  "fast" ,"user":"fäst"}'.encode()
    wanted = '{"messages":[{"model":"fast"}], "model" :  "b" ,"user":"fäst"}'.encode()
    assert outgoing(asked(Kind.CHAT, data), Kind.CHAT, "b") == wanted


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
    assert outgoing(asked(Kind.CHAT, given), Kind.CHAT, "a") == wanted
    assert outgoing(asked(Kind.MESSAGES, given), Kind.MESSAGES, "a") == given


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
    assert outgoing(asked(Kind.CHAT, given), Kind.CHAT, "a", tells_unasked=True) == wanted


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
        b'{"model":"a","x":' + b"[" * 100_000, b'{"model":"a","x":' + b"9" * 10_000 + b"}",
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
            found = asked(kind, data)
        except Unreadable:
            continue
        assert json.loads(outgoing(found, kind, "other"))["model"] == "other"


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.text() | st.floats(), st.lists)))
def test_changing_a_body_changes_what_was_meant_and_no_more(values: dict[str, object]) -> None:
    rest = {key: value for key, value in values.items() if key.lower() not in requests._DECISIVE}
    data = json.dumps({**rest, "model": "fäst", "stream": True}).encode()
    changed = json.loads(outgoing(asked(Kind.CHAT, data), Kind.CHAT, "b"))
    wanted = {**rest, "model": "b", "stream": True, "stream_options": {"include_usage": True}}
    assert json.dumps(changed, sort_keys=True) == json.dumps(wanted, sort_keys=True)


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
