"""No id is given anew while files of it exist; ranges of ids that are half-made or several."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.adapters import accounts, process
from carrel.adapters.process import Identity
from carrel.core.ids import SUBORDINATE_IDS, Spans
from carrel.core.resources import Account, Directory, Holds, State
from carrel.core.workspace import Ids
from carrel.errors import Conflict
from carrel.operations import users
from carrel.targets import facts
from fake_server import FakeServer
from others import as_root
from samples import HASH

Line = tuple[str, int, int]

N = SUBORDINATE_IDS
A, B = 1_000_000, 1_065_536


@pytest.fixture
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lists of ranges that are this test's own."""
    for name in ("SUBUID", "SUBGID"):
        file = tmp_path / name.lower()
        file.write_text("")
        monkeypatch.setattr(accounts, name, str(file))
    return tmp_path


def listed(folder: Path, users: list[Line], groups: list[Line]) -> None:
    for name, lines in (("subuid", users), ("subgid", groups)):
        (folder / name).write_text("".join(f"{n}:{start}:{count}\n" for n, start, count in lines))


DAN = "carrel-dan"
WHOLE = [(DAN, A, N)]
TABLE = {
    "one": (WHOLE, WHOLE, A),
    "a second one of an administrator": ([*WHOLE, (DAN, B, N)], WHOLE, A),
    "a second one in both": ([*WHOLE, (DAN, B, N)], [*WHOLE, (DAN, B, N)], A),
    "only the users' half": (WHOLE, [], A),
    "only the groups' half": ([], WHOLE, A),
    "none": ([], [], B),
    "more ids than needed": ([(DAN, A, 2 * N)], [(DAN, A, 2 * N)], A),
}
UNUSABLE = {
    "another one first": ([(DAN, B, N), *WHOLE], WHOLE),
    "too few": ([(DAN, A, 1)], [(DAN, A, 1)]),
    "too few, and half": ([(DAN, A, 1)], []),
    "of different length": ([(DAN, A, N)], [(DAN, A, 2 * N)]),
    "apart": (WHOLE, [(DAN, B, N)]),
}


@pytest.mark.parametrize("kind", TABLE)
def test_an_account_keeps_the_range_from_which_podman_maps(lists: Path, kind: str) -> None:
    own_users, own_groups, first = TABLE[kind]
    listed(lists, [*own_users, ("eve", A - N, N)], [*own_groups, ("eve", A - N, N)])
    if kind == "none":
        listed(lists, [("eve", A, N)], [("eve", A, N)])
    assert facts.ids(["dan"], State(), "/nonexistent")["dan"].first == first


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_range_that_maps_to_somebody_elses_ids_is_refused(lists: Path, kind: str) -> None:
    listed(lists, *UNUSABLE[kind])
    with pytest.raises(Conflict, match="carrel-dan") as caught:
        facts.ids(["dan"], State(), "/nonexistent")
    assert str(lists) in caught.value.why


spans = st.lists(
    st.tuples(st.integers(0, 5).map(lambda n: n * N), st.sampled_from([1, N, 2 * N])), max_size=3
)


@given(spans, spans)
def test_a_range_is_used_only_if_it_is_the_first_in_both(
    own: list[tuple[int, int]], groups: list[tuple[int, int]]
) -> None:
    found = Spans(tuple(own), tuple(groups))
    if found.first is not None:
        assert own[0] == groups[0]
        assert own[0][1] >= N
    if found.begun is not None:
        assert not (own and groups)
        assert found.first is None


@pytest.mark.parametrize(("had", "options"), [
    ((WHOLE, []), ["--add-subgids"]),
    (([], WHOLE), ["--add-subuids"]),
    (([], []), ["--add-subuids", "--add-subgids"]),
])  # fmt: skip
def test_only_the_half_that_is_missing_is_added(
    lists: Path,
    monkeypatch: pytest.MonkeyPatch,
    had: tuple[list[Line], list[Line]],
    options: list[str],
) -> None:
    ran: list[str] = []
    monkeypatch.setattr(process, "run", lambda command, _: ran.extend(command))
    listed(lists, *had)
    accounts.add_subordinate_ids(DAN, N, A)
    assert [word.partition("=")[0] for word in ran[1:-1]] == options


