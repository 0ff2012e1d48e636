"""Waits for a condition, with a limit."""

from __future__ import annotations

import time
from collections.abc import Callable

from carrel.errors import NotReady

INTERVAL = 0.02


def until(condition: Callable[[], bool], *, seconds: float, what: str, fix: str = "") -> None:
    """Return as soon as `condition` holds; `NotReady` when it does not within `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise NotReady(f"{what} did not get ready within {seconds:g} s.", fix=fix)
        time.sleep(INTERVAL)
