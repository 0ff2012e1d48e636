"""One command at a time: who waits, for whom, how long, and what a killed one leaves behind."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from carrel.adapters import files, locking
from carrel.adapters.locking import Patience, alone
from carrel.errors import Conflict


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    locking.wait_with(Patience())
    yield
    locking.wait_with(Patience())


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[str, threading.Event]]:
    """A lock that somebody else holds until the event is set."""
    path, free, taken = str(tmp_path / "lock"), threading.Event(), threading.Event()

    def hold() -> None:
        locking.wait_with(Patience(command="carrel user add ada"))
        with alone(path):
            taken.set()
            free.wait(10)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        assert taken.wait(10)
        yield path, free
        free.set()
        holding.result()


def test_without_patience_it_says_who_is_at_work(held: tuple[str, threading.Event]) -> None:
    with pytest.raises(Conflict, match='"carrel user add ada"') as caught, alone(held[0]):
        pass
    assert "Nothing was changed" in caught.value.what
    assert "--wait" in caught.value.fix


def test_with_patience_it_says_once_for_whom_it_waits(held: tuple[str, threading.Event]) -> None:
    path, free = held
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        free.set()

    locking.wait_with(Patience(10, say))
    with alone(path):
        assert len(said) == 1
    assert said[0].startswith('waiting for "carrel user add ada"')


def test_patience_has_an_end(held: tuple[str, threading.Event]) -> None:
    locking.wait_with(Patience(0.15))
    with pytest.raises(Conflict, match="at work") as caught, alone(held[0]):
        pass
    assert "waited" in caught.value.why


def test_who_holds_it_may_ask_again(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with alone(path), alone(path):
        pass
    with alone(path):
        pass


def test_what_a_killed_command_left_in_the_file_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("1 carrel apply")
    with alone(str(tmp_path / "lock")):
        assert "carrel apply" not in (tmp_path / "lock").read_text()


def test_a_lock_is_not_followed_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        files.open_lock(str(tmp_path / "lock"))
    assert not (tmp_path / "elsewhere").exists()
