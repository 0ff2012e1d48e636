"""A token that was rotated opens nothing, also for whoever is called the same later."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from carrel.core import names
from carrel.core.plan import Create, Remove
from carrel.core.resources import Entry, Secret, State, Token
from carrel.core.site import SecretFile
from carrel.operations import ai_keys, converge, users
from carrel.targets import record
from carrel.targets.record import Kept
from fake_effects import Crash
from fake_server import FakeServer
from samples import HASH


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ordinary_umask: None) -> FakeServer:
    del ordinary_umask
    found = FakeServer(tmp_path / "server").install(monkeypatch)
    found.shelve("0" * 12)
    configure(found, "ada", "dan")
    found.apply()
    return found


def configure(server: FakeServer, *names: str, turn: int = 1) -> None:
    """The configuration as somebody writes it by hand."""
    turns = f"ai_token = {turn}\n" if turn > 1 else ""
    people = "".join(f'[users.{n}]\npassword_hash = "{HASH}"\n{turns}' for n in names)
    storage = f'[storage]\nbase = "{server.folder}/srv"\n[ai]\nmode = "gateway"\n'
    server.config.write_text(f'domain = "code.example.org"\n{storage}{people}')


def token(server: FakeServer, user: str) -> str:
    text = Path(server.layout.secrets_file(user)).read_text()
    return next(line for line in text.splitlines() if line.startswith("CARREL_AI_TOKEN="))


def quiet(_: object) -> None:
    """Nobody watches."""


def by_hand_and_back(server: FakeServer) -> None:
    configure(server, "ada")
    server.apply()
    configure(server, "ada", "dan")
    server.apply()


def by_command_and_back(server: FakeServer) -> None:
    users.remove(server.target, "dan", quiet, delete_data=False)
    users.add(server.target, users.Newcomer("dan"), None, quiet)


def with_data_and_back(server: FakeServer) -> None:
    users.remove(server.target, "dan", quiet, delete_data=True)
    users.add(server.target, users.Newcomer("dan"), None, quiet)


def whole_site_and_back(server: FakeServer) -> None:
    converge.retire(server.target, quiet)
    server.shelve("0" * 12)
    server.apply()


WAYS: list[Callable[[FakeServer], None]] = [
    by_hand_and_back, by_command_and_back, with_data_and_back, whole_site_and_back,
]  # fmt: skip


def rotate(server: FakeServer) -> None:
    ai_keys.rotate(server.target, "dan", quiet)


@pytest.mark.parametrize("order", [*itertools.permutations(range(4))][::8])
def test_no_token_comes_back_whatever_is_done(server: FakeServer, order: tuple[int, ...]) -> None:
    seen = [token(server, "dan")]
    adas = token(server, "ada")
    for number in order:
        (*WAYS[:3], rotate)[number](server)
        seen.append(token(server, "dan"))
    assert server.apply() == []
    assert len({*seen}) == len(seen)
    assert token(server, "ada") == adas, "the others keep theirs"


@pytest.mark.parametrize("way", WAYS)
def test_who_comes_back_has_another_token(
    server: FakeServer, way: Callable[[FakeServer], None]
) -> None:
    before = token(server, "dan")
    way(server)
    assert token(server, "dan") != before
    assert server.apply() == []


def test_a_token_stays_while_its_user_does(server: FakeServer) -> None:
    before = token(server, "dan")
    for change in (
        lambda: users.suspend(server.target, "dan", quiet, suspended=True),
        lambda: users.suspend(server.target, "dan", quiet, suspended=False),
        lambda: users.set_password(server.target, "dan", "another", quiet),
        lambda: users.remove(server.target, "ada", quiet, delete_data=False),
        server.down,
        server.apply,
    ):
        change()
    assert token(server, "dan") == before


def test_a_removal_that_was_killed_counts_all_the_same(server: FakeServer) -> None:
    before = token(server, "dan")
    saved = server.save(server.folder.parent / "saved")
    server.power.spent = 0
    configure(server, "ada")
    server.apply()
    for effects in range(0, server.power.spent, 7):
        server.restore(saved)
        configure(server, "ada")
        server.power.spent, server.power.lasts = 0, effects
        with pytest.raises(Crash):
            server.apply()
        server.power.lasts = None
        gone = not Path(server.layout.secrets_file("dan")).exists()
        configure(server, "ada", "dan")
        server.apply()
        assert token(server, "dan") != before or not gone, effects
        assert server.apply() == [], effects


def test_the_same_list_read_twice_counts_once() -> None:
    token = Token("dan", 1, SecretFile("/key"))
    secret = Secret("/s/dan.env", "carrel-dan", (Entry(names.AI_TOKEN, token),), "1")
    lines = record.line(Create(secret)) + record.line(Remove(secret))
    once = Kept().after(lines)
    assert once.removals == {"dan": 1}
    assert once.after(record.line(Remove(secret))) == once
    assert Kept.of(once.text()) == once
    # The gateway's file has everybody's hash, and says nothing of who is here.
    others = Secret("/s/gateway.env", "carrel-gateway", secret.entries, "1")
    assert Kept(State.of([others])).after(record.line(Remove(others))).removals == {}
