"""Every verb that changes a site is in its log, before its first effect, whoever runs it."""

import os
import pwd
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.adapters import accounts, files
from carrel.cli.history import moment
from carrel.core.audit import Did, Event, events
from carrel.errors import DiskFull
from carrel.operations import ai_keys, audit, converge, images, users
from carrel.operations.converge import Reset
from carrel.operations.site import Opened
from carrel.operations.site import server as images_of
from fake_effects import Crash
from fake_server import FakeServer
from samples import HASH

OLD, NEW = "0" * 12, "1" * 12

Verb = Callable[[FakeServer], object]


def quiet(_: object) -> None:
    """Nobody looks."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ordinary_umask: None) -> FakeServer:
    del ordinary_umask
    found = FakeServer(tmp_path / "server").install(monkeypatch)
    found.shelve(OLD)
    found.shelve(NEW)
    (found.config.parent / "secrets").mkdir()
    (found.config.parent / "secrets/dan").write_text("open sesame\n")
    found.config.write_text(
        f'domain = "code.example.org"\n[storage]\nbase = "{found.folder}/srv"\n[ai]\nmode = "gateway"\n'
        '[users.dan]\npassword_file = "secrets/dan"\n'
        f'[users.eve]\npassword_hash = "{HASH}"\n'
    )
    found.apply()
    return found


def reset(server: FakeServer, *, settings: bool) -> None:
    converge.reset(Opened.of(server.target), "dan", Reset(settings), quiet)


def used(server: FakeServer) -> None:
    images.use(server.target, images_of(server.target).find(NEW), quiet)


VERBS: dict[Did, tuple[Verb, str, str]] = {
    Did.USER_ADD: (lambda s: users.add(s.target, users.Newcomer("bob"), None, quiet), "bob", ""),
    Did.USER_PASSWORD: (lambda s: users.set_password(s.target, "dan", None, quiet), "dan", ""),
    Did.USER_LOGOUT: (lambda s: users.end_sessions(s.target, "dan", quiet), "dan", ""),
    Did.USER_SUSPEND: (lambda s: users.suspend(s.target, "dan", quiet, suspended=True), "dan", ""),
    Did.USER_RESUME: (lambda s: users.suspend(s.target, "dan", quiet, suspended=False), "dan", ""),
    Did.USER_REMOVE: (lambda s: users.remove(s.target, "eve", quiet, delete_data=False), "eve", ""),
    Did.USER_DELETE: (lambda s: users.remove(s.target, "eve", quiet, delete_data=True), "eve", ""),
    Did.AI_KEY_ADD: (
        lambda s: ai_keys.add(s.target, ai_keys.NewKey("anthropic", "sk-x"), quiet),
        "",
        "anthropic",
    ),
    Did.AI_KEY_ROTATE: (lambda s: ai_keys.rotate(s.target, "dan", quiet), "dan", ""),
    Did.IMAGE_USE: (used, "", NEW),
    Did.RESET: (lambda s: reset(s, settings=False), "dan", ""),
    Did.RESET_SETTINGS: (lambda s: reset(s, settings=True), "dan", ""),
    Did.DOWN: (lambda s: converge.down(s.target, quiet), "", ""),
    Did.RETIRE: (lambda s: converge.retire(s.target, quiet), "", ""),
}


def since(server: FakeServer, before: int) -> list[Event]:
    return audit.read(server.target)[before:]


@pytest.mark.parametrize("did", VERBS)
def test_what_a_verb_did_is_in_the_log_once(server: FakeServer, did: Did) -> None:
    verb, user, about = VERBS[did]
    before = len(audit.read(server.target))
    verb(server)
    first, *others = since(server, before)
    assert (first.did, first.user, first.about) == (did, user, about)
    assert first.who == accounts.at_the_terminal()
    # A reset ends with an `apply` of its own; nothing else says more than one thing.
    assert {other.did for other in others} <= {Did.APPLY}


def test_the_table_knows_every_verb() -> None:
    # `apply` is below, `up` with the real local mode; loading an image is a matter of podman's.
    assert {*VERBS, Did.APPLY, Did.UP, Did.IMAGE_LOAD} == set(Did)


def test_apply_names_whose_workspaces_it_touched_and_is_silent_when_it_did_nothing(
    server: FakeServer,
) -> None:
    first = audit.read(server.target)
    assert [(entry.did, entry.about) for entry in first] == [(Did.APPLY, "dan, eve")]
    server.apply()
    assert audit.read(server.target) == first


@pytest.mark.parametrize("did", [did for did in VERBS if did is not Did.USER_LOGOUT])
def test_ended_before_its_first_effect_it_is_in_the_log(
    server: FakeServer, did: Did, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(audit.read(server.target))

    def crash(*_: object, **__: object) -> None:
        raise Crash

    for name in ("write", "remove_file", "remove_tree", "replace_link"):
        monkeypatch.setattr(files, name, crash)
    with pytest.raises(Crash):
        VERBS[did][0](server)
    monkeypatch.undo()
    said = [event.did for event in events(Path(server.layout.log_of_changes).read_text())][before:]
    # A new secret is written first, and taken back: these three have not come as far as to do anything.
    assert said == ([] if did in {Did.USER_ADD, Did.USER_PASSWORD, Did.AI_KEY_ADD} else [did])


@pytest.mark.parametrize(
    "did", [Did.USER_REMOVE, Did.USER_DELETE, Did.USER_SUSPEND, Did.AI_KEY_ADD]
)
def test_where_nothing_can_be_written_down_nothing_is_done(
    server: FakeServer, did: Did, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = server.config.read_text()
    really = files.append

    def full(path: str, *rest: object) -> None:
        if path == server.layout.log_of_changes:
            raise DiskFull("full")
        really(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "append", full)
    with pytest.raises(DiskFull):
        VERBS[did][0](server)
    assert server.config.read_text() == before
    assert Path(f"{server.folder}/srv/eve").is_dir()


texts = st.text(max_size=40)


@given(st.lists(st.builds(Event, st.floats(0, 1e11), texts, texts, texts, texts), max_size=5))
def test_what_is_kept_is_read_back(kept: list[Event]) -> None:
    assert list(events("".join(entry.line for entry in kept))) == kept


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_damaged_line_hides_no_other(before: str, after: str) -> None:
    one, other = Event(1.0, "sam", Did.APPLY), Event(2.0, "sam", Did.DOWN)
    found = list(events(f"{before}{one.line}\n{after}{other.line}"))
    assert one in found
    assert other in found


def test_what_comes_after_a_power_cut_is_not_lost_with_what_came_before(server: FakeServer) -> None:
    log = Path(server.layout.log_of_changes)
    log.write_text(log.read_text()[:-5])
    users.suspend(server.target, "dan", quiet, suspended=True)
    assert [event.did for event in audit.read(server.target)] == [Did.USER_SUSPEND]


@pytest.mark.parametrize("at", ["-1", "1e300", "NaN", "Infinity", '"x"', "[]"])
def test_a_moment_that_no_calendar_has_is_no_entry(at: str) -> None:
    assert list(events(f'{{"at": {at}, "who": "x", "did": "y"}}\n')) == []


@pytest.mark.parametrize(
    ("user", "since", "shown"),
    [
        ("", 0.0, {"old", "new", "apply"}),
        ("", 2e9, {"new", "apply"}),
        ("dan", 0.0, {"old", "apply"}),
        ("sam", 0.0, {"old", "new", "apply"}),
        ("da", 0.0, set()),
    ],
)
def test_the_log_is_read_by_user_and_by_time(
    server: FakeServer, user: str, since: float, shown: set[str]
) -> None:
    said = [
        Event(1e9, "sam", "old", "dan"),
        Event(2e9, "sam", "new", "eve"),
        Event(3e9, "sam", Did.APPLY, about="dan, eve"),
    ]
    Path(server.layout.log_of_changes).write_text("".join(entry.line for entry in said))
    found = audit.read(server.target, user=user, since=since)
    assert {entry.did for entry in found} == shown


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("2026-11-28", 1_795_824_000.0),
        ("2026-11-28T14:30", 1_795_876_200.0),
        ("2026-11-28T15:30+01:00", 1_795_876_200.0),
        ("30m", NOW - 1800),
        ("12h", NOW - 43200),
        ("7d", NOW - 604800),
        ("2w", NOW - 1209600),
    ],
)
def test_since_is_a_day_or_how_long_ago(
    said: str, meant: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    assert moment(None, None, said) == meant


@pytest.mark.parametrize("said", ["yesterday", "7", "9999999999999d", "2026-13-01", "", "-1d"])
def test_a_time_that_is_none_is_refused_in_words(said: str) -> None:
    with pytest.raises(click.BadParameter, match="neither a day"):
        moment(None, None, said)


ME = pwd.getpwuid(os.getuid()).pw_name


@dataclass(frozen=True)
class Terminal:
    """What the kernel, sudo and the process say of who is there."""

    kernel: str | None
    sudo: str = "sam"
    root: bool = True


@pytest.mark.parametrize(
    ("terminal", "who"),
    [
        (Terminal("0"), "root"),
        (Terminal(str(accounts.NOBODY_SIGNED_IN)), "sam"),
        (Terminal(None), "sam"),
        (Terminal(None, sudo=""), ME),
        # Whoever is not root may call themselves what they like.
        (Terminal(None, root=False), ME),
        # An account that is gone by now.
        (Terminal("4000000000"), "4000000000"),
    ],
)
def test_who_signed_in_is_who_did_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: Terminal, who: str
) -> None:
    known = tmp_path / "loginuid"
    if terminal.kernel is not None:
        known.write_text(terminal.kernel)
    monkeypatch.setattr(accounts, "LOGIN_UID", known)
    monkeypatch.setattr(os, "geteuid", lambda: 0 if terminal.root else 1000)
    monkeypatch.setenv("SUDO_USER", terminal.sudo)
    assert accounts.at_the_terminal() == who
