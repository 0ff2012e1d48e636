"""The books whatever is put into them, and the thread that keeps them whatever ends it."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.adapters import books as file
from carrel.adapters.books import By, Row
from carrel.gateway.books import Before, Books
from carrel.gateway.request import asked
from carrel.gateway.usage import MOST_TOKENS, Kind
from carrel.targets.waiting import until

ROW = Row(
    1, time.time(), "dan", "", "a", "m", "closed", 200, 1, 1, 0, 0, 0, 5, False, 1.0, 1.0
)  # fmt: skip
HUGE = st.integers(-(10**40), 10**40)


def kept(path: str) -> list[int]:
    connection = file.reader(path)
    if connection is None:
        return []
    with closing(connection):
        return [row[0] for row in connection.execute("SELECT id FROM requests ORDER BY id")]


@pytest.fixture
def opened() -> list[Before | None]:
    return []


@pytest.fixture
def books(tmp_path: Path, opened: list[Before | None]) -> Iterator[Books]:
    made = Books(str(tmp_path / "books.sqlite"), opened.append)
    yield made
    made.close()


@given(st.lists(st.tuples(HUGE, HUGE, HUGE), min_size=1, max_size=5))
def test_no_number_is_too_large_to_be_kept_and_added_up(numbers: list[tuple[int, ...]]) -> None:
    with closing(file.writer(":memory:")) as connection:
        rows = [
            replace(ROW, id=n, tokens_in=one, tokens_out=two, cost=money, state="open")
            for n, (one, two, money) in enumerate(numbers)
        ]
        file.write(connection, rows)
        assert file.settle_left_open(connection) == len(rows)
        wanted = [
            sum(max(-file.MOST, min(file.MOST, n[part])) for n in numbers) for part in (0, 1, 2)
        ]
        (spent,) = file.spent(connection, 0, 0)
        assert (spent.tokens_today, spent.money_month) == (wanted[0] + wanted[1], wanted[2])
        for by in By:
            (found,) = file.sums(connection, by)
            assert [found.tokens_in, found.tokens_out, found.cost] == wanted


def test_books_that_add_up_past_64_bits_are_opened_and_counted(
    books: Books, tmp_path: Path, opened: list[Before | None]
) -> None:
    with closing(file.writer(str(tmp_path / "books.sqlite"))) as connection:
        huge = replace(ROW, cost=file.MOST, state="open")
        file.write(connection, [replace(huge, id=number) for number in (1, 2, 3)])
    books.start()
    until(lambda: bool(opened), seconds=5, what="the books")
    (before,) = opened
    assert before is not None
    assert before.left_open == 3
    assert before.spent[0].money_month == 3 * file.MOST


@pytest.mark.parametrize("digits", [3, 20, 400])
@pytest.mark.parametrize("key", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_no_request_asks_for_more_than_there_is(key: str, digits: int) -> None:
    body = f'{{"model": "m", "{key}": {10**digits}}}'.encode()
    assert asked(Kind.CHAT, body).max_output == min(10**digits, MOST_TOKENS)


def test_a_row_that_cannot_be_written_is_dropped_alone(books: Books, tmp_path: Path) -> None:
    books.start()
    strange = replace(ROW, id=2, latency_ms=b"no number", status=object())  # type: ignore[arg-type]
    for row in (ROW, strange, replace(ROW, id=3, session="\ud800")):
        books.put(row)
    path = tmp_path / "books.sqlite"
    until(lambda: kept(str(path)) == [1, 3], seconds=5, what="the other rows")
    until(lambda: books.lost == 1, seconds=5, what="the count")
    assert books.trouble == ""


def test_whatever_goes_wrong_is_told_and_tried_again(
    books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = threading.Event()
    real = file.writer

    def writer(path: str) -> sqlite3.Connection:
        if not broken.is_set():
            raise MemoryError("no room")
        return real(path)

    monkeypatch.setattr(file, "writer", writer)
    books.start()
    books.put(ROW)
    until(lambda: bool(books.trouble), seconds=5, what="the trouble")
    broken.set()
    until(lambda: not books.trouble, seconds=5, what="the end of the trouble")
    until(lambda: kept(str(tmp_path / "books.sqlite")) == [1], seconds=5, what="the row")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ended_is_told_and_started_again(
    books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Books._round

    def ends(self: Books) -> bool:
        raise SystemExit

    monkeypatch.setattr(Books, "_round", ends)
    books.start()
    books._thread.join(5)
    books.put(ROW)
    monkeypatch.setattr(Books, "_round", real)
    books.tend()
    until(lambda: not books.trouble, seconds=5, what="the end of the trouble")
    until(lambda: kept(str(tmp_path / "books.sqlite")) == [1], seconds=5, what="the row")


def test_rows_that_come_while_it_ends_are_written(
    books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, under_way, come = file.write, threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection, rows: list[Row]) -> None:
        under_way.set()
        come.wait(5)
        real(connection, rows)

    monkeypatch.setattr(file, "write", slow)
    books.start()
    books.put(ROW)
    assert under_way.wait(5)
    ending = threading.Thread(target=books.close)
    ending.start()
    until(books._end.is_set, seconds=5, what="the end")
    books.put(replace(ROW, id=2))
    come.set()
    ending.join(5)
    assert kept(str(tmp_path / "books.sqlite")) == [1, 2]
