"""The official clients of OpenAI and Anthropic against the gateway, over its Unix socket."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import anthropic
import httpx2 as httpx
import openai
import pytest

from carrel.core.prices import nano
from carrel.core.site import AiLimits
from gateways import KEY, Provider, RealGateway, token

TOOL: dict[str, object] = {"type": "object", "properties": {"at": {"type": "string"}}}
QUESTION = "Whose desk is this?"
ASKED: Any = [{"role": "user", "content": QUESTION}]
ANSWER = "The desk is yours . "


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with Provider(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGateway]:
    """For ada, a free hand; ben has a small budget."""
    with ExitStack() as stack:
        made = RealGateway.of(tmp_path_factory.mktemp("g"), provider, AiLimits(), "ada", "ben")
        stack.callback(made.clean)
        ada, ben = made.settings.people
        poor = replace(ben, limits=AiLimits(money_per_day=nano(0.00001)))
        made.settings = replace(made.settings, people=(ada, poor))
        made.start()
        yield made


@pytest.fixture
def oai(gateway: RealGateway) -> Iterator[openai.OpenAI]:
    with openai_of(gateway, "ada") as client:
        yield client


@pytest.fixture
def claude(gateway: RealGateway) -> Iterator[anthropic.Anthropic]:
    with claude_of(gateway, "ada") as client:
        yield client


def openai_of(gateway: RealGateway, user: str) -> openai.OpenAI:
    transport = httpx.HTTPTransport(uds=gateway.socket(user))
    return openai.OpenAI(
        api_key=token(user),
        base_url="http://localhost/desk/v1",
        http_client=httpx.Client(transport=transport),
        max_retries=0,
    )


def claude_of(gateway: RealGateway, user: str) -> anthropic.Anthropic:
    transport = httpx.HTTPTransport(uds=gateway.socket(user))
    return anthropic.Anthropic(
        api_key=token(user),
        base_url="http://localhost/claude",
        http_client=httpx.Client(transport=transport),
        max_retries=0,
    )


def test_a_chat_is_answered(oai: openai.OpenAI) -> None:
    answer = oai.chat.completions.create(model="plain", messages=ASKED)
    assert answer.choices[0].message.content == ANSWER
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 6


def test_a_chat_streams_and_tells_its_usage(oai: openai.OpenAI) -> None:
    told: Any = {"include_usage": True}
    ask = oai.chat.completions.create
    chunks = list(ask(model="plain", messages=ASKED, stream=True, stream_options=told))
    words = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(words) == ANSWER
    assert chunks[-1].usage is not None


def test_a_chat_that_did_not_ask_for_its_usage_ends_without_an_empty_list_of_choices(
    oai: openai.OpenAI,
) -> None:
    chunks = list(oai.chat.completions.create(model="plain", messages=ASKED, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ANSWER


def test_a_chat_calls_tools(oai: openai.OpenAI) -> None:
    answer = oai.chat.completions.create(
        model="tools",
        messages=ASKED,
        tools=[{"type": "function", "function": {"name": "look", "parameters": TOOL}}],
    )
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].type == "function"
    assert calls[0].function.arguments == '{"at": "desk"}'


def test_a_response_is_answered_and_streams(oai: openai.OpenAI) -> None:
    assert oai.responses.create(model="plain", input=QUESTION).output_text == ANSWER
    with oai.responses.stream(model="plain", input=QUESTION) as stream:
        words = [event.delta for event in stream if event.type == "response.output_text.delta"]
        assert stream.get_final_response().usage is not None
    assert "".join(words) == ANSWER


def test_a_message_is_answered_and_streams(claude: anthropic.Anthropic) -> None:
    answer = claude.messages.create(model="plain", max_tokens=90, messages=ASKED)
    assert isinstance(answer.content[0], anthropic.types.TextBlock)
    assert answer.content[0].text == ANSWER
    with claude.messages.stream(model="plain", max_tokens=90, messages=ASKED) as stream:
        assert "".join(stream.text_stream) == ANSWER
        assert stream.get_final_message().usage.output_tokens == 6


def test_a_message_calls_tools_and_the_beta_is_served(claude: anthropic.Anthropic) -> None:
    tool = anthropic.types.ToolParam(name="look", input_schema=TOOL)
    with claude.messages.stream(
        model="tools", max_tokens=90, messages=ASKED, tools=[tool]
    ) as stream:
        block = stream.get_final_message().content[0]
    assert isinstance(block, anthropic.types.ToolUseBlock)
    assert block.input == {"at": "desk"}
    beta = claude.beta.messages.create(model="plain", max_tokens=90, messages=ASKED)
    assert beta.usage.output_tokens == 6


def test_models_are_listed(oai: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    assert "plain" in [model.id for model in oai.models.list()]
    assert "plain" in [model.id for model in claude.models.list()]


def test_errors_are_the_clients_own_kinds(
    gateway: RealGateway, oai: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    for model, kind in (
        ("busy", openai.RateLimitError),
        ("broken", openai.InternalServerError),
        ("nothing", openai.NotFoundError),
        ("locked", openai.PermissionDeniedError),
        ("early", openai.InternalServerError),
    ):
        with pytest.raises(kind) as caught:
            oai.responses.create(model=model, input=QUESTION)
        assert KEY not in str(caught.value)
    with pytest.raises(anthropic.NotFoundError, match="There are: plain"):
        claude.messages.create(model="nothing", max_tokens=1, messages=ASKED)
    with (
        pytest.raises(anthropic.APIStatusError, match="broke off in the middle"),
        claude.messages.stream(model="cut", max_tokens=9, messages=ASKED) as stream,
    ):
        stream.get_final_message()
    with pytest.raises(openai.APIError, match="broke off in the middle"):
        list(oai.responses.create(model="cut", input=QUESTION, stream=True))
    with claude_of(gateway, "ada") as other, pytest.raises(anthropic.AuthenticationError):
        other.with_options(api_key="wrong").messages.create(
            model="plain", max_tokens=1, messages=ASKED
        )


def test_a_used_up_budget_is_told_in_the_clients_error(gateway: RealGateway) -> None:
    with (
        claude_of(gateway, "ben") as client,
        pytest.raises(anthropic.PermissionDeniedError, match="Your AI budget for today"),
    ):
        client.messages.create(model="plain", max_tokens=90, messages=ASKED)
    with (
        openai_of(gateway, "ben") as client,
        pytest.raises(openai.PermissionDeniedError, match="Whoever runs this server can raise it"),
    ):
        client.responses.create(model="plain", input=QUESTION)


def test_without_a_key_the_clients_read_what_to_do(
    gateway: RealGateway, provider: Provider
) -> None:
    waiting = tuple(replace(one, needs_key=True) for one in gateway.settings.providers)
    folder = gateway.folder / "empty"
    folder.mkdir()
    empty = RealGateway.of(folder, provider, AiLimits(), "ada")
    empty.settings = replace(empty.settings, providers=waiting)
    for name in ("DESK_API_KEY", "CLAUDE_API_KEY"):
        del empty.secrets[name]
    try:
        empty.start()
        with (
            claude_of(empty, "ada") as client,
            client.messages.stream(model="plain", max_tokens=9, messages=ASKED) as stream,
        ):
            assert "carrel ai key add claude" in "".join(stream.text_stream)
        with openai_of(empty, "ada") as oai:
            with oai.responses.stream(model="plain", input=QUESTION) as events:
                assert "carrel ai key add desk" in events.get_final_response().output_text
            chunks = oai.chat.completions.create(model="plain", messages=ASKED, stream=True)
            said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
            assert "carrel ai key add desk" in said
        assert provider.served()["open"] == 0
    finally:
        empty.clean()
