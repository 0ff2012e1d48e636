"""Fixtures with real sites; nothing is started for tests that do not ask for one."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, settings

from sites import RealSite

# What is judged is the code, not how busy the machine is.
hypothesis.settings.register_profile(
    "carrel", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("carrel")


def pytest_configure() -> None:
    # A shell has what it starts in the background ignore Ctrl-C, and so would all that we start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # How fast examples are made says something of the machine, and nothing of us.
    settings.register_profile("busy", suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSite]:
    """Two people, ada and ben, with everything running. Tests leave it running."""
    real = RealSite(tmp_path_factory.mktemp("site"), ["ada", "ben"])
    try:
        real.carrel("up", seconds=1800)
        yield real
    finally:
        real.clean()


@pytest.fixture
def ordinary_umask() -> Iterator[None]:
    """That of root's shell: what is made for others can be read by them, whoever runs the tests."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory for sockets, whose paths have 107 characters at most (unix(7)); `tmp_path` is long."""
    with tempfile.TemporaryDirectory(prefix="carrel-") as folder:
        yield Path(folder)


@pytest.fixture
def new_site(tmp_path: Path) -> Iterator[RealSite]:
    """A site of the test's own, not started yet, with one user."""
    real = RealSite(tmp_path, ["ada"])
    try:
        yield real
    finally:
        real.clean()
