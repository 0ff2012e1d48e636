"""opencode in a workspace, with the AI gateway between it and a provider: from a prompt to the bill."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carrel.backends.waiting import until
from sites import RealSite, free_port

CANARY = "sk-canary-9876543210"
PROVIDER = Path(__file__).parent / "provider.py"
TOKENS_IN, TOKENS_OUT = 10, 5
"""What the provider says each answer took."""
AI = """
[ai]
mode = "gateway"
[ai.limits]
money_per_day = {money}
[ai.providers.desk]
base_url = "http://127.0.0.1:{port}/v1"
api_key_file = "secrets/desk-key"
models = ["reader"]
[ai.providers.desk.prices.reader]
input = 1000.0
output = 2000.0
max_output = 100
"""
PLENTY, NOTHING = 10_000.0, 0.01


class Studio:
    """A site with a gateway, and a provider on the host that only the gateway reaches."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        (folder / "secrets").mkdir()
        (folder / "secrets/desk-key").write_text(CANARY + "\n")
        self.site = RealSite(folder, ["ada", "ben"], self.ai(PLENTY))
        command = [sys.executable, str(PROVIDER), str(self.port), "/home/coder/project"]
        self.provider = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)

    def ai(self, money: float) -> str:
        return AI.format(port=self.port, money=money)

    def close(self) -> None:
        self.provider.kill()
        self.provider.wait()
        self.site.clean()

    def ask(self, *words: str) -> str:
        return self.site.inside("ada", "timeout", "120", "opencode", "run", *words, status=None)

    def curl(self, user: str, *arguments: str, token: str | None = None) -> str:
        """What the gateway answers to somebody inside a workspace, who has their own token."""
        shown = token or "$CARREL_AI_TOKEN"
        command = f'curl -s -m 10 -H "Authorization: Bearer {shown}" "$@"'
        return self.site.inside(user, "sh", "-c", command, "sh", *arguments, status=None)

    def standing(self, user: str = "ada") -> Any:
        return json.loads(self.curl(user, "http://127.0.0.1:4141/carrel/usage"))

    def requests(self) -> list[dict[str, str]]:
        """What reached the provider."""
        file = self.folder / "requests.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def used(self) -> tuple[int, int, int]:
        """Requests, tokens in and tokens out, as `carrel ai usage` adds them up."""
        found = json.loads(self.site.carrel("ai", "usage", "--json").stdout)
        requests, tokens_in, tokens_out = (
            sum(day[name] for day in found) for name in ("requests", "tokens_in", "tokens_out")
        )
        return requests, tokens_in, tokens_out

    def token(self, user: str) -> str:
        return self.site.inside(user, "printenv", "CARREL_AI_TOKEN").strip()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    made = Studio(tmp_path_factory.mktemp("studio"))
    try:
        made.site.carrel("up")
        until((made.folder / "provider.ready").exists, seconds=20, what="provider")
        yield made
    finally:
        made.close()


def test_it_answers_and_edits_and_the_books_agree_with_the_provider_to_the_token(
    studio: Studio,
) -> None:
    assert "The desk is yours." in studio.ask("Make a greeting and write it to a file.")
    made = studio.site.workspace("ada") / "made-by-agent.txt"
    assert made.read_text() == "Hello from the agent.\n"
    requests = studio.requests()
    assert {(r["path"], r["key"]) for r in requests} == {
        ("/v1/chat/completions", f"Bearer {CANARY}")
    }
    count = len(requests)
    expected = (count, count * TOKENS_IN, count * TOKENS_OUT)
    until(lambda: studio.used() == expected, seconds=10, what=f"the books with {expected}")
    spent = count * (TOKENS_IN * 1000.0 + TOKENS_OUT * 2000.0) / 1e6
    assert studio.standing()["spent_today"] == pytest.approx(spent)
    assert studio.standing("ben")["spent_today"] == 0


