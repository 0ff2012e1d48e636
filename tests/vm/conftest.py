"""Test machines: booted once for all tests that leave them as they are, or anew for one test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers import Server
from vm import disk
from vm.applied import applied
from vm.disk import Disk
from vm.guest import Guest
from vm.machine import Kind

SECONDS = 1200
"""For one test: an emulated processor is twenty times slower than a real one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(__file__.rpartition("/")[0]):
            item.add_marker(pytest.mark.timeout(SECONDS))
            if "emulated" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.emulated)


@pytest.fixture(scope="session")
def bare_disk() -> Disk:
    """Debian with all that installing Carrel reads, and no network."""
    return disk.bare()


@pytest.fixture(scope="session")
def applied_disk() -> Disk:
    """Carrel installed and applied there, with dan and bob."""
    return applied()


@pytest.fixture(scope="session")
def guest(bare_disk: Disk) -> Iterator[Guest]:
    """A server without Carrel. Tests leave it as they found it."""
    with Guest(bare_disk) as running:
        yield running


@pytest.fixture
def fresh_guest(bare_disk: Disk) -> Iterator[Guest]:
    """A server without Carrel, for one test to do with it what it likes."""
    with Guest(bare_disk) as running:
        yield running


@pytest.fixture(scope="session")
def server(applied_disk: Disk) -> Iterator[Server]:
    """A server with dan and bob at work, shared: tests leave both working, and nobody else."""
    yield from _at_work(applied_disk, Kind.CONTAINED)


@pytest.fixture(scope="session")
def emulated() -> Iterator[Server]:
    """The same on a whole machine, for what a container lacks: limits, a kernel, a power switch."""
    yield from _at_work(applied(Kind.EMULATED), Kind.EMULATED)


def _at_work(disk: Disk, kind: Kind) -> Iterator[Server]:
    with Guest(disk, kind=kind) as running:
        server = Server(running)
        for user in ("dan", "bob"):
            server.answers(user)
        yield server
