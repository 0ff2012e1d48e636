"""The AI by one click, as somebody sees it who does not know what a terminal is."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from functools import partial

import pytest
from playwright.sync_api import Error, Locator, expect

from browser import agent
from browser.desk import Desk
from browser.studio import Studio
from browser.windows import DONE, Windows
from carrel.targets.waiting import until

POEM = "roses are red\nviolets are blue\nbeans are green\n"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    made = Studio(tmp_path_factory.mktemp("studio"))
    try:
        made.open()
        yield made
    finally:
        made.site.clean()


@pytest.fixture
def desk(studio: Studio, windows: Windows) -> Iterator[Desk]:
    """Ada's desk, without what earlier tests left open in it."""
    agent.end_all(studio.site)
    yield windows.at_work(studio.site, "ada")
    agent.end_all(studio.site)


def step(desk: Desk, name: str) -> Locator:
    return desk.page.locator(f'[data-step-id="carrel.companion#getStarted#{name}"]')


def start_button(desk: Desk, name: str) -> Locator:
    """A button of the start page."""
    return desk.webview.get_by_role("link", name=name)


def open_poem(studio: Studio, desk: Desk) -> None:
    studio.put("poem.txt", POEM)
    desk.open_file("poem.txt")


def select_two_lines(desk: Desk) -> None:
    desk.page.locator(".monaco-editor .view-lines").first.click()
    for key in ("Control+Home", "Shift+ArrowDown", "Shift+ArrowDown"):
        desk.page.keyboard.press(key)


def chosen(desk: Desk, command: str) -> bool:
    """Whether the command could be run from the list of all commands."""
    desk.page.keyboard.press("F1")
    desk.page.locator(".quick-input-box input").fill(f">{command}")
    found = desk.page.locator(".quick-input-list").get_by_text(command).first
    with contextlib.suppress(Error):
        found.click(timeout=5000)
        return True
    desk.page.keyboard.press("Escape")
    return False


def test_the_first_visit_leads_by_clicks_to_an_answer_and_a_file_on_the_host(
    studio: Studio, windows: Windows
) -> None:
    desk = windows.first_visit(studio.site, "ada")
    expect(step(desk, "look")).to_be_visible()
    expect(desk.tabs).to_have_count(1)
    expect(agent.button(desk)).to_be_visible()
    expect(desk.page.locator(".editor-actions").get_by_text("Ask AI")).to_be_visible()
    desk.settle()
    assert desk.page.locator(".notification-toast, .monaco-dialog-box").count() == 0
    desk.picture("companion-first-look")

    step(desk, "ask").click()
    desk.page.get_by_role("button", name="Ask for a web page").click()
    agent.shows(desk, "about my garden")
    desk.picture("companion-wish")
    desk.page.keyboard.type(" Now write it.")
    desk.page.keyboard.press("Enter")
    agent.shows(desk, "The desk is yours.")
    made = studio.site.workspace("ada") / "made-by-agent.txt"
    until(made.exists, seconds=30, what="The agent's file")
    assert made.owner() == studio.site.layout.account
    expect(desk.file("made-by-agent.txt")).to_be_visible()
    desk.picture("companion-answer")


def test_who_comes_back_on_another_device_finds_the_first_steps_until_they_are_done(
    studio: Studio, windows: Windows
) -> None:
    first = windows.first_visit(studio.site, "ada")
    step(first, "ask").click()
    first.page.get_by_role("button", name="Ask for a web page").click()
    agent.shows(first, "about my garden")
    memory = studio.site.welcomed("ada")
    until(lambda: "ask" in memory.read_text(), seconds=10, what="The step")

    again = windows.another_device(studio.site, "ada")
    expect(step(again, "look")).to_be_visible()
    until(lambda: '"shown":2' in memory.read_text(), seconds=10, what="The second time")
    again.picture("companion-again")
    memory.write_text(DONE)

    at_last = windows.another_device(studio.site, "ada")
    expect(start_button(at_last, "Ask AI")).to_be_visible()
    expect(step(at_last, "look")).to_have_count(0)


def test_a_window_with_nothing_open_has_big_buttons_that_make_way_for_what_is_opened(
    studio: Studio, desk: Desk
) -> None:
    for name in ("Ask AI", "New AI session", "See my page", "Get started with Carrel"):
        expect(start_button(desk, name)).to_be_visible()
    desk.picture("companion-start")
    open_poem(studio, desk)
    expect(desk.tabs).to_have_count(1)
    desk.tabs.first.click(button="middle")
    start_button(desk, "Ask AI").click()
    agent.ready(desk)
    expect(agent.tabs(desk)).to_have_count(1)
    expect(desk.tabs).to_have_count(1)


