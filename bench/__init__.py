"""Measures Carrel against what people would use without it; `python -m bench`, used by `make bench`."""

import sys
from pathlib import Path

# The sites of the tests are real ones; bench brings up the same kind.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
