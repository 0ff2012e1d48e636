"""Whatever is killed comes back by itself, and the journal says so in a sentence."""

from __future__ import annotations

import json

import pytest

from carrel.targets.waiting import until
from servers import Server

UNIT = "carrel-workspace@dan.service"
CGROUP = f"/sys/fs/cgroup/carrel.slice/{UNIT}"
DROP_IN = f"/etc/systemd/system/{UNIT}.d/carrel.conf"
SECONDS = 240
TURNS = 12


@pytest.mark.parametrize(
    "victims",
    [
        "pgrep --uid carrel-dan --full out/node/entry.js",
        "pgrep --uid carrel-dan --exact conmon",
        f"find {CGROUP} -name cgroup.procs -exec cat {{}} +",
    ],
    ids=["code-server", "conmon", "the whole container"],
)
def test_a_workspace_comes_back(server: Server, victims: str) -> None:
    server.answers("dan")
    before = server.started("dan", "bob")
    since = server.run(f"date +@%s; kill -KILL $({victims})").strip()
    until(
        lambda: server.started("dan")["dan"] not in (before["dan"], ""),
        seconds=SECONDS,
        what="another run",
    )
    server.shows_workbench("dan")
    said = server.run(f"journalctl --unit={UNIT} --since={since} --output=cat")
    assert said.count("The workspace of dan ended by itself (") == 1, said
    assert server.started("bob") == {"bob": before["bob"]}


def test_it_starts_every_time_also_when_the_server_has_a_lot_to_do(server: Server) -> None:
    busy = "while :; do :; done &"
    server.run(
        f"""
        ulimit -t 120
        trap 'kill $(jobs -p)' EXIT
        for loop in 1 2 3 4; do {busy} done
        for turn in $(seq {TURNS}); do
            systemctl stop {UNIT}
            systemctl reset-failed {UNIT}
            systemctl start {UNIT}
        done
        """
    )
    server.shows_workbench("dan")


def test_nginx_comes_back_and_no_workspace_notices(server: Server) -> None:
    before = server.started("dan", "bob")
    server.run("systemctl kill --kill-whom=main --signal=KILL nginx.service")
    until(lambda: server.alive("bob"), seconds=SECONDS, what="nginx")
    assert server.alive("dan")
    assert server.started("dan", "bob") == before
    said = server.run("journalctl --unit=nginx --lines=20 --output=cat")
    assert "nginx.service: Main process exited, code=killed, status=9/KILL" in said


@pytest.mark.parametrize("verb", ["restart", "reload", "stop"])
def test_our_rules_come_back_when_nftables_has_flushed_all(server: Server, verb: str) -> None:
    before = server.started("dan", "bob")
    ours = "until nft --stateless list table inet carrel 2>/dev/null; do sleep 0.1; done"
    rules = server.run(f"systemctl start nftables.service\n{ours}")
    assert "elements = {" in rules
    found = server.run(
        f"""
        nft add table inet theirs
        systemctl {verb} nftables.service
        nft list tables | grep theirs || true
        {ours}
        """
    )
    assert found == rules
    assert server.started("dan", "bob") == before


def test_one_that_cannot_start_is_given_up_and_apply_brings_it_back(server: Server) -> None:
    before = server.started("bob")
    server.run(
        f"""
        sed -i s,/opt/carrel/entrypoint,/nowhere, {DROP_IN}
        systemctl daemon-reload
        systemctl restart --no-block {UNIT}
        """
    )
    until(lambda: condition(server) == "failed", seconds=SECONDS, what="giving up")
    assert server.steps() != []
    server.carrel("apply")
    server.shows_workbench("dan")
    assert server.steps() == []
    assert server.started("bob") == before


def condition(server: Server) -> str:
    """What `carrel status` calls the state of dan's workspace."""
    found = json.loads(server.carrel("status", "--json", status=None).output)
    [state] = [w["state"] for w in found["workspaces"] if w["user"] == "dan"]
    return str(state)