def test_the_walkthrough_stays_closed_once_done_and_comes_back_from_the_help_menu(
    desk: Desk,
) -> None:
    expect(agent.button(desk)).to_be_visible()
    desk.settle()
    expect(step(desk, "look")).to_have_count(0)
    desk.picture("companion-nothing-open")
    desk.menu("Help", "Open Walkthrough...")
    desk.page.locator(".quick-input-list").get_by_text("Get started with Carrel").click()
    expect(step(desk, "look")).to_be_visible()
    step(desk, "program").click()
    desk.picture("companion-programmer")


def test_ask_ai_opens_one_agent_beside_the_file_and_then_goes_to_it(
    studio: Studio, desk: Desk
) -> None:
    open_poem(studio, desk)
    agent.button(desk).click()
    agent.ready(desk)
    desk.picture("companion-agent")
    groups = desk.page.locator(".editor-group-container")
    expect(groups).to_have_count(2)
    assert len(agent.running(studio.site)) == 1
    desk.tabs.filter(has_text="poem.txt").click()
    desk.page.keyboard.press("Control+Escape")
    agent.ready(desk)
    desk.tabs.filter(has_text="poem.txt").click()
    desk.page.keyboard.press("Alt+a")
    agent.ready(desk)
    expect(agent.tabs(desk)).to_have_count(1)
    assert len(agent.running(studio.site)) == 1


