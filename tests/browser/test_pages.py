"""The edge's own pages, as people meet them: welcome, nothing here, not ready, too many tries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Response, expect

from browser.chromium import sign_in
from browser.desk import Desk
from browser.windows import Windows
from carrel.core.edge import LOGIN_ATTEMPTS_AT_ONCE
from carrel.core.names import workspace_service
from carrel.render.words import ENGLISH
from sites import RealSite


def visit(desk: Desk, address: str) -> Response:
    """Go to `address`; what the server answered."""
    answer = desk.page.goto(address)
    assert answer is not None
    return answer


@pytest.mark.parametrize("typed", ["ada", "Ada "])
def test_a_name_typed_on_the_welcome_page_leads_to_that_desk(
    site: RealSite, windows: Windows, typed: str
) -> None:
    desk = windows.stranger(site)
    visit(desk, site.address())
    desk.picture("welcome")
    desk.page.get_by_role("textbox").fill(typed)
    expect(desk.page.locator("#address")).to_contain_text("ada.code.localhost")
    desk.page.get_by_role("button").click()
    expect(desk.password_field).to_be_visible()
    assert desk.page.url.startswith(site.address("ada"))


def test_the_welcome_page_explains_names_that_cannot_be(site: RealSite, windows: Windows) -> None:
    desk = windows.stranger(site)
    visit(desk, site.address())
    desk.page.get_by_role("textbox").fill("Ada Lovelace")
    desk.page.keyboard.press("Enter")
    expect(desk.page.get_by_role("alert")).to_have_text(ENGLISH.bad_name)
    expect(desk.page.get_by_role("textbox")).to_be_focused()
    assert desk.page.url == site.address()


def test_a_name_that_nobody_has_leads_to_a_page_with_a_way_back(
    site: RealSite, windows: Windows
) -> None:
    desk = windows.stranger(site)
    assert visit(desk, site.address("nobody")).status == 404
    expect(desk.page.get_by_role("heading")).to_have_text(ENGLISH.not_found.heading)
    desk.picture("not-found")
    desk.page.get_by_role("link", name=ENGLISH.not_found.action).click()
    expect(desk.page.get_by_role("heading")).to_have_text(ENGLISH.welcome.heading)


@pytest.fixture
def resting(spare: RealSite) -> Iterator[str]:
    """The service of ben, stopped while nginx runs; it runs again afterwards."""
    service = workspace_service("ben")
    spare.target.store.supervisor.stop_program(service)
    yield service
    spare.target.store.supervisor.start_program(service)


def test_a_desk_that_does_not_run_says_so_and_opens_by_itself_once_it_does(
    spare: RealSite, windows: Windows, resting: str
) -> None:
    desk = windows.stranger(spare)
    assert visit(desk, spare.address("ben")).status == 503
    expect(desk.page.get_by_role("heading")).to_have_text(ENGLISH.unavailable.heading)
    desk.picture("unavailable")
    assert spare.get("ada")[0] == 302, "the other desk is not touched"

    spare.target.store.supervisor.start_program(resting)
    expect(desk.password_field).to_be_visible()


def test_too_many_wrong_passwords_lock_that_desk_for_a_while_and_no_other(
    spare: RealSite, windows: Windows
) -> None:
    desk = windows.stranger(spare)
    visit(desk, spare.address("ben"))
    for attempt in range(1 + LOGIN_ATTEMPTS_AT_ONCE):
        with desk.page.expect_navigation() as navigation:
            sign_in(desk.page, f"guess {attempt}")
        answer = navigation.value
        assert answer is not None
        assert answer.status == 200
        expect(desk.page.locator(".error")).to_be_visible()
    with desk.page.expect_navigation() as navigation:
        sign_in(desk.page, spare.password("ben"))
    answer = navigation.value
    assert answer is not None
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) > 0
    expect(desk.page.get_by_role("heading")).to_have_text(ENGLISH.too_many_attempts.heading)
    desk.picture("too-many-attempts")

    desk.page.get_by_role("link", name=ENGLISH.too_many_attempts.action).click()
    expect(desk.password_field).to_be_visible()

    other = windows.stranger(spare)
    visit(other, spare.address("ada"))
    sign_in(other.page, spare.password("ada"))
    other.opened()
