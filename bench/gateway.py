"""Measures the AI gateway against LiteLLM, nginx and no proxy at all, interleaved, on one provider.

Ours checks tokens and limits and keeps its books, LiteLLM checks its key and writes nothing down, and
nginx only passes on. Bodies are of 2 KB; the provider of the tests answers at once.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench import proxies, table
from bench.ground import Ground
from bench.proxies import Side, Sides
from bench.requests import Timings, send
from bench.results import AtLeastTimes, AtMostTimes, Row, Samples, Section, Within

ROUNDS = 5
ALONE, ALONE_REQUESTS = 1, 300
TOGETHER = 64
TOGETHER_REQUESTS = {"LiteLLM": 400}
MANY_REQUESTS = 4000
STREAMS = 500
LASTING = 200_000
WARM_UP = 50

Round = Mapping[str, Timings]
"""One run for each side, taken right after each other."""


def run(ground: Ground) -> Section:
    """The comparison."""
    del ground
    with tempfile.TemporaryDirectory() as name, proxies.running(Path(name)) as sides:
        for side in sides.all():
            for stream in (False, True):
                _send(side, stream=stream, requests=WARM_UP, connections=2)
        answers = [_round(sides, stream=False, connections=ALONE) for _ in range(ROUNDS)]
        streams = [_round(sides, stream=True, connections=ALONE) for _ in range(ROUNDS)]
        loads = [_round(sides, stream=False, connections=TOGETHER) for _ in range(ROUNDS)]
        many = _send(
            sides.ours, stream=True, requests=STREAMS * 2, connections=STREAMS, model="slow"
        )
        half, end = _lasting(sides.ours)
        theirs = sides.litellm.resident
    return Section(
        "AI gateway, against LiteLLM",
        "LiteLLM",
        (
            _added("added to an answer", answers, "whole"),
            _added("added to a stream's first byte", streams, "first_byte"),
            _rates(loads),
            _memory("resident at the end", end, theirs),
            Row("resident, end and half-way", "MiB", end, half, AtMostTimes(1.05)),
        ),
        (
            f"nginx: adds {_median_added(answers, 'nginx', 'whole'):.2f} ms to an answer, "
            f"{_median_added(streams, 'nginx', 'first_byte'):.2f} ms to a first byte, "
            f"{_median_rate(loads, 'nginx'):,.0f}/s; direct: {_median_rate(loads, 'direct'):,.0f}/s",
            f"{STREAMS} streams open at once: {len(many.whole)} whole, {many.errors} errors",
            f"memory after {LASTING:,} requests; LiteLLM's after its part of the rounds",
        ),
        {"answers": _plain(answers), "streams": _plain(streams), "loads": _plain(loads)},
    )


def _send(
    side: Side, *, stream: bool, requests: int, connections: int, model: str = "plain"
) -> Timings:
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": "user", "content": "x" * 2000}],
    }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    timings = send(
        side.address, json.dumps(body).encode(), requests=requests, connections=connections
    )
    assert timings.errors == 0, f"{side.name}: {timings.errors} errors"
    return timings


def _round(sides: Sides, *, stream: bool, connections: int) -> Round:
    found = {}
    for side in sides.all():
        requests = ALONE_REQUESTS
        if connections > 1:
            requests = TOGETHER_REQUESTS.get(side.name, MANY_REQUESTS)
        found[side.name] = _send(side, stream=stream, requests=requests, connections=connections)
    told = ", ".join(
        f"{name} {statistics.median(one.whole) * 1000:.2f} ms {one.rate:.0f}/s"
        for name, one in found.items()
    )
    table.progress(f"{'stream' if stream else 'answer'} x {connections}: {told}")
    return found


def _lasting(side: Side) -> tuple[Samples, Samples]:
    """Resident memory half-way and at the end of very many requests."""
    found = []
    for part in ("first", "second"):
        table.progress(f"the {part} half of {LASTING:,} requests")
        _send(side, stream=False, requests=LASTING // 2, connections=TOGETHER)
        found.append(Samples.of([side.resident]))
    return found[0], found[1]


def _milliseconds(one: Timings, what: str) -> float:
    values: list[float] = one.whole if what == "whole" else one.first_byte
    return statistics.median(values) * 1000


def _differences(rounds: list[Round], side: str, what: str) -> list[float]:
    return [_milliseconds(one[side], what) - _milliseconds(one["direct"], what) for one in rounds]


def _median_added(rounds: list[Round], side: str, what: str) -> float:
    return statistics.median(_differences(rounds, side, what))


def _median_rate(rounds: list[Round], side: str) -> float:
    return statistics.median(one[side].rate for one in rounds)


def _added(name: str, rounds: list[Round], what: str) -> Row:
    ours, theirs = (Samples.of(_differences(rounds, side, what)) for side in ("Carrel", "LiteLLM"))
    return Row(name, "ms", ours, theirs, Within(0.1, 1, "ms"))


def _rates(rounds: list[Round]) -> Row:
    ours, theirs = (
        Samples.of([one[side].rate for one in rounds]) for side in ("Carrel", "LiteLLM")
    )
    return Row(f"answers, {TOGETHER} connections", "/s", ours, theirs, AtLeastTimes(20))


def _memory(name: str, ours: Samples, theirs: float) -> Row:
    return Row(name, "MiB", ours, Samples.of([theirs]), Within(1, 64, "MiB"))


def _plain(rounds: list[Round]) -> list[dict[str, dict[str, float]]]:
    return [
        {
            side: {
                "median_ms": _milliseconds(one, "whole"),
                "first_byte_ms": _milliseconds(one, "first_byte"),
                "rate": one.rate,
            }
            for side, one in each.items()
        }
        for each in rounds
    ]
