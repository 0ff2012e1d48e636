"""From a click on "Ask AI" to an answer, a file and a bill; and what is said without money or key."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from ai_site import NOTHING, AiSite
from browser import agent
from browser.desk import Desk
from browser.windows import Windows
from carrel.targets.waiting import until

NO_PROVIDER = '[ai]\nmode = "gateway"\n'


@pytest.fixture(scope="module")
def ai_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AiSite]:
    with AiSite.opened(tmp_path_factory.mktemp("ai_site")) as ai_site:
        yield ai_site


@pytest.fixture
def desk(ai_site: AiSite, windows: Windows) -> Iterator[Desk]:
    """Ada's desk, without an agent."""
    agent.end_all(ai_site.site)
    yield windows.at_work(ai_site.site, "ada")
    agent.end_all(ai_site.site)


def ask(desk: Desk, words: str, answer: str) -> None:
    """Click "Ask AI", type, press Enter, and wait until `answer` stands there."""
    agent.button(desk).click()
    agent.ready(desk)
    desk.page.keyboard.type(words)
    desk.page.keyboard.press("Enter")
    agent.shows(desk, answer)


def test_a_click_a_wish_and_enter_give_an_answer_a_file_and_a_sum(
    ai_site: AiSite, desk: Desk
) -> None:
    expect(agent.cost(desk)).to_contain_text("AI $0.00 today", timeout=agent.STARTING)
    ask(desk, "Make a greeting and write it to a file.", "The desk is yours.")
    made = ai_site.site.workspace("ada") / "made-by-agent.txt"
    until(made.exists, seconds=30, what="The agent's file")
    assert made.read_text() == "Hello from the agent.\n"
    expect(agent.cost(desk)).to_have_text(
        re.compile(r"AI \$0\.0[1-9] today"), timeout=agent.STARTING
    )
    desk.picture("spending-answer")


def test_an_empty_budget_is_said_in_words_where_the_answer_would_be(
    ai_site: AiSite, desk: Desk
) -> None:
    ai_site.change(ai_site.ai(NOTHING))
    ask(desk, "Whose desk is this?", "Your AI budget for today")
    desk.picture("spending-empty")


def test_without_a_provider_the_assistant_says_what_is_missing(ai_site: AiSite, desk: Desk) -> None:
    ai_site.change(NO_PROVIDER)
    until(lambda: not ai_site.standing()["configured"], seconds=10, what="No provider")
    ask(desk, "Hello?", "carrel ai key add anthropic")
    expect(agent.cost(desk)).to_have_text("AI: not set up yet", timeout=agent.STARTING)
    desk.picture("spending-no-key")
