"""The only module that prints. Results go to standard output, the story to standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from typing import NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

from carrel.core.plan import Change, Step, sentence
from carrel.core.resources import Directory, File
from carrel.errors import INTERRUPTED, CarrelError

WIDE = 200
"""Columns when nobody looks: a file or a pipe must not be wrapped at 80."""


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        highlight=False,
        soft_wrap=True,
        width=None if stream.isatty() else WIDE,
    )


class Story:
    """Tells what is being done, each line with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._console = _console(stderr=True)
        self._small = 0

    def say(self, text: str) -> None:
        """One line of the story."""
        elapsed = f"{time.monotonic() - self._start:6.1f} s  "
        self._console.print(Text(elapsed, style="dim") + Text(text))

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
    _console(stderr=False).print(Text(text))


def result_json(value: object) -> None:
    """The answer for programs."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """The answer as a table."""
    grid = Table(*columns, box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    _console(stderr=False).print(grid)


def note(text: str) -> None:
    """A remark beside the answer."""
    _console(stderr=True).print(Text(text))


def warning(text: str) -> None:
    """Something that the reader should not overlook."""
    _console(stderr=True).print(Text("Warning: ", style="bold yellow") + Text(text))


def fail(error: CarrelError) -> NoReturn:
    """Say what is wrong, and end with the error's exit code."""
    console = _console(stderr=True)
    console.print(Text("Error: ", style="bold red") + Text(error.what))
    if error.why:
        console.print(Text("Why: ", style="bold") + Text(error.why))
    if error.fix:
        console.print(Text("Fix: ", style="bold") + Text(error.fix))
    sys.exit(error.exit_code)


def interrupted() -> NoReturn:
    """Ctrl-C."""
    note("\nInterrupted. What was finished stays; run the same command again to go on.")
    sys.exit(INTERRUPTED)
