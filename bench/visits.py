"""Measures what visits cost: the time to the workbench, the bytes that move, the editor's processor.

A first visit is a browser that knows nothing of the place; a second one is the same browser again. A
real Chromium comes over a line of 20 Mbit/s and 40 ms (bench.line), to us by HTTPS with a certificate
that it trusts, to bare code-server by plain HTTP. `workbench.js` is asked for as browsers do, from
nginx and, by the same nginx, from the editor, which knows its files by a second address.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, Playwright, sync_playwright

from bench import processes, table, wrk
from bench.entrance import WORKBENCH, Entrance
from bench.ground import Ground
from bench.line import Line, line
from bench.results import AtLeastTimes, AtMostTimes, Row, Samples, Section, Under
from bench.workspace import Workspace
from browser import chromium
from browser.chromium import FLAGS, PROGRAM, WAIT_SECONDS

ROUNDS = 5
MEGABITS, MILLISECONDS = 20, 40
QUIET_SECONDS = 8
"""After the workbench is there, its extensions start, and fetch what they need."""
BROWSERS = "gzip, deflate, br"
LOAD_SECONDS = 10
"""The editor takes more than one for an answer."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What one visit took."""

    seconds: float
    files: float
    """Kilobytes of what the page asks for, and its cache has not."""
    all: float
    """Kilobytes on the line, with WebSockets, TLS and headers."""
    processor: float
    """Seconds of the processes that the editor has while nobody is there: what answers requests."""
    started: float
    """Seconds of those that it starts for a visitor: extensions."""


@dataclass(frozen=True, slots=True)
class Host:
    """A place to visit. `processes`: the editor's own."""

    entrance: Entrance
    processes: Callable[[], set[int]]
    authority: Path | None = None


def run(ground: Ground) -> Section:
    """The comparison."""
    workspace, bare = ground.workspace, ground.bare
    workspace.start()
    workspace.entrance.first_page()
    rows = [_rates(workspace)]
    ours = Host(workspace.entrance, lambda: _editor(workspace), workspace.site.authority)
    with bare.running() as running, sync_playwright() as playwright:
        bare.entrance.first_page(alive=running.check_alive)
        theirs = Host(bare.entrance, running.processes)
        visits: dict[str, list[tuple[Visit, Visit]]] = {"ours": [], "bare": []}
        # One of each that does not count: the editor reads its own files from the disk.
        for number in range(ROUNDS + 1):
            for side, host in (("ours", ours), ("bare", theirs)):
                both = _visits(playwright, host)
                if number:
                    visits[side].append(both)
                    table.progress(f"visits, {side}: {_told(both[0])}; again {_told(both[1])}")
    return Section(
        f"Visits with a browser, {MEGABITS} Mbit/s, {MILLISECONDS} ms",
        "bare, plain HTTP; workbench.js: the editor through nginx",
        (*rows, *_rows(visits["ours"], visits["bare"])),
    )


def _rows(ours: list[tuple[Visit, Visit]], bare: list[tuple[Visit, Visit]]) -> Iterator[Row]:
    def both(value: Callable[[tuple[Visit, Visit]], float]) -> tuple[Samples, Samples]:
        return Samples.of([value(v) for v in ours]), Samples.of([value(v) for v in bare])

    yield Row("first visit", "s", *both(lambda v: v[0].seconds), Under(4, "s"))
    yield Row("· moves files of", "KB", *both(lambda v: v[0].files))
    yield Row("· moves in all", "KB", *both(lambda v: v[0].all))
    yield Row("· editor's processor", "s", *both(lambda v: v[0].processor), AtMostTimes(0.5))
    yield Row("· that of extensions", "s", *both(lambda v: v[0].started))
    yield Row("second visit", "s", *both(lambda v: v[1].seconds))
    yield Row("· moves files of", "KB", *both(lambda v: v[1].files), Under(100, "KB"))
    yield Row("· moves in all", "KB", *both(lambda v: v[1].all))


def _told(visit: Visit) -> str:
    moved = f"{visit.files:.0f} of {visit.all:.0f} KB"
    return f"{visit.seconds:.2f} s, {moved}, {visit.processor:.2f} + {visit.started:.2f} s of processor"


