"""What a page on one desk can do to another desk in the same browser: nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from browser.windows import Windows
from carrel.core.edge import HOST_COOKIE, SESSION_COOKIE
from carrel.render.words import ENGLISH
from edges import DOMAIN, RealEdge, edge

OPEN_SOCKET = """address => new Promise(done => {
    const socket = new WebSocket(address);
    socket.onopen = () => done("open");
    socket.onerror = () => done("refused");
})"""
FETCH = """async address => (await fetch(address, {
    method: "POST", credentials: "include", mode: "no-cors"})).type"""
FLOOD = """domain => {
    for (let number = 0; number < 60; number++)
        document.cookie = `c${number}=${"x".repeat(3000)}; Domain=${domain}; Path=/; Secure`;
}"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealEdge]:
    with edge(tmp_path_factory.mktemp("edge"), ["ada", "ben"]) as running:
        yield running


@pytest.fixture
def page(real: RealEdge, windows: Windows) -> Page:
    """A window of somebody who is signed in at ada's desk and looks at a page on ben's."""
    page = windows.stranger(real).page
    url = real.address("ada")
    page.context.add_cookies(
        [{"name": HOST_COOKIE, "value": "S", "url": url, "secure": True, "httpOnly": True}]
    )
    page.goto(real.address("ben"))
    return page


def cookies_at_adas(page: Page, real: RealEdge) -> str:
    """What ada's desk is sent when she opens it."""
    page.goto(real.address("ada"))
    seen: dict[str, str] = json.loads(page.locator("body").inner_text())
    return seen["cookie"]


def test_a_cookie_thrown_by_a_sibling_neither_signs_out_nor_in(real: RealEdge, page: Page) -> None:
    for name in (SESSION_COOKIE, HOST_COOKIE, HOST_COOKIE.lower(), ""):
        for path in ("/", "/login", "/proxy"):
            page.evaluate(
                "cookie => { document.cookie = cookie }",
                f"{name}=evil; Domain={DOMAIN}; Path={path}; Secure",
            )
    assert cookies_at_adas(page, real).startswith(f"{SESSION_COOKIE}=S; ")
    page.context.clear_cookies(name=HOST_COOKIE)
    assert cookies_at_adas(page, real).startswith(f"{SESSION_COOKIE}=; ")


def test_a_flood_of_cookies_is_thrown_away_and_the_session_stays(
    real: RealEdge, page: Page
) -> None:
    page.evaluate(FLOOD, DOMAIN)
    answer = page.goto(real.address("ada"))
    assert answer is not None
    assert answer.status == 400
    # The page has thrown them away and asks again by itself.
    expect(page.locator("body")).to_contain_text(f"{SESSION_COOKIE}=S")
    assert page.evaluate("document.cookie") == "taste=salt; other=1"


def test_the_page_about_cookies_does_not_ask_for_ever(real: RealEdge, page: Page) -> None:
    # Set by a server in times when that was not prevented: scripts cannot see them.
    page.context.add_cookies(
        [
            {"name": f"c{n}", "value": "x" * 3000, "domain": f".{DOMAIN}", "path": "/", "httpOnly": True}
            for n in range(4)
        ]
    )  # fmt: skip
    answer = page.goto(real.address("ada"))
    assert answer is not None
    assert answer.status == 400
    expect(page.get_by_role("heading")).to_have_text(ENGLISH.cookies.heading)
    page.wait_for_load_state("networkidle")
    expect(page.get_by_role("link", name=ENGLISH.cookies.action)).to_be_visible()


def test_a_page_on_another_desk_can_neither_write_nor_open_a_websocket(
    real: RealEdge, page: Page
) -> None:
    socket = real.address("ada").replace("https", "wss")
    assert page.evaluate(OPEN_SOCKET, socket) == "refused"
    with page.expect_response(real.address("ada", "/save")) as response:
        assert page.evaluate(FETCH, real.address("ada", "/save")) == "opaque"
    assert response.value.status == 403

    page.goto(real.address("ada"))
    assert page.evaluate(OPEN_SOCKET, socket) == "open"
    with page.expect_response(real.address("ada", "/save")) as response:
        page.evaluate(FETCH, real.address("ada", "/save"))
    assert response.value.status == 200


def test_a_page_on_another_desk_can_neither_sign_out_nor_show_a_desk_in_a_frame(
    real: RealEdge, page: Page
) -> None:
    with page.expect_response(real.address("ada", "/logout")) as response:
        page.evaluate("address => { new Image().src = address }", real.address("ada", "/logout"))
    assert response.value.status == 403
    page.evaluate(
        "address => { document.body.innerHTML = `<iframe src=${address}></iframe>` }",
        real.address("ada"),
    )
    frame = page.frame_locator("iframe").locator("body")
    expect(frame).not_to_contain_text(SESSION_COOKIE)
    assert any("frame-ancestors" in said for said in console(page))


def console(page: Page) -> list[str]:
    return [said.text for said in page.console_messages()]
