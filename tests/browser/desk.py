"""A browser window on somebody's desk: what a person does there by mouse and keyboard.

Used by the tests of this directory. Remembers what the page logged and whom it asked.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from playwright.sync_api import BrowserContext, FrameLocator, Locator, Page, WebSocket, expect

from browser.chromium import WAIT_SECONDS, WORKBENCH
from carrel.targets.waiting import until

QUIET_MILLISECONDS = 2000


@dataclass(frozen=True)
class Desk:
    """One window. Every method returns when what it does can be seen."""

    page: Page
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    sockets: list[WebSocket] = field(default_factory=list)

    @staticmethod
    def within(context: BrowserContext) -> Desk:
        """A new window of `context`."""
        desk = Desk(context.new_page())

        # A function: Playwright marks what it calls, and a list's own method takes no marks.
        def met(socket: WebSocket) -> None:
            desk.sockets.append(socket)

        desk.page.on("console", lambda said: desk.console.append(f"{said.type}: {said.text}"))
        desk.page.on("pageerror", lambda error: desk.console.append(f"uncaught: {error}"))
        desk.page.on("websocket", met)
        # The context's requests include those of service workers.
        context.on("request", lambda request: desk.requests.append(request.url))
        return desk

    @property
    def workbench(self) -> Locator:
        """All of VS Code."""
        return self.page.locator(WORKBENCH)

    @property
    def password_field(self) -> Locator:
        """Only the login page has one."""
        return self.page.locator("input[type=password]")

    @property
    def files(self) -> Locator:
        """The Explorer's list."""
        return self.page.locator(".explorer-folders-view")

    @property
    def tabs(self) -> Locator:
        """The tabs of open files."""
        return self.page.locator(".editor-group-container .tabs-container .tab")

    @property
    def terminal(self) -> Locator:
        """What the terminal shows."""
        return self.page.locator(".terminal-wrapper.active .xterm-rows")

    def file(self, name: str) -> Locator:
        """A file's line in the Explorer."""
        return self.files.get_by_role("treeitem", name=name, exact=True)

    def opened(self) -> Desk:
        """This desk, once VS Code shows the project's files."""
        expect(self.workbench).to_be_visible()
        expect(self.files.get_by_role("treeitem").first).to_be_visible()
        return self

    def settle(self) -> None:
        """Wait until the page has asked for nothing for a while: late extensions have spoken."""
        until(self._quiet, seconds=WAIT_SECONDS, what="Silence of the page")

    def _quiet(self) -> bool:
        before = len(self.requests)
        self.page.wait_for_timeout(QUIET_MILLISECONDS)
        return len(self.requests) == before

    def menu(self, *path: str) -> None:
        """Choose from the menu at the top by mouse."""
        first, *between, last = path
        self.page.locator(f'.menubar-menu-button[aria-label="{first}"]').click()
        for label in between:
            self._entry(label).click()
        # VS Code overlooks a click while it still draws the menu. People click again, then.
        until(partial(self._chosen, last), seconds=WAIT_SECONDS, what=f"The menu entry {last}")

    def _entry(self, label: str) -> Locator:
        words = self.page.locator(".action-label").get_by_text(label, exact=True)
        return self.page.locator(".action-menu-item").filter(has=words)

    def _chosen(self, label: str) -> bool:
        self._entry(label).click()
        with contextlib.suppress(AssertionError):
            expect(self.page.locator(".menubar-menu-items-holder")).to_have_count(0, timeout=2000)
            return True
        return False

    def file_menu(self, name: str, label: str) -> None:
        """Choose from the menu of a file in the Explorer by mouse."""
        self.file(name).click(button="right")
        entry = self.page.locator(".monaco-menu .action-item").filter(has_text=label).first
        until(partial(_gone, entry), seconds=WAIT_SECONDS, what=f"The menu entry {label}")

    def open_terminal(self) -> None:
        """Open a terminal by mouse and wait for its prompt."""
        self.menu("Terminal", "New Terminal")
        expect(self.terminal).to_contain_text("$")

    def type_in_terminal(self, line: str) -> None:
        """Type a line into the terminal and press Enter."""
        keys = self.page.locator(".terminal-wrapper.active textarea")
        keys.press_sequentially(line)
        keys.press("Enter")

    def open_file(self, name: str) -> None:
        """Click a file in the Explorer and wait until it is open."""
        self.file(name).click()
        expect(self.tabs.filter(has_text=name)).to_be_visible()
        expect(self.page.locator(".monaco-editor .view-lines").first).to_be_visible()

    def new_file(self, name: str, text: str) -> None:
        """Make a file with the Explorer's button, type `text` into it and ask to save it."""
        self.files.hover()
        self.page.get_by_role("button", name="New File...").click()
        box = self.files.locator(".explorer-item-edited input")
        box.fill(name)
        box.press("Enter")
        tab = self.tabs.filter(has_text=name)
        expect(tab).to_be_visible()
        editor = self.page.locator(".editor-group-container.active .monaco-editor .view-lines")
        editor.click()
        self.page.keyboard.type(text)
        self.page.keyboard.press("Control+s")
        expect(tab).not_to_have_class(re.compile(r"\bdirty\b"))

    @property
    def webview(self) -> FrameLocator:
        """What is drawn in the only webview, through the frame that isolates it."""
        return self.page.frame_locator("iframe.webview").frame_locator("iframe#active-frame")

    def picture(self, name: str) -> None:
        """Keep a screenshot for people in the directory that CARREL_SCREENSHOTS names."""
        folder = os.environ.get("CARREL_SCREENSHOTS")
        if folder:
            keep_picture(self.page, Path(folder) / f"{name}.png")


def _gone(entry: Locator) -> bool:
    # VS Code overlooks a click while it still draws the menu.
    entry.click()
    with contextlib.suppress(AssertionError):
        expect(entry).to_have_count(0, timeout=2000)
        return True
    return False


def keep_picture(page: Page, path: Path) -> None:
    """Write a screenshot of `page` to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path)
