"""The AI gateway on a server: a hardened unit that alone knows the keys, and comes back by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carrel.targets.waiting import until
from servers import STORAGE, Server

UNIT = "carrel-gateway.service"
PROVIDER = Path(__file__).parents[1] / "contract/provider.py"
START_PROVIDER = """
systemd-run --quiet --unit=provider --property=RuntimeMaxSec=1200 --working-directory=/srv/provider \
    python3 provider.py 4010
timeout 60 sh -c 'until [ -e /srv/provider/provider.ready ]; do sleep 0.2; done'
"""
PROMPT = {
    "model": "reader",
    "max_tokens": 50,
    "stream": True,
    "messages": [{"role": "user", "content": "Whose desk is this?"}],
}
URL = "http://127.0.0.1:4141"
EXPOSURE = 2.0
"""The most that systemd-analyze may say of a daemon of ours; 10 is worst."""


@pytest.fixture(scope="module")
def answering(server: Server) -> Iterator[Server]:
    """The server, with the provider that its configuration names."""
    server.answers("dan")
    server.answers("bob")
    server.guest.put("/srv/provider/provider.py", PROVIDER)
    server.run(START_PROVIDER)
    yield server
    server.run("systemctl stop provider")


def canary(server: Server) -> str:
    return server.run("cat /etc/carrel/secrets/ai-desk").strip()


def ask(server: Server, user: str, *arguments: str, token: str = "") -> str:
    """What the gateway says to somebody inside a workspace."""
    shown = token or "$CARREL_AI_TOKEN"
    command = f'curl -s -m 60 -H "Authorization: Bearer {shown}" "$@"'
    return server.inside(user, "sh", "-c", command, "sh", *arguments, status=None)


def prompt(server: Server, user: str) -> str:
    events = ask(server, user, "-d", json.dumps(PROMPT), f"{URL}/desk/v1/chat/completions")
    return "".join(re.findall(r'"content": ?"(.*?)"', events))


def standing(server: Server, user: str) -> Any:
    return json.loads(ask(server, user, f"{URL}/carrel/usage"))


def used(server: Server, user: str) -> int:
    """Requests in the books."""
    found = json.loads(server.carrel("ai", "usage", "--by", "user", "--json").output)
    return sum(row["requests"] for row in found if row["user"] == user)


def test_people_are_answered_and_each_pays_for_their_own(answering: Server) -> None:
    before = {user: used(answering, user) for user in ("dan", "bob")}
    assert "The desk is yours." in prompt(answering, "dan")
    until(lambda: used(answering, "dan") == before["dan"] + 1, seconds=60, what="The books")
    assert used(answering, "bob") == before["bob"]
    assert standing(answering, "dan")["spent_today"] > 0


def test_dans_token_opens_nothing_of_bobs(answering: Server) -> None:
    token = answering.inside("dan", "printenv", "CARREL_AI_TOKEN").strip()
    assert "does not belong" in ask(answering, "bob", f"{URL}/carrel/usage", token=token)
    as_dan = (
        "setpriv --reuid=carrel-dan --regid=carrel-dan --init-groups --no-new-privs "
        "curl -s -m 5 --unix-socket /run/carrel-ai/{user}/ai.sock "
        f"-H 'Authorization: Bearer {token}' http://x/carrel/usage || echo status $?"
    )
    assert '"user": "dan"' in answering.run(as_dan.replace("{user}", "dan"))
    assert answering.run(as_dan.replace("{user}", "bob")) == "status 7\n"
    # Not even to be listed: the directory is the gateway's.
    seen = answering.inside(
        "dan",
        "sh",
        "-c",
        "ls /run/carrel-ai || stat -c %F /run/carrel-ai/*.sock /run/carrel-ai/ai.sock",
        status=None,
    )
    assert seen == "socket\n"


def test_the_key_is_only_with_the_operator_and_the_gateway(answering: Server) -> None:
    key = canary(answering)
    places = f"/etc /opt /run /var/lib/carrel /var/log /tmp {STORAGE}"
    found = answering.run(f"grep -rlaF {key} {places} 2>/dev/null || true").split()
    assert sorted(found) == ["/etc/carrel/secrets/ai-desk", "/var/lib/carrel/secrets/gateway.env"]
    assert answering.run("stat --format='%U %a' /var/lib/carrel/secrets/gateway.env") == (
        "carrel-gateway 600\n"
    )
    for account in ("carrel-dan", "www-data"):
        answering.run(
            f"! setpriv --reuid={account} --clear-groups cat /var/lib/carrel/secrets/gateway.env"
        )
    seen = answering.inside(
        "dan", "sh", "-c", "env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline; ls -laR /run /etc",
        status=None,
    )  # fmt: skip
    assert "CARREL_AI_TOKEN" in seen
    assert key not in seen


def test_the_unit_is_confined(answering: Server) -> None:
    said = answering.run(f"systemd-analyze security --no-pager {UNIT} || true")
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found is not None, said
    assert float(found[1]) <= EXPOSURE


def test_killed_it_comes_back_and_no_workspace_notices(answering: Server) -> None:
    before = answering.started("dan", "bob")
    count = used(answering, "dan")
    answering.run(f"systemctl kill --signal=KILL {UNIT}")
    until(lambda: "The desk is yours." in prompt(answering, "dan"), seconds=120, what="The gateway")
    until(lambda: used(answering, "dan") > count, seconds=60, what="The books")
    assert answering.started("dan", "bob") == before
    assert answering.steps() == []
