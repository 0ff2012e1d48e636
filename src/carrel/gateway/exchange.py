"""One request on its way to a provider and back: what was reserved, what came, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

from carrel.core.site import Price
from carrel.gateway.budget import Reservation
from carrel.gateway.usage import Meter, Usage

CLIENT_LEFT = 499
"""nginx's word for it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request used and costs, and whether that is a guess."""

    usage: Usage
    cost: int
    estimated: bool


@dataclass(slots=True)
class Exchange:
    """`time` is `time.time()`. `sent`: the provider has the request, or may have."""

    id: int
    user: str
    session: str
    provider: str
    model: str
    price: Price
    kept: Reservation
    reserved: Usage
    input: int
    """An estimate of the input, for when the provider tells nothing."""
    time: float
    status: int = 0
    sent: bool = False
    meter: Meter | None = None
    first_byte_ms: float | None = None
    latency_ms: float | None = None
    _begun: float = field(default_factory=monotonic)

    def first_byte(self) -> None:
        """The provider has begun to answer."""
        if self.first_byte_ms is None:
            self.first_byte_ms = self._elapsed()

    def finish(self, status: int) -> None:
        """The answer is over; the first status that is given stays."""
        if self.latency_ms is None:
            self.status = status
            self.latency_ms = self._elapsed()

    def expected(self) -> Outcome:
        """What was reserved."""
        return Outcome(self.reserved, self.kept.money, estimated=True)

    def outcome(self) -> Outcome:
        """What it used: as told, or estimated where the provider told nothing or was cut off."""
        meter = self.meter
        if meter is None:
            # No answer came. Who left early may still have set the provider to work.
            usage = Usage(input=self.input) if self.sent else Usage()
            return Outcome(usage, usage.cost(self.price), estimated=self.sent)
        if meter.complete and meter.usage is not None:
            return Outcome(meter.usage, meter.usage.cost(self.price), estimated=False)
        told = meter.usage or Usage(input=self.input)
        usage = Usage(
            input=told.input,
            output=max(told.output, meter.output),
            cached=told.cached,
            cache_write=told.cache_write,
            cache_write_hour=told.cache_write_hour,
        )
        return Outcome(usage, usage.cost(self.price), estimated=True)

    def _elapsed(self) -> float:
        return round((monotonic() - self._begun) * 1000, 3)
