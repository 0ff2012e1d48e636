"""Prints machine facts and Sections as tables; the only module of bench that prints."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from bench.results import Facts, Samples, Section

# Into a file or a pipe, rich would cut the widest tables short at 80 columns, and at 120 too.
_OUT = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
_ERR = Console(stderr=True, highlight=False)


def progress(text: str) -> None:
    """Tell on standard error what is being done."""
    _ERR.print(text, style="dim")


def show_machine(facts: Mapping[str, str]) -> None:
    """The facts without which no figure means anything."""
    width = max(map(len, facts))
    for name, value in facts.items():
        _OUT.print(f"{name:<{width}}  {value}", soft_wrap=True, markup=False)


def show(section: Section) -> None:
    """One Section as a table: min/median/max of both sides, ratio, difference, goal."""
    table = Table(title=section.title, title_justify="left", title_style="bold", box=None)
    table.add_column("", no_wrap=True)
    for heading in ("Carrel", section.theirs):
        table.add_column(f"{heading}\nmin / median / max", justify="right", no_wrap=True)
    for heading in ("ratio", "difference", "goal", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in section.rows:
        table.add_row(
            row.name,
            _three(row.ours),
            f"{_three(row.theirs)} {row.unit}",
            f"{row.ratio:.2f}",
            f"{'+' if row.difference >= 0 else '-'}{_number(abs(row.difference))} {row.unit}",
            str(row.goal or "none"),
            _verdict(row.met),
        )
    _OUT.print()
    _OUT.print(table)
    for note in section.notes:
        _OUT.print(f"  {note}", soft_wrap=True, markup=False)


def show_facts(facts: Facts) -> None:
    """Figures without a peer, with their goals."""
    table = Table(title=facts.title, title_justify="left", title_style="bold", box=None)
    table.add_column("", no_wrap=True)
    for heading in ("figure", "goal", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for fact in facts.rows:
        met = None if fact.goal is None else fact.goal.holds(fact.figure)
        figure = f"{_number(fact.figure)} {fact.unit}".rstrip()
        table.add_row(fact.name, figure, str(fact.goal or "none"), _verdict(met))
    _OUT.print()
    _OUT.print(table)


def _verdict(met: bool | None) -> str:
    match met:
        case None:
            return ""
        case True:
            return "[green]goal met[/green]"
        case False:
            return "[bold red]goal missed[/bold red]"


def _three(samples: Samples) -> str:
    values = (min(samples.values), samples.median, max(samples.values))
    return " / ".join(_number(value) for value in values)


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
