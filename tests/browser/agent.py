"""The agent on somebody's desk: its button, its screen, what it cost.

Used by the tests of the agent in the browser.
"""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from browser.desk import Desk
from carrel.targets.waiting import until
from sites import RealSite

STARTING = 90_000
"""Milliseconds for opencode to show its prompt, on a busy machine."""
_PROCESS = ("-f", "^/opt/carrel/opencode --port")


def button(desk: Desk) -> Locator:
    """ "Ask AI" in the status bar."""
    return desk.page.locator(".statusbar").get_by_role("button", name="Ask AI").first


def cost(desk: Desk) -> Locator:
    """What was spent, in the status bar."""
    return desk.page.locator('.statusbar-item[id="carrel.companion.carrel.cost"]')


def screen(desk: Desk) -> Locator:
    """What the agent shows."""
    return desk.page.locator(".editor-group-container .xterm-rows")


def tabs(desk: Desk) -> Locator:
    """The agent's tabs."""
    return desk.tabs.filter(has_text=re.compile("^AI"))


def shows(desk: Desk, words: str) -> None:
    """Wait until the agent shows `words`."""
    expect(screen(desk)).to_contain_text(words, timeout=STARTING)


def ready(desk: Desk) -> None:
    """Wait until the agent asks for a prompt, and takes it without another click."""
    shows(desk, "ctrl+p")
    expect(desk.page.locator(".editor-group-container .xterm.focus")).to_be_visible()


def running(site: RealSite) -> list[str]:
    """The process ids of ada's agents that have a screen."""
    return site.inside("ada", "pgrep", *_PROCESS, status=None).split()


def end_all(site: RealSite) -> None:
    """End ada's agents, and wait until none is left."""
    site.inside("ada", "pkill", *_PROCESS, status=None)
    until(lambda: not running(site), seconds=30, what="The end of the agents")
