"""Quantities that are changed in steps, remembered as functions of time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

REMEMBERED = 1 << 20  # numbers of one history that can still be asked about, at least


class Steps:
    """Rows of numbers, each of which holds from its time until the next one.

    Args:
        first: the row that holds from the beginning.
    """

    def __init__(self, *first: float) -> None:
        self._times: Floats = np.full(64, -np.inf)
        self._rows: Floats = np.empty((64, len(first)))
        self._rows[0] = first
        self._count = 1

    @property
    def last(self) -> Floats:
        """The row that holds now."""
        return np.asarray(self._rows[self._count - 1])

    def add(self, times: ArrayLike, rows: ArrayLike) -> None:
        """From each of `times` (s, ascending) on the row beside it holds."""
        when = np.atleast_1d(np.asarray(times, dtype=float))
        width = self._rows.shape[1]
        values = np.asarray(rows, dtype=float).reshape(when.size, width)
        if self._count + when.size > self._times.size:
            kept = min(self._count, max(REMEMBERED // width, 1))
            old = slice(self._count - kept, self._count)
            size = 2 * (kept + when.size)
            spare, self._times = self._times[old], np.empty(size)
            self._times[:kept] = spare
            self._times[0] = -np.inf  # what was before is forgotten
            rest, self._rows = self._rows[old], np.empty((size, width))
            self._rows[:kept] = rest
            self._count = kept
        end = self._count + when.size
        self._times[self._count : end] = when
        self._rows[self._count : end] = values
        self._count = end

    def at(self, t: Any, *, just_before: bool = False) -> tuple[Any, Floats]:
        """Since when, and which row holds at a time (s): a float, or an array of them.

        Args:
            t: the time or times.
            just_before: at the very moment of a step, give what held before it.
        """
        side = "left" if just_before else "right"
        places = np.searchsorted(self._times[: self._count], t, side=side) - 1
        places = np.maximum(places, 0)
        return self._times[places], self._rows[places]
