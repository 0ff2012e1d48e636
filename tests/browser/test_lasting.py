"""What survives when a workspace is made anew or the whole site is stopped: all that people made."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from browser.desk import Desk
from browser.windows import Windows
from carrel.targets.waiting import until
from sites import RealSite

KEPT = "do not lose me"
REMEMBERED = "echo a line to remember | tr a-z A-Z"


def reset(site: RealSite) -> None:
    site.carrel("reset", "ada")


def stop_and_start(site: RealSite) -> None:
    site.carrel("down")
    site.carrel("up")


def expect_sidebar_on_the_right(desk: Desk) -> None:
    expect(desk.page.locator(".part.sidebar")).to_have_class(re.compile(r"\bright\b"))


def history(site: RealSite, desk: Desk, event: str) -> str:
    """The commands that a new terminal remembers."""
    desk.open_terminal()
    desk.type_in_terminal(f"history > history-after-{event}.txt")
    file = site.workspace("ada") / f"history-after-{event}.txt"
    until(lambda: file.exists() and file.read_text() != "", seconds=20, what="The history")
    return file.read_text()


def test_files_settings_history_and_the_session_survive_a_reset_and_a_stop(
    spare: RealSite, windows: Windows
) -> None:
    desk = windows.at_work(spare, "ada")
    desk.new_file("kept.txt", KEPT)
    kept = spare.workspace("ada") / "kept.txt"
    until(lambda: kept.read_text().strip() == KEPT, seconds=10, what="The file")
    desk.menu("View", "Appearance", "Move Primary Side Bar Right")
    expect_sidebar_on_the_right(desk)
    desk.open_terminal()
    desk.type_in_terminal(REMEMBERED)
    expect(desk.terminal).to_contain_text("A LINE TO REMEMBER")

    for event in (reset, stop_and_start):
        desk.page.goto("about:blank")
        event(spare)
        assert kept.read_text().strip() == KEPT
        desk.page.goto(spare.address("ada"))
        desk.opened()
        expect(desk.file("kept.txt")).to_be_visible()
        expect_sidebar_on_the_right(desk)
        assert REMEMBERED in history(spare, desk, event.__name__)
