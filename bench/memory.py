"""Measures what an idle workspace holds in memory and on disk, against bare code-server; no goals."""

from __future__ import annotations

from bench import processes
from bench.ground import Ground
from bench.results import Row, Samples, Section

ROUNDS = 3
MIB = 1024**2


def run(ground: Ground) -> Section:
    """The comparison. Idle: started, one page served, and nobody there."""
    pairs = [(_ours(ground), _theirs(ground)) for _ in range(ROUNDS)]
    ours, theirs = zip(*pairs, strict=True)
    row = Row("idle, PSS of all processes", "MiB", _totals(ours), _totals(theirs))
    return Section(
        "Memory (for information)",
        "bare code-server",
        (row,),
        (
            f"ours: {_parts(ours[-1])}",
            f"bare: {_parts(theirs[-1])}",
            "PSS splits shared pages: other workspaces that run now make ours look smaller",
            f"image, unpacked: {ground.workspace.image()['Size'] / MIB:,.0f} MiB",
        ),
    )


def _ours(ground: Ground) -> dict[str, float]:
    workspace = ground.workspace
    workspace.stop()
    workspace.start()
    workspace.entrance.first_page()
    return processes.settled(workspace.processes)


def _theirs(ground: Ground) -> dict[str, float]:
    ground.workspace.stop()
    with ground.bare.running() as running:
        ground.bare.entrance.first_page(alive=running.check_alive)
        found = processes.settled(running.processes)
    ground.workspace.start()
    ground.workspace.entrance.first_page()
    return found


def _totals(rounds: tuple[dict[str, float], ...]) -> Samples:
    return Samples.of([sum(parts.values()) for parts in rounds])


def _parts(parts: dict[str, float]) -> str:
    ordered = sorted(parts.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {size:.1f} MiB" for name, size in ordered)
