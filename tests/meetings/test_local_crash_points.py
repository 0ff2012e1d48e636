"""`carrel up` is stopped before any step, and at any write; the next one brings about the same site."""

import os
from pathlib import Path

import pytest

from carrel.adapters import files
from carrel.adapters.process import Identity
from carrel.core.plan import Step
from desks import Desk
from fake_effects import Crash


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ordinary_umask: None) -> Desk:
    # What reaches the disk is not the subject here.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    return Desk(tmp_path)


def test_killed_before_any_step_it_converges_when_run_again(desk: Desk, tmp_path: Path) -> None:
    total = len(desk.converge(desk.site("dan")))
    for number in range(total):
        folder = tmp_path / f"run{number}"
        folder.mkdir()
        again = Desk(folder)
        left = number

        def crash(_: Step) -> None:
            nonlocal left
            if left == 0:
                raise Crash
            left -= 1

        with pytest.raises(Crash):
            again.converge(again.site("dan"), crash)
        again.converge(again.site("dan"))
        assert again.local.observe() == again.wanted(again.site("dan"))


def test_killed_at_any_write_it_converges_when_run_again(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = files.write
    calls = 0

    def counted(path: str, content: str, owner: Identity, mode: int) -> None:
        nonlocal calls
        calls += 1
        real(path, content, owner, mode)

    monkeypatch.setattr(files, "write", counted)
    desk.converge(desk.site("dan"))
    for number in range(0, calls, 7):
        folder = tmp_path / f"run{number}"
        folder.mkdir()
        again = Desk(folder)
        left = number

        def crashing(path: str, content: str, owner: Identity, mode: int) -> None:
            nonlocal left
            if left == 0:
                raise Crash
            left -= 1
            real(path, content, owner, mode)

        monkeypatch.setattr(files, "write", crashing)
        with pytest.raises(Crash):
            again.converge(again.site("dan"))
        monkeypatch.setattr(files, "write", real)
        again.converge(again.site("dan"))
        assert again.local.observe() == again.wanted(again.site("dan"))
