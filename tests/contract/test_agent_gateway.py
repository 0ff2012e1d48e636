"""opencode in a workspace, with the AI gateway between it and a provider: from a prompt to the bill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ai_house import CANARY, NOTHING, PLENTY, TOKENS_IN, TOKENS_OUT, House
from carrel.targets.waiting import until


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House.opened(tmp_path_factory.mktemp("house")) as house:
        yield house


def test_it_answers_and_edits_and_the_books_agree_with_the_provider_to_the_token(
    house: House,
) -> None:
    assert "The desk is yours." in house.ask("Make a greeting and write it to a file.")
    made = house.site.workspace("ada") / "made-by-agent.txt"
    assert made.read_text() == "Hello from the agent.\n"
    requests = house.requests()
    assert {(r["path"], r["key"]) for r in requests} == {
        ("/v1/chat/completions", f"Bearer {CANARY}")
    }
    count = len(requests)
    expected = (count, count * TOKENS_IN, count * TOKENS_OUT)
    until(lambda: house.used() == expected, seconds=10, what=f"the books with {expected}")
    spent = count * (TOKENS_IN * 1000.0 + TOKENS_OUT * 2000.0) / 1e6
    assert house.standing()["spent_today"] == pytest.approx(spent)
    assert house.standing("ben")["spent_today"] == 0


def test_the_key_is_nowhere_where_somebody_in_a_workspace_can_look(house: House) -> None:
    house.ask("Hello?")
    seen = house.site.inside(
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
    house.site.inside("ada", "sh", "-c", "cat >/tmp/sought", given=f"{CANARY}\n")
    # It finds what it looks for, and nothing else.
    assert house.site.inside("ada", "sh", "-c", search, status=None).split() == ["/tmp/sought"]
    house.site.inside("ada", "rm", "/tmp/sought")
    said = house.curl(
        "ada", "-d", '{"model": "nothing", "messages": []}', "http://127.0.0.1:4141/v1/messages"
    )
    assert "nothing" in said
    assert CANARY not in said
    holders = {
        path.name
        for path in Path(house.site.layout.state).rglob("*")
        if path.is_file() and CANARY.encode() in path.read_bytes()
    }
    assert holders == {"gateway.env"}
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert CANARY.encode() not in process.read_bytes()
        except OSError:
            continue


def test_a_token_is_of_no_use_to_anybody_else(house: House) -> None:
    url = "http://127.0.0.1:4141/carrel/usage"
    assert "does not belong" in house.curl("ben", url, token=house.token("ada"))
    assert house.standing("ben")["user"] == "ben"
    assert house.site.inside("ada", "ls", "/run/carrel-ai").split() == ["ai.sock"]
    said = house.site.inside(
        "ada", "sh", "-c", "rm /run/carrel-ai/ai.sock 2>&1; touch /run/carrel-ai/x 2>&1; true"
    )
    assert said.count("Read-only file system") == 2
    elsewhere = house.site.layout.ai_directory("ben")
    assert house.site.inside("ada", "ls", elsewhere, status=2) == ""


def test_only_the_gateways_models_are_offered(house: House) -> None:
    assert house.site.inside("ada", "opencode", "models").split() == ["desk/reader"]


def test_the_forwarder_comes_back_when_somebody_ends_it(house: House) -> None:
    house.site.inside("ada", "pkill", "socat")
    until(
        lambda: '"ada"' in house.curl("ada", "http://127.0.0.1:4141/carrel/usage"),
        seconds=20,
        what="The forwarder",
    )


def test_an_empty_budget_is_said_word_for_word_and_reaches_nobody(house: House) -> None:
    before = len(house.requests())
    started = house.site.status()["workspaces"]
    try:
        house.change(house.ai(NOTHING))
        until(
            lambda: house.standing()["limits"]["money_per_day"] == NOTHING,
            seconds=10,
            what="The new limit",
        )
        said = house.ask("Whose desk is this?")
        assert "Your AI budget for today" in said
        assert len(house.requests()) == before
        assert [w["state"] for w in house.site.status()["workspaces"]] == [
            w["state"] for w in started
        ]
    finally:
        house.change(house.ai(PLENTY))


def test_a_new_token_makes_the_old_one_worthless(house: House) -> None:
    old = house.token("ada")
    bens = house.token("ben")
    house.site.carrel("ai", "key", "rotate", "ada")
    new = house.token("ada")
    assert new != old
    assert house.token("ben") == bens
    url = "http://127.0.0.1:4141/carrel/usage"
    until(lambda: "does not belong" in house.curl("ada", url, token=old), seconds=10, what="No")
    assert house.standing()["user"] == "ada"


def test_without_a_provider_the_agent_says_what_to_do_and_after_that_it_answers(
    house: House,
) -> None:
    house.change('[ai]\nmode = "gateway"\n')
    until(lambda: not house.standing()["configured"], seconds=10, what="No provider")
    said = house.ask("Whose desk is this?")
    assert "carrel ai key add" in said

    added = house.site.carrel(
        "ai", "key", "add", "desk", "--base-url", f"http://127.0.0.1:{house.port}/v1",
        "--model", "reader", given=CANARY,
    )  # fmt: skip
    assert CANARY not in added.stdout + added.stderr
    house.site.config.write_text(
        house.site.config.read_text().replace(
            'mode = "gateway"', 'mode = "gateway"\nunpriced = "free"'
        )
    )
    house.site.carrel("up")
    until(lambda: house.standing()["configured"], seconds=10, what="A provider")
    assert "The desk is yours." in house.ask("Whose desk is this?")
