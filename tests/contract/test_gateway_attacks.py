"""What somebody in a workspace may try against the gateway, from their own socket or another's."""

import contextlib
import hashlib
import json
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from carrel.core.site import AiLimits
from carrel.gateway import body as bodies
from carrel.gateway import sockets
from carrel.targets.waiting import until
from gateways import ASK, KEY, Provider, RealGateway, connect, streaming, token

CHAT = "/desk/v1/chat/completions"
LIMITS = AiLimits(request_size=1 << 20, concurrent=100)
BODY = json.dumps({"model": "plain", "messages": [ASK]}).encode()


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with Provider(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGateway]:
    with ExitStack() as stack:
        made = RealGateway.of(tmp_path_factory.mktemp("g"), provider, LIMITS, "ada", "ben", "cleo")
        stack.callback(made.clean)
        del made.secrets["TOKEN_CLEO"]
        made.start()
        yield made


@pytest.fixture(autouse=True)
def still_well(gateway: RealGateway) -> Iterator[None]:
    """Whatever was tried: the gateway runs, serves others, and wrote no traceback and no key."""
    yield
    assert gateway.chat("ben").status == 200
    assert "Traceback" not in gateway.log
    assert KEY not in gateway.log
    for secret in (token("ada"), token("ben")):
        assert secret not in gateway.log


def raw(gateway: RealGateway, data: bytes, *, user: str = "ada", seconds: float = 20) -> bytes:
    """Send these bytes and read what comes until the gateway closes or falls silent."""
    found = b""
    with contextlib.closing(connect(gateway.socket(user), seconds)) as opened:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            opened.sendall(data)
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while data := opened.recv(65536):
                found += data
    return found


def head(target: str, *lines: str, method: str = "POST", key: str | None = None) -> bytes:
    """The head of a request; the connection ends with it."""
    secret = token("ada") if key is None else key
    return "\r\n".join(
        [f"{method} {target} HTTP/1.1", "Host: x", f"Authorization: Bearer {secret}", *lines,
         "Connection: close", "", ""]
    ).encode()  # fmt: skip


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


# -- who ---------------------------------------------------------------------------------------

GOOD = token("ada")
DIGEST = hashlib.sha256(GOOD.encode()).hexdigest()


@pytest.mark.parametrize(
    "key",
    [
        "", "x", GOOD[:-1], GOOD + "x", GOOD.upper(), GOOD[1:], GOOD + "\x00", GOOD + "\x7f",
        token("ben"), token("cleo"), DIGEST, KEY, "' OR 1=1 --", "a" * 7000, "*", "null", "é",
    ],
)  # fmt: skip
def test_only_the_right_token_opens_a_socket(
    gateway: RealGateway, provider: Provider, key: str
) -> None:
    before = provider.served()["requests"]
    start = (
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\nConnection: close\r\n"
    )
    for header in ("Authorization: Bearer ", "x-api-key: "):
        answer = raw(gateway, f"{start}{header}{key}\r\n\r\n".encode() + BODY)
        assert status(answer) in ({400} if "\x00" in key else {400, 401})
    assert provider.served()["requests"] == before


def test_no_token_and_other_schemes_open_nothing(gateway: RealGateway) -> None:
    for given in (
        {"Authorization": ""},
        {"Authorization": f"Basic {GOOD}"},
        {"Authorization": GOOD},
    ):
        answer = gateway.ask("ada", BODY, headers=given)
        assert (answer.status, answer.json["error"]["type"]) == (401, "authentication_error")
    for path in ("/carrel/usage", "/v1/models", "/nothing"):
        assert gateway.ask("ada", path=path, method="GET", key="wrong").status == 401


def test_a_token_is_good_on_its_own_socket_only(gateway: RealGateway) -> None:
    assert gateway.ask("ben", BODY, key=token("ada")).status == 401
    assert gateway.ask("ben", path="/carrel/usage", method="GET", key=token("ada")).status == 401
    assert gateway.ask("ada", BODY, headers={"x-api-key": "wrong"}).status == 200


def test_somebody_without_a_hash_gets_nothing_with_any_token(gateway: RealGateway) -> None:
    empty = hashlib.sha256(b"").hexdigest()
    for key in ("", token("cleo"), empty, " "):
        assert gateway.ask("cleo", BODY, key=key).status == 401


