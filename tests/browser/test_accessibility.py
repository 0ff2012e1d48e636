"""axe-core judges every page of ours: both languages, light and dark, telephone and desktop."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize

from browser.chromium import Chromium
from browser.desk import keep_picture
from carrel.core.site import About, Language
from carrel.render.pages import Pages
from edges import RealEdge, edge

PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
NARROWEST: ViewportSize = {"width": 320, "height": 640}
"""WCAG 2, 1.4.10: nothing may need scrolling in two directions."""
NAMES = tuple(Pages("code.localhost").all())


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealEdge]:
    with edge(tmp_path_factory.mktemp("edge"), ["ada"]) as running:
        yield running


@pytest.fixture(scope="module")
def page(chromium: Chromium, real: RealEdge) -> Iterator[Page]:
    browser: Browser = chromium.of(real)
    with browser.new_context(viewport=PHONE) as context:
        yield context.new_page()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing_and_nothing_is_cut_off(
    page: Page, real: RealEdge, name: str, language: Language, scheme: str
) -> None:
    about = About(language=language, contact="desks@example.org")
    text = Pages("code.example.org", 8443, about).all()[name]
    # At an address of its own, where its policy is in force.
    page.route("**/page", lambda route: route.fulfill(body=text, content_type="text/html"))
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(real.address("ada", "/page"))
    for size, place in ((PHONE, "phone"), (DESKTOP, "desktop")):
        page.set_viewport_size(size)
        keep(page, f"{name.removesuffix('.html')}-{language}-{scheme}-{place}")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()

    page.set_viewport_size(NARROWEST)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROWEST["width"]
    page.unroute("**/page")


def test_the_judge_can_say_no(page: Page) -> None:
    page.set_content('<html lang="en"><title>x</title><main><img src="data:,"></main></html>')
    assert [found["id"] for found in Axe().run(page).response["violations"]].count("image-alt") == 1


def keep(page: Page, name: str) -> None:
    folder = os.environ.get("CARREL_SCREENSHOTS")
    if folder:
        keep_picture(page, Path(folder) / f"{name}.png")
