"""Debian's Chromium for tests of real sites: trusts a site's authority and knows no other network.

Used by the fixtures of this directory. One process per site, because Chromium reads whom it trusts
at its start and each site has an authority of its own.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Protocol

from playwright.sync_api import Browser, Page, Playwright, StorageState, expect

from carrel.targets.waiting import until
from sites import RealSite

PROGRAM = "/usr/bin/chromium"
ONLY_LOOPBACK = "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost"
FLAGS = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    f"--host-resolver-rules={ONLY_LOOPBACK}",
    # Without a GPU the terminal writes its text into the page, where a test can read it.
    "--disable-3d-apis",
)
WORKBENCH = ".monaco-workbench"
WAIT_SECONDS = 30


class Trusted(Protocol):
    """What a browser has to know of a site to open it."""

    @property
    def port(self) -> int:
        """The HTTPS port on loopback."""

    @property
    def authority(self) -> Path:
        """The certificate to trust."""


class Chromium:
    """The browsers of a test session, with who is signed in where."""

    def __init__(self, playwright: Playwright, folder: Path) -> None:
        self._playwright = playwright
        self._folder = folder
        self._browsers: dict[int, Browser] = {}
        self._signed_in: dict[tuple[int, str], StorageState] = {}

    def of(self, site: Trusted) -> Browser:
        """The browser that trusts `site`."""
        if site.port not in self._browsers:
            self._browsers[site.port] = self.launch(site)
        return self._browsers[site.port]

    def launch(self, site: Trusted, *more: str) -> Browser:
        """A browser of one's own that trusts `site`, with `more` flags; the caller closes it."""
        home = self._folder / str(site.port)
        trust(home, site.authority)
        return self._playwright.chromium.launch(
            executable_path=PROGRAM,
            args=[*FLAGS, *more],
            env={**os.environ, "HOME": str(home)},
        )

    def signed_in(self, site: RealSite, user: str) -> StorageState:
        """What a browser of `user` remembers. Signs in once: the edge counts attempts."""
        key = (site.port, user)
        if key not in self._signed_in:
            with self.of(site).new_context() as context:
                page = context.new_page()
                page.goto(site.address(user))
                sign_in(page, site.password(user))
                expect(page.locator(WORKBENCH)).to_be_visible(timeout=WAIT_SECONDS * 1000)
                # The first visit of all is greeted; no later window of a test is.
                until(site.welcomed(user).exists, seconds=WAIT_SECONDS, what="The welcome")
                self._signed_in[key] = context.storage_state()
        return self._signed_in[key]

    def close(self) -> None:
        """End every browser."""
        for browser in self._browsers.values():
            browser.close()


def sign_in(page: Page, password: str) -> None:
    """Fill in the login page that is shown, as a person does."""
    page.locator("input[type=password]").fill(password)
    page.locator("input[type=submit], button[type=submit]").click()


def trust(home: Path, authority: Path) -> None:
    """Make `authority` trusted by a Chromium whose home directory is `home`."""
    database = home / ".pki" / "nssdb"
    if database.exists():
        return
    database.mkdir(parents=True)
    name = f"sql:{database}"
    add = ["-A", "-d", name, "-n", "carrel", "-t", "C,,", "-i", str(authority)]
    for arguments in (["-N", "-d", name, "--empty-password"], add):
        subprocess.run(["certutil", *arguments], check=True, capture_output=True, timeout=30)
