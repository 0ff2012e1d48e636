"""Measures how long others wait while many large bodies come to the AI gateway at once, and the memory.

Sixteen people send 30 MB each at the same moment; another asks small questions all the time, of another
provider: it is the gateway that is measured. The bodies are what is hardest to read, and an image.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from bench import processes, table
from bench.ground import Ground
from bench.results import AtMost, Fact, Facts
from carrel.core.site import MIB, AiLimits
from gateways import ASK, Provider, RealGateway

MANY = 16
SIZE = 30 * MIB
ALONE_SECONDS = 3
WAIT = AtMost(0.05, "s")
MEMORY = AtMost(200, "MiB")
PROBE = "probe"
LATER = 19
"""The nice value of what others go before."""

_TURNS = """
import asyncio, sys, time
from carrel.gateway import daemon

def tick(loop, before, longest):
    now = time.thread_time()
    if now - before > longest:
        longest = now - before
        sys.stderr.write(f"turn: {longest}\\n")
    loop.call_later(0.002, tick, loop, now, longest)

async def measured(self):
    loop = asyncio.get_running_loop()
    loop.call_later(1, lambda: tick(loop, time.thread_time(), 0))
    return await run(self)

run, daemon.Daemon.run = daemon.Daemon.run, measured
"""
"""Has the gateway tell how long one turn of its event loop worked, in processor time: what is waited for
on a machine that does nothing else. Its start takes less than the second before."""

KINDS: dict[str, Callable[[], bytes]] = {
    "empty objects": lambda: b"[" + b"{}," * (SIZE // 3) + b"{}]",
    "words of 511 characters": lambda: b'"base64' + (b"A" * 511 + b" ") * (SIZE // 512) + b'"',
    "halves of surrogate pairs": lambda: b'"' + b"\\ud83d" * (SIZE // 6) + b'"',
    "an image": lambda: b'"data:image/png;base64,' + b"iVBO" * (SIZE // 4) + b'"',
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What one round showed: seconds, and MiB of all the gateway's processes together."""

    waits: list[float]
    memory: float
    whole: float
    turn: float
    """Seconds of processor time that the gateway's event loop worked at most at once."""


def run(ground: Ground) -> Facts:
    """The figures."""
    del ground
    rows: list[Fact] = []
    for name, make in KINDS.items():
        with _gateway() as gateway:
            end = time.monotonic() + ALONE_SECONDS
            alone = _asked(gateway, lambda end=end: time.monotonic() < end)  # type: ignore[misc]
            seen = _round(gateway, b'{"model":"plain","x":' + make() + b"}")
        table.progress(
            f"{name}: a small request alone: median {statistics.median(alone) * 1000:.1f} ms, "
            f"longest {max(alone) * 1000:.1f} ms; meanwhile: "
            f"median {statistics.median(seen.waits) * 1000:.1f} ms of {len(seen.waits)}"
        )
        rows += (
            Fact(f"{name}: longest wait of anybody else", max(seen.waits), "s", WAIT),
            Fact(f"{name}: longest turn of its event loop", seen.turn, "s", WAIT),
            Fact(f"{name}: memory at its peak", seen.memory, "MiB", MEMORY),
            Fact(f"{name}: until all {MANY} are answered", seen.whole, "s"),
        )
    return Facts(f"AI gateway, {MANY} bodies of {SIZE // MIB} MiB at once", tuple(rows))


@contextlib.contextmanager
def _gateway() -> Iterator[RealGateway]:
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folders = [Path(name) / part for part in ("one", "two", "gateway")]
        for folder in folders:
            folder.mkdir()
        one, two = (stack.enter_context(Provider(folder)) for folder in folders[:2])
        # What sends and what takes the large ones are the bench's own, and not what is waited for.
        os.setpriority(os.PRIO_PROCESS, one.process.pid, LATER)
        limits = AiLimits(concurrent=100, request_size=2 * SIZE)
        users = [f"user{letter}" for letter in "abcdefghijklmnop"]
        gateway = RealGateway.of(folders[2], one, limits, PROBE, *users)
        gateway.secrets["PROBE_API_KEY"] = "x"
        providers = (*gateway.settings.providers, two.upstream(PROBE))
        gateway.settings = replace(gateway.settings, providers=providers)
        gateway.before = f"exec({_TURNS!r})"
        stack.callback(gateway.clean)
        gateway.start()
        yield gateway


def _asked(gateway: RealGateway, more: Callable[[], bool]) -> list[float]:
    """How long small requests took, one after the other."""
    body = json.dumps({"model": "plain", "messages": [ASK]}).encode()
    found = []
    while more():
        begun = time.perf_counter()
        answer = gateway.ask(PROBE, body, path="/probe/v1/chat/completions")
        found.append(time.perf_counter() - begun)
        assert answer.status == 200, answer.body
    return found


def _round(gateway: RealGateway, body: bytes) -> Seen:
    # In processes of their own: what sends and what watches must not hold up what measures.
    assert gateway.program is not None
    own = multiprocessing.get_context("fork")
    peak = own.Value("d", 0.0)
    watching = own.Process(target=_watch, args=(gateway.program.process.pid, peak), daemon=True)
    sending = own.Process(target=_send, args=(gateway, body), daemon=True)
    watching.start()
    begun = time.perf_counter()
    sending.start()
    waits = _asked(gateway, sending.is_alive)
    watching.terminate()
    watching.join()
    assert sending.exitcode == 0
    whole = time.perf_counter() - begun
    turns = [float(line[6:]) for line in gateway.log.splitlines() if line.startswith("turn: ")]
    return Seen(waits, peak.value, whole, max(turns))


def _send(gateway: RealGateway, body: bytes) -> None:
    """All at once."""
    os.nice(LATER)
    users = [person.name for person in gateway.settings.people if person.name != PROBE]
    with ThreadPoolExecutor(MANY) as threads:
        statuses = [answer.status for answer in threads.map(lambda u: gateway.ask(u, body), users)]
    assert statuses == [200] * MANY, statuses


def _watch(root: int, peak: Synchronized[float]) -> None:
    """Keep the most that a process and its descendants hold together."""
    while True:
        family = processes.with_descendants({root}, processes.table())
        peak.value = max(peak.value, sum(processes.memory(family).values()))
        time.sleep(0.01)
