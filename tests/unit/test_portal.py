"""Who gets in, stays in and has to wait: the portal's rules, and what it keeps."""

import dataclasses
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from carrel.portal import store, tokens
from carrel.portal.guessing import (
    FORGET_SECONDS,
    FREE,
    MOST_SECONDS,
    REMEMBERED,
    Attempt,
    Guessing,
    network,
)
from carrel.portal.returning import LONGEST, Destination
from carrel.portal.sessions import DAY, TOUCH_SECONDS, Life, Session

NOW = 1_800_000_000.0
HOME = "code.example.org"
LIFE = Life()

# -- tokens --------------------------------------------------------------------------------


def test_a_token_is_not_what_is_kept_of_it() -> None:
    one, other = tokens.fresh(), tokens.fresh()
    assert one != other
    assert tokens.digest(one) == tokens.digest(one) != tokens.digest(other)
    assert one not in str(tokens.digest(one))


@given(st.text(max_size=80))
def test_what_can_be_no_token_is_not_looked_up(text: str) -> None:
    assert (tokens.digest(text) is None) == (tokens.FORM.fullmatch(text) is None)


# -- where to go on ------------------------------------------------------------------------

EVIL = [
    "https://evil.example/", "//evil.example", "/\\evil.example", "https:evil.example",
    "https://code.example.org.evil.example/", "https://evil.example/https://code.example.org/",
    "https://code.example.org@evil.example/", "https://ada.code.example.org:pw@evil.example/",
    "https://code.example.org:8443/", "https://evilcode.example.org/", "http://code.example.org/",
    "https://a.b.code.example.org/", "https://code.example.org\\@evil.example/",
    "https://code.example.org//evil.example", "https://code.example.org/\\evil.example",
    "https://code.example.org/\r\nSet-Cookie: a=b", "https://code.example.org/\tx",
    "javascript:alert(1)",
    "https://CODE.example.org/", "https://code.example.org./", "https://ädä.code.example.org/",
    "data:text/html,x", " https://code.example.org/", "https://code.example.org", "",
    "https://code.example.org/" + "x" * LONGEST,
]  # fmt: skip


@pytest.mark.parametrize("address", EVIL)
def test_what_is_no_page_of_ours_leads_to_the_front_page(address: str) -> None:
    assert Destination.of(address, HOME) == Destination()


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("https://code.example.org/", Destination()),
        ("https://ada.code.example.org/", Destination("ada")),
        (
            "https://ada.code.example.org/?folder=/home/coder/project#x",
            Destination("ada", "/?folder=/home/coder/project#x"),
        ),
        ("https://code.example.org/operator", Destination("", "/operator")),
    ],
)
def test_a_page_of_ours_is_found_again(address: str, found: Destination) -> None:
    assert Destination.of(address, HOME) == found
    assert found.address(HOME) == address


near = st.text("https:/\\@.#?%codexampleorgvi-2fF\t\n ", max_size=60)


@given(st.one_of(st.text(max_size=80), near, near.map("https://code.example.org".__add__)))
def test_whatever_is_asked_for_the_host_is_ours_to_every_reader(address: str) -> None:
    said = Destination.of(address, HOME).address(HOME)
    hosts = {urlsplit(said).hostname, URL(said, encoded=True).host}
    assert len(hosts) == 1
    host = str(hosts.pop())
    assert host == HOME or (host.endswith(f".{HOME}") and host.count(".") == HOME.count(".") + 1)
    assert said.isascii()
    assert said.isprintable()


# -- sessions ------------------------------------------------------------------------------


def session(user: str = "ada", host: str = "", parent: str = "", name: str = "") -> Session:
    digest = name or tokens.digest(tokens.fresh())
    assert digest is not None
    return Session(digest, user, host, parent, NOW, NOW, "Firefox", "192.0.2.1")


