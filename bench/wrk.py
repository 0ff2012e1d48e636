"""Runs wrk, the load generator, against a Entrance; used by every bench that counts requests."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

from bench.entrance import Entrance

THREADS, CONNECTIONS = 2, 16

# The cookie is a secret: it goes to wrk in a file, not in an argument.
_SCRIPT = """\
local headers = {headers}
-- The name is for nginx, which serves no address; the machine need not know it.
function wrk.resolve(_, service) wrk.addrs = wrk.lookup("127.0.0.1", service) end
function setup(thread) thread.addr = wrk.lookup("127.0.0.1", "{port}")[1] end
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


def load(
    entrance: Entrance,
    path: str,
    seconds: int,
    size: int,
    *,
    more: Mapping[str, str] | None = None,
    connections: int = CONNECTIONS,
) -> Load:
    """What it sees, with `more` headers; an error, or an answer shorter than `size`, is our mistake."""
    # JSON and Lua write these strings alike; the names need Lua's brackets.
    headers = ", ".join(
        f"[{json.dumps(k)}] = {json.dumps(v)}"
        for k, v in {**entrance.headers, **(more or {})}.items()
    )
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_SCRIPT.format(headers=f"{{{headers}}}", port=entrance.port))
        script.flush()
        command = [
            "wrk", f"--threads={THREADS}", f"--connections={connections}",
            f"--duration={seconds}s", "--timeout=10s", f"--script={script.name}",
            entrance.address + path,
        ]  # fmt: skip
        result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=90)
    seen = Load(**json.loads(result.stderr))
    assert seen.errors == 0, f"wrk: {seen.errors} errors\n{result.stdout}"
    # wrk counts no redirect as an error; an answer shorter than the page is one.
    assert seen.bytes >= seen.requests * size, "wrk: answers shorter than the page"
    return seen
