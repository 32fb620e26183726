"""Columns that grow row by row, in bounded memory: rows are thinned, their peaks kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Rows kept at most, and numbers (64 MB); beyond, all are thinned.
MOST_ROWS, MOST_NUMBERS = 1 << 21, 1 << 23
#: Columns whose extremes the thinning keeps.
MOST_WATCHED = 8
#: How much coarser everything becomes at a time.
STEP = 4
#: The bench's clock at each row: a column that stands beside the recorded ones.
CLOCK = "bench time (s)"


class Table:
    """Numbers by column and row. Text becomes a code: its place among the texts of its column."""

    def __init__(self, most_rows: int = MOST_ROWS, expected: int = 0) -> None:
        self.most_rows = most_rows
        self.rows = 0  #: held now
        self.seen = 0  #: appended since the beginning
        self.generation = 0  #: changes when rows were thinned, so what was derived is void
        self._room = max(1024, min(expected, most_rows))
        self._thinned = 0  # rows at the beginning that were thinned
        self._factor = STEP  # how much
        self._columns: dict[str, NDArray[np.float64]] = {}
        self._codes: dict[str, dict[str, int]] = {}

    def expect(self, rows: int) -> None:
        """Take the room for so many rows at once: memory then does not grow while they come."""
        if not self._columns:
            self._room = max(1024, min(rows, self.most_rows))

    @property
    def names(self) -> list[str]:
        """The columns that were recorded."""
        return [name for name in self._columns if name != CLOCK]

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one row; what is no number or text becomes NaN."""
        if self.rows == self._room:
            self._make_room()
        place = self.rows
        columns = self._columns
        for name, value in row.items():
            column = columns.get(name)
            if column is None:
                if not columns:
                    self._bound(len(row))
                column = columns[name] = np.full(self._room, np.nan)
            if value.__class__ is float or value.__class__ is int:
                try:
                    column[place] = value
                except OverflowError:
                    column[place] = np.nan
            else:
                column[place] = self._number(name, value)
        if len(row) < len(columns):
            for name in columns.keys() - row.keys():
                columns[name][place] = np.nan
        self.rows += 1
        self.seen += 1

    def extend(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Add many rows at a time, as read from a finished run, to an empty table."""
        count = max((len(values) for values in columns.values()), default=0)
        self._bound(len(columns))
        self._room = max(1024, count)
        for name, values in columns.items():
            if values.dtype == object:
                numbers = np.array([self._number(name, value) for value in values], dtype=float)
            else:
                numbers = values.astype(np.float64)
            self._columns[name] = np.full(self._room, np.nan)
            self._columns[name][:count] = numbers
        self.rows = self.seen = count
        while self.rows > self.most_rows:
            self._thin()

    def column(self, name: str) -> NDArray[np.float64]:
        """All values of a column; a view that later rows do not change."""
        return self._columns[name][: self.rows]

    def texts(self, name: str) -> list[str]:
        """The texts of a column in order of appearance; [] for numbers."""
        return list(self._codes.get(name, ()))

    def is_text(self, name: str) -> bool:
        return name in self._codes

    def objects(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Columns as the run has them, texts as objects."""
        for name in self._columns:
            values: NDArray[Any] = self.column(name)
            if texts := self.texts(name):
                lookup = np.array([*texts, None], dtype=object)
                values = lookup[np.nan_to_num(values, nan=len(texts)).astype(int)]
            yield name, values

    def _number(self, name: str, value: Any) -> float:
        if isinstance(value, str):
            codes = self._codes.setdefault(name, {})
            if len(codes) >= 10_000 and value not in codes:  # free text, nobody plots it
                return float("nan")
            return float(codes.setdefault(value, len(codes)))
        if isinstance(value, bool | int | float | np.number):
            return float(value)
        return float("nan")

    def _bound(self, columns: int) -> None:
        """Keep fewer rows of many columns."""
        self.most_rows = min(self.most_rows, MOST_NUMBERS // max(1, columns))
        self._room = max(1024, min(self._room, self.most_rows))

    def _make_room(self) -> None:
        if self._room >= self.most_rows:
            self._thin()
            return
        self._room = min(2 * self._room, self.most_rows)
        for name, column in self._columns.items():
            larger = np.full(self._room, np.nan)
            larger[: self.rows] = column[: self.rows]
            self._columns[name] = larger

    def _thin(self) -> None:
        """Make room: thin what came since the last time as much as all before it.

        Where that is not enough, thin everything once more; so the whole run stays equally fine.
        """
        keep = np.ones(self.rows, dtype=bool)
        tail = self._extremes(self._thinned, self.rows, self._factor)
        keep[self._thinned : self._thinned + len(tail)] = tail
        self._keep(keep)
        self._thinned += int(tail.sum())
        if self._thinned > self.most_rows // 2:
            keep = np.ones(self.rows, dtype=bool)
            head = self._extremes(0, self._thinned, STEP)
            keep[: len(head)] = head
            self._keep(keep)
            self._thinned -= len(head) - int(head.sum())
            self._factor *= STEP
        self.generation += 1

    def _extremes(self, first: int, last: int, factor: int) -> NDArray[np.bool_]:
        """Which of these rows (of whole blocks) stay: of each block the extremes of each column."""
        watched = list(self._columns.values())[:MOST_WATCHED]
        block = min(factor * (2 * len(watched) + 1), max(1, last - first))
        whole = (last - first) // block * block
        keep = np.zeros(whole, dtype=bool)
        starts = np.arange(0, whole, block)
        keep[starts] = True
        for column in watched:
            body = column[first : first + whole].reshape(-1, block)
            keep[starts + np.where(np.isnan(body), np.inf, body).argmin(axis=1)] = True
            keep[starts + np.where(np.isnan(body), -np.inf, body).argmax(axis=1)] = True
        return keep

    def _keep(self, rows: NDArray[np.bool_]) -> None:
        kept = int(rows.sum())
        for name, column in self._columns.items():
            fresh = np.full(self._room, np.nan)
            fresh[:kept] = column[: self.rows][rows]
            self._columns[name] = fresh
        self.rows = kept
