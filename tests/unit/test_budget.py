"""Budgets, limits, and what is reserved of them."""

import datetime

from hypothesis import given
from hypothesis import strategies as st

from carrel.core.calendar import DAY, day_of, month_start
from carrel.core.prices import nano
from carrel.core.site import AiLimits
from carrel.gateway.budget import Ledger, Refusal, Reservation, Why, warning

NOON = datetime.datetime(2026, 11, 30, 12, tzinfo=datetime.UTC).timestamp()
NONE = AiLimits()


def reserve(
    ledger: Ledger,
    user: str,
    dollars: float,
    limits: AiLimits,
    total: AiLimits = NONE,
    *,
    now: float = NOON,
) -> Reservation | Refusal:
    return ledger.reserve(user, now, nano(dollars), 100, limits=limits, total=total)


def kept(found: Reservation | Refusal) -> Reservation:
    assert isinstance(found, Reservation)
    return found


def refused(found: Reservation | Refusal) -> Refusal:
    assert isinstance(found, Refusal)
    return found


@given(st.integers(-200_000, 200_000))
def test_a_month_begins_where_the_calendar_says(day: int) -> None:
    date = datetime.date(1970, 1, 1) + datetime.timedelta(days=day)
    first = date.replace(day=1)
    assert month_start(day) == (first - datetime.date(1970, 1, 1)).days


def test_what_is_reserved_cannot_be_spent_twice() -> None:
    ledger, limits = Ledger(), AiLimits(money_per_day=nano(5))
    first = kept(reserve(ledger, "ada", 3, limits))
    assert "while other requests" in refused(reserve(ledger, "ada", 3, limits)).sentence
    ledger.settle(first, NOON, nano(1), 10)
    kept(reserve(ledger, "ada", 4, limits))
    assert ledger.account("ada").money_today == nano(1)


def test_a_budget_that_is_used_up_says_so_word_for_word() -> None:
    ledger, limits = Ledger(), AiLimits(money_per_day=nano(5))
    ledger.settle(kept(reserve(ledger, "ada", 5, limits)), NOON, nano(5), 10)
    found = refused(reserve(ledger, "ada", 0.01, limits))
    assert found.why is Why.MONEY_TODAY
    assert found.sentence == (
        "Your AI budget for today ($5.00) is used up. It starts anew at 00:00 UTC. "
        "Whoever runs this server can raise it."
    )


def test_a_budget_of_nothing_refuses_what_costs_and_serves_what_does_not() -> None:
    ledger, limits = Ledger(), AiLimits(money_per_day=0)
    assert "($0.00) is used up" in refused(reserve(ledger, "ada", 0.01, limits)).sentence
    kept(reserve(ledger, "ada", 0, limits))


def test_the_budget_of_all_holds_for_each() -> None:
    ledger, total = Ledger(), AiLimits(money_per_month=nano(10))
    ledger.settle(kept(reserve(ledger, "ada", 9, NONE, total)), NOON, nano(9), 0)
    found = refused(reserve(ledger, "ben", 2, NONE, total))
    assert found.sentence.startswith(
        "This server's AI budget for this month ($10.00) has $1.00 left"
    )


def test_days_and_months_start_anew_and_a_late_answer_counts_where_it_began() -> None:
    ledger = Ledger()
    limits = AiLimits(money_per_day=nano(5), money_per_month=nano(8))
    late = kept(reserve(ledger, "ada", 5, limits))
    tomorrow = NOON + DAY  # the first of December
    ledger.settle(late, tomorrow, nano(4), 50)
    account = ledger.account("ada")
    assert (account.money_today, account.money_month, account.tokens_today) == (0, 0, 0)
    ledger.settle(kept(reserve(ledger, "ada", 5, limits, now=tomorrow)), tomorrow, nano(4), 50)
    after = tomorrow + DAY
    assert refused(reserve(ledger, "ada", 5, limits, now=after)).why is Why.MONEY_MONTH


def test_tokens_have_a_budget_of_their_own() -> None:
    ledger, limits = Ledger(), AiLimits(tokens_per_day=150)
    kept(reserve(ledger, "ada", 0, limits))
    sentence = refused(reserve(ledger, "ada", 0, limits)).sentence
    assert "(150 tokens) has 150 tokens left; this request may use up to 100 tokens" in sentence


def test_what_the_books_say_counts() -> None:
    ledger, limits = Ledger(), AiLimits(money_per_month=nano(8), tokens_per_day=1000)
    ledger.restore("ada", NOON, (nano(1), 950), nano(7))
    assert refused(reserve(ledger, "ada", 0.5, limits)).why is Why.TOKENS
    assert ledger.all.money_month == nano(7)


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 1), st.booleans()), max_size=30))
def test_parallel_requests_never_overshoot(asked: list[tuple[float, float, bool]]) -> None:
    ledger, limits = Ledger(), AiLimits(money_per_day=nano(5))
    under_way: list[Reservation] = []
    for dollars, part, at_once in asked:
        found = reserve(ledger, "ada", dollars, limits)
        if isinstance(found, Reservation):
            if at_once:
                ledger.settle(found, NOON, int(found.money * part), 1)
            else:
                under_way.append(found)
    for one in under_way:
        ledger.settle(one, NOON, one.money, 1)
    account = ledger.account("ada")
    assert account.money_today <= nano(5)
    assert (account.reserved_money, account.reserved_tokens) == (0, 0)


def test_a_rate_lets_so_many_through_and_says_when_the_next_may_come() -> None:
    ledger, limits = Ledger(), AiLimits(requests_per_minute=6)
    for _ in range(6):
        assert ledger.enter("ada", NOON, limits, NONE) is None
    refusal = ledger.enter("ada", NOON, limits, NONE)
    assert refusal is not None
    assert (refusal.why, refusal.retry_after) == (Why.RATE, 10)
    assert ledger.enter("ben", NOON, limits, NONE) is None
    assert ledger.enter("ada", NOON + 10, limits, NONE) is None
    assert ledger.enter("ada", NOON + 10, limits, NONE) is not None


def test_what_was_refused_does_not_stay_open() -> None:
    ledger, limits = Ledger(), AiLimits(concurrent=1)
    assert ledger.enter("ada", NOON, limits, NONE) is None
    for _ in range(5):
        refusal = ledger.enter("ada", NOON, limits, NONE)
        assert refusal is not None
        assert refusal.why is Why.CONCURRENT
    ledger.leave("ada")
    assert ledger.all.open == 0
    assert ledger.enter("ada", NOON, limits, NONE) is None


def test_a_budget_is_announced_before_it_hits() -> None:
    ledger, limits = Ledger(), AiLimits(money_per_day=nano(5))

    def told() -> str | None:
        return warning(ledger.budgets("ada", NOON, limits, NONE))

    assert told() is None
    ledger.restore("ada", NOON, (nano(3.99), 0), nano(3.99))
    assert told() is None
    ledger.restore("ada", NOON, (nano(0.01), 0), nano(0.01))
    assert (
        told() == "Your AI budget for today has $1.00 of $5.00 left. It starts anew at 00:00 UTC."
    )
    ledger.restore("ada", NOON, (nano(1), 0), nano(1))
    assert told() == "Your AI budget for today is used up. It starts anew at 00:00 UTC."


def test_days_are_those_of_utc() -> None:
    assert day_of(DAY - 0.001) == 0
    assert day_of(DAY) == 1
