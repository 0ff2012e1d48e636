"""Everything of a site is killed at once, and what stood in /run stays: the next command recovers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sites import RealSite


@pytest.fixture(scope="module")
def crashing(site: RealSite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSite]:
    """A site that crashes, and takes `site` with it: they have one podman."""
    real = RealSite(tmp_path_factory.mktemp("crashing"), ["cora"])
    try:
        yield real
    finally:
        real.clean()
        site.carrel("up")


def works(site: RealSite) -> None:
    """Cora's editor answers, from the only container that she has."""
    assert site.get("cora", "/login")[0] == 200
    label = f"--filter=label=carrel.site={site.layout.site}"
    assert len(site.target.store.podman.cli("ps", "--all", "--quiet", label).output.split()) == 1


def comes_up(site: RealSite) -> None:
    told = site.carrel("up").stderr
    assert "mmdebstrap" not in told
    assert "registry" not in told
    works(site)


@pytest.mark.parametrize("line", range(1, 7))
def test_a_start_that_lost_power_can_be_run_again(crashing: RealSite, line: int) -> None:
    crashing.carrel("down")
    crashing.killed("up", line=line)
    comes_up(crashing)


@pytest.mark.parametrize("line", [1, 2, 3])
def test_a_stop_that_lost_power_can_be_run_again(crashing: RealSite, line: int) -> None:
    crashing.carrel("up")
    crashing.killed("down", line=line)
    crashing.carrel("down")
    assert not crashing.target.runtime.active()
    comes_up(crashing)


def test_a_reset_that_lost_power_can_be_run_again(crashing: RealSite) -> None:
    crashing.carrel("up")
    note = crashing.workspace("cora") / "note"
    note.write_text("mine")
    crashing.killed("reset", "cora", "--yes", line=1)
    crashing.carrel("reset", "cora", "--yes")
    works(crashing)
    assert note.read_text() == "mine"


def test_a_running_site_that_lost_power_says_so_and_comes_back(crashing: RealSite) -> None:
    crashing.carrel("up")
    crashing.lose_power()
    assert [user["state"] for user in crashing.status()["workspaces"]] == ["stopped"]
    comes_up(crashing)


def test_only_podman_of_a_running_site_was_killed(crashing: RealSite) -> None:
    # The kernel's out-of-memory killer takes what it finds; supervisord stays, and starts again.
    crashing.carrel("up")
    runtime = Path(crashing.layout.engine_runtime)
    (runtime / "libpod/tmp/pause.pid").write_text("1")  # the number is another process's now
    comes_up(crashing)


def test_power_is_lost_twice(crashing: RealSite) -> None:
    crashing.carrel("up")
    crashing.lose_power()
    crashing.killed("up", line=2)
    comes_up(crashing)
