"""Signing in: whom the login page lets in, and what the browser keeps of it."""

import re
from urllib.parse import urlsplit

from playwright.sync_api import expect

from browser.chromium import sign_in
from browser.windows import Windows
from carrel.core.edge import HOST_COOKIE
from sites import RealSite


def test_a_wrong_password_is_refused_in_words_and_the_right_one_opens_the_workbench(
    site: RealSite, windows: Windows
) -> None:
    desk = windows.stranger(site)
    desk.page.goto(site.address("ada"))
    expect(desk.password_field).to_be_visible()
    desk.picture("login")

    sign_in(desk.page, "not the password")
    expect(desk.page.locator(".error")).to_have_text(re.compile(r"\w+ \w+"))
    expect(desk.password_field).to_be_visible()
    desk.picture("login-refused")

    sign_in(desk.page, site.password("ada"))
    desk.opened()


def test_the_session_cookie_travels_over_tls_only_and_scripts_cannot_read_it(
    site: RealSite, windows: Windows
) -> None:
    desk = windows.remembered(site, "ada")
    desk.page.goto(site.address("ada"))
    expect(desk.workbench).to_be_visible()
    [cookie] = [c for c in desk.page.context.cookies() if c["name"] == HOST_COOKIE]
    assert cookie["secure"]
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"
    assert cookie["domain"] == "ada.code.localhost"
    assert HOST_COOKIE not in desk.page.evaluate("document.cookie")


def test_a_cookie_of_one_person_does_not_open_the_desk_of_another(
    site: RealSite, windows: Windows
) -> None:
    desk = windows.remembered(site, "ada")
    desk.page.goto(site.address("ben"))
    expect(desk.password_field).to_be_visible()
    assert urlsplit(desk.page.url).path == "/login"

    # Even carried over by hand, as a stolen cookie would be.
    [cookie] = [c for c in desk.page.context.cookies() if c["name"] == HOST_COOKIE]
    name, value = cookie["name"], cookie["value"]
    url = site.address("ben")
    desk.page.context.add_cookies([{"name": name, "value": value, "url": url, "secure": True}])
    desk.page.goto(site.address("ben"))
    expect(desk.password_field).to_be_visible()
    assert urlsplit(desk.page.url).path == "/login"
    assert site.get("ben", headers={"Cookie": f"{name}={value}"})[0] == 302
