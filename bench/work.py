"""Measures what a workspace holds while somebody works in it: the figures that sizing starts from.

A real browser opens VS Code, a terminal, and the agent in it, one after the other. Run by
`python -m bench.work`; docs/how-to/sizes.md has the table. PSS is what one person adds when others
use the same files; "own" leaves the files out, which are in memory once for everybody.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from bench import processes, table
from bench.results import Fact, Facts
from bench.workspace import USER, Workspace, running
from browser.chromium import WAIT_SECONDS, Chromium
from browser.desk import Desk

MIB = 1024**2
MB = 1_000_000


def main() -> int:
    """Exit status 0: there is no goal to miss."""
    expect.set_options(timeout=WAIT_SECONDS * 1000)
    with running() as workspace, sync_playwright() as playwright:
        facts = [*_facts("idle: started, nobody there", workspace)]
        browsers = Chromium(playwright, Path(tempfile.mkdtemp(prefix="carrel-bench-")))
        site = workspace.site
        context = browsers.of(site).new_context(storage_state=browsers.signed_in(site, USER))
        desk = Desk.within(context)
        desk.page.goto(site.address(USER))
        desk.opened().settle()
        facts.extend(_facts("VS Code open in a browser", workspace))
        desk.open_terminal()
        facts.extend(_facts("and a terminal", workspace))
        desk.type_in_terminal("opencode")
        desk.page.wait_for_timeout(5000)
        facts.extend(_facts("and the agent, opencode", workspace))
        browsers.close()
    table.show_facts(Facts("Memory of one workspace (PSS of all its processes)", tuple(facts)))
    return 0


def _facts(name: str, workspace: Workspace) -> tuple[Fact, Fact]:
    table.progress(f"measuring: {name}")
    found = processes.settled(workspace.processes)
    own = processes.own(workspace.processes())
    return (
        Fact(name, sum(found.values()) * MIB / MB, "MB"),
        Fact("· own", own * MIB / MB, "MB"),
    )


if __name__ == "__main__":
    sys.exit(main())
