"""Who may spend how much, and who has spent what: reserved before a request, settled after it.

Used by the gateway, from one thread. Knows no clock: moments are passed in, seconds since 1970, UTC.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from carrel.core.calendar import day_of, month_start
from carrel.core.prices import dollars
from carrel.core.site import AiLimits

WARN_AT = 0.8
"""The part of a budget after which its owner is told."""


class Why(StrEnum):
    """What stands in the way of a request."""

    MONEY_TODAY = "money_per_day"
    MONEY_MONTH = "money_per_month"
    TOKENS = "tokens_per_day"
    RATE = "requests_per_minute"
    CONCURRENT = "concurrent"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused, in a sentence for the person who made it."""

    why: Why
    sentence: str
    retry_after: int = 0
    """Seconds after which it is worth trying again; 0: no use before the budget starts anew."""


@dataclass(slots=True)
class Spending:
    """What one person, or all together, spent and reserved in the present day and month."""

    day: int = 0
    month: int = 0
    """The first day of the month."""
    money_today: int = 0
    money_month: int = 0
    tokens_today: int = 0
    reserved_money: int = 0
    reserved_tokens: int = 0
    open: int = 0
    allowance: float = 0
    """Requests that may come at once; refills with time."""
    allowance_at: float = -math.inf

    def roll(self, now: float) -> None:
        """Start a new day or month if one has begun."""
        day = day_of(now)
        if day == self.day:
            return
        month = month_start(day)
        if month != self.month:
            self.month, self.money_month = month, 0
        self.day, self.money_today, self.tokens_today = day, 0, 0

    def add(self, day: int, money: int, tokens: int) -> None:
        """What a request of that day turned out to use."""
        if day == self.day:
            self.money_today += money
            self.tokens_today += tokens
        if day >= self.month:
            self.money_month += money


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is kept for a request that is under way."""

    user: str
    day: int
    money: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Budget:
    """One limit of money or tokens with what is used of it."""

    why: Why
    limit: int
    used: int
    reserved: int
    whose: str
    """The beginning of a sentence: "Your" or "This server's"."""

    @property
    def left(self) -> int:
        """What is not used yet, whoever reserved it."""
        return max(0, self.limit - self.used)


class Ledger:
    """All accounts of a gateway."""

    __slots__ = ("_accounts", "all")

    def __init__(self) -> None:
        self.all = Spending()
        self._accounts: dict[str, Spending] = {}

    def account(self, user: str) -> Spending:
        """The account of a person."""
        found = self._accounts.get(user)
        if found is None:
            found = self._accounts[user] = Spending()
        return found

    def restore(self, user: str, now: float, today: tuple[int, int], month: int) -> None:
        """What the books say was spent before: (money, tokens) of the day, money of the month."""
        for account in (self.account(user), self.all):
            account.roll(now)
            account.money_today += today[0]
            account.tokens_today += today[1]
            account.money_month += month

    def enter(self, user: str, now: float, limits: AiLimits, total: AiLimits) -> Refusal | None:
        """Begin a request: None, or why not. After None, `leave` has to follow."""
        account = self.account(user)
        both = ((account, limits, "You have"), (self.all, total, "This server has"))
        for of, its, who in both:
            if its.concurrent is not None and of.open >= its.concurrent:
                return Refusal(
                    Why.CONCURRENT,
                    f"{who} {its.concurrent} AI requests under way, which is the limit. "
                    "Wait for one to end.",
                    1,
                )
            wait = _refill(of, its, now)
            if wait > 0:
                return Refusal(
                    Why.RATE,
                    f"{who} made {its.requests_per_minute} AI requests within a minute, which is "
                    f"the limit. Try again in {wait} s.",
                    wait,
                )
        for of in (account, self.all):
            of.open += 1
            of.allowance -= 1
        return None

    def leave(self, user: str) -> None:
        """The request is over, however it ended."""
        self.account(user).open -= 1
        self.all.open -= 1

    def reserve(
        self, user: str, now: float, money: int, tokens: int, *, limits: AiLimits, total: AiLimits
    ) -> Reservation | Refusal:
        """Keep `money` and `tokens` for a request, or say why there is not enough."""
        for budget in self.budgets(user, now, limits, total):
            wanted = tokens if budget.why is Why.TOKENS else money
            # What costs nothing is served to the last.
            if wanted and budget.used + budget.reserved + wanted > budget.limit:
                return Refusal(budget.why, _used_up(budget, wanted))
        for account in (self.account(user), self.all):
            account.reserved_money += money
            account.reserved_tokens += tokens
        return Reservation(user, day_of(now), money, tokens)

    def settle(self, kept: Reservation, now: float, money: int, tokens: int) -> None:
        """Replace a reservation by what was used."""
        for account in (self.account(kept.user), self.all):
            account.roll(now)
            account.reserved_money -= kept.money
            account.reserved_tokens -= kept.tokens
            account.add(kept.day, money, tokens)

    def budgets(self, user: str, now: float, limits: AiLimits, total: AiLimits) -> Iterator[Budget]:
        """Every budget that a request of `user` draws on."""
        for account, its, whose in (
            (self.account(user), limits, "Your"),
            (self.all, total, "This server's"),
        ):
            account.roll(now)
            money = account.reserved_money
            for why, limit, used, reserved in (
                (Why.MONEY_TODAY, its.money_per_day, account.money_today, money),
                (Why.MONEY_MONTH, its.money_per_month, account.money_month, money),
                (Why.TOKENS, its.tokens_per_day, account.tokens_today, account.reserved_tokens),
            ):
                if limit is not None:
                    yield Budget(why, limit, used, reserved, whose)


def _refill(account: Spending, limits: AiLimits, now: float) -> int:
    """Seconds until a request may come; 0 if now."""
    rate = limits.requests_per_minute
    if rate is None:
        account.allowance, account.allowance_at = 1, now
        return 0
    account.allowance = min(rate, account.allowance + (now - account.allowance_at) * rate / 60)
    account.allowance_at = now
    return 0 if account.allowance >= 1 else math.ceil((1 - account.allowance) * 60 / rate)


_WHEN = {
    Why.MONEY_TODAY: ("today", "at 00:00 UTC"),
    Why.TOKENS: ("today", "at 00:00 UTC"),
    Why.MONEY_MONTH: ("this month", "on the first of next month, 00:00 UTC"),
}


def _amount(budget: Budget, value: int) -> str:
    return f"{value:,} tokens" if budget.why is Why.TOKENS else dollars(value)


def _used_up(budget: Budget, wanted: int) -> str:
    period, anew = _WHEN[budget.why]
    name = f"{budget.whose} AI budget for {period}"
    end = f"It starts anew {anew}. Whoever runs this server can raise it."
    if budget.used >= budget.limit:
        return f"{name} ({_amount(budget, budget.limit)}) is used up. {end}"
    others = " while other requests are under way" if budget.reserved else ""
    return (
        f"{name} ({_amount(budget, budget.limit)}) has {_amount(budget, budget.left)} left; this "
        f"request may use up to {_amount(budget, wanted)}, which does not fit in{others}. {end}"
    )


def warning(budgets: Iterator[Budget]) -> str | None:
    """A sentence when a budget is nearly used up, about the one that is nearest to its end."""
    fullest = max(budgets, key=lambda budget: budget.used / max(1, budget.limit), default=None)
    if fullest is None or fullest.used < WARN_AT * fullest.limit:
        return None
    period, anew = _WHEN[fullest.why]
    part = f"{_amount(fullest, fullest.left)} of {_amount(fullest, fullest.limit)}"
    left = "is used up" if fullest.left == 0 else f"has {part} left"
    return f"{fullest.whose} AI budget for {period} {left}. It starts anew {anew}."
