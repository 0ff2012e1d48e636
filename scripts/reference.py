"""Writes docs/reference and nix/facts.json anew; `make docs` calls it."""

from pathlib import Path

from carrel.cli.reference import pages
from carrel.config.nixos import facts

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs/reference"

for name, text in pages().items():
    (FOLDER / name).write_text(text)
(ROOT / "nix/facts.json").write_text(facts())
