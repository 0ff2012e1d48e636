"""Two commands at once, and commands that end in the middle: nothing that was asked for is lost.

On a fake server with real files. Every verb that changes a site meets every other one, twice: it waits
while the other is at work, and the other comes and goes between its start and its turn.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from carrel.adapters import locking
from carrel.adapters.locking import Patience
from carrel.errors import CarrelError, ConfigError, Missing, NotReady, Refused
from carrel.operations import ai_keys, converge, images, users
from carrel.operations.ai_keys import NewKey
from carrel.operations.site import Opened, TargetKind
from carrel.targets.record import dump
from carrel.targets.waiting import until
from fake_effects import Crash
from fake_server import FakeServer
from samples import HASH

MEMORY = Path("/dev/shm")
OLD, NEW = "0" * 12, "1" * 12
PEOPLE = ("ben", "dan", "eve", "kim")

Verb = Callable[[FakeServer], object]


def quiet(_: object) -> None:
    """Nobody watches."""


VERBS: dict[str, Verb] = {
    "add": lambda s: users.add(s.target, users.Newcomer("ada"), "new", quiet),
    "remove": lambda s: users.remove(s.target, "ben", quiet, delete_data=False),
    "delete": lambda s: users.remove(s.target, "eve", quiet, delete_data=True),
    "passwd": lambda s: users.set_password(s.target, "dan", "other", quiet),
    "suspend": lambda s: users.suspend(s.target, "kim", quiet, suspended=True),
    "apply": lambda s: s.apply(),
    "image use": lambda s: images.use(s.target, s.target.images.store.find(NEW), quiet),
    "ai key": lambda s: ai_keys.add(s.target, NewKey("anthropic", "sk-1"), quiet),
    "reset": lambda s: converge.reset(Opened.of(s.target), "dan", converge.Reset(), quiet),
}


def people(*names: str) -> str:
    return "".join(f'[users.{name}]\npassword_hash = "{HASH}"\n' for name in names)


def configure(server: FakeServer, text: str) -> None:
    head = f'domain = "code.example.org"\n[storage]\nbase = "{server.folder}/srv"\n'
    server.config.write_text(head + text)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, ordinary_umask: None) -> Iterator[FakeServer]:
    del ordinary_umask
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        made = FakeServer(Path(folder).resolve() / "s").install(monkeypatch)
        for digest in (OLD, NEW):
            made.shelve(digest)
        configure(made, people(*PEOPLE) + '[ai]\nmode = "gateway"\n')
        made.apply()
        yield made
    locking.wait_with(Patience())


def end(server: FakeServer) -> tuple[str, list[str], object]:
    """What counts after both: the file, that nothing is left to do, and who has files."""
    data = sorted(path.name for path in (server.folder / "srv").iterdir())
    return server.config.read_text(), server.plan(), data


def subject(run: Callable[[], object]) -> Callable[[], object]:
    def waiting() -> object:
        locking.wait_with(Patience(20))
        return run()

    return waiting


PAIRS = [(one, two) for one in VERBS for two in VERBS if one != two]


@pytest.mark.parametrize(("one", "two"), PAIRS)
def test_a_command_waits_for_another_and_neither_loses_what_it_did(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, one: str, two: str
) -> None:
    at_work, waits = threading.Event(), threading.Event()
    real = locking._holder

    def holder(handle: int) -> str:
        waits.set()
        return real(handle)

    monkeypatch.setattr(locking, "_holder", holder)
    spend, first = server.power.spend, threading.Lock()

    def pausing() -> None:
        spend()
        if locking._held.depths and first.acquire(blocking=False):
            at_work.set()
            waits.wait(5)

    with ThreadPoolExecutor(2) as pool:
        monkeypatch.setattr(server.power, "spend", pausing)
        running = pool.submit(subject(lambda: VERBS[one](server)))
        until(lambda: at_work.is_set() or running.done(), seconds=20, what="the first command")
        if at_work.is_set():
            other = pool.submit(subject(lambda: VERBS[two](server)))
            other.result(30)
        running.result(30)
    if not at_work.is_set():
        # A command that has nothing to do meets nobody.
        assert one == "apply"
        return
    both_are_done(server, one, two)


@pytest.mark.parametrize(("one", "two"), PAIRS)
def test_what_a_command_read_before_its_turn_is_never_applied(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, one: str, two: str
) -> None:
    real, waiting, go = locking.alone, threading.Event(), threading.Event()
    turns = threading.local()

    @contextlib.contextmanager
    def later(path: str) -> Iterator[None]:
        if getattr(turns, "late", False):
            turns.late = False
            waiting.set()
            go.wait(10)
        with real(path):
            yield

    def begun() -> object:
        turns.late = True
        return subject(lambda: VERBS[one](server))()

    monkeypatch.setattr(locking, "alone", later)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(begun)
        assert waiting.wait(10)
        VERBS[two](server)
        go.set()
        running.result(30)
    both_are_done(server, two, one)


def both_are_done(server: FakeServer, *verbs: str) -> None:
    text, left, data = end(server)
    assert left == []
    site = Opened.of(server.target).site
    known = {user.name for user in site.users}
    assert ("ada" in known) == ("add" in verbs)
    assert ("ben" not in known) == ("remove" in verbs)
    assert ("eve" not in known) == ("delete" in verbs)
    assert data == sorted({*PEOPLE, *known} - ({"eve"} if "delete" in verbs else set()))
    kim = site.user("kim")
    assert kim is not None
    assert kim.suspended == ("suspend" in verbs)
    assert ("secrets/dan" in text) == ("passwd" in verbs)
    assert ("anthropic" in text) == ("ai key" in verbs)
    assert server.target.images.store.selected == (NEW if "image use" in verbs else OLD)
    assert server.target.store.journal.doomed == {}


def test_of_two_who_add_the_same_name_one_is_refused_and_nothing_of_the_others_goes(
    server: FakeServer,
) -> None:
    secret = Path(users.secret_path(server.target, "ada"))
    VERBS["add"](server)
    with pytest.raises(ConfigError, match="already a user ada"):
        users.add(server.target, users.Newcomer("ada"), None, quiet)
    assert secret.read_text() == "new\n"


def test_a_password_that_comes_to_nothing_is_as_it_was(server: FakeServer) -> None:
    secret = Path(users.secret_path(server.target, "dan"))
    VERBS["passwd"](server)
    server.config.write_text(server.config.read_text() + "[nonsense]\n")
    with pytest.raises(ConfigError):
        users.set_password(server.target, "dan", "third", quiet)
    assert secret.read_text() == "other\n"


def test_a_command_stops_nobody_whom_it_was_not_asked_to_stop(server: FakeServer) -> None:
    configure(server, people("dan", "eve", "kim"))
    before = server.config.read_text(), server.world()
    with pytest.raises(Refused, match="ben"):
        users.suspend(server.target, "kim", quiet, suspended=True)
    assert (server.config.read_text(), server.world()) == before
    server.apply()
    assert server.plan() == []


# -- what was promised ----------------------------------------------------------------------


def test_data_is_deleted_although_another_workspace_does_not_start(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(server, people(*PEOPLE))
    with monkeypatch.context() as broken:
        broken.setattr(converge, "wait", raising(NotReady("The workspace of dan does not start.")))
        with pytest.raises(NotReady):
            users.remove(server.target, "eve", quiet, delete_data=True)
    assert not (server.folder / "srv/eve").exists()
    server.apply()
    assert server.plan() == []


def raising(error: Exception) -> Callable[..., None]:
    def fails(*_: object) -> None:
        raise error

    return fails


@pytest.mark.parametrize("again", ["delete", "apply", "add"])
def test_killed_anywhere_a_deletion_is_brought_to_its_end(server: FakeServer, again: str) -> None:
    """By the same command, by whatever comes next, and before somebody gets the name anew."""
    (server.folder / "srv/eve/workspace/work").write_text("mine")
    saved = server.save(server.folder.parent / "saved")
    server.power.spent = 0
    VERBS["delete"](server)
    for lasts in range(0, server.power.spent, 3):
        server.restore(saved)
        server.power.spent, server.power.lasts = 0, lasts
        with pytest.raises(Crash):
            VERBS["delete"](server)
        server.power.lasts = None
        promised = "eve" in server.target.store.journal.doomed
        gone = Opened.of(server.target).site.user("eve") is None
        if again == "delete":
            with contextlib.suppress(ConfigError):
                VERBS["delete"](server)
        elif again == "apply":
            server.apply()
        elif gone:
            users.add(server.target, users.Newcomer("eve"), None, quiet)
        if promised or gone or again == "delete":
            assert not (server.folder / "srv/eve/workspace/work").exists(), f"before effect {lasts}"
            assert server.target.store.journal.doomed == {}


def test_what_a_removed_user_left_can_be_deleted_later(server: FakeServer) -> None:
    done = users.remove(server.target, "eve", quiet, delete_data=False)
    assert Path(done.kept).is_dir()
    users.remove(server.target, "eve", quiet, delete_data=True)
    assert not Path(done.kept).exists()
    with pytest.raises(ConfigError, match="no user eve"):
        users.remove(server.target, "eve", quiet, delete_data=True)


# -- while the file has a fault --------------------------------------------------------------

FAULTS: dict[str, Callable[[str], str]] = {
    "not TOML": lambda text: text + "[[[",
    "an unknown key": lambda text: text + "[nonsense]\n",
    "a password file that is not there": lambda text: text.replace(
        f'password_hash = "{HASH}"', 'password_file = "nowhere"', 1
    ),
    "empty": lambda _: "",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_while_the_file_has_a_fault_what_was_applied_last_can_be_looked_at_and_reset(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    before = server.world()
    server.config.write_text(FAULTS[fault](server.config.read_text()))
    monkeypatch.setattr("carrel.operations.site.target_at", lambda *_: server.target)
    opened = Opened.to_read(server.config, server.said.append, TargetKind.HOST)
    assert [user.name for user in opened.site.users] == list(PEOPLE)
    assert "what was applied last" in server.said[-1]
    assert opened.fault
    converge.reset(opened, "dan", converge.Reset(), quiet)
    with pytest.raises(ConfigError):
        server.apply()
    server.config.write_text(opened.text)
    assert server.plan() == []
    assert server.world() == before


def test_a_file_that_is_gone_is_a_fault_too_but_only_after_it_was_applied(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carrel.operations.site.target_at", lambda *_: server.target)
    server.config.unlink()
    assert Opened.to_read(server.config, quiet).fault
    server.retire()
    with pytest.raises(ConfigError, match="no configuration"):
        Opened.to_read(server.config, quiet)


# -- the journal itself ----------------------------------------------------------------------


def test_a_journal_of_the_first_version_is_read_and_written_as_the_present_one(
    server: FakeServer,
) -> None:
    journal = Path(server.layout.journal)
    before = server.target.store.recorded()
    journal.write_text(dump(before))
    assert server.target.store.recorded() == before
    assert server.plan() == []
    server.apply()
    configure(server, people(*PEOPLE))
    server.apply()
    assert '"version": 2' in journal.read_text()


def test_a_journal_of_a_newer_carrel_is_refused_in_one_sentence(server: FakeServer) -> None:
    journal = Path(server.layout.journal)
    journal.write_text(journal.read_text().replace('"version": 2', '"version": 3'))
    before = journal.read_text()
    for verb in VERBS.values():
        with pytest.raises(CarrelError, match="newer Carrel") as caught:
            verb(server)
        assert isinstance(caught.value, Missing)
        assert caught.value.why
        assert caught.value.fix
    assert journal.read_text() == before
