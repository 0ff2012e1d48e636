"""Measures requests per second through nginx and the workspace's socket, against bare code-server.

The same signed-in page and the same script from both, in turns, with the same number of connections.
Bare code-server listens on loopback TCP and does no TLS: that is what a person would have without
Carrel, so the whole price of the edge (TLS, nginx, the second hop) is in the ratio.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from http.client import OK

from bench import table
from bench.door import WORKBENCH, Door
from bench.ground import Ground
from bench.results import AtLeastTimes, Goal, Row, Samples, Section

ROUNDS = 3
THREADS, CONNECTIONS = 2, 16
GOAL = AtLeastTimes(0.9)

# The cookie is a secret: it goes to wrk in a file, not in an argument.
_SCRIPT = """\
local headers = {headers}
for name, value in pairs(headers) do wrk.headers[name] = value end
done = function(summary, latency)
    local wrong = summary.errors
    io.stderr:write(string.format(
        '{{"requests": %d, "seconds": %f, "bytes": %.0f, "errors": %d, "median_ms": %f, "p99_ms": %f}}',
        summary.requests, summary.duration / 1e6, summary.bytes,
        wrong.status + wrong.connect + wrong.read + wrong.write + wrong.timeout,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of wrk saw."""

    requests: int
    seconds: float
    bytes: float
    errors: int
    median_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for, and for how long each time."""

    name: str
    path: str
    seconds: int
    goal: Goal | None


def run(ground: Ground) -> Section:
    """The comparison."""
    workspace, bare = ground.workspace, ground.bare
    workspace.start()
    workspace.door.first_page()
    with bare.running() as running:
        bare.door.first_page(alive=running.check_alive)
        targets = (
            Target("workbench page", WORKBENCH, 10, GOAL),
            Target("workbench.js", workspace.door.workbench_script(), 5, None),
        )
        rows, notes, details = [], [], {}
        for target in targets:
            size = _same_size(target, workspace.door, bare.door)
            pairs = [_round(target, size, workspace.door, bare.door) for _ in range(ROUNDS)]
            ours, theirs = zip(*pairs, strict=True)
            rows.append(
                Row(
                    target.name,
                    "/s",
                    Samples.of([load.rate for load in ours]),
                    Samples.of([load.rate for load in theirs]),
                    target.goal,
                )
            )
            notes.append(
                f"{target.name}: {size:,} bytes, {_latency(ours)}, bare {_latency(theirs)}"
            )
            details[target.name] = {
                "ours": list(map(_plain, ours)),
                "theirs": list(map(_plain, theirs)),
            }
    return Section(
        f"Throughput, {THREADS} threads, {CONNECTIONS} connections, HTTPS through nginx",
        "bare, plain HTTP",
        tuple(rows),
        tuple(notes),
        details,
    )


def _round(target: Target, size: int, ours: Door, theirs: Door) -> tuple[Load, Load]:
    pair = (_load(target, size, ours), _load(target, size, theirs))
    table.progress(f"{target.name}: {pair[0].rate:.0f}/s, bare {pair[1].rate:.0f}/s")
    return pair


def _same_size(target: Target, ours: Door, theirs: Door) -> int:
    """The body's length, the same from both sides but for names that occur in the page."""
    replies = [door.get(target.path) for door in (ours, theirs)]
    assert all(reply.status == OK for reply in replies), [reply.status for reply in replies]
    sizes = [len(reply.body) for reply in replies]
    assert max(sizes) - min(sizes) <= 0.05 * max(sizes), f"not the same page: {sizes} bytes"
    return min(sizes)


def _load(target: Target, size: int, door: Door) -> Load:
    # JSON and Lua write these strings alike; the names need Lua's brackets.
    headers = ", ".join(f"[{json.dumps(k)}] = {json.dumps(v)}" for k, v in door.headers.items())
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_SCRIPT.format(headers=f"{{{headers}}}"))
        script.flush()
        command = [
            "wrk", f"--threads={THREADS}", f"--connections={CONNECTIONS}",
            f"--duration={target.seconds}s", "--timeout=10s", f"--script={script.name}",
            door.address + target.path,
        ]  # fmt: skip
        result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=90)
    load = Load(**json.loads(result.stderr))
    assert load.errors == 0, f"wrk: {load.errors} errors\n{result.stdout}"
    # wrk counts no redirect as an error; an answer shorter than the page is one.
    assert load.bytes >= load.requests * size, "wrk: answers shorter than the page"
    return load


def _latency(loads: tuple[Load, ...]) -> str:
    middle = sorted(loads, key=lambda load: load.rate)[len(loads) // 2]
    return f"median {middle.median_ms:.1f} ms, p99 {middle.p99_ms:.1f} ms"


def _plain(load: Load) -> dict[str, float]:
    return {"rate": load.rate, "median_ms": load.median_ms, "p99_ms": load.p99_ms}
