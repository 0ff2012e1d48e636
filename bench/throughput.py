"""Measures requests per second through nginx and the workspace's socket, against bare code-server.

The same signed-in page and the same script from both, in turns, with the same number of connections.
Bare code-server listens on loopback TCP and does no TLS. The goal compares like with like: plain HTTP
through the listener for SSH tunnels. The rows with HTTPS say what encryption costs on top; there, the
load generator pays for its half on the same processors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import OK

from bench import table, wrk
from bench.entrance import WORKBENCH, Entrance
from bench.ground import Ground
from bench.results import AtLeastTimes, Goal, Row, Samples, Section
from bench.wrk import CONNECTIONS, THREADS, Load

ROUNDS = 11
"""Many short rounds in turns: on a shared machine one may be off by a fifth, their median is not."""
GOAL = AtLeastTimes(0.9)
PLAIN, TLS, BARE = "HTTP", "HTTPS", "bare"


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for, and for how long each time."""

    name: str
    path: str
    seconds: int
    goal: Goal | None


@dataclass(frozen=True, slots=True)
class Entrances:
    """The three sides of a comparison."""

    plain: Entrance
    tls: Entrance
    bare: Entrance

    def sides(self) -> dict[str, Entrance]:
        """By the names that the table uses."""
        return {PLAIN: self.plain, TLS: self.tls, BARE: self.bare}


def run(ground: Ground) -> Section:
    """The comparison."""
    workspace, bare = ground.workspace, ground.bare
    workspace.start()
    workspace.entrance.first_page()
    entrances = Entrances(workspace.tunnel, workspace.entrance, bare.entrance)
    with bare.running() as running:
        bare.entrance.first_page(alive=running.check_alive)
        targets = (
            Target("workbench page", WORKBENCH, 4, GOAL),
            Target("workbench.js", workspace.entrance.workbench_script(), 2, None),
        )
        rows, notes, details = [], [], {}
        for target in targets:
            size = _same_size(target, entrances)
            rounds = [_round(target, size, entrances) for _ in range(ROUNDS)]
            rows += _rows(target, rounds)
            notes.append(f"{target.name}: {size:,} bytes, {_latencies(rounds)}")
            details[target.name] = [
                {side: _plain(load) for side, load in one.items()} for one in rounds
            ]
    return Section(
        f"Throughput through nginx, {THREADS} threads, {CONNECTIONS} connections",
        "bare, plain HTTP",
        tuple(rows),
        tuple(notes),
        details,
    )


Round = Mapping[str, Load]
"""One load per side, taken right after each other."""


def _round(target: Target, size: int, entrances: Entrances) -> Round:
    loads = {
        side: wrk.load(entrance, target.path, target.seconds, size)
        for side, entrance in entrances.sides().items()
    }
    rates = ", ".join(f"{side} {load.rate:.0f}/s" for side, load in loads.items())
    table.progress(f"{target.name}: {rates}")
    return loads


def _rows(target: Target, rounds: Sequence[Round]) -> list[Row]:
    rates = {side: Samples.of([one[side].rate for one in rounds]) for side in (PLAIN, TLS, BARE)}
    return [
        Row(f"{target.name}, {PLAIN}", "/s", rates[PLAIN], rates[BARE], target.goal),
        Row(f"{target.name}, {TLS}", "/s", rates[TLS], rates[BARE]),
    ]


def _same_size(target: Target, entrances: Entrances) -> int:
    """The body's length, the same from both sides but for names that occur in the page."""
    replies = [entrance.get(target.path) for entrance in entrances.sides().values()]
    assert all(reply.status == OK for reply in replies), [reply.status for reply in replies]
    sizes = [len(reply.body) for reply in replies]
    assert max(sizes) - min(sizes) <= 0.05 * max(sizes), f"not the same page: {sizes} bytes"
    return min(sizes)


def _latencies(rounds: Sequence[Round]) -> str:
    return "; ".join(f"{side} {_latency([one[side] for one in rounds])}" for side in rounds[0])


def _latency(loads: Sequence[Load]) -> str:
    middle = sorted(loads, key=lambda load: load.rate)[len(loads) // 2]
    return f"median {middle.median_ms:.1f} ms, p99 {middle.p99_ms:.1f} ms"


def _plain(load: Load) -> dict[str, float]:
    return {"rate": load.rate, "median_ms": load.median_ms, "p99_ms": load.p99_ms}
