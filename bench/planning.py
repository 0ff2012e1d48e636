"""How long `carrel plan` takes on a server where there is nothing to do, and how that grows.

On the fake server of the tests: real files and the real code, without the time of systemctl, which is
asked once for all units.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest

from bench import table
from bench.ground import Ground
from bench.results import AtMost, Fact, Facts, Samples
from fake_server import FakeServer
from samples import HASH

FEW, MANY = 10, 50
ROUNDS = 7
SECONDS = AtMost(1.0, "s")
GROWTH = AtMost(MANY / FEW, "x")


def run(_ground: Ground) -> Facts:
    """The medians for few and for many users, and what one grows by to become the other."""
    table.progress(f"planning for {FEW} and for {MANY} users, {ROUNDS} times each")
    few, many = _median(FEW), _median(MANY)
    return Facts(
        "carrel plan with nothing to do",
        (
            Fact(f"{FEW} users", few, "s"),
            Fact(f"{MANY} users", many, "s", SECONDS),
            Fact(f"{MANY / FEW:g} times the users take", many / few, "x", GROWTH),
        ),
    )


def _median(users: int) -> float:
    with (
        tempfile.TemporaryDirectory(prefix="carrel-bench-") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        server = FakeServer(Path(folder) / "server").install(patch)
        server.config.write_text(_configuration(server, users), encoding="utf-8")
        server.shelve("0" * 12)
        server.apply()
        return Samples.of([_seconds(server) for _ in range(ROUNDS)]).median


def _configuration(server: FakeServer, users: int) -> str:
    tables = "".join(f'[users.u{n}]\npassword_hash = "{HASH}"\n' for n in range(users))
    return f'domain = "code.example.org"\n[storage]\nbase = "{server.folder}/srv"\n{tables}'


def _seconds(server: FakeServer) -> float:
    begun = time.perf_counter()
    steps = server.plan()
    seconds = time.perf_counter() - begun
    assert steps == [], steps
    return seconds
