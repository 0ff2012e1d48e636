"""The only module that prints. Results go to standard output, the story to standard error."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterable, Sequence
from typing import NoReturn

import click

from carrel.core.plan import Change, Step, sentence
from carrel.core.resources import Directory, File
from carrel.errors import INTERRUPTED, CarrelError

WIDE = 200
"""Columns when nobody looks: a file or a pipe must not be wrapped at 80."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def _shown(text: str) -> str:
    # Users choose what files and processes are called, and may not speak to an operator's terminal.
    # What was no text (surrogates) is none here, either.
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", click.unstyle(text))


def _print(text: str, *, error: bool = False) -> None:
    # No colours where nobody asked for any (no-color.org), or where nobody looks.
    click.echo(text, err=error, color=False if os.environ.get("NO_COLOR") else None)


def _labelled(label: str, text: str, colour: str | None = None) -> None:
    _print(click.style(f"{label}: ", fg=colour, bold=True) + _shown(text), error=True)


class Story:
    """Tells what is being done, each line with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._small = 0

    def say(self, text: str) -> None:
        """One line of the story."""
        elapsed = f"{time.monotonic() - self._start:6.1f} s  "
        _print(click.style(elapsed, dim=True) + _shown(text), error=True)

    def step(self, step: Step) -> None:
        """A step of a plan that is about to be taken; the many small ones are only counted."""
        if isinstance(step.after if isinstance(step, Change) else step.resource, Directory | File):
            self._small += 1
            return
        if self._small:
            some = "directories and files" if self._small > 1 else "directory or file"
            self.say(f"  {self._small} {some}")
            self._small = 0
        self.say(sentence(step))


def result(text: str) -> None:
    """The answer itself."""
    _print(_shown(text))


def result_json(value: object) -> None:
    """The answer for programs."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    sys.stdout.write(text.encode(errors="replace").decode() + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """The answer as a table."""
    # Only here: other commands need none of it, and it takes 50 ms to load.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    grid = Table(*columns, box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for row in rows:
        grid.add_row(*(Text(_shown(cell)) for cell in row))
    width = None if sys.stdout.isatty() else WIDE
    Console(highlight=False, soft_wrap=True, width=width).print(grid)


def note(text: str) -> None:
    """A remark beside the answer."""
    _print(_shown(text), error=True)


def warning(text: str) -> None:
    """Something that the reader should not overlook."""
    _labelled("Warning", text, "yellow")


def fail(error: CarrelError) -> NoReturn:
    """Say what is wrong, and end with the error's exit code."""
    _labelled("Error", error.what, "red")
    if error.why:
        _labelled("Why", error.why)
    if error.fix:
        _labelled("Fix", error.fix)
    sys.exit(error.exit_code)


def interrupted() -> NoReturn:
    """Ctrl-C."""
    note("\nInterrupted. What was finished stays; run the same command again to go on.")
    sys.exit(INTERRUPTED)
