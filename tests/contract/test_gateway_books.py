"""The books of a real gateway: exact under load, and whole after crashes, full disks and meddling."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from carrel.adapters import books
from carrel.adapters.books import By
from carrel.cli.main import carrel
from carrel.core.prices import NANO, nano
from carrel.core.site import AiLimits, WhenFull
from carrel.targets.local.target import LocalTarget
from carrel.targets.waiting import until
from gateways import ASK, PRICE, Provider, RealGateway, UnixConnection, streaming, token

FREE_HAND = AiLimits(concurrent=1000)
PATHS = ("/desk/v1/chat/completions", "/desk/v1/responses", "/claude/v1/messages")


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    with Provider(tmp_path) as running:
        yield running


@pytest.fixture
def gateway(provider: Provider, tmp_path: Path) -> Iterator[RealGateway]:
    made = RealGateway.of(tmp_path, provider, FREE_HAND, "ada", "ben")
    yield made
    made.clean()


def command(*arguments: str) -> Any:
    result = CliRunner().invoke(carrel, ["ai", *arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def config(gateway: RealGateway, tmp_path: Path) -> Iterator[Path]:
    """A configuration whose books are those of the gateway."""
    file = tmp_path / "carrel.toml"
    people = "".join(
        f'[users.{name}]\npassword_file = "pw"\nai.money_per_day = 5\n' for name in ("ada", "ben")
    )
    (tmp_path / "pw").write_text("secret\n")
    file.write_text(f'domain = "code.localhost"\n[storage]\nbase = "data"\n{people}')
    target = LocalTarget.of(file, lambda _: None)
    Path(target.layout.books).parent.mkdir(parents=True)
    gateway.change(books=target.layout.books)
    yield file
    shutil.rmtree(target.layout.state)


def test_what_carrel_says_is_what_the_provider_served_to_the_token(
    gateway: RealGateway, provider: Provider, config: Path
) -> None:
    where = ["--config", str(config)]
    assert command("usage", *where) == []
    gateway.start()

    def ask(number: int) -> int:
        user = ("ada", "ben")[number % 2]
        body: dict[str, Any] = {
            "model": ("plain", "long")[number % 7 == 0],
            "stream": number % 3 > 0,
        }
        body |= {"messages": [ASK], "input": "x" * number, "max_tokens": 90}
        headers = {"X-Session-Id": f"session-{number % 5}"}
        return gateway.ask(user, body, path=PATHS[number % 3], headers=headers).status

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert set(pool.map(ask, range(300))) == {200}
    gateway.settled(300)
    served = provider.served()
    for by in By:
        found = command("usage", "--by", by.value, *where)
        assert sum(one["requests"] for one in found) == served["requests"] == 300
        assert sum(one["tokens_in"] for one in found) == served["tokens_in"]
        assert sum(one["tokens_out"] for one in found) == served["tokens_out"]
        assert sum(one["estimated"] for one in found) == 0
    ada = command("usage", "--user", "ada", "--by", "user", *where)
    assert [one["user"] for one in ada] == ["ada"]
    assert ada[0]["cost"] == pytest.approx(gateway.usage("ada")["spent_today"], abs=1e-9)
    assert command("usage", "--since", "2999-01-01", *where) == []
    left = {one["user"]: one for one in command("budget", *where)}
    assert left["ada"]["left_today"] == pytest.approx(5 - ada[0]["cost"])
    assert left[None]["tokens_today"] == served["tokens_in"] + served["tokens_out"]
    table = CliRunner().invoke(carrel, ["ai", "usage", "--by", "user", *where])
    assert "█" in table.output
    assert "ada" in CliRunner().invoke(carrel, ["ai", "budget", *where]).output


def test_parallel_requests_cannot_overshoot_a_budget(
    gateway: RealGateway, provider: Provider
) -> None:
    most = nano(0.01)
    gateway.limit(AiLimits(money_per_day=most, concurrent=1000))
    gateway.start()
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        # Each may cost 0.0002 by its longest answer, and costs a fifth of that.
        statuses = list(pool.map(lambda _: gateway.chat("ada").status, range(400)))
    assert set(statuses) == {200, 403}
    assert statuses.count(200) == provider.served()["requests"]
    # What parallel requests had reserved and did not use can still be spent.
    while gateway.chat("ada").status == 200:
        pass
    served = provider.served()
    spent = sum(row.cost for row in gateway.settled(served["requests"]))
    # What is left is less than one request has to reserve.
    worst = 100 * PRICE.output // 10**6 + 100 * PRICE.cache_write // 10**6
    assert most - worst <= spent <= most


def test_a_row_tells_who_what_and_how_long(gateway: RealGateway) -> None:
    gateway.start()
    body = {"model": "slow", "messages": [ASK], "stream": True}
    gateway.ask("ada", body, headers={"X-Session-Id": "ses_1"})
    (row,) = gateway.settled(1)
    assert (row.user, row.session, row.provider, row.model) == ("ada", "ses_1", "desk", "slow")
    assert (row.status, row.tokens_out, row.tokens_cached, row.tokens_reasoning) == (200, 6, 3, 1)
    assert row.latency_ms is not None
    assert row.first_byte_ms is not None
    assert row.first_byte_ms < 200 < row.latency_ms


@pytest.mark.parametrize("path", PATHS)
def test_an_aborted_stream_counts(gateway: RealGateway, path: str) -> None:
    gateway.start()
    body = {"model": "endless", "messages": [ASK], "input": "x", "stream": True, "max_tokens": 90}
    with contextlib.closing(UnixConnection(gateway.socket("ada"))) as connection:
        connection.request(
            "POST", path, json.dumps(body), {"Authorization": f"Bearer {token('ada')}"}
        )
        with connection.getresponse() as answer:
            for _ in range(30):
                answer.readline()
    (row,) = gateway.settled(1)
    assert (row.status, row.estimated) == (499, 1)
    assert row.tokens_out >= 5
    assert row.tokens_in > 20
    assert row.cost > 0


def test_killed_it_counts_what_was_under_way_and_what_was_spent(gateway: RealGateway) -> None:
    gateway.limit(AiLimits(money_per_day=nano(1)))
    gateway.start()
    gateway.chat("ada")
    with streaming(gateway, "ada", "endless") as answer:
        answer.readline()
        until(lambda: len(gateway.rows()) == 2, seconds=5, what="the row of the open stream")
        kept = gateway.rows()[1]
        assert kept.state == books.OPEN
        gateway.stop(signal.SIGKILL)
    gateway.start()
    rows = gateway.settled(2)
    assert [(row.state, row.estimated, row.cost) for row in rows] == [
        ("closed", 0, rows[0].cost),
        ("closed", 1, kept.cost),
    ]
    spent = gateway.usage("ada")["spent_today"]
    assert spent == pytest.approx((rows[0].cost + kept.cost) / NANO, abs=1e-12)
    assert "1 requests were under way" in gateway.log
    with contextlib.closing(sqlite3.connect(gateway.settings.books)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_killed_again_and_again_under_load_the_books_stay_whole(gateway: RealGateway) -> None:
    def ask(_: int) -> int:
        try:
            return gateway.chat("ada", "plain", stream=True).status
        except (OSError, http.client.HTTPException):
            return 0

    for _ in range(3):
        gateway.start()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(ask, number) for number in range(100)]
            until(lambda: len(gateway.rows()) > 0, seconds=10, what="a row")
            gateway.stop(signal.SIGKILL)
            for one in asked:
                one.result()
    gateway.start()
    until(
        lambda: all(row.state == books.CLOSED for row in gateway.rows()), seconds=5, what="settling"
    )
    with contextlib.closing(sqlite3.connect(gateway.settings.books)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    total = sum(row.cost for row in gateway.rows()) / NANO
    assert gateway.usage("ada")["spent_today"] == pytest.approx(total, abs=1e-9)


# -- a disk that is full, a file that is locked, broken or gone ------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 KB."""
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("policy", WhenFull)
def test_a_full_disk_stops_or_serves_as_configured_and_mends_itself(
    small_disk: Path, gateway: RealGateway, policy: WhenFull
) -> None:
    gateway.change(books=f"{small_disk}/books.sqlite", when_full=policy)
    gateway.start()
    assert gateway.chat("ada").status == 200
    gateway.settled(1)
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    until(lambda: full(gateway), seconds=20, what="trouble with the books")
    served = 0
    answer = gateway.chat("ada")
    if policy is WhenFull.STOP:
        assert (answer.status, "cannot write its books" in answer.sentence) == (503, True)
        assert answer.headers["retry-after"] == "30"
    else:
        assert answer.status == 200
        before = gateway.usage("ada")["tokens_today"]
        assert gateway.chat("ada").status == 200
        assert gateway.usage("ada")["tokens_today"] > before
        served = 2
    assert gateway.log.count("the books cannot be written") == 1
    assert "carrel_gateway_books_writable 0" in gateway.admin("/metrics").body.decode()
    filler.unlink()
    until(lambda: gateway.health() == 200, seconds=10, what="the books")
    assert gateway.chat("ada").status == 200
    assert "the books are written again" in gateway.log
    gateway.settled(2 + served)
    until(lambda: in_books(gateway) == in_memory(gateway), seconds=5, what="every row")
    gateway.stop()
    with contextlib.closing(sqlite3.connect(gateway.settings.books)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def in_books(gateway: RealGateway) -> int:
    return sum(row.tokens_in + row.tokens_out for row in gateway.rows())


def in_memory(gateway: RealGateway) -> int:
    return int(gateway.usage("ada")["tokens_today"])


def full(gateway: RealGateway) -> bool:
    gateway.chat("ada")
    return gateway.health() == 503


def test_a_locked_file_is_told_and_nothing_is_lost(gateway: RealGateway) -> None:
    gateway.start()
    gateway.chat("ada")
    gateway.settled(1)
    with contextlib.closing(sqlite3.connect(gateway.settings.books, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        gateway.chat("ada")
        until(lambda: gateway.health() == 503, seconds=10, what="trouble with the books")
        assert gateway.chat("ada").status == 503
        other.execute("ROLLBACK")
    until(lambda: gateway.health() == 200, seconds=10, what="the books")
    assert len(gateway.settled(2)) == 2


def test_a_broken_file_stops_it_until_somebody_moves_it_away(gateway: RealGateway) -> None:
    gateway.write()
    file = Path(gateway.settings.books)
    file.write_bytes(b"this is no database, and never was one" * 100)
    gateway.start()
    assert gateway.chat("ada").status == 503
    assert gateway.log.count("the books cannot be written") == 1
    file.rename(file.with_suffix(".broken"))
    until(lambda: gateway.health() == 200, seconds=10, what="new books")
    assert gateway.chat("ada").status == 200
    assert len(gateway.settled(1)) == 1


def test_a_file_that_is_taken_away_is_made_anew(gateway: RealGateway) -> None:
    gateway.start()
    gateway.chat("ada")
    gateway.settled(1)
    for file in gateway.folder.glob("books.sqlite*"):
        file.unlink()
    gateway.chat("ada")
    assert len(gateway.settled(1)) == 1
    assert gateway.usage("ada")["tokens_today"] > 40
