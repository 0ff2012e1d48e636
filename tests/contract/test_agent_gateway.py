"""opencode in a workspace, with the AI gateway between it and a provider: from a prompt to the bill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ai_site import CANARY, NOTHING, PLENTY, TOKENS_IN, TOKENS_OUT, AiSite
from carrel.targets.waiting import until


@pytest.fixture(scope="module")
def ai_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AiSite]:
    with AiSite.opened(tmp_path_factory.mktemp("ai_site")) as ai_site:
        yield ai_site


def test_it_answers_and_edits_and_the_books_agree_with_the_provider_to_the_token(
    ai_site: AiSite,
) -> None:
    assert "The desk is yours." in ai_site.ask("Make a greeting and write it to a file.")
    made = ai_site.site.workspace("ada") / "made-by-agent.txt"
    assert made.read_text() == "Hello from the agent.\n"
    requests = ai_site.requests()
    assert {(r["path"], r["key"]) for r in requests} == {
        ("/v1/chat/completions", f"Bearer {CANARY}")
    }
    count = len(requests)
    expected = (count, count * TOKENS_IN, count * TOKENS_OUT)
    until(lambda: ai_site.used() == expected, seconds=10, what=f"the books with {expected}")
    spent = count * (TOKENS_IN * 1000.0 + TOKENS_OUT * 2000.0) / 1e6
    assert ai_site.standing()["spent_today"] == pytest.approx(spent)
    assert ai_site.standing("ben")["spent_today"] == 0


def test_the_key_is_nowhere_where_somebody_in_a_workspace_can_look(ai_site: AiSite) -> None:
    ai_site.ask("Hello?")
    seen = ai_site.site.inside(
        "ada",
        "sh",
        "-c",
        "env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/mounts",
        status=None,
    )
    assert "CARREL_AI_TOKEN" in seen
    assert CANARY not in seen
    where = "for place in /*; do case $place in /proc|/sys|/dev) ;; *) echo $place ;; esac; done"
    search = f"grep -rlFf /tmp/sought $({where}) 2>/dev/null"
    ai_site.site.inside("ada", "sh", "-c", "cat >/tmp/sought", given=f"{CANARY}\n")
    # It finds what it looks for, and nothing else.
    assert ai_site.site.inside("ada", "sh", "-c", search, status=None).split() == ["/tmp/sought"]
    ai_site.site.inside("ada", "rm", "/tmp/sought")
    said = ai_site.curl(
        "ada", "-d", '{"model": "nothing", "messages": []}', "http://127.0.0.1:4141/v1/messages"
    )
    assert "nothing" in said
    assert CANARY not in said
    holders = {
        path.name
        for path in Path(ai_site.site.layout.state).rglob("*")
        if path.is_file() and CANARY.encode() in path.read_bytes()
    }
    assert holders == {"gateway.env"}
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert CANARY.encode() not in process.read_bytes()
        except OSError:
            continue


def test_a_token_is_of_no_use_to_anybody_else(ai_site: AiSite) -> None:
    url = "http://127.0.0.1:4141/carrel/usage"
    assert "does not belong" in ai_site.curl("ben", url, token=ai_site.token("ada"))
    assert ai_site.standing("ben")["user"] == "ben"
    assert ai_site.site.inside("ada", "ls", "/run/carrel-ai").split() == ["ai.sock"]
    said = ai_site.site.inside(
        "ada", "sh", "-c", "rm /run/carrel-ai/ai.sock 2>&1; touch /run/carrel-ai/x 2>&1; true"
    )
    assert said.count("Read-only file system") == 2
    elsewhere = ai_site.site.layout.ai_directory("ben")
    assert ai_site.site.inside("ada", "ls", elsewhere, status=2) == ""


def test_only_the_gateways_models_are_offered(ai_site: AiSite) -> None:
    assert ai_site.site.inside("ada", "opencode", "models").split() == ["desk/reader"]


def test_the_forwarder_comes_back_when_somebody_ends_it(ai_site: AiSite) -> None:
    ai_site.site.inside("ada", "pkill", "socat")
    until(
        lambda: '"ada"' in ai_site.curl("ada", "http://127.0.0.1:4141/carrel/usage"),
        seconds=20,
        what="The forwarder",
    )


def test_an_empty_budget_is_said_word_for_word_and_reaches_nobody(ai_site: AiSite) -> None:
    before = len(ai_site.requests())
    started = ai_site.site.status()["workspaces"]
    try:
        ai_site.change(ai_site.ai(NOTHING))
        until(
            lambda: ai_site.standing()["limits"]["money_per_day"] == NOTHING,
            seconds=10,
            what="The new limit",
        )
        said = ai_site.ask("Whose desk is this?")
        assert "Your AI budget for today" in said
        assert len(ai_site.requests()) == before
        assert [w["state"] for w in ai_site.site.status()["workspaces"]] == [
            w["state"] for w in started
        ]
    finally:
        ai_site.change(ai_site.ai(PLENTY))


def test_a_new_token_makes_the_old_one_worthless(ai_site: AiSite) -> None:
    old = ai_site.token("ada")
    bens = ai_site.token("ben")
    ai_site.site.carrel("ai", "key", "rotate", "ada")
    new = ai_site.token("ada")
    assert new != old
    assert ai_site.token("ben") == bens
    url = "http://127.0.0.1:4141/carrel/usage"
    until(lambda: "does not belong" in ai_site.curl("ada", url, token=old), seconds=10, what="No")
    assert ai_site.standing()["user"] == "ada"


def test_without_a_provider_the_agent_says_what_to_do_and_after_that_it_answers(
    ai_site: AiSite,
) -> None:
    ai_site.change('[ai]\nmode = "gateway"\n')
    until(lambda: not ai_site.standing()["configured"], seconds=10, what="No provider")
    said = ai_site.ask("Whose desk is this?")
    assert "carrel ai key add" in said

    added = ai_site.site.carrel(
        "ai", "key", "add", "desk", "--base-url", f"http://127.0.0.1:{ai_site.port}/v1",
        "--model", "reader", given=CANARY,
    )  # fmt: skip
    assert CANARY not in added.stdout + added.stderr
    ai_site.site.config.write_text(
        ai_site.site.config.read_text().replace(
            'mode = "gateway"', 'mode = "gateway"\nunpriced = "free"'
        )
    )
    ai_site.site.carrel("up")
    until(lambda: ai_site.standing()["configured"], seconds=10, what="A provider")
    assert "The desk is yours." in ai_site.ask("Whose desk is this?")
