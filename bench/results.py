"""What a bench hands back: rows of samples with goals; bench.table shows them, nothing here measures."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Samples:
    """One quantity, measured several times; the median speaks for it."""

    values: tuple[float, ...]

    @staticmethod
    def of(values: Sequence[float]) -> Samples:
        """Samples in the order in which they were taken."""
        return Samples(tuple(values))

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "min": min(self.values),
            "median": self.median,
            "max": max(self.values),
            "samples": list(self.values),
        }


class Goal(Protocol):
    """What a row has to reach."""

    def met(self, ours: float, theirs: float) -> bool:
        """Whether these medians reach it."""

    def __str__(self) -> str:
        """The goal in a few words."""


@dataclass(frozen=True, slots=True)
class AtMostAbove:
    """Ours may exceed theirs by this much, in the row's unit."""

    amount: float
    unit: str

    def met(self, ours: float, theirs: float) -> bool:
        return ours <= theirs + self.amount

    def __str__(self) -> str:
        return f"≤ +{self.amount:g} {self.unit}"


@dataclass(frozen=True, slots=True)
class AtLeastTimes:
    """Ours must be this many times theirs."""

    factor: float

    def met(self, ours: float, theirs: float) -> bool:
        return ours >= self.factor * theirs

    def __str__(self) -> str:
        return f"≥ {self.factor:g} x"


@dataclass(frozen=True, slots=True)
class AtMostTimes:
    """Ours may be this many times theirs."""

    factor: float

    def met(self, ours: float, theirs: float) -> bool:
        return ours <= self.factor * theirs

    def __str__(self) -> str:
        return f"≤ {self.factor:g} x"


@dataclass(frozen=True, slots=True)
class Within:
    """Ours may be this many times theirs, and this high, in the row's unit."""

    factor: float
    amount: float
    unit: str

    def met(self, ours: float, theirs: float) -> bool:
        return ours <= self.factor * theirs and ours <= self.amount

    def __str__(self) -> str:
        return f"≤ {self.factor:g} x, ≤ {self.amount:g} {self.unit}"


@dataclass(frozen=True, slots=True)
class Under:
    """Ours may be this high, in the row's unit, whatever theirs is."""

    amount: float
    unit: str

    def met(self, ours: float, theirs: float) -> bool:
        del theirs
        return ours <= self.amount

    def __str__(self) -> str:
        return f"≤ {self.amount:g} {self.unit}"


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison. `goal` None: for information."""

    name: str
    unit: str
    ours: Samples
    theirs: Samples
    goal: Goal | None = None

    @property
    def ratio(self) -> float:
        return self.ours.median / self.theirs.median

    @property
    def difference(self) -> float:
        return self.ours.median - self.theirs.median

    @property
    def met(self) -> bool | None:
        """None when there is no goal."""
        if self.goal is None:
            return None
        return self.goal.met(self.ours.median, self.theirs.median)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": self.ours.plain(),
            "theirs": self.theirs.plain(),
            "ratio": self.ratio,
            "difference": self.difference,
            "goal": str(self.goal) if self.goal else None,
            "met": self.met,
        }


@dataclass(frozen=True, slots=True)
class Section:
    """The outcome of one bench. `theirs` names what it was compared with."""

    title: str
    theirs: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    """More figures, for the JSON only."""

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "title": self.title,
            "theirs": self.theirs,
            "rows": [row.plain() for row in self.rows],
            "notes": list(self.notes),
            "details": dict(self.details),
        }


@dataclass(frozen=True, slots=True)
class AtMost:
    """A figure of ours may be this high, in its unit."""

    amount: float
    unit: str

    def holds(self, figure: float) -> bool:
        return figure <= self.amount

    def __str__(self) -> str:
        return f"≤ {self.amount:g} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure that is compared with nothing but its goal."""

    name: str
    figure: float
    unit: str
    goal: AtMost | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Figures that belong together."""

    title: str
    rows: tuple[Fact, ...]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
