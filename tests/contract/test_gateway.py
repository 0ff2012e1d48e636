"""A real gateway on Unix sockets in front of the provider of the tests: wires, limits, changes."""

import hashlib
import http.client
import json
import os
import pwd
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from carrel.core.gateway import Person
from carrel.core.prices import nano
from carrel.core.site import EVERYONE, AiLimits, Unpriced
from carrel.targets.waiting import until
from gateways import ASK, KEY, Provider, RealGateway, Reply, connect, streaming, token
from others import as_root

FREE_HAND = AiLimits(concurrent=1000)
WIRES: dict[str, dict[str, Any]] = {
    "/desk/v1/chat/completions": {"messages": [ASK]},
    "/desk/v1/responses": {"input": "Whose desk is this?"},
    "/claude/v1/messages": {"messages": [ASK], "max_tokens": 90},
}


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with Provider(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture(scope="module")
def shared(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGateway]:
    """A gateway with generous limits, for tests that leave nothing behind."""
    with ExitStack() as stack:
        gateway = RealGateway.of(tmp_path_factory.mktemp("g"), provider, FREE_HAND, "ada", "ben")
        stack.callback(gateway.clean)
        gateway.start()
        yield gateway


@pytest.fixture
def gateway(provider: Provider, tmp_path: Path) -> Iterator[RealGateway]:
    """A gateway of the test's own; the test starts it."""
    made = RealGateway.of(tmp_path, provider, FREE_HAND, "ada", "ben")
    yield made
    made.clean()


# -- the wire ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", WIRES)
@pytest.mark.parametrize("stream", [False, True])
def test_body_and_answer_pass_byte_for_byte(
    shared: RealGateway, provider: Provider, path: str, *, stream: bool
) -> None:
    values = {**WIRES[path], "model": "plain", "stream": stream, "text": "ä\u2028"}
    if "chat" in path:
        values["stream_options"] = {"include_usage": True}
    body = json.dumps(values, ensure_ascii=False, indent=2).encode()
    answer = shared.ask("ada", body, path=path)
    assert answer.status == 200
    last = provider.served()["last"]
    assert last["body"].encode() == body
    assert last["path"] == "/v1/" + path.split("/v1/")[1]
    direct = ask_directly(provider, last["path"], body)
    assert answer.body == direct.body
    assert answer.headers["content-type"] == direct.headers["content-type"]


def ask_directly(provider: Provider, path: str, body: bytes) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", provider.port, timeout=10)
    try:
        connection.request("POST", path, body)
        answer = connection.getresponse()
        headers = {k.lower(): v for k, v in answer.getheaders()}
        return Reply(answer.status, headers, answer.read())
    finally:
        connection.close()


def test_only_the_key_and_a_few_headers_reach_the_provider(
    shared: RealGateway, provider: Provider
) -> None:
    given = {
        "Cookie": "a=b", "X-Forwarded-For": "1.2.3.4", "Forwarded": "for=1", "Via": "x", "Origin": "http://evil",
        "X-Session-Id": "s1", "OpenAI-Organization": "org", "anthropic-beta": "b1", "TE": "trailers",
        "Proxy-Authorization": "Basic x", "User-Agent": "agent/1",
    }  # fmt: skip
    for path, secret in (
        ("/desk/v1/chat/completions", "Authorization"),
        ("/claude/v1/messages", "x-api-key"),
    ):
        shared.ask("ada", {"model": "plain", "messages": [ASK]}, path=path, headers=given)
        headers = {k.lower(): v for k, v in provider.served()["last"]["headers"].items()}
        assert headers.pop(secret.lower()).removeprefix("Bearer ") == KEY
        assert headers.pop("host") == f"127.0.0.1:{provider.port}"
        headers.pop("anthropic-version", None)
        assert headers == {
            "user-agent": "agent/1", "anthropic-beta": "b1", "content-type": "application/json",
            "accept-encoding": "identity", "content-length": headers["content-length"],
        }  # fmt: skip


def test_a_stream_is_not_held_back(shared: RealGateway) -> None:
    begun = time.monotonic()
    with streaming(shared, "ada", "slow") as answer:
        moments = []
        while line := answer.readline():
            if line.startswith(b"data"):
                moments.append(time.monotonic() - begun)
    assert moments[0] < 0.2
    assert moments[-1] - moments[0] > 0.2


def test_a_client_that_leaves_ends_the_request_to_the_provider(
    shared: RealGateway, provider: Provider
) -> None:
    left = provider.served()["left"]
    with streaming(shared, "ada", "endless") as answer:
        answer.readline()
    until(lambda: provider.served()["left"] == left + 1, seconds=3, what="the provider's end")
    assert provider.served()["open"] == 0


def test_models_are_found_by_alias_prefix_and_name(
    gateway: RealGateway, provider: Provider
) -> None:
    gateway.settings = replace(gateway.settings, aliases=(("fast", "desk/plain"),))
    gateway.start()
    body = {"messages": [ASK]}
    for model in ("fast", "desk/plain"):
        answer = gateway.ask("ada", {**body, "model": model}, path="/v1/chat/completions")
        assert answer.status == 200
        assert json.loads(provider.served()["last"]["body"])["model"] == "plain"
    several = gateway.ask("ada", {**body, "model": "plain"}, path="/v1/chat/completions")
    assert (several.status, "write desk/plain or claude/plain" in several.sentence) == (404, True)
    wrong = gateway.ask("ada", {**body, "model": "claude/plain"}, path="/v1/chat/completions")
    assert (wrong.status, "/v1/messages" in wrong.sentence) == (404, True)
    unknown = gateway.chat("ada", "nothing")
    assert (unknown.status, "There are: plain, tools" in unknown.sentence) == (404, True)
    listed = [one["id"] for one in gateway.ask("ada", path="/v1/models", method="GET").json["data"]]
    assert {"fast", "desk/plain", "claude/plain"} <= set(listed)
    listed = gateway.ask("ada", path="/claude/v1/models", method="GET").json["data"]
    assert listed[0] == {
        "type": "model", "id": "plain", "display_name": "plain", "created_at": "1970-01-01T00:00:00Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("model", "status", "words"),
    [
        ("busy", 429, "slow down"),
        ("broken", 500, "it broke"),
        ("early", 502, "broke off"),
        ("elsewhere", 502, "sent us elsewhere"),
        ("locked", 403, "carrel ai key add desk"),
        ("echo", 400, "[key] may not do that"),
    ],
)
def test_trouble_of_the_provider_is_told(
    shared: RealGateway, model: str, status: int, words: str
) -> None:
    for stream in (False, True):
        answer = shared.chat("ada", model, stream=stream)
        assert answer.status == status
        assert words in answer.sentence
        assert KEY not in str(answer)
    if model == "busy":
        assert answer.headers["retry-after"] == "7"


def test_a_provider_that_is_not_there_is_told(gateway: RealGateway) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
        desk = replace(gateway.settings.providers[0], base_url=gone)
        gateway.settings = replace(gateway.settings, providers=(desk,))
        gateway.start()
        answer = gateway.chat("ada")
    assert (answer.status, "cannot be reached" in answer.sentence) == (502, True)
    assert gateway.settled(1)[0].cost == 0


def test_a_stream_that_is_cut_says_so_in_the_stream(shared: RealGateway) -> None:
    answer = shared.chat("ada", "cut", stream=True)
    last = answer.body.strip().rpartition(b"data: ")[2]
    assert "broke off in the middle" in json.loads(last)["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_key_that_comes_back_in_an_answer_is_taken_out(
    shared: RealGateway, *, stream: bool
) -> None:
    answer = shared.chat("ada", "leak", stream=stream)
    assert KEY.encode() not in answer.body
    assert b"[key]" in answer.body


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_comes_packed_unasked_is_opened_cleaned_and_counted(
    gateway: RealGateway, provider: Provider, *, stream: bool
) -> None:
    gateway.start()
    before = provider.served()
    answer = gateway.chat("ada", "packed", stream=stream)
    assert answer.status == 200
    assert "content-encoding" not in answer.headers
    assert KEY.encode() not in answer.body
    assert b"[key]" in answer.body
    (row,) = gateway.settled(1)
    served = provider.served()
    assert row.tokens_in == served["tokens_in"] - before["tokens_in"]
    assert row.tokens_out == served["tokens_out"] - before["tokens_out"]
    assert not row.estimated


# -- limits ------------------------------------------------------------------------------------


def test_a_budget_that_is_used_up_refuses_in_words(gateway: RealGateway) -> None:
    gateway.limit(AiLimits(money_per_day=nano(0.001)))
    gateway.start()
    assert gateway.chat("ada", "long").status == 200
    answer = gateway.chat("ada")
    assert answer.status == 403
    assert answer.sentence == (
        "Your AI budget for today ($0.0010) is used up. It starts anew at 00:00 UTC. "
        "Whoever runs this server can raise it."
    )
    assert "is used up" in gateway.usage("ada")["warning"]
    assert gateway.chat("ben").status == 200


def test_two_hundred_at_once_at_a_limit_of_one(gateway: RealGateway, provider: Provider) -> None:
    gateway.limit(AiLimits(concurrent=1))
    gateway.start()
    served = provider.served()
    body = json.dumps({"model": "late", "messages": [ASK]}).encode()
    head = (
        f"POST /desk/v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token('ada')}\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with ExitStack() as stack:
        opened = [stack.enter_context(connect(gateway.socket("ada"))) for _ in range(200)]
        for one in opened:
            one.sendall(head.encode() + body)
        answers = [read_all(one) for one in opened]
    statuses = [answer[9:12] for answer in answers]
    assert statuses.count(b"200") == 1
    assert statuses.count(b"429") == 199
    assert all(b"Retry-After: 1" in a for a in answers if a[9:12] == b"429")
    assert provider.served()["requests"] == served["requests"] + 1
    assert len(gateway.settled(1)) == 1
    assert gateway.chat("ada").status == 200


def read_all(opened: socket.socket) -> bytes:
    found = b""
    while data := opened.recv(65536):
        found += data
    return found


def test_too_fast_is_told_with_the_time_to_wait(gateway: RealGateway) -> None:
    gateway.limit(AiLimits(requests_per_minute=3))
    gateway.start()
    assert [gateway.chat("ada").status for _ in range(4)] == [200, 200, 200, 429]
    assert 1 <= int(gateway.chat("ada").headers["retry-after"]) <= 20
    assert gateway.chat("ben").status == 200


def test_a_limit_for_all_together_holds_for_each(gateway: RealGateway) -> None:
    gateway.change(total=AiLimits(requests_per_minute=2))
    gateway.start()
    assert [gateway.chat(user).status for user in ("ada", "ben", "ada")] == [200, 200, 429]


def test_a_model_without_a_price_is_refused_or_free_as_configured(gateway: RealGateway) -> None:
    desk = replace(gateway.settings.providers[0], models=(("plain", None),))
    gateway.change(providers=(desk,))
    gateway.start()
    answer = gateway.chat("ada")
    assert (answer.status, "ai.providers.desk.prices" in answer.sentence) == (403, True)
    gateway.change(unpriced=Unpriced.FREE)
    until(lambda: gateway.chat("ada").status == 200, seconds=5, what="new settings")
    row = gateway.settled(1)[-1]
    assert (row.cost, row.tokens_out) == (0, 6)


# -- no key yet --------------------------------------------------------------------------------


def test_a_session_from_before_there_was_a_provider_is_told_to_begin_anew(
    gateway: RealGateway,
) -> None:
    gateway.start()
    body = {"model": "assistant", "messages": [ASK]}
    said = gateway.ask("ada", body, path="/carrel/v1/chat/completions")
    assert said.status == 200
    assert "/exit" in said.json["choices"][0]["message"]["content"]
    assert gateway.rows() == []


def test_without_any_provider_the_assistant_says_what_to_do(tmp_path: Path) -> None:
    gateway = RealGateway.of(tmp_path, None, EVERYONE, "ada")
    try:
        gateway.start()
        body = {"model": "assistant", "messages": [ASK]}
        answer = gateway.ask("ada", body, path="/carrel/v1/chat/completions")
        assert "carrel ai key add" in answer.json["choices"][0]["message"]["content"]
        answer = gateway.ask("ada", {**body, "stream": True}, path="/v1/messages")
        assert b"carrel ai key add" in answer.body
        assert gateway.usage("ada")["configured"] is False
        assert (
            gateway.ask("ada", path="/v1/models", method="GET").json["data"][0]["id"] == "assistant"
        )
        assert gateway.rows() == []
    finally:
        gateway.clean()


def test_a_key_that_is_added_works_without_a_restart(gateway: RealGateway) -> None:
    known = tuple(replace(one, needs_key=True) for one in gateway.settings.providers)
    gateway.settings = replace(gateway.settings, providers=known)
    key = gateway.secrets.pop("DESK_API_KEY")
    gateway.start()
    assert "carrel ai key add desk" in gateway.chat("ada").json["choices"][0]["message"]["content"]
    gateway.secrets["DESK_API_KEY"] = key
    gateway.write()
    until(lambda: b"The desk is yours" in gateway.chat("ada").body, seconds=5, what="the key")


# -- changes and the end -----------------------------------------------------------------------


def test_a_change_takes_effect_and_an_open_stream_lives_on(gateway: RealGateway) -> None:
    gateway.start()
    with streaming(gateway, "ada", "endless") as answer:
        answer.readline()
        gateway.secrets["TOKEN_ADA"] = hashlib.sha256(b"another").hexdigest()
        gateway.write()
        until(lambda: gateway.chat("ada").status == 401, seconds=5, what="the new token")
        assert gateway.ask("ada", path="/v1/models", method="GET", key="another").status == 200
        for _ in range(20):
            assert answer.readline()


def test_settings_that_are_wrong_change_nothing_and_are_told_once(gateway: RealGateway) -> None:
    gateway.start()
    gateway.file.write_text("{")
    until(lambda: "stay as they were" in gateway.log, seconds=5, what="the log's line")
    assert gateway.chat("ada").status == 200
    gateway.change(people=(Person("ben", FREE_HAND),))
    until(lambda: not Path(gateway.socket("ada")).exists(), seconds=5, what="the socket's end")
    assert gateway.log.count("stay as they were") == 1


def test_a_socket_comes_with_its_directory_and_comes_back(gateway: RealGateway) -> None:
    shutil.rmtree(f"{gateway.settings.sockets}/ben")
    gateway.start()
    path = Path(gateway.socket("ben"))
    assert not path.exists()
    path.parent.mkdir()
    until(path.is_socket, seconds=5, what="ben's socket")
    assert path.stat().st_mode & 0o777 == 0o666
    path.unlink()
    until(path.is_socket, seconds=5, what="ben's socket")
    assert gateway.chat("ben").status == 200


def test_it_ends_when_told_and_settles_what_is_open(gateway: RealGateway) -> None:
    gateway.start()
    with (
        streaming(gateway, "ada", "slow") as short,
        streaming(gateway, "ada", "endless") as endless,
    ):
        short.readline()
        endless.readline()
        assert gateway.program is not None
        gateway.program.process.send_signal(signal.SIGTERM)
        assert b"[DONE]" in short.read()
        assert gateway.stop() == 0
    rows = {row.model: row for row in gateway.rows()}
    assert (rows["slow"].status, rows["slow"].estimated) == (200, 0)
    assert (rows["endless"].status, rows["endless"].estimated, rows["endless"].state) == (
        499,
        1,
        "closed",
    )
    assert not Path(gateway.socket("ada")).exists()


def test_systemd_is_told_when_it_is_ready(
    gateway: RealGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{gateway.folder}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(address)
        told.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        gateway.start()
        assert told.recv(100) == b"READY=1"
        assert gateway.stop() == 0
        assert told.recv(100) == b"STOPPING=1"


def test_the_hosts_socket_has_health_and_metrics_and_is_for_its_owner(shared: RealGateway) -> None:
    assert Path(shared.settings.admin).stat().st_mode & 0o777 == 0o600
    assert shared.admin("/healthz").json["status"] == "ok"
    assert shared.chat("ada").status == 200
    page = shared.admin("/metrics").body.decode()
    assert 'carrel_gateway_requests_total{provider="desk",status="200"}' in page
    assert "carrel_gateway_books_writable 1" in page
    assert KEY not in page
    assert shared.admin("/v1/models").status == 404


def test_nothing_is_imported_after_the_start(gateway: RealGateway) -> None:
    gateway.options = ("-X", "importtime")
    named = f"http://localhost:{gateway.settings.providers[0].base_url.split(':')[2]}"
    desk = replace(gateway.settings.providers[0], base_url=named)
    gateway.settings = replace(gateway.settings, providers=(desk, *gateway.settings.providers[1:]))
    gateway.start()
    for model in ("plain", "cut", "busy", "echo", "early", "nothing", "garbage"):
        for stream in (False, True):
            gateway.chat("ada", model, stream=stream)
    gateway.ask("ada", {"model": "plain"}, path="/claude/v1/messages")
    gateway.usage("ada")
    gateway.admin("/metrics")
    gateway.file.write_text("{")
    until(lambda: "stay as they were" in gateway.log, seconds=5, what="the log's line")
    gateway.change(model="desk/late")
    until(lambda: "new settings" in gateway.log, seconds=5, what="the log's line")
    assert gateway.stop() == 0
    after = gateway.log.partition("INFO ready")[2]
    assert "import time" in gateway.log
    assert "import time" not in after


@as_root
def test_started_by_root_it_becomes_the_account_before_it_opens_anything(
    provider: Provider,
) -> None:
    account = pwd.getpwnam("nobody")
    folder = Path(tempfile.mkdtemp())
    gateway = RealGateway.of(folder, provider, FREE_HAND, "ada")
    try:
        for path in (folder, folder / "s", folder / "s/ada"):
            path.chmod(0o711)
            os.chown(path, account.pw_uid, account.pw_gid)
        gateway.account = "nobody"
        gateway.start()
        assert gateway.program is not None
        status = Path(f"/proc/{gateway.program.process.pid}/status").read_text()
        assert f"Uid:\t{account.pw_uid}\t{account.pw_uid}\t{account.pw_uid}" in status
        assert "Groups:\t \n" in status
        for made in (gateway.settings.books, gateway.socket("ada"), gateway.settings.admin):
            assert Path(made).stat().st_uid == account.pw_uid
        assert gateway.chat("ada").status == 200
    finally:
        gateway.clean()
        shutil.rmtree(folder)
