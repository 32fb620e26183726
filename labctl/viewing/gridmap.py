"""A heat map that grows with the run: new rows only are put into the grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labctl.live import HeatMap
from labctl.viewing.table import Table

Floats = NDArray[np.float64]


class GridMap:
    """Values over two columns of a table, as `labctl.live.HeatMap.grid` defines them."""

    def __init__(self, panel: HeatMap) -> None:
        self.panel = panel
        self._begin()

    def _begin(self) -> None:
        self._read = 0
        self._generation = 0
        self.x = np.arange(float(len(self.panel.x_labels)))
        self.y = np.arange(float(len(self.panel.y_labels)))
        self.values = np.full((len(self.y), len(self.x)), np.nan)

    def update(self, table: Table) -> bool:
        """Take in the rows that came since; tells whether anything changed."""
        panel = self.panel
        if not all(name in table for name in (panel.x, panel.y, panel.value)):
            return False
        if table.generation != self._generation or table.rows < self._read:
            self._begin()
            self._generation = table.generation
        new = slice(self._read, table.rows)
        self._read = table.rows
        x, y, value = (table.column(name)[new] for name in (panel.x, panel.y, panel.value))
        there = np.isfinite(x) & np.isfinite(y) & np.isfinite(value)
        x, y, value = x[there], y[there], value[there]
        if panel.symmetric:
            x, y = np.stack([x, y], axis=1).ravel(), np.stack([y, x], axis=1).ravel()
            value = np.repeat(value, 2)
        if not len(value):
            return False
        if not panel.x_labels:
            self._widen("x", x)
        if not panel.y_labels:
            self._widen("y", y)
        column, row = np.searchsorted(self.x, x), np.searchsorted(self.y, y)
        inside = (column < len(self.x)) & (row < len(self.y))
        column, row, value = column[inside], row[inside], value[inside]
        exact = (self.x[column] == x[inside]) & (self.y[row] == y[inside])
        self.values[row[exact], column[exact]] = value[exact]  # of equal places the last counts
        return True

    def _widen(self, axis: str, places: Floats) -> None:
        """Give places that are new a row or column of their own."""
        known: Floats = getattr(self, axis)
        wider = np.union1d(known, places)
        if len(wider) == len(known):
            return
        old = np.searchsorted(wider, known)
        if axis == "x":
            values = np.full((len(self.y), len(wider)), np.nan)
            values[:, old] = self.values
        else:
            values = np.full((len(wider), len(self.x)), np.nan)
            values[old] = self.values
        self.values = values
        setattr(self, axis, wider)


def edges(places: Floats) -> Floats:
    """The borders between neighbouring places, and the outer ones as far as their neighbours."""
    if len(places) < 2:
        centre = places[0] if len(places) else 0.0
        return np.array([centre - 0.5, centre + 0.5])
    middle = (places[1:] + places[:-1]) / 2
    first, last = 2 * places[0] - middle[0], 2 * places[-1] - middle[-1]
    return np.concatenate([[first], middle, [last]])


def is_even(places: Floats) -> bool:
    """Whether the places stand at equal distances, to a hundredth of one."""
    if len(places) < 3:
        return True
    steps = np.diff(places)
    return bool(np.ptp(steps) <= 0.01 * abs(float(steps.mean())))