def gone(name: str, uid: int, first: int) -> Account:
    return Account(f"carrel-{name}", "/nonexistent", uid=uid, first_subordinate_id=first)


def test_ids_of_somebody_who_is_gone_are_given_to_nobody(lists: Path) -> None:
    highest = next(accounts.free_ids())
    recorded = State.of([gone("ann", highest, 7 * A)])
    found = facts.ids(["dan", "eve"], recorded, "/nonexistent")
    assert highest not in {ids.uid for ids in found.values()}
    assert min(ids.first for ids in found.values()) >= 7 * A + N
    assert found["dan"].first + N <= found["eve"].first


def test_who_comes_back_has_the_ids_that_the_files_have(lists: Path) -> None:
    _, uid = itertools.islice(accounts.free_ids(), 2)
    recorded = State.of([gone("ann", uid, 7 * A)])
    assert facts.ids(["ann"], recorded, "/nonexistent")["ann"] == Ids(uid, 7 * A)


@pytest.mark.parametrize(("uid", "first"), [(0, A), (999, 7 * A + 1)])
def test_ids_that_somebody_else_has_by_now_are_left_to_them(
    lists: Path, uid: int, first: int
) -> None:
    listed(lists, [("bob", 7 * A, N)], [])
    found = facts.ids(["ann"], State.of([gone("ann", uid, first)]), "/nonexistent")["ann"]
    assert found.uid != 0
    assert found.first == (first if first == A else 7 * A + 1 + N)


@as_root
@pytest.mark.parametrize("where", ["storage", "an earlier storage"])
def test_an_id_that_files_have_is_given_to_nobody(lists: Path, where: str) -> None:
    new, old = lists / "new", lists / "old"
    for place in (new, old):
        place.mkdir()
    found = itertools.islice(accounts.free_ids(), 2)
    left = (new if where == "storage" else old) / "ann"
    left.mkdir()
    taken = next(found)
    os.chown(left, taken, taken)
    recorded = State.of([Directory(f"{old}/bob", "carrel-bob", 0o700, Holds.DATA)])
    assert facts.ids(["dan"], recorded, str(new))["dan"].uid == next(found)


def test_when_no_id_is_left_that_is_said(lists: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "free_ids", lambda _: iter(()))
    with pytest.raises(Conflict, match="no system id left"):
        facts.ids(["dan"], State(), "/nonexistent")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    umask = os.umask(0o022)
    found = FakeServer(tmp_path).install(monkeypatch)
    found.shelve("0" * 12)
    yield found
    os.umask(umask)


def test_the_account_stays_while_files_of_it_are_in_an_earlier_storage(server: FakeServer) -> None:
    def configure(storage: str) -> None:
        people = "".join(f'[users.{n}]\npassword_hash = "{HASH}"\n' for n in ("ada", "dan"))
        text = (
            f'domain = "code.example.org"\n[storage]\nbase = "{server.folder}/{storage}"\n{people}'
        )
        server.config.write_text(text)

    for storage in ("old", "new"):
        configure(storage)
        server.apply()
    users.remove(server.target, "dan", lambda _: None, delete_data=True)
    assert not Path(f"{server.folder}/new/dan").exists()
    assert Path(f"{server.folder}/old/dan/workspace").exists()
    assert accounts.exists("carrel-dan")
    assert any("old/dan" in line for line in server.said)
    users.remove(server.target, "ada", lambda _: None, delete_data=False)
    assert Identity.of("carrel-ada")


def test_an_account_goes_with_the_last_of_its_files(server: FakeServer) -> None:
    people = "".join(f'[users.{n}]\npassword_hash = "{HASH}"\n' for n in ("ada", "dan"))
    server.config.write_text(
        f'domain = "code.example.org"\n[storage]\nbase = "{server.folder}/srv"\n{people}'
    )
    server.apply()
    assert Path(server.layout.secrets_file("dan")).exists()
    users.remove(server.target, "dan", lambda _: None, delete_data=True)
    assert not accounts.exists("carrel-dan")
    assert not Path(server.layout.secrets_file("dan")).exists()
