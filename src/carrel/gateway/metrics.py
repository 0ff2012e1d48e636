"""Counts what the gateway does, for Prometheus. Nobody's prompt, key or session is in it."""

from __future__ import annotations

from collections import Counter

_HELP = {
    "requests_total": "Requests that went to a provider, by the status of the answer",
    "tokens_total": "Tokens, by direction",
    "cost_nanodollars_total": "What the requests cost, in nano-dollars",
    "refused_total": "Requests that went to nobody, by reason",
    "reloads_total": "Times that the settings were taken up anew, by outcome",
}


class Metrics:
    """Counters by name and labels."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, name: str, amount: int = 1, **labels: str) -> None:
        """Count. Labels come from the settings or from us, so that their number is bounded."""
        text = ",".join(f'{key}="{value}"' for key, value in labels.items())
        self._counts[name, f"{{{text}}}" if text else ""] += amount

    def text(self, gauges: dict[str, tuple[str, int]]) -> str:
        """All counters, and `gauges` (by name: help and value), as Prometheus reads them."""
        lines = []
        for name, meaning in _HELP.items():
            lines += [
                f"# HELP carrel_gateway_{name} {meaning}",
                f"# TYPE carrel_gateway_{name} counter",
            ]
            found = sorted(item for item in self._counts.items() if item[0][0] == name)
            lines += [f"carrel_gateway_{name}{labels} {count}" for (_, labels), count in found]
        for name, (meaning, value) in gauges.items():
            lines += [
                f"# HELP carrel_gateway_{name} {meaning}",
                f"# TYPE carrel_gateway_{name} gauge",
                f"carrel_gateway_{name} {value:d}",
            ]
        return "\n".join(lines) + "\n"
