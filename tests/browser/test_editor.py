"""VS Code in the browser: its connection, its files and its webviews."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import expect

from browser.windows import Windows
from carrel.targets.waiting import until
from sites import RealSite


def test_the_editor_talks_over_an_encrypted_websocket_through_nginx(
    site: RealSite, windows: Windows
) -> None:
    desk = windows.remembered(site, "ada")
    devtools = desk.page.context.new_cdp_session(desk.page)
    handshakes: list[dict[str, Any]] = []
    devtools.on(
        "Network.webSocketHandshakeResponseReceived",
        lambda event: handshakes.append(event["response"]),
    )
    devtools.send("Network.enable")
    sizes: list[int] = []
    desk.page.on(
        "websocket",
        lambda socket: socket.on("framereceived", lambda frame: sizes.append(len(frame))),
    )

    desk.page.goto(site.address("ada"))
    desk.opened()

    assert sum(sizes) > 0
    assert desk.sockets
    for socket in desk.sockets:
        assert urlsplit(socket.url)[:2] == ("wss", urlsplit(site.address("ada")).netloc)
        assert not socket.is_closed()
    assert len(handshakes) == len(desk.sockets)
    for handshake in handshakes:
        headers = {name.lower(): value for name, value in handshake["headers"].items()}
        assert handshake["status"] == 101
        assert headers["server"] == "nginx"


def test_a_file_typed_and_saved_in_the_editor_is_on_the_host_and_belongs_to_its_account(
    site: RealSite, windows: Windows
) -> None:
    desk = windows.at_work(site, "ada")
    desk.new_file("poem.txt", "roses are red")
    on_host = site.workspace("ada") / "poem.txt"
    until(lambda: on_host.read_text().strip() == "roses are red", seconds=10, what="The line")
    assert on_host.owner() == site.layout.account
    # The welcome file promises that nobody needs to save.
    desk.page.keyboard.type(", violets are blue")
    until(lambda: "violets are blue" in on_host.read_text(), seconds=10, what="The next words")


def test_a_file_that_appears_on_the_host_shows_up_in_the_explorer(
    site: RealSite, windows: Windows
) -> None:
    desk = windows.at_work(site, "ada")
    expect(desk.file("made-by-the-agent.txt")).to_have_count(0)
    site.inside("ada", "touch", "/home/coder/project/made-by-the-agent.txt")
    expect(desk.file("made-by-the-agent.txt")).to_be_visible()


def test_a_markdown_preview_is_drawn_in_its_webview(site: RealSite, windows: Windows) -> None:
    text = "# Beans\n\nWater them **daily**.\n"
    site.inside("ada", "tee", "/home/coder/project/garden.md", given=text)
    desk = windows.at_work(site, "ada")
    desk.open_file("garden.md")
    desk.page.locator(".editor-actions a[aria-label^='Open Preview']").first.click()
    expect(desk.webview.get_by_role("heading", name="Beans")).to_be_visible()
    expect(desk.webview.locator("strong")).to_have_text("daily")
    desk.picture("markdown-preview")
