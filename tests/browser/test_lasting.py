"""What survives when a workspace is made anew or the whole site is stopped: all that people made."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from browser.desk import Desk
from browser.windows import Windows
from carrel.backends.waiting import until
from sites import RealSite


def reset(site: RealSite) -> None:
    site.carrel("reset", "ada")


def stop_and_start(site: RealSite) -> None:
    site.carrel("down")
    site.carrel("up")


def sidebar_on_the_right(desk: Desk) -> None:
    expect(desk.page.locator(".part.sidebar")).to_have_class(re.compile(r"\bright\b"))


@pytest.mark.parametrize("event", [reset, stop_and_start])
def test_files_settings_history_and_the_session_survive(
    spare: RealSite, windows: Windows, event: Callable[[RealSite], None]
) -> None:
    kept = f"kept-{event.__name__}"
    desk = windows.at_work(spare, "ada")
    desk.new_file(f"{kept}.txt", "do not lose me")
    move = desk.page.locator(".part.sidebar.right")
    if not move.count():
        desk.menu("View", "Appearance", "Move Primary Side Bar Right")
    sidebar_on_the_right(desk)
    desk.open_terminal()
    desk.type_in_terminal(f"echo {kept} | tr a-z A-Z")
    expect(desk.terminal).to_contain_text(kept.upper())
    before = spare.inside("ada", "cat", "/proc/sys/kernel/random/boot_id")
    desk.page.goto("about:blank")

    event(spare)

    desk.page.goto(spare.address("ada"))
    desk.opened()
    assert before
    assert (spare.workspace("ada") / f"{kept}.txt").read_text() == "do not lose me\n"
    expect(desk.file(f"{kept}.txt")).to_be_visible()
    sidebar_on_the_right(desk)
    desk.open_terminal()
    desk.type_in_terminal(f"history > {kept}-history.txt")
    history = spare.workspace("ada") / f"{kept}-history.txt"
    until(lambda: history.exists() and history.read_text() != "", seconds=20, what="the history")
    assert f"echo {kept} | tr" in history.read_text()
