"""Writes docs/reference anew; `make docs` calls it."""

from pathlib import Path

from carrel.cli.reference import pages

FOLDER = Path(__file__).parents[1] / "docs/reference"

for name, text in pages().items():
    (FOLDER / name).write_text(text)
