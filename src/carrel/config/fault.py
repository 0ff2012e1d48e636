"""One thing that is wrong with a configuration; made by config.load and config.ai."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """Where, why, and what to do."""

    path: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}. {self.remedy[:1].upper()}{self.remedy[1:]}."