def _rates(workspace: Workspace) -> Row:
    path = workspace.entrance.workbench_script()
    rates: dict[str, list[float]] = {"nginx": [], "editor": []}
    for _ in range(ROUNDS):
        for side, asked in (("nginx", path), ("editor", f"/vscode{path}")):
            load = wrk.load(
                workspace.entrance,
                asked,
                LOAD_SECONDS,
                1_000_000,
                more={"Accept-Encoding": BROWSERS},
                connections=wrk.THREADS,
            )
            rates[side].append(load.rate)
        table.progress(
            f"workbench.js: {rates['nginx'][-1]:.1f}/s, editor {rates['editor'][-1]:.1f}/s"
        )
    both = (Samples.of(rates["nginx"]), Samples.of(rates["editor"]))
    return Row("workbench.js, compressed, HTTPS", "/s", *both, AtLeastTimes(5))


def _editor(workspace: Workspace) -> set[int]:
    commands = processes.commands()
    return {pid for pid in workspace.processes() if commands.get(pid, [""])[0].endswith("node")}


def _visits(playwright: Playwright, host: Host) -> tuple[Visit, Visit]:
    """A first visit and a second one, by a browser that is new."""
    with (
        tempfile.TemporaryDirectory(prefix="carrel-bench-") as home,
        line(host.entrance.port, MEGABITS, MILLISECONDS) as slow,
        _browser(playwright, Path(home), host, slow) as browser,
    ):
        return _visit(browser, host, slow), _visit(browser, host, slow)


@contextlib.contextmanager
def _browser(
    playwright: Playwright, home: Path, host: Host, slow: Line
) -> Iterator[BrowserContext]:
    if host.authority is not None:
        chromium.trust(home, host.authority)
    name = host.entrance.host
    # A profile on the disk: a context of its own would keep its cache in memory, and less of it.
    context = playwright.chromium.launch_persistent_context(
        str(home / "profile"),
        executable_path=PROGRAM,
        args=[
            *FLAGS,
            f"--host-resolver-rules=MAP {name}:{host.entrance.port} 127.0.0.1:{slow.port}",
        ],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
    )
    try:
        cookie, _, value = host.entrance.cookie.partition("=")
        context.add_cookies(
            [
                {
                    "name": cookie,
                    "value": value,
                    "url": host.entrance.address,
                    "secure": host.entrance.trust is not None,
                }
            ]
        )
        yield context
    finally:
        context.close()


def _visit(browser: BrowserContext, host: Host, slow: Line) -> Visit:
    page = browser.new_page()
    moved = _counted(browser, page)
    before, used = slow.received, processes.processor_seconds(host.processes())
    begun = time.perf_counter()
    page.goto(host.entrance.address + WORKBENCH, wait_until="commit")
    page.locator(chromium.WORKBENCH).wait_for(timeout=WAIT_SECONDS * 1000)
    seconds = time.perf_counter() - begun
    page.wait_for_timeout(QUIET_SECONDS * 1000)
    now = processes.processor_seconds(host.processes())
    page.close()
    return Visit(
        seconds,
        sum(moved) / 1000,
        (slow.received - before) / 1000,
        sum(now[pid] - used[pid] for pid in now.keys() & used.keys()),
        sum(now[pid] for pid in now.keys() - used.keys()),
    )


def _counted(browser: BrowserContext, page: Page) -> list[float]:
    """Grows by the bytes of each answer that the page gets from elsewhere than its cache."""
    found: list[float] = []
    cached: set[str] = set()
    session = browser.new_cdp_session(page)
    session.send("Network.enable")

    def answered(event: dict[str, Any]) -> None:
        if event["response"].get("fromDiskCache"):
            cached.add(event["requestId"])

    def ended(event: dict[str, Any]) -> None:
        if event["requestId"] not in cached:
            found.append(event["encodedDataLength"])

    session.on("Network.requestServedFromCache", lambda event: cached.add(event["requestId"]))
    session.on("Network.responseReceived", answered)
    session.on("Network.loadingFinished", ended)
    return found