# -- where -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        f"http://evil.example{CHAT}", "http://127.0.0.1:1/v1/models",
        "/desk/v1/../v1/chat/completions",
        "/desk/v1/./chat/completions", "//desk/v1/chat/completions", "/desk//v1/chat/completions",
        "/desk/v1/chat%2fcompletions", "/desk/v1/chat/completions/", "/desk/v1/chat/completions?x=1",
        "/desk/v1/chat/completions#x", "/DESK/v1/chat/completions", "/desk/v1/chat/Completions",
        "/desk/v1/%63hat/completions", "/desk/v1/files", "/desk/v1", "/", "*",
        "/evil/v1/chat/completions",
        "/metrics", "/healthz", "/carrel/usage/", "/carrel/../metrics", "/desk/v1/chat/completions;x",
        "/desk\\v1\\chat\\completions", "/desk/v1/chat/completions%00", "/%2e%2e/metrics",
        "/desk/v1/responses/resp_1", "/desk/v1/chat/completions%0d%0aX:%20y",
        "evil.example:443",
    ],
)  # fmt: skip
def test_no_other_way_of_writing_a_path_is_one(
    gateway: RealGateway, provider: Provider, target: str
) -> None:
    before = provider.served()["requests"]
    for method in ("POST", "GET", "PUT", "CONNECT", "OPTIONS"):
        answer = raw(gateway, head(target, f"Content-Length: {len(BODY)}", method=method) + BODY)
        assert status(answer) in {400, 404}, (method, answer)
    assert provider.served()["requests"] == before


def test_the_right_path_with_another_method_is_none(gateway: RealGateway) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert status(raw(gateway, head(CHAT, method=method))) == 404


@pytest.mark.parametrize(
    "lines",
    [
        ("X-Session-Id: a\r\n\tb",), ("X-Session-Id: a\x00b",), ("Bad Header: x",), (": x",),
        ("Transfer-Encoding: chunked", "Content-Length: 5"), ("Transfer-Encoding: xchunked",),
        ("Content-Length: -1",), ("Content-Length: 1", "Content-Length: 2"), ("Content-Length: +5",),
        ("X: " + "a" * 100_000,), tuple(f"X{n}: y" for n in range(5000)),
    ],
)  # fmt: skip
def test_a_head_that_is_none_gets_nowhere(
    gateway: RealGateway, provider: Provider, lines: tuple[str, ...]
) -> None:
    before = provider.served()["requests"]
    answer = raw(gateway, head(CHAT, *lines) + b"0\r\n\r\n")
    assert status(answer) in {0, 400}
    assert provider.served()["requests"] == before


def test_two_requests_in_one_are_two_and_each_is_asked_who_it_is(gateway: RealGateway) -> None:
    inner = b"POST /desk/v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    start = head(CHAT, f"Content-Length: {len(BODY)}").replace(b"Connection: close\r\n", b"")
    answer = raw(gateway, start + BODY + inner, seconds=1)
    assert answer.count(b"HTTP/1.1 ") == 2
    assert answer.count(b"HTTP/1.1 401") == 1


# -- what is written down ------------------------------------------------------------------------

NASTY = [
    "'; DROP TABLE requests; --", '" OR ""="', "x\ny", "\x1b[31mred", "%s%n", "../../etc/passwd",
    "a" * 10_000,
    "\u202eevil", "{{7*7}}", "\\u0000", "\x00",
]  # fmt: skip


@pytest.mark.parametrize("text", NASTY)
def test_no_field_is_a_statement_a_path_or_a_terminals_command(
    gateway: RealGateway, text: str
) -> None:
    for body in ({"model": text}, {"model": "plain", text: text}, {"model": "plain", "user": text}):
        answer = gateway.ask("ada", {"messages": [ASK], **body})
        assert answer.status in {200, 404}
    ascii_only = text.isascii() and text.isprintable() and len(text) < 5000
    if ascii_only:
        assert gateway.ask("ada", BODY, headers={"X-Session-Id": text}).status == 200
    for row in gateway.rows():
        assert row.model == "plain"
        assert len(row.session) <= 128
        assert row.session.isascii()
        assert row.session.isprintable()


def test_no_prompt_and_no_answer_is_in_the_books(gateway: RealGateway) -> None:
    canary = "canary-prompt-4711"
    body = {"model": "plain", "messages": [{"role": "user", "content": canary}]}
    gateway.ask("ada", body, headers={"X-Session-Id": "told-apart"})
    until(
        lambda: any(row.session == "told-apart" for row in gateway.rows()),
        seconds=5,
        what="the row",
    )
    for file in Path(gateway.folder).iterdir():
        if file.is_file():
            found = file.read_bytes()
            assert canary.encode() not in found, file
            assert b"The desk is yours" not in found, file
            assert KEY.encode() not in found or file.name == "secrets.env", file


