"""The windows that one test opens, of strangers and of people who have signed in before."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from playwright.sync_api import BrowserContext, ViewportSize

from browser.chromium import WAIT_SECONDS, Chromium, Trusted
from browser.desk import Desk, keep_picture
from carrel.targets.waiting import until
from sites import RealSite

SIZE: ViewportSize = {"width": 1280, "height": 800}
DONE = '{"shown": 1, "taken": ["ask", "see", "change"]}'
"""What the editor remembers of somebody who has taken the first steps."""


class Windows:
    """The windows of one test."""

    def __init__(self, chromium: Chromium) -> None:
        self._chromium = chromium
        self._contexts: list[BrowserContext] = []
        self.desks: list[Desk] = []
        self._visits: list[tuple[RealSite, str, Desk]] = []

    def stranger(self, site: Trusted) -> Desk:
        """An empty window of somebody whom `site` does not know yet."""
        return self._open(self._chromium.of(site).new_context(viewport=SIZE))

    def remembered(self, site: RealSite, user: str) -> Desk:
        """An empty window of somebody who has signed in as `user` before."""
        state = self._chromium.signed_in(site, user)
        return self._open(self._chromium.of(site).new_context(viewport=SIZE, storage_state=state))

    def at_work(self, site: RealSite, user: str) -> Desk:
        """The desk of `user`, signed in, open, and aware of files that others change.

        The first steps are done: nothing but the start page is in the middle.
        """
        desk = self.remembered(site, user)
        site.welcomed(user).write_text(DONE)
        self._visits.append((site, user, desk))
        desk.page.goto(site.address(user))
        desk.opened()
        until(partial(site.watched, user), seconds=WAIT_SECONDS, what="The editor's watcher")
        return desk

    def first_visit(self, site: RealSite, user: str) -> Desk:
        """The desk of `user`, as it looks on the very first visit."""
        desk = self.remembered(site, user)
        site.welcomed(user).unlink()
        self._visits.append((site, user, desk))
        desk.page.goto(site.address(user))
        return desk.opened()

    def another_device(self, site: RealSite, user: str) -> Desk:
        """The desk of `user` in a browser that has never shown it, however far the first steps are."""
        desk = self.remembered(site, user)
        self._visits.append((site, user, desk))
        desk.page.goto(site.address(user))
        return desk.opened()

    def _open(self, context: BrowserContext) -> Desk:
        self._contexts.append(context)
        context.set_default_timeout(WAIT_SECONDS * 1000)
        desk = Desk.within(context)
        self.desks.append(desk)
        return desk

    def keep(self, folder: Path) -> None:
        """Write what each window shows and has logged into `folder`."""
        for number, desk in enumerate(self.desks, 1):
            keep_picture(desk.page, folder / f"window-{number}.png")
            (folder / f"window-{number}.log").write_text("\n".join([desk.page.url, *desk.console]))

    def close(self) -> None:
        """Close all windows, and their terminals, which would come back in the next window."""
        used = {(site, user) for site, user, desk in self._visits if desk.terminal.count()}
        for context in self._contexts:
            context.close()
        for site, user in used:
            site.inside(user, "pkill", "-HUP", "bash", status=None)