@pytest.mark.parametrize(
    ("seen", "born", "alive"),
    [
        (0, 0, True),
        (14 * DAY - 1, 14 * DAY - 1, True),
        (14 * DAY, 14 * DAY, False),
        (0, 180 * DAY, False),
        # The clock was set back an hour since.
        (-3600, -3600, True),
    ],
)
def test_a_session_ends_unused_or_old_and_never_by_a_clock(
    seen: float, born: float, alive: bool
) -> None:
    aged = dataclasses.replace(session(), seen=NOW - seen, born=NOW - born)
    assert aged.alive(NOW, LIFE) is alive


def test_a_clock_that_was_ahead_is_made_right_by_the_next_use() -> None:
    ahead = dataclasses.replace(session(), seen=NOW + 365 * DAY)
    assert ahead.stale(NOW)
    assert ahead.touched(NOW).seen == NOW


def test_using_it_is_written_down_once_a_minute() -> None:
    assert not session().stale(NOW + TOUCH_SECONDS - 1)
    assert session().stale(NOW + TOUCH_SECONDS)


def test_a_session_opens_one_host_and_no_other_persons_desk() -> None:
    assert session("ada", "ada").opens("ada")
    assert session("ada", "").opens("")
    assert not session("ada", "ada").opens("ben")
    assert not session("ada", "ada").opens("")
    assert not session("ada", "").opens("ada")
    assert not session("ada", "ben").opens("ben")


# -- guessing ------------------------------------------------------------------------------


def storm(guessing: Guessing, user: str, address: str, seconds: int) -> int:
    """How many guesses get through if somebody guesses ten times a second."""
    through = 0
    for tenth in range(seconds * 10):
        through += guessing.begin(Attempt(user, address), tenth / 10) == 0
    return through


def test_somebody_who_guesses_for_hours_gets_two_dozen_tries() -> None:
    assert storm(Guessing(), "ada", "192.0.2.1", 86_400 // 10) < 25


def test_a_thousand_guesses_do_not_keep_ada_from_her_own_browser() -> None:
    guessing = Guessing()
    for number in range(1000):
        guessing.begin(Attempt("ada", f"198.51.{number % 250}.{number // 250}"), float(number))
    assert guessing.wait(Attempt("ada", "203.0.113.9"), 1000.0) > 0
    hers = Attempt("ada", "198.51.1.1", "her browser")
    assert guessing.begin(hers, 1000.0) == 0
    guessing.was_right(hers)
    assert guessing.begin(hers, 1000.1) == 0


def test_a_browser_that_is_known_is_no_licence_to_guess() -> None:
    guessing = Guessing()
    stolen = Attempt("ada", "192.0.2.1", "her browser")
    through = sum(guessing.begin(stolen, second / 10) == 0 for second in range(6000))
    assert through < 15


def test_a_known_browser_of_one_is_unknown_for_another() -> None:
    guessing = Guessing()
    for second in range(10):
        guessing.begin(Attempt("ben", "192.0.2.1", "shared"), float(second))
    assert guessing.wait(Attempt("ada", "192.0.2.1", "shared"), 10.0) == 0


def test_a_hundred_tries_at_once_are_a_hundred_tries() -> None:
    guessing = Guessing()
    assert sum(guessing.begin(Attempt("ada", "192.0.2.1"), 5.0) == 0 for _ in range(100)) == FREE


def test_one_address_does_not_try_everybody() -> None:
    guessing = Guessing()
    names = (f"user{number}" for number in range(500))
    assert sum(guessing.begin(Attempt(n, "192.0.2.1"), 1.0) == 0 for n in names) == FREE


def test_who_mistyped_and_then_was_right_starts_afresh_on_an_hour() -> None:
    guessing = Guessing()
    attempt = Attempt("ada", "192.0.2.1")
    for _ in range(FREE):
        assert guessing.begin(attempt, 0.0) == 0
    assert 0 < guessing.wait(attempt, 0.0) <= MOST_SECONDS
    assert guessing.wait(attempt, FORGET_SECONDS) == 0


def test_signing_in_with_an_account_of_ones_own_buys_no_guesses() -> None:
    guessing = Guessing()
    through = 0
    for second in range(2000):
        own = Attempt("mallory", "192.0.2.1")
        if guessing.begin(own, float(second)) == 0:
            guessing.was_right(own)
        through += guessing.begin(Attempt("ada", "192.0.2.1"), second + 0.5) == 0
    assert through < 15


def test_whether_there_is_such_a_user_makes_no_difference() -> None:
    there, not_there = Guessing(), Guessing()
    assert storm(there, "ada", "192.0.2.1", 100) == storm(not_there, "nobody", "192.0.2.1", 100)


def test_what_is_remembered_has_an_end() -> None:
    guessing = Guessing()
    for number in range(REMEMBERED):
        guessing.begin(Attempt(f"u{number}", f"2001:db8:{number:x}::1"), 1.0)
    assert len(guessing.known) == REMEMBERED


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unix:", "unix:"),
    ],
)
def test_whoever_has_one_address_has_many(address: str, counted: str) -> None:
    assert network(address) == counted


