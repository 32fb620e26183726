"""Watched quantities of a run: what its interlocks read, from `health.jsonl` in its folder."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from labctl.journal import Follower
from labctl.viewing.table import Table

#: Readings kept of each quantity.
MOST_READINGS = 1 << 14


@dataclass
class Quantity:
    """One watched quantity over time."""

    name: str
    unit: str = ""
    minimum: float = -math.inf
    maximum: float = math.inf
    table: Table = field(default_factory=lambda: Table(MOST_READINGS, MOST_READINGS))

    @property
    def value(self) -> float:
        """The last reading; NaN without one, or if it could not be read."""
        return float(self.table.column("value")[-1]) if self.table.rows else math.nan

    @property
    def good(self) -> bool:
        return self.minimum <= self.value <= self.maximum


class Health:
    """All watched quantities of a run, by name."""

    def __init__(self, folder: Path) -> None:
        self.quantities: dict[str, Quantity] = {}
        self._follower = Follower(folder / "health.jsonl")

    def poll(self) -> bool:
        """Take in what was added; tells whether anything was."""
        before = self._follower.offset
        for entry in self._follower.follow():
            name = str(entry.get("name", ""))
            quantity = self.quantities.get(name)
            if quantity is None:
                quantity = self.quantities[name] = Quantity(name)
            if entry.get("entry") == "watched":
                quantity.unit = str(entry.get("unit", ""))
                quantity.minimum = float(entry.get("minimum", -math.inf))
                quantity.maximum = float(entry.get("maximum", math.inf))
            elif entry.get("entry") == "reading":
                quantity.table.append({"t": float(entry["t"]), "value": float(entry["value"])})
        return self._follower.offset != before
