"""What all sockets of a gateway share: settings, accounts, books, counters, and the HTTP client."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

import aiohttp

from carrel.adapters.books import CLOSED, OPEN, Row
from carrel.core.gateway import Person
from carrel.core.prices import NANO
from carrel.core.site import WhenFull
from carrel.gateway import budget
from carrel.gateway.body import Room
from carrel.gateway.books import Before, Books
from carrel.gateway.budget import Ledger
from carrel.gateway.exchange import Exchange, Outcome
from carrel.gateway.metrics import Metrics
from carrel.gateway.scanner import Scanner
from carrel.gateway.settings import Known, Watched

log = logging.getLogger("carrel.gateway")


@dataclass(slots=True)
class Context:
    """Lives in the event loop's thread; nothing here is called from another one."""

    watched: Watched
    books: Books
    client: aiohttp.ClientSession
    ledger: Ledger
    metrics: Metrics
    room: Room
    scanner: Scanner
    closing: bool = False

    @property
    def known(self) -> Known:
        """The settings as they are now."""
        return self.watched.known

    def restore(self, before: Before) -> None:
        """Take up what was spent before this gateway started."""
        now = time.time()
        for one in before.spent:
            today = (one.money_today, one.tokens_today)
            self.ledger.restore(one.user, now, today, one.money_month)
        if before.left_open:
            log.warning(
                "%d requests were under way when the gateway ended; they count at their estimate",
                before.left_open,
            )

    @property
    def stopped(self) -> bool:
        """Whether requests are refused because they could not be written down."""
        return bool(self.books.trouble) and self.known.settings.when_full is WhenFull.STOP

    def begin(self, exchange: Exchange) -> None:
        """Write down a request that is about to go to its provider."""
        self.books.put(_row(exchange, OPEN, exchange.expected()))

    def end(self, exchange: Exchange) -> None:
        """Settle a request, however it ended."""
        outcome = exchange.outcome()
        self.ledger.settle(exchange.kept, time.time(), outcome.cost, outcome.usage.total)
        self.books.put(_row(exchange, CLOSED, outcome))
        self.metrics.add("requests_total", provider=exchange.provider, status=str(exchange.status))
        self.metrics.add("tokens_total", outcome.usage.input, direction="in")
        self.metrics.add("tokens_total", outcome.usage.output, direction="out")
        self.metrics.add("cost_nanodollars_total", outcome.cost)

    def usage(self, person: Person) -> dict[str, Any]:
        """What the companion in the editor shows."""
        settings, now = self.known.settings, time.time()
        account = self.ledger.account(person.name)
        budgets = list(self.ledger.budgets(person.name, now, person.limits, settings.total))
        account.roll(now)
        money = [one.left for one in budgets if one.why is not budget.Why.TOKENS]
        return {
            "user": person.name,
            "currency": "USD",
            "configured": any(self.known.usable(provider) for provider in settings.providers),
            "model": settings.model,
            "spent_today": account.money_today / NANO,
            "spent_month": account.money_month / NANO,
            "tokens_today": account.tokens_today,
            "limits": {
                "money_per_day": _dollars(person.limits.money_per_day),
                "money_per_month": _dollars(person.limits.money_per_month),
                "tokens_per_day": person.limits.tokens_per_day,
            },
            "left_today": _dollars(min(money, default=None)),
            "warning": budget.warning(iter(budgets)),
        }

    def figures(self) -> str:
        """The page of metrics."""
        return self.metrics.text(
            {
                "open_requests": ("Requests under way", self.ledger.all.open),
                "bodies_memory_bytes": ("What bodies take in memory", self.room.in_memory),
                "bodies_disk_bytes": ("What bodies take on the disk", self.room.on_disk),
                "books_writable": ("Whether the books can be written", not self.books.trouble),
                "books_waiting_rows": ("Rows that wait for the disk", self.books.waiting),
                "books_lost_rows": ("Rows dropped because too many waited", self.books.lost),
            }
        )


def _dollars(nano: int | None) -> float | None:
    return None if nano is None else nano / NANO


def _row(exchange: Exchange, state: str, outcome: Outcome) -> Row:
    usage = outcome.usage
    return Row(
        id=exchange.id,
        time=exchange.time,
        user=exchange.user,
        session=exchange.session,
        provider=exchange.provider,
        model=exchange.model,
        state=state,
        status=exchange.status,
        tokens_in=usage.input,
        tokens_out=usage.output,
        tokens_cached=usage.cached,
        tokens_cache_write=usage.cache_write + usage.cache_write_hour,
        tokens_reasoning=usage.reasoning,
        cost=outcome.cost,
        estimated=outcome.estimated,
        latency_ms=exchange.latency_ms,
        first_byte_ms=exchange.first_byte_ms,
    )
