"""Large bodies: what goes on of them, who waits for them, what they take, and what becomes of it."""

import contextlib
import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from carrel.core.site import MIB, AiLimits
from carrel.gateway import body as bodies
from carrel.targets.waiting import until
from gateways import Provider, RealGateway, Reply, connect, request, streaming, token

CHAT = "/desk/v1/chat/completions"
LIMITS = AiLimits(request_size=40 * MIB, concurrent=100)
LARGE = b'{"model":"plain","x":"' + b"x" * (3 * MIB) + b'"}'
HARD = b'{"model":"plain","x":[' + b"{}," * (8 * MIB) + b"{}]}"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with Provider(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture(scope="module")
def shared(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGateway]:
    """A gateway for tests that leave nothing behind."""
    with ExitStack() as stack:
        made = RealGateway.of(tmp_path_factory.mktemp("g"), provider, LIMITS, "ada", "ben")
        stack.callback(made.clean)
        made.settings = replace(made.settings, aliases=(("fast", "desk/plain"),))
        made.start()
        yield made


@pytest.fixture
def gateway(provider: Provider, tmp_path: Path) -> Iterator[RealGateway]:
    """A gateway of the test's own; the test starts it."""
    made = RealGateway.of(tmp_path, provider, LIMITS, "ada", "ben")
    yield made
    made.clean()


def figure(gateway: RealGateway, name: str) -> int:
    """One figure of the metrics."""
    page = gateway.admin("/metrics").body.decode()
    return int(page.partition(f"\ncarrel_gateway_{name} ")[2].split()[0])


def at_rest(gateway: RealGateway) -> tuple[int, int]:
    """What bodies take: in memory, on the disk."""
    return figure(gateway, "bodies_memory_bytes"), figure(gateway, "bodies_disk_bytes")


def files(gateway: RealGateway) -> list[str]:
    """The files without a name that the gateway has open."""
    assert gateway.program is not None
    found = []
    for handle in Path(f"/proc/{gateway.program.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(handle.readlink()))
    return [name for name in found if name.startswith(str(gateway.folder)) and "(deleted)" in name]


def children(pid: int) -> list[int]:
    """The processes that this one started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(entry.name))
    return found


def keeper(gateway: RealGateway) -> int:
    assert gateway.program is not None
    (found,) = children(gateway.program.process.pid)
    return found


# -- what goes on ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, bodies.SMALL - 100, bodies.SMALL + 100, 5 * MIB + 1])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_any_size_goes_on_byte_for_byte_but_for_the_two_exceptions(
    shared: RealGateway, provider: Provider, size: int, *, chunked: bool
) -> None:
    text = os.urandom(size // 2).hex()
    body = f'{{"a":"{text}é", "model" : "fast","x":[{{}}],"stream":true}} '.encode()
    wanted = body.replace(b'"fast"', b'"plain"').replace(
        b'{"a"', b'{"stream_options":{"include_usage": true},"a"', 1
    )
    given = iter([body[:7], body[7:]]) if chunked else body
    answer = ask(shared, "ada", given)
    assert answer.status == 200, answer.body
    last = provider.served()["last"]
    assert last["headers"]["Content-Length"] == str(len(wanted))
    if "body" in last:
        assert last["body"].encode() == wanted
    else:
        assert last["sha256"] == hashlib.sha256(wanted).hexdigest()


def ask(gateway: RealGateway, user: str, body: object, path: str = "/v1/chat/completions") -> Reply:
    """Ask, by default at the path that knows aliases; a body that is no bytes comes in chunks."""
    headers = {"Authorization": f"Bearer {token(user)}"}
    return request(gateway.socket(user), "POST", path, body, headers)


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b"{}", b'{"model":"a"', b'{"model":"a","model":"b"}', b'{"model":"a","Model":"b"}',
        b'{"model":3}', b'{"model":"a","n":0}', b'{"model":"a","max_tokens":-1}', b'{"model":"\xff"}',
        b'{"model":"plain","x":' + b"[" * 2000 + b"]" * 2000 + b"}", b'{"model":"nothing"}',
    ],
)  # fmt: skip
def test_a_large_body_is_judged_as_a_small_one(shared: RealGateway, body: bytes) -> None:
    small, large = (shared.ask("ada", body + b" " * size) for size in (0, 2 * bodies.SMALL))
    assert small.status in {400, 404}
    assert (large.status, large.sentence) == (small.status, small.sentence)


# -- who waits and what it takes ---------------------------------------------------------------


def test_nobody_waits_for_the_bodies_of_others_and_memory_does_not_grow_with_them(
    provider: Provider, tmp_path: Path
) -> None:
    users = [f"user{letter}" for letter in "abcdefgh"]
    gateway = RealGateway.of(tmp_path, provider, LIMITS, "ada", *users)
    try:
        gateway.start()
        assert gateway.program is not None
        assert gateway.chat("ada").status == 200
        before = peak(gateway.program.process.pid)
        statuses: list[int] = []
        threads = [
            threading.Thread(target=lambda u=user: statuses.append(gateway.ask(u, HARD).status))
            for user in users
        ]
        for thread in threads:
            thread.start()
        waits = []
        while any(thread.is_alive() for thread in threads):
            begun = time.monotonic()
            assert gateway.usage("ada")["user"] == "ada"
            waits.append(time.monotonic() - begun)
        assert statuses == [200] * len(users)
        # Read in the loop, each of them would stop everybody for longer. What it is on a machine
        # that does nothing else is measured by bench/bodies.py.
        assert max(waits) < 1
        assert peak(gateway.program.process.pid) < before + 24 * MIB
    finally:
        gateway.clean()


def peak(pid: int) -> int:
    """The most memory that a process had."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) * 1024


def test_a_body_that_wants_memory_is_refused_and_no_trouble(shared: RealGateway) -> None:
    key = "\N{GRINNING FACE}".encode() + b"k" * (30 * MIB)
    answer = shared.ask("ada", b'{"model":"plain","' + key + b'":0}')
    assert (answer.status, "a key that is too long" in answer.sentence) == (400, True)
    assert shared.ask("ada", LARGE).status == 200


def test_a_person_has_one_body_looked_into_at_a_time_and_others_have_theirs(
    gateway: RealGateway,
) -> None:
    gateway.start()
    looking = keeper(gateway)
    # While it stands still, nothing is looked into.
    os.kill(looking, signal.SIGSTOP)
    statuses: list[int] = []

    def send(user: str) -> None:
        statuses.append(gateway.ask(user, LARGE).status)

    threads = [threading.Thread(target=send, args=(user,)) for user in ("ada", "ada", "ben")]
    try:
        for thread in threads:
            thread.start()
        until(lambda: at_rest(gateway) == (0, 3 * len(LARGE)), seconds=20, what="all bodies")
        assert gateway.chat("ada").status == 200
        until(lambda: waiting(looking) == 2, seconds=5, what="one body of each")
    finally:
        os.kill(looking, signal.SIGCONT)
    for thread in threads:
        thread.join()
    assert statuses == [200] * 3


def waiting(pid: int) -> int:
    """How many bodies the keeper was told of and has not taken up."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        if str(link.readlink()).startswith("socket:"):
            text = Path(f"/proc/{pid}/fdinfo/{link.name}").read_text()
            # With each come a file and where the answer goes.
            return int(text.partition("scm_fds:")[2].split()[0]) // 2
    raise AssertionError("the keeper has no socket")


# -- what becomes of it ------------------------------------------------------------------------


def whole(gateway: RealGateway) -> None:
    assert gateway.ask("ada", LARGE).status == 200


def refused_as_no_json(gateway: RealGateway) -> None:
    assert gateway.ask("ada", LARGE[:-1]).status == 400


def refused_for_its_model(gateway: RealGateway) -> None:
    assert gateway.ask("ada", LARGE.replace(b"plain", b"plane", 1)).status == 404


def refused_by_the_provider(gateway: RealGateway) -> None:
    desk = gateway.settings.providers[0]
    gateway.change(providers=(replace(desk, base_url="http://127.0.0.1:1/v1"),))
    until(lambda: gateway.chat("ada").status == 502, seconds=5, what="the new settings")
    assert gateway.ask("ada", LARGE).status == 502


def left_in_the_middle_of_the_body(gateway: RealGateway) -> None:
    with begun(gateway, "ada"):
        pass


def left_without_waiting_for_the_answer(gateway: RealGateway) -> None:
    with contextlib.closing(connect(gateway.socket("ada"))) as opened:
        opened.sendall(head(len(LARGE)) + LARGE)


def too_large_in_chunks(gateway: RealGateway) -> None:
    gateway.limit(replace(LIMITS, request_size=2 * MIB))
    until(lambda: gateway.ask("ada", LARGE).status == 413, seconds=5, what="the new limit")
    assert ask(gateway, "ada", iter([LARGE]), CHAT).status == 413


@pytest.mark.parametrize(
    "ending",
    [
        whole, refused_as_no_json, refused_for_its_model, refused_by_the_provider,
        left_in_the_middle_of_the_body, left_without_waiting_for_the_answer, too_large_in_chunks,
    ],
)  # fmt: skip
def test_nothing_stays_of_a_body_however_its_request_ends(
    gateway: RealGateway, ending: Callable[[RealGateway], None]
) -> None:
    gateway.start()
    names = sorted(path.name for path in gateway.folder.iterdir())
    ending(gateway)
    until(lambda: at_rest(gateway) == (0, 0), seconds=10, what="the room")
    until(lambda: files(gateway) == [], seconds=10, what="the files' end")
    assert sorted(path.name for path in gateway.folder.iterdir()) == names
    assert "Traceback" not in gateway.log


def head(size: int, user: str = "ada") -> bytes:
    return (
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token(user)}\r\n"
        f"Content-Length: {size}\r\n\r\n"
    ).encode()


@contextlib.contextmanager
def begun(gateway: RealGateway, user: str) -> Iterator[None]:
    """A large body of which the end does not come."""
    with contextlib.closing(connect(gateway.socket(user))) as opened:
        opened.sendall(head(len(LARGE), user) + LARGE[:-1])
        until(lambda: at_rest(gateway)[1] > 2 * MIB, seconds=10, what="the body on the disk")
        yield


def test_an_answer_that_lasts_keeps_no_body(gateway: RealGateway) -> None:
    gateway.start()
    with streaming(gateway, "ada", "endless", x="x" * (bodies.SMALL + 1000)) as answer:
        assert answer.readline()
        until(lambda: at_rest(gateway) == (0, 0), seconds=10, what="the room")
        assert answer.readline()


# -- too much ----------------------------------------------------------------------------------


def test_a_disk_that_is_nearly_full_refuses_large_bodies_only(gateway: RealGateway) -> None:
    gateway.before = "import carrel.gateway.body as b; b.LEFT_BYTES = 1 << 60"
    gateway.start()
    for _ in range(2):
        answer = gateway.ask("ada", LARGE)
        assert (answer.status, "disk may be full" in answer.sentence) == (503, True)
    assert gateway.chat("ada").status == 200
    assert gateway.log.count("a large request cannot be kept") == 1
    assert at_rest(gateway) == (0, 0)


def test_bodies_share_a_room_on_the_disk_that_has_an_end(gateway: RealGateway) -> None:
    gateway.before = f"import carrel.gateway.body as b; b.DISK_BYTES = {4 * MIB}"
    gateway.start()
    with begun(gateway, "ada"):
        answer = gateway.ask("ben", LARGE)
        assert (answer.status, answer.headers["retry-after"]) == (503, "2")
        assert "Too many large requests" in answer.sentence
        assert gateway.chat("ben").status == 200
    until(lambda: gateway.ask("ben", LARGE).status == 200, seconds=10, what="room for ben")


def test_without_room_in_memory_small_bodies_go_to_the_disk(gateway: RealGateway) -> None:
    gateway.before = "import carrel.gateway.body as b; b.MEMORY_BYTES = 0"
    gateway.start()
    assert gateway.chat("ada").status == 200
    assert gateway.ask("ada", b"{").sentence == "The body of the request is not JSON."
    assert at_rest(gateway) == (0, 0)


# -- processes that end ------------------------------------------------------------------------


def test_a_process_that_ends_takes_one_request_with_it_and_no_more(gateway: RealGateway) -> None:
    gateway.start()
    looking = keeper(gateway)
    os.kill(looking, signal.SIGSTOP)
    answers: list[Reply] = []
    thread = threading.Thread(target=lambda: answers.append(gateway.ask("ada", HARD)))
    thread.start()
    until(lambda: at_rest(gateway) == (0, len(HARD)), seconds=20, what="the body")
    os.kill(looking, signal.SIGCONT)
    until(lambda: ended(looking), seconds=20, what="the process that looks into it")
    thread.join()
    assert answers[0].status == 503
    assert "could not look into this request" in answers[0].sentence
    assert gateway.ask("ada", LARGE).status == 200
    assert "ended without an answer" in gateway.log


def ended(parent: int) -> bool:
    """End what it started, if that is there."""
    found = children(parent)
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(found)


def test_without_its_keeper_it_ends_so_that_it_is_started_again(gateway: RealGateway) -> None:
    gateway.start()
    assert gateway.program is not None
    os.kill(keeper(gateway), signal.SIGKILL)
    assert gateway.program.wait() == 1
    assert "has to be started again" in gateway.log
    gateway.start()
    assert gateway.ask("ada", LARGE).status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_gateway(gateway: RealGateway, number: int) -> None:
    gateway.start()
    looking = keeper(gateway)
    os.kill(looking, signal.SIGTERM)
    assert gateway.ask("ada", LARGE).status == 200
    gateway.stop(number)
    until(lambda: not Path(f"/proc/{looking}").exists(), seconds=5, what="the keeper's end")