# -- how much ------------------------------------------------------------------------------------


def test_a_body_that_is_too_large_is_refused_before_it_is_read(gateway: RealGateway) -> None:
    answer = raw(gateway, head(CHAT, "Content-Length: 999999999"))
    assert status(answer) == 413
    assert b"1,048,576 bytes" in answer


def test_a_body_that_never_ends_is_cut_by_its_size(gateway: RealGateway) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    answer = raw(gateway, head(CHAT, "Transfer-Encoding: chunked") + chunk * 100)
    assert status(answer) == 413


def test_a_body_that_trickles_is_cut_by_the_clock_and_holds_nobody_up(
    provider: Provider, tmp_path: Path
) -> None:
    assert bodies.BODY_SECONDS <= 60
    slow = RealGateway.of(tmp_path, provider, replace(LIMITS, concurrent=2), "ada", "ben")
    slow.before = "import carrel.gateway.body as b; b.BODY_SECONDS = 0.5"
    try:
        slow.start()
        begun = time.monotonic()
        answer = raw(slow, head(CHAT, "Content-Length: 1000") + b"{")
        assert status(answer) == 408
        assert time.monotonic() - begun < 10
        assert slow.chat("ada").status == 200
    finally:
        slow.clean()


def test_bodies_that_wait_share_one_persons_room_and_take_none_of_others(
    provider: Provider, tmp_path: Path
) -> None:
    gateway = RealGateway.of(tmp_path, provider, LIMITS, "ada", "ben")
    gateway.before = "import carrel.gateway.body as b; b.HELD_BYTES = 700_000"
    start = head(CHAT, "Content-Length: 600000")
    try:
        gateway.start()
        with contextlib.closing(connect(gateway.socket("ada"))) as waiting:
            waiting.sendall(start + b" " * 500_000)
            until(lambda: held(gateway, start) == 429, seconds=10, what="the room's end")
            padded = BODY + b" " * 600_000
            assert gateway.ask("ben", padded).status == 200
        until(lambda: gateway.ask("ada", padded).status == 200, seconds=10, what="ada's room")
    finally:
        gateway.clean()


def held(gateway: RealGateway, start: bytes) -> int:
    return status(raw(gateway, start + b" " * 600_000))


def test_a_compressed_body_is_not_opened(gateway: RealGateway) -> None:
    answer = gateway.ask("ada", b"\x1f\x8b" + b"0" * 100, headers={"Content-Encoding": "gzip"})
    assert (answer.status, "compressed" in answer.sentence) == (400, True)


def test_a_body_that_nests_too_deep_is_refused(gateway: RealGateway) -> None:
    for text in ('{"model":"plain","x":' + "[" * 200_000, '{"a":' * 100_000):
        assert gateway.ask("ada", text.encode()).status == 400


def test_more_connections_than_allowed_are_closed_and_others_have_theirs(
    gateway: RealGateway,
) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))
    try:
        with ExitStack() as stack:
            for _ in range(sockets.CONNECTIONS):
                stack.enter_context(connect(gateway.socket("ada"), 5))
            until(lambda: refused(gateway), seconds=10, what="the limit of connections")
            assert gateway.chat("ben").status == 200
        until(lambda: not refused(gateway), seconds=10, what="room for ada")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))


def refused(gateway: RealGateway) -> bool:
    try:
        return gateway.chat("ada").status != 200
    except OSError:
        return True


def test_a_client_that_does_not_read_costs_no_memory(
    gateway: RealGateway, provider: Provider
) -> None:
    assert gateway.program is not None
    pid = gateway.program.process.pid
    before = resident(pid)
    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(streaming(gateway, "ada", "long"))
        assert resident(pid) < before + 40 * 1_000_000
    until(lambda: provider.served()["open"] == 0, seconds=10, what="the provider's end")


def resident(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) * 1024


def test_settings_that_change_all_the_time_break_no_request(
    provider: Provider, tmp_path: Path
) -> None:
    gateway = RealGateway.of(tmp_path, provider, LIMITS, "ada")
    gateway.before = "import carrel.gateway.daemon as d; d.LOOK_SECONDS = 0.005"
    failures: list[int] = []

    def ask() -> None:
        for _ in range(40):
            answer = gateway.chat("ada", stream=True)
            if answer.status != 200 or b"[DONE]" not in answer.body:
                failures.append(answer.status)

    try:
        gateway.start()
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            gateway.change(model=f"desk/{time.monotonic_ns()}")
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(gateway.settled(160)) == 160
    finally:
        gateway.clean()