# -- the store -----------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = store.opened(str(tmp_path / "portal.sqlite"))
    yield connection
    connection.close()


def test_a_restart_signs_nobody_out(tmp_path: Path) -> None:
    path = str(tmp_path / "portal.sqlite")
    first = store.opened(path)
    hers = session()
    store.begin(first, hers)
    # Killed: nothing is closed.
    assert store.session(store.opened(path), hers.digest) == hers


def test_ending_a_session_ends_what_came_from_it(kept: sqlite3.Connection) -> None:
    phone, laptop = session(name="phone"), session(name="laptop")
    desk = session(host="ada", parent="phone", name="desk")
    for one in (phone, laptop, desk):
        store.begin(kept, one)
    assert store.sessions(kept, "ada") == (laptop, phone)
    assert store.end(kept, "phone") == {"phone", "desk"}
    assert store.sessions(kept, "ada") == (laptop,)
    assert store.session(kept, "desk") is None


def test_all_but_this_one_end_and_nobody_elses(kept: sqlite3.Connection) -> None:
    for one in (
        session(name="here"),
        session(host="ada", parent="here", name="desk"),
        session(name="there"),
        session("ben", name="bens"),
    ):
        store.begin(kept, one)
    assert store.end_all(kept, "ada", but="here") == {"there"}
    assert store.end_all(kept, "ada") == {"here", "desk"}
    assert store.session(kept, "bens") is not None


def test_a_session_that_ended_is_not_brought_back_by_who_was_using_it(
    kept: sqlite3.Connection,
) -> None:
    store.begin(kept, session(name="one"))
    store.end(kept, "one")
    store.touch(kept, session(name="one").touched(NOW + 100))
    assert store.session(kept, "one") is None


def test_working_at_a_desk_keeps_the_session_that_it_came_from(kept: sqlite3.Connection) -> None:
    store.begin(kept, session(name="home"))
    desk = session(host="ada", parent="home", name="desk")
    store.begin(kept, desk)
    store.touch(kept, desk.touched(NOW + 13 * DAY))
    assert store.forget_ended(kept, NOW + 20 * DAY, LIFE) == frozenset()
    assert store.forget_ended(kept, NOW + 27 * DAY, LIFE) == {"home", "desk"}


def test_an_invitation_is_looked_at_often_and_used_once(kept: sqlite3.Connection) -> None:
    store.invite(kept, "dan", "link", NOW + 7 * DAY)
    assert store.invited(kept, "link", NOW) == store.invited(kept, "link", NOW) == "dan"
    assert store.join(kept, "link", "hash", NOW) == "dan"
    assert store.join(kept, "link", "another", NOW) is None
    assert store.invited(kept, "link", NOW) is None
    assert store.password(kept, "dan") == "hash"


