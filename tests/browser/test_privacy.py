"""Whom a desk talks to: its own host and nobody else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import expect

from browser.chromium import Chromium
from browser.desk import Desk
from browser.windows import SIZE, Windows
from sites import RealSite

INSIDE_THE_BROWSER = {"data", "blob", "about", "chrome", "chrome-extension", "devtools"}


def outside(site: RealSite, addresses: list[str], *hosts: str) -> set[str]:
    """Those of `addresses` that are neither inside the browser nor on one of the site's `hosts`."""
    ours = {urlsplit(site.address(host)).netloc for host in hosts}
    return {
        address
        for address in addresses
        if (parts := urlsplit(address)).scheme not in INSIDE_THE_BROWSER
        and not parts.scheme.startswith("vscode-")
        and parts.netloc not in ours
    }


def look_around(desk: Desk) -> None:
    """What everybody does in the first minutes."""
    desk.opened()
    desk.open_terminal()
    desk.type_in_terminal("ls")
    for view in ("Search", "Source Control", "Explorer"):
        desk.page.get_by_role("tab", name=view).first.click()
    desk.menu("Help", "About")
    expect(desk.page.locator(".monaco-dialog-box")).to_be_visible()
    desk.page.keyboard.press("Escape")
    desk.page.wait_for_load_state("networkidle")


def test_the_page_asks_no_other_host_and_breaks_no_rule_of_its_own(
    site: RealSite, windows: Windows
) -> None:
    desk = windows.remembered(site, "ada")
    desk.page.goto(site.address("ada"))
    look_around(desk)

    assert any(address.startswith(site.address("ada")) for address in desk.requests)
    assert outside(site, desk.requests, "ada") == set()
    complaints = [
        said
        for said in desk.console
        if re.search("content security policy|mixed content|insecure", said, re.IGNORECASE)
    ]
    assert complaints == []


def test_the_whole_browser_looks_up_no_other_host(
    site: RealSite, chromium: Chromium, tmp_path: Path
) -> None:
    state = chromium.signed_in(site, "ada")
    log = tmp_path / "net.json"
    with chromium.launch(site, f"--log-net-log={log}") as browser:
        context = browser.new_context(viewport=SIZE, storage_state=state)
        desk = Desk.within(context)
        desk.page.goto(site.address("ada"))
        look_around(desk)
    asked = requested(log)
    assert site.address("ada") in asked
    assert outside(site, asked, "ada") == set()


def requested(log: Path) -> list[str]:
    """Every address that a Chromium's log of its network says it asked for."""
    recorded: dict[str, Any] = json.loads(log.read_text())
    kind = recorded["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    return [
        event["params"]["url"]
        for event in recorded["events"]
        if event["type"] == kind and "url" in event.get("params", {})
    ]
