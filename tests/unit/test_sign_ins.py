"""What an address may try, against what code-server takes before it refuses everybody."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from carrel.core.edge import LOGIN_ATTEMPTS_AT_ONCE, LOGIN_ATTEMPTS_PER_MINUTE


@dataclass
class Bucket:
    """Tokens that drip in evenly, as in the package `limiter` that code-server uses."""

    size: float
    seconds: float
    left: float = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.size

    def wait(self, seconds: float) -> None:
        self.left = min(self.size, self.left + seconds * self.size / self.seconds)

    def take(self) -> bool:
        if self.left < 1:
            return False
        self.left -= 1
        return True


@dataclass
class CodeServer:
    """Its limiter for all addresses: 2 a minute, and 12 an hour for those beyond."""

    minute: Bucket = field(default_factory=lambda: Bucket(2, 60))
    hour: Bucket = field(default_factory=lambda: Bucket(12, 3600))

    def wait(self, seconds: float) -> None:
        self.minute.wait(seconds)
        self.hour.wait(seconds)

    def refuses_everybody(self) -> bool:
        return self.minute.left < 1 and self.hour.left < 1

    def wrong_password(self) -> None:
        assert self.minute.take() or self.hour.take()


@dataclass
class Edge:
    """nginx's leaky bucket for one address: `burst` beyond the rate, without delay."""

    excess: float = 0.0

    def wait(self, seconds: float) -> None:
        self.excess = max(0.0, self.excess - seconds * LOGIN_ATTEMPTS_PER_MINUTE / 60)

    def lets_through(self) -> bool:
        if self.excess > LOGIN_ATTEMPTS_AT_ONCE:
            return False
        self.excess += 1
        return True


def attack(pauses: list[float], addresses: int) -> CodeServer:
    server, edges = CodeServer(), [Edge() for _ in range(addresses)]
    for pause in pauses:
        server.wait(pause)
        for edge in edges:
            edge.wait(pause)
            while edge.lets_through():
                assert not server.refuses_everybody()
                server.wrong_password()
    return server


@given(st.lists(st.floats(0, 120), max_size=200))
def test_an_attacker_with_one_address_cannot_lock_the_owner_out(pauses: list[float]) -> None:
    assert not attack(pauses, addresses=1).refuses_everybody()


def test_not_even_over_hours_and_with_two_addresses() -> None:
    assert not attack([1.0] * 4 * 3600, addresses=1).refuses_everybody()
    assert not attack([1.0] * 4 * 3600, addresses=2).refuses_everybody()


def test_without_the_edge_a_few_guesses_lock_everybody_out() -> None:
    server = CodeServer()
    for _ in range(14):
        server.wrong_password()
    assert server.refuses_everybody()
