"""Measures a cold open: how long a visitor of a stopped workspace waits for the workbench page.

Ours: the workspace is stopped; the clock runs from supervisord's order to start it to the page
through nginx. Theirs: bare code-server, from the start of its process to the same page. In turns,
each while the other does not run, and after one start of each that does not count.
"""

from __future__ import annotations

import time

from bench import table
from bench.bare import Bare
from bench.ground import Ground
from bench.results import AtMostAbove, Row, Samples, Section
from bench.workspace import Workspace

STARTS = 20
GOAL = AtMostAbove(0.4, "s")


def run(ground: Ground) -> Section:
    """The comparison."""
    workspace, bare = ground.workspace, ground.bare
    ours, theirs = [], []
    for number in range(STARTS + 1):
        ours.append(open_workspace(workspace))
        workspace.stop()
        theirs.append(open_bare(bare))
        if number:
            table.progress(
                f"cold open {number}/{STARTS}: {ours[-1]:.2f} s, bare {theirs[-1]:.2f} s"
            )
    row = Row("stopped to workbench page", "s", Samples.of(ours[1:]), Samples.of(theirs[1:]), GOAL)
    return Section("Cold open", "bare code-server", (row,))


def open_workspace(workspace: Workspace) -> float:
    """Seconds from the order to start it to the page; it is stopped before, and runs afterwards."""
    workspace.stop()
    start = time.perf_counter()
    workspace.start()
    return workspace.entrance.first_page() - start


def open_bare(bare: Bare) -> float:
    """Seconds from the start of the process to the page."""
    with bare.running() as running:
        return bare.entrance.first_page(alive=running.check_alive) - running.started
