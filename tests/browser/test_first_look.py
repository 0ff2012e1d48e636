"""What somebody who does not program sees after the first sign-in, and what they do not see."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import expect

from browser.windows import Windows
from sites import RealSite

DEFAULTS = Path(__file__).parents[2] / "images" / "workspace" / "defaults"


def test_the_first_look_is_the_first_steps_and_the_list_of_files_and_nothing_that_asks(
    site: RealSite, windows: Windows
) -> None:
    desk = windows.first_visit(site, "ben")
    [welcome] = (DEFAULTS / "project").iterdir()

    expect(desk.tabs).to_have_count(1)
    expect(desk.page.locator(".gettingStartedContainer")).to_contain_text("Get started with Carrel")
    expect(desk.file(welcome.name)).to_be_visible()
    for entry in ("File", "Edit", "Terminal", "Help"):
        expect(desk.page.locator(f'.menubar-menu-button[aria-label="{entry}"]')).to_be_visible()

    # Extensions speak up last: this one's button is there once they run.
    expect(desk.page.locator(".statusbar")).to_contain_text("Ask AI")
    desk.settle()
    desk.picture("first-look")

    page = desk.page
    assert page.locator(".notification-toast, .notification-list-item").count() == 0
    assert page.locator(".monaco-dialog-box").count() == 0
    assert page.get_by_text(re.compile("copilot|sign in|do you trust", re.IGNORECASE)).count() == 0
    assert (
        page.locator(".part.auxiliarybar:visible, .chat-widget, [class*=chat-status]").count() == 0
    )
    assert page.locator(".statusbar-item.warning-kind, .statusbar-item.error-kind").count() == 0