def test_the_key_is_nowhere_where_somebody_in_a_workspace_can_look(studio: Studio) -> None:
    studio.ask("Hello?")
    seen = studio.site.inside(
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
    studio.site.inside("ada", "sh", "-c", "cat >/tmp/sought", given=f"{CANARY}\n")
    # It finds what it looks for, and nothing else.
    assert studio.site.inside("ada", "sh", "-c", search, status=None).split() == ["/tmp/sought"]
    studio.site.inside("ada", "rm", "/tmp/sought")
    said = studio.curl(
        "ada", "-d", '{"model": "nothing", "messages": []}', "http://127.0.0.1:4141/v1/messages"
    )
    assert "nothing" in said
    assert CANARY not in said
    holders = {
        path.name
        for path in Path(studio.site.layout.state).rglob("*")
        if path.is_file() and CANARY.encode() in path.read_bytes()
    }
    assert holders == {"gateway.env"}
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert CANARY.encode() not in process.read_bytes()
        except OSError:
            continue


def test_a_token_is_of_no_use_to_anybody_else(studio: Studio) -> None:
    url = "http://127.0.0.1:4141/carrel/usage"
    assert "does not belong" in studio.curl("ben", url, token=studio.token("ada"))
    assert studio.standing("ben")["user"] == "ben"
    assert studio.site.inside("ada", "ls", "/run/carrel-ai").split() == ["ai.sock"]
    said = studio.site.inside(
        "ada", "sh", "-c", "rm /run/carrel-ai/ai.sock 2>&1; touch /run/carrel-ai/x 2>&1; true"
    )
    assert said.count("Read-only file system") == 2
    elsewhere = studio.site.layout.ai_directory("ben")
    assert studio.site.inside("ada", "ls", elsewhere, status=2) == ""


def test_only_the_gateways_models_are_offered(studio: Studio) -> None:
    assert studio.site.inside("ada", "opencode", "models").split() == ["desk/reader"]


def test_the_forwarder_comes_back_when_somebody_ends_it(studio: Studio) -> None:
    studio.site.inside("ada", "pkill", "socat")
    until(
        lambda: '"ada"' in studio.curl("ada", "http://127.0.0.1:4141/carrel/usage"),
        seconds=20,
        what="The forwarder",
    )


def test_an_empty_budget_is_said_word_for_word_and_reaches_nobody(studio: Studio) -> None:
    before = len(studio.requests())
    started = studio.site.status()["workspaces"]
    try:
        studio.site.more = studio.ai(NOTHING)
        studio.site.write(["ada", "ben"])
        studio.site.carrel("up")
        until(
            lambda: studio.standing()["limits"]["money_per_day"] == NOTHING,
            seconds=10,
            what="The new limit",
        )
        said = studio.ask("Whose desk is this?")
        assert "Your AI budget for today" in said
        assert len(studio.requests()) == before
        assert [w["state"] for w in studio.site.status()["workspaces"]] == [
            w["state"] for w in started
        ]
    finally:
        studio.site.more = studio.ai(PLENTY)
        studio.site.write(["ada", "ben"])
        studio.site.carrel("up")


def test_a_new_token_makes_the_old_one_worthless(studio: Studio) -> None:
    old = studio.token("ada")
    bens = studio.token("ben")
    studio.site.carrel("ai", "key", "rotate", "ada")
    new = studio.token("ada")
    assert new != old
    assert studio.token("ben") == bens
    url = "http://127.0.0.1:4141/carrel/usage"
    until(lambda: "does not belong" in studio.curl("ada", url, token=old), seconds=10, what="No")
    assert studio.standing()["user"] == "ada"


def test_without_a_provider_the_agent_says_what_to_do_and_after_that_it_answers(
    studio: Studio,
) -> None:
    studio.site.more = '[ai]\nmode = "gateway"\n'
    studio.site.write(["ada", "ben"])
    studio.site.carrel("up")
    until(lambda: not studio.standing()["configured"], seconds=10, what="No provider")
    said = studio.ask("Whose desk is this?")
    assert "carrel ai key add" in said

    added = studio.site.carrel(
        "ai", "key", "add", "desk", "--base-url", f"http://127.0.0.1:{studio.port}/v1",
        "--model", "reader", given=CANARY,
    )  # fmt: skip
    assert CANARY not in added.stdout + added.stderr
    studio.site.config.write_text(
        studio.site.config.read_text().replace(
            'mode = "gateway"', 'mode = "gateway"\nunpriced = "free"'
        )
    )
    studio.site.carrel("up")
    until(lambda: studio.standing()["configured"], seconds=10, what="A provider")
    assert "The desk is yours." in studio.ask("Whose desk is this?")
