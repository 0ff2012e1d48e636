"""Runs the benches, all or those that are named, and keeps the figures in bench/results.json.

A goal that is missed is said in the table and changes no exit status: figures depend on the machine.
"""

from __future__ import annotations

import datetime
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from bench import (
    bodies,
    cold_open,
    drops,
    edge,
    gateway,
    machine,
    memory,
    planning,
    storm,
    table,
    throughput,
    visits,
)
from bench.ground import Ground
from bench.results import Facts, Section

BENCHES: dict[str, Callable[[Ground], Section | Facts]] = {
    "cold_open": cold_open.run,
    "throughput": throughput.run,
    "visits": visits.run,
    "memory": memory.run,
    "edge": edge.run,
    "drops": drops.run,
    "storm": storm.run,
    "planning": planning.run,
    "gateway": gateway.run,
    "bodies": bodies.run,
}
RESULTS = Path(__file__).parent / "results.json"


def main(arguments: Sequence[str]) -> int:
    """Exit status 0 also for goals that are missed, 2 for a bench that does not exist."""
    if unknown := sorted(set(arguments) - BENCHES.keys()):
        table.progress(f"no bench called {', '.join(unknown)}; there are {', '.join(BENCHES)}")
        return 2
    # Whatever ends us, the site and the bare code-server end too.
    signal.signal(signal.SIGTERM, _interrupted)
    begun = time.monotonic()
    facts = dict(machine.facts())
    with Ground() as ground:
        sections = [BENCHES[name](ground) for name in arguments or BENCHES]
        facts["load"] += f", {machine.load()} after the last"
    table.show_machine(facts)
    for section in sections:
        if isinstance(section, Facts):
            table.show_facts(section)
        else:
            table.show(section)
    table.progress(f"done in {time.monotonic() - begun:.0f} s; all figures are in {RESULTS}")
    RESULTS.write_text(json.dumps(_plain(facts, sections), indent=2) + "\n", encoding="utf-8")
    return 0


def _plain(facts: dict[str, str], sections: list[Section | Facts]) -> dict[str, object]:
    return {
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": facts,
        "sections": [section.plain() for section in sections],
    }


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