def test_the_password_of_the_agents_port_is_in_no_argument(studio: Studio, desk: Desk) -> None:
    agent.button(desk).click()
    agent.ready(desk)
    [pid] = agent.running(studio.site)
    said = studio.site.inside("ada", "cat", f"/proc/{pid}/environ")
    found = re.search("OPENCODE_SERVER_PASSWORD=([^\0]{32})", said)
    assert found
    everything = studio.site.inside("ada", "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert "--port" in everything
    assert found[1] not in everything
    port = studio.site.inside("ada", "cat", f"/proc/{pid}/cmdline").split("\0")[2]
    foreign = "-H 'Origin: https://evil.example' -H 'Host: evil.example'"
    for extra in ("", foreign):
        command = f"curl -sm5 -o /dev/null -w '%{{http_code}}' {extra} -d '{{\"text\":\"x\"}}'"
        address = f"http://127.0.0.1:{port}/tui/append-prompt"
        assert studio.site.inside("ada", "sh", "-c", f"{command} {address}") == "401"


def test_add_to_ai_names_the_selected_lines_although_the_agent_has_yet_to_start(
    studio: Studio, desk: Desk
) -> None:
    open_poem(studio, desk)
    select_two_lines(desk)
    desk.page.keyboard.press("Alt+k")
    agent.shows(desk, "@poem.txt#L1-2")
    desk.picture("companion-reference")
    desk.file_menu("poem.txt", "Add to AI")
    expect(agent.screen(desk)).to_contain_text(re.compile(r"@poem\.txt#L1-2 @poem\.txt "))
    desk.tabs.filter(has_text="poem.txt").click()
    desk.page.keyboard.press("Control+Alt+k")
    expect(agent.screen(desk)).to_contain_text(re.compile(r"(@poem\.txt#L1-2.*){2}"))
    assert len(agent.running(studio.site)) == 1


def test_ask_ai_shares_the_selected_lines_once(studio: Studio, desk: Desk) -> None:
    open_poem(studio, desk)
    select_two_lines(desk)
    desk.page.keyboard.press("Control+Escape")
    agent.shows(desk, "@poem.txt#L1-2")
    desk.tabs.filter(has_text="poem.txt").click()
    desk.page.keyboard.press("Control+Escape")
    agent.ready(desk)
    desk.page.keyboard.type("please")
    expect(agent.screen(desk)).to_contain_text("please")
    assert agent.screen(desk).inner_text().count("@poem.txt") == 1


def test_where_the_official_extension_is_the_keys_do_one_thing_and_it_is_ours(
    studio: Studio, windows: Windows
) -> None:
    agent.end_all(studio.site)
    studio.install_official()
    try:
        desk = windows.at_work(studio.site, "ada")
        # The list of commands has those that VS Code knew when it was opened.
        until(partial(chosen, desk, "Open opencode"), seconds=120, what="The other's command")
        until(studio.official_ran, seconds=60, what="The other extension")
        open_poem(studio, desk)
        desk.page.keyboard.press("Control+Escape")
        agent.ready(desk)
        assert not studio.official_ran()
        assert len(agent.running(studio.site)) == 1
    finally:
        agent.end_all(studio.site)
        studio.remove_official()


def test_a_new_session_starts_over_in_the_same_place(studio: Studio, desk: Desk) -> None:
    agent.button(desk).click()
    agent.ready(desk)
    desk.page.keyboard.type("Whose desk is this?")
    desk.page.keyboard.press("Enter")
    agent.shows(desk, "The desk is yours.")
    desk.page.keyboard.press("Alt+n")
    expect(agent.screen(desk)).not_to_contain_text("The desk is yours.")
    agent.ready(desk)
    assert len(agent.running(studio.site)) == 1


def test_the_agent_that_was_left_or_closed_is_started_anew(studio: Studio, desk: Desk) -> None:
    agent.button(desk).click()
    agent.ready(desk)
    desk.page.keyboard.type("/exit")
    agent.shows(desk, "Exit the app")
    desk.page.keyboard.press("Enter")
    expect(agent.tabs(desk)).to_have_count(0)
    agent.button(desk).click()
    agent.ready(desk)
    agent.tabs(desk).click(button="middle")
    expect(agent.tabs(desk)).to_have_count(0)
    until(lambda: not agent.running(studio.site), seconds=30, what="The end of the closed agent")
    agent.button(desk).click()
    agent.ready(desk)
    assert len(agent.running(studio.site)) == 1


def test_a_reloaded_page_goes_back_to_the_agent_that_was_there(studio: Studio, desk: Desk) -> None:
    open_poem(studio, desk)
    agent.button(desk).click()
    agent.ready(desk)
    before = agent.running(studio.site)
    desk.page.reload()
    desk.opened()
    agent.shows(desk, "ctrl+p")
    select_two_lines(desk)
    desk.page.keyboard.press("Alt+k")
    agent.shows(desk, "@poem.txt#L1-2")
    assert agent.running(studio.site) == before
    expect(agent.tabs(desk)).to_have_count(1)


def test_my_page_is_seen_beside_the_file_and_shows_changes_by_itself(
    studio: Studio, desk: Desk
) -> None:
    page = "<!doctype html><link rel=stylesheet href=garden.css><body><h1>{}</h1></body>"
    studio.put("garden.css", "h1 { color: rgb(0, 128, 0) }")
    studio.put("index.html", page.format("Beans"))
    desk.open_file("index.html")
    desk.page.locator(".editor-actions").get_by_label("See my page").click()
    shown = desk.webview.frame_locator("iframe").locator("h1")
    expect(shown).to_have_text("Beans")
    expect(shown).to_have_css("color", "rgb(0, 128, 0)")
    studio.put("index.html", page.format("Peas"))
    expect(shown).to_have_text("Peas")
    desk.picture("companion-page")


def test_the_status_bar_says_what_was_spent_and_warns_in_words_before_the_end(
    studio: Studio, desk: Desk
) -> None:
    expect(agent.cost(desk)).to_have_text("AI $0.42 today · $4.58 left")
    desk.picture("companion-cost")
    words = "You have used 90 % of today's AI budget; $0.50 is left."
    studio.costs(spent_today=4.5, left_today=0.5, warning=words)
    agent.button(desk).click()
    toast = desk.page.locator(".notification-toast").filter(has_text=words)
    expect(toast).to_be_visible(timeout=agent.STARTING)
    expect(agent.cost(desk)).to_have_text("AI $4.50 today · $0.50 left")
    desk.picture("companion-warning")
    toast.hover()
    toast.locator(".codicon-notifications-clear").click()
    studio.costs(spent_today=4.6, left_today=0.4, warning=words.replace("0.50", "0.40"))
    expect(agent.cost(desk)).to_have_text("AI $4.60 today · $0.40 left", timeout=agent.STARTING)
    expect(desk.page.locator(".notification-toast")).to_have_count(0)
    studio.costs(configured=False, left_today=None, spent_today=0)
    expect(agent.cost(desk)).to_have_text("AI: not set up yet", timeout=agent.STARTING)
    agent.cost(desk).click()
    expect(desk.page.locator(".notification-toast")).to_contain_text("no provider to ask")
    desk.picture("companion-not-set-up")
    studio.site.inside("ada", "pkill", "-f", "/tmp/costs.py")
    expect(agent.cost(desk)).to_have_count(0, timeout=agent.STARTING)
