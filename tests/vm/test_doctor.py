"""`carrel doctor` on a server: what it calls well there, and what it names when it was broken."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from servers import DOMAIN, Server

CGROUP = "/sys/fs/cgroup/carrel.slice/carrel-workspace@dan.service"
NO_NETWORK = {"clock"}
"""What is truly ill in the guest: no other clock can be reached."""


@pytest.fixture
def machine(server: Server) -> Iterator[Server]:
    """A server to which the domain leads, as far as it knows."""
    with named(server):
        yield server


@pytest.fixture
def whole(emulated: Server) -> Iterator[Server]:
    """The same with limits."""
    with named(emulated):
        yield emulated


@contextlib.contextmanager
def named(server: Server) -> Iterator[None]:
    names = f"{DOMAIN} carrel-check.{DOMAIN}"
    server.run(f"cp /etc/hosts /root/hosts; echo '127.0.0.1 {names}' >>/etc/hosts")
    yield
    server.run("mv /root/hosts /etc/hosts")


def findings(server: Server) -> list[dict[str, Any]]:
    told = json.loads(server.carrel("doctor", "--json", status=8).output)
    found: list[dict[str, Any]] = told["findings"]
    return found


def ills(server: Server) -> dict[str, str]:
    return {f["check"]: f["what"] for f in findings(server) if f["verdict"] == "ill"}


@contextlib.contextmanager
def broken(server: Server, by: str, mended: str) -> Iterator[None]:
    server.run(by)
    try:
        yield
    finally:
        server.run(mended)


def test_all_that_a_server_should_keep_is_well(machine: Server) -> None:
    machine.answers("dan")
    machine.answers("bob")
    found = findings(machine)
    assert {f["check"] for f in found if f["verdict"] == "ill"} == NO_NETWORK, found
    # Of this machine; a whole one has them, see below.
    assert {f["check"] for f in found if f["verdict"] == "skipped"} <= {"limits", "machine"}
    well = [f["what"] for f in found if f["verdict"] == "well"]
    for words in (
        "only the web server reaches the socket of bob",
        "the WebSocket of dan opens",
        f"{DOMAIN} leads here (127.0.0.1)",
    ):
        assert words in well


def test_a_limit_that_is_not_in_force_is_named(whole: Server) -> None:
    found = findings(whole)
    assert {f["check"] for f in found if f["verdict"] == "ill"} == NO_NETWORK, found
    assert [f["check"] for f in found if f["verdict"] == "skipped"] == []
    well = [f["what"] for f in found if f["verdict"] == "well"]
    assert "the limits of dan are in force" in well
    limit = f"{CGROUP}/memory.max"
    with broken(whole, f"echo max >{limit}", f"echo {3 << 30} >{limit}"):
        named = ills(whole)
    assert "memory.max is max" in named["limits"]
    assert set(named) == {"limits"} | NO_NETWORK


def test_a_socket_directory_that_is_open_to_all_is_named(machine: Server) -> None:
    with broken(machine, "chmod o+rx /run/carrel/dan", "chmod o= /run/carrel/dan"):
        found = ills(machine)
    assert "/run/carrel/dan has mode 0755" in found["sockets"]


def test_a_domain_that_leads_nowhere_is_named(machine: Server) -> None:
    with broken(machine, f"sed -i /{DOMAIN}/d /etc/hosts", ":"):
        found = ills(machine)
    assert f"{DOMAIN} has no address" in found["dns"]


def test_a_workspace_that_was_stopped_is_named(machine: Server) -> None:
    unit = "carrel-workspace@bob.service"
    with broken(machine, f"systemctl stop {unit}", f"systemctl start {unit}"):
        found = ills(machine)
    machine.answers("bob")
    assert "the desk of bob answers 503" in found["page"]
    assert "bob has no socket" in found["sockets"]
