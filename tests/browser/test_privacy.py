"""Whom a desk talks to: its own host and nobody else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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
    desk.open_terminal()
    desk.type_in_terminal("ls")
    for view in ("Search", "Source Control", "Explorer"):
        desk.page.get_by_role("tab", name=view).first.click()
    desk.settle()


def test_the_page_asks_no_other_host_and_breaks_no_rule_of_its_own(
    site: RealSite, windows: Windows
) -> None:
    desk = windows.at_work(site, "ada")
    look_around(desk)

    assert any(address.startswith(site.address("ada")) for address in desk.requests)
    assert outside(site, desk.requests, "ada") == set()
    complaints = [
        said
        for said in desk.console
        if re.search("content security policy|mixed content|insecure", said, re.IGNORECASE)
    ]
    assert complaints == []


def test_not_even_workers_and_frames_of_the_page_look_up_another_host(
    site: RealSite, chromium: Chromium, tmp_path: Path
) -> None:
    state = chromium.signed_in(site, "ada")
    log = tmp_path / "net.json"
    with chromium.launch(site, f"--log-net-log={log}") as browser:
        context = browser.new_context(viewport=SIZE, storage_state=state)
        desk = Desk.within(context)
        desk.page.goto(site.address("ada"))
        desk.opened()
        desk.settle()
    asked = requested(log)
    assert any(address.startswith(site.address("ada")) for address in asked)
    assert outside(site, asked, "ada") == set()


def requested(log: Path) -> list[str]:
    """Every address that pages asked for, as a Chromium's log of its whole network says.

    What Chromium wants for itself (its updates) has no page as its initiator.
    """
    recorded: dict[str, Any] = json.loads(log.read_text())
    kind = recorded["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    return [
        event["params"]["url"]
        for event in recorded["events"]
        if event["type"] == kind
        and event.get("params", {}).get("initiator", "").startswith("https://")
    ]