@pytest.mark.parametrize("link", ["guessed", "link"])
def test_a_foreign_or_late_invitation_opens_nothing(kept: sqlite3.Connection, link: str) -> None:
    store.invite(kept, "dan", "link", NOW)
    assert store.invited(kept, link, NOW) is None
    assert store.join(kept, link, "hash", NOW) is None
    assert store.password(kept, "dan") is None


def test_a_new_invitation_ends_the_one_before(kept: sqlite3.Connection) -> None:
    store.invite(kept, "dan", "first", NOW + DAY)
    store.invite(kept, "dan", "second", NOW + DAY)
    assert store.invited(kept, "first", NOW) is None
    assert store.invited(kept, "second", NOW) == "dan"


def test_of_two_who_join_at_once_one_does(tmp_path: Path) -> None:
    path = str(tmp_path / "portal.sqlite")
    store.invite(store.opened(path), "dan", "link", NOW + DAY)
    joined: list[str | None] = []
    gate = threading.Barrier(8)

    def join(number: int) -> None:
        connection = store.opened(path)
        gate.wait()
        joined.append(store.join(connection, "link", f"hash {number}", NOW))

    threads = [threading.Thread(target=join, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(joined, key=str) == [None] * 7 + ["dan"]


@pytest.mark.parametrize(
    ("host", "binding", "later", "opens"),
    [
        ("ada", "browser", 0.0, True),
        ("ben", "browser", 0.0, False),
        ("ada", "another browser", 0.0, False),
        ("ada", "browser", 60.0, False),
    ],
)
def test_a_code_opens_one_host_in_one_browser_once(
    kept: sqlite3.Connection, host: str, binding: str, later: float, opens: bool
) -> None:
    home = session(name="home")
    store.begin(kept, home)
    store.hand_out(kept, "code", home, "browser", NOW + 60)
    assert store.take(kept, "code", host, binding, NOW + later) == (home if opens else None)
    # Used up by whoever tried it.
    assert store.take(kept, "code", "ada", "browser", NOW) is None


def test_a_code_of_a_session_that_ended_opens_nothing(kept: sqlite3.Connection) -> None:
    home = session(name="home")
    store.begin(kept, home)
    store.hand_out(kept, "code", home, "browser", NOW + 60)
    store.end(kept, "home")
    assert store.take(kept, "code", "ada", "browser", NOW) is None


def test_who_has_a_name_after_somebody_else_begins_anew(kept: sqlite3.Connection) -> None:
    store.begin(kept, session(name="home"))
    store.invite(kept, "ada", "link", NOW + DAY)
    store.choose(kept, "ada", "hash", NOW)
    store.know(kept, "browser", "ada", NOW)
    store.hand_out(kept, "code", session(name="home"), "browser", NOW + 60)
    assert store.remove(kept, "ada") == {"home"}
    assert store.password(kept, "ada") is None
    assert store.invited(kept, "link", NOW) is None
    assert not store.knows(kept, "browser", "ada")
    assert store.take(kept, "code", "ada", "browser", NOW) is None


def test_a_browser_is_known_for_who_signed_in_with_it_last(kept: sqlite3.Connection) -> None:
    store.know(kept, "browser", "ada", NOW)
    assert store.knows(kept, "browser", "ada")
    assert not store.knows(kept, "browser", "ben")


def test_a_store_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "portal.sqlite")
    later = store.opened(path)
    later.execute(f"PRAGMA user_version = {store.VERSION + 1}")
    later.close()
    with pytest.raises(sqlite3.DatabaseError, match="knows 1"):
        store.opened(path)


def test_ten_thousand_sessions_are_found_one_by_one(kept: sqlite3.Connection) -> None:
    kept.execute("BEGIN")
    many = [session(f"u{number % 20}") for number in range(10_000)]
    for one in many:
        store.begin(kept, one)
    kept.execute("COMMIT")
    assert all(store.session(kept, one.digest) == one for one in many[::100])
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    kept.set_progress_handler(count, 10)
    store.session(kept, many[-1].digest)
    # By its index: a walk through all of them would be thousands.
    assert steps < 20
