"""What a server can enforce, and what is said of what it cannot."""

import os
import resource
from dataclasses import replace
from pathlib import Path

import pytest

from carrel.adapters import systemd, workspaces
from carrel.core.machine import MOST_OPEN_FILES, host_shortfalls
from carrel.core.site import Ai
from carrel.targets import facts
from samples import TWO_USERS, V2


@pytest.mark.parametrize(
    ("controllers", "said"),
    [
        ({"memory", "cpu", "pids"}, []),
        ({"cpu", "pids"}, ["memory limits are not enforced"]),
        (
            set(),
            ["memory limits are not", "CPU limits are not", "process limit is not a cgroup limit"],
        ),
    ],
)
def test_a_server_says_which_limits_it_lacks(controllers: set[str], said: list[str]) -> None:
    site = replace(TWO_USERS, ai=Ai())
    found = host_shortfalls(site, replace(V2, controllers=frozenset(controllers)))
    assert len(found) == len(said)
    for shortfall, words in zip(found, said, strict=True):
        assert words in str(shortfall)


@pytest.mark.parametrize(
    ("file", "known"),
    [
        ("cpuset cpu io memory hugetlb pids rdma", {"memory", "cpu", "pids"}),
        ("cpuset cpu io pids", {"cpu", "pids"}),
        ("hugetlb", set()),
        (None, set()),
    ],
)
def test_a_server_has_the_limits_that_its_kernel_counts(
    file: str | None, known: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if file is not None:
        (tmp_path / "cgroup.controllers").write_text(f"{file}\n")
    monkeypatch.setattr(facts, "CGROUPS", tmp_path)
    assert facts.host_machine().controllers == known


@pytest.mark.parametrize(
    ("most", "wanted"),
    [(4096, 4096), (1 << 20, MOST_OPEN_FILES), (resource.RLIM_INFINITY, MOST_OPEN_FILES)],
)
def test_a_workspace_opens_no_more_files_than_systemd_may(
    most: int, wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "prlimit", lambda pid, _: {1: (1024, most)}[pid])
    assert facts.host_machine().open_files == wanted


def test_the_cgroup_of_a_workspace_is_found_beside_those_of_an_older_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(systemd, "main_pid", lambda unit: os.getpid())
    found = workspaces._engine_cgroup("dan")
    assert found.startswith("/sys/fs/cgroup/")
    assert "\n" not in found
