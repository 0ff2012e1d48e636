"""What a backend is: a place that can be looked at, and changed by a Plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from carrel.core.plan import Plan, Step
from carrel.core.resources import State

Told = Callable[[Step], None]
"""Called before each step, so that long work can be shown."""


class Backend(Protocol):
    """A place where a State lives."""

    def observe(self) -> State:
        """What Carrel made here and is still there, as it is now."""

    def apply(self, plan: Plan, told: Told) -> None:
        """Bring the steps about, in their order; stops at the first that fails."""
