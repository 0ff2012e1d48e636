"""The workspace as an app that the browser can install."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import expect

from browser.desk import Desk
from browser.windows import Windows
from sites import RealSite

FETCH_IMAGE = """async address => {
    const reply = await fetch(address), image = await createImageBitmap(await reply.blob());
    return [reply.status, reply.headers.get("content-type"), `${image.width}x${image.height}`];
}"""


def manifest(desk: Desk) -> tuple[str, dict[str, Any]]:
    """Address and content of the manifest that the page names, fetched as the page may fetch it."""
    address: str = desk.page.locator("link[rel=manifest]").evaluate("link => link.href")
    content = desk.page.evaluate("async address => (await fetch(address)).text()", address)
    found: dict[str, Any] = json.loads(content)
    return address, found


def at_the_door(site: RealSite, windows: Windows) -> Desk:
    """The login page, which belongs to the app too and opens faster."""
    desk = windows.stranger(site)
    desk.page.goto(site.address("ada"))
    expect(desk.password_field).to_be_visible()
    return desk


def test_the_manifest_names_the_app_and_where_it_starts(site: RealSite, windows: Windows) -> None:
    address, found = manifest(at_the_door(site, windows))
    assert "ada" in found["name"]
    assert urljoin(address, found["start_url"]) == site.address("ada")
    assert found["display"] in {"standalone", "fullscreen", "minimal-ui"}
    sizes = {icon["sizes"] for icon in found["icons"]}
    assert {"192x192", "512x512"} <= sizes


def test_every_icon_of_the_app_is_an_image_of_the_declared_type_and_size(
    site: RealSite, windows: Windows
) -> None:
    desk = at_the_door(site, windows)
    address, found = manifest(desk)
    icons = found["icons"]
    assert icons
    for icon in icons:
        source = urljoin(address, icon["src"])
        assert urlsplit(source).netloc == urlsplit(site.address("ada")).netloc
        assert desk.page.evaluate(FETCH_IMAGE, source) == [200, icon["type"], icon["sizes"]], icon


def test_chromium_finds_nothing_that_keeps_the_workbench_from_being_installed(
    site: RealSite, windows: Windows
) -> None:
    desk = windows.at_work(site, "ada")
    assert manifest(desk) == manifest(at_the_door(site, windows))
    devtools = desk.page.context.new_cdp_session(desk.page)
    seen = devtools.send("Page.getAppManifest")
    assert seen["errors"] == []
    assert json.loads(seen["data"]) == manifest(desk)[1]
    faults = devtools.send("Page.getInstallabilityErrors")["installabilityErrors"]
    # The windows of tests are incognito, where nothing can be installed.
    assert [fault["errorId"] for fault in faults] == ["in-incognito"]
