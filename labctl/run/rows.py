"""Rows of a run as readers see them: straight from the journal, or from the cache `rows.arrow`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np

from labctl.journal import Follower
from labctl.run.columns import ABSENT, arrow_as_array, as_array, from_arrow

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

#: How every row line begins; the event scan passes over such lines.
ROW_START = b'{"entry":"row",'
#: Rows turned into Python objects at a time when reading from the cache.
_CHUNK = 4096


class RowSource(Protocol):
    """What `RunFolder` needs of either kind of rows."""

    def count(self) -> int: ...

    def row(self, i: int) -> dict[str, Any]: ...

    def citations(self, i: int) -> Mapping[str, Any]: ...

    @property
    def tagged(self) -> Mapping[int, Mapping[str, Any]]: ...

    def times(self) -> NDArray[np.float64]: ...

    def names(self) -> list[str]: ...

    def values(self, name: str) -> list[Any]: ...

    def array(self, name: str) -> NDArray[Any]: ...


class JournalRows:
    """Rows read from the journal itself, kept by column; follows it while it grows."""

    def __init__(self, path: Path) -> None:
        self._begin(path)

    def _begin(self, path: Path) -> None:
        self.follower = Follower(path)
        self.cited: dict[int, dict[str, Any]] = {}  #: by row: citations of its arrays
        self.tagged: dict[int, dict[str, Any]] = {}  #: by row: citations of its time tags
        self._times: list[float] = []
        self._columns: dict[str, list[Any]] = {}

    def refresh(self, final: bool) -> None:
        """Read what was added; `final` says that nobody writes any more."""
        try:
            self._read(final)
        except BaseException:  # Ctrl-C between two columns: never show what is half read
            self._begin(self.follower.path)
            raise

    def _read(self, final: bool) -> None:
        columns, times = self._columns, self._times
        for entry in self.follower.follow(final=final):
            if entry.get("entry") != "row":
                continue
            row, cited = entry["row"], entry.get("arrays")
            if cited:
                self.cited[len(times)] = cited
            if tags := entry.get("tags"):
                self.tagged[len(times)] = tags
            if row.keys() != columns.keys():
                for name in row:
                    if name not in columns:
                        columns[name] = [ABSENT] * len(times)
                for name in columns.keys() - row.keys():
                    columns[name].append(ABSENT)
            times.append(entry["t"])
            for name, value in row.items():
                columns[name].append(value)

    def count(self) -> int:
        return len(self._times)

    def row(self, i: int) -> dict[str, Any]:
        found = ((name, values[i]) for name, values in self._columns.items())
        return {name: value for name, value in found if value is not ABSENT}

    def citations(self, i: int) -> Mapping[str, Any]:
        return self.cited.get(i, {})

    def times(self) -> NDArray[np.float64]:
        return np.array(self._times, dtype=np.float64)

    def names(self) -> list[str]:
        return list(self._columns)

    def values(self, name: str) -> list[Any]:
        return self._columns[name]

    def array(self, name: str) -> NDArray[Any]:
        return as_array(self.values(name))


class CachedRows:
    """Rows in a memory-mapped Arrow batch: time, one column per name, then citations.

    Columns of citations, which a run without arrays or tags lacks, are named by `cites`.
    """

    def __init__(
        self,
        batch: pa.RecordBatch,
        kinds: Mapping[str, tuple[str, bool]],
        cites: Sequence[str] = (),
    ) -> None:
        self._batch = batch
        self._kinds = kinds
        self._cites = {what: i for i, what in enumerate(cites, len(kinds) + 1)}
        self._position = {name: i for i, name in enumerate(kinds, 1)}
        self._chunk: tuple[int, list[dict[str, Any]]] = (-1, [])

    def count(self) -> int:
        return int(self._batch.num_rows)

    def row(self, i: int) -> dict[str, Any]:
        number, place = divmod(i, _CHUNK)
        if self._chunk[0] != number:
            piece = self._batch.slice(number * _CHUNK, _CHUNK)
            columns = [
                from_arrow(piece.column(self._position[name]), *kind)
                for name, kind in self._kinds.items()
            ]
            rows = [
                {n: v for n, v in zip(self._kinds, values, strict=True) if v is not ABSENT}
                for values in zip(*columns, strict=True)
            ]
            self._chunk = (number, rows or [{} for _ in range(piece.num_rows)])
        return dict(self._chunk[1][place])

    def citations(self, i: int) -> Mapping[str, Any]:
        if "arrays" not in self._cites:
            return {}
        column = self._batch.column(self._cites["arrays"])
        return from_arrow(column.slice(i, 1), "json", False)[0] or {}

    @cached_property
    def tagged(self) -> Mapping[int, Mapping[str, Any]]:
        if "tags" not in self._cites:
            return {}
        cited = from_arrow(self._batch.column(self._cites["tags"]), "json", False)
        return {i: of_row for i, of_row in enumerate(cited) if of_row}

    def times(self) -> NDArray[np.float64]:
        return self._batch.column(0).to_numpy(zero_copy_only=True)  # type: ignore[no-any-return]

    def names(self) -> list[str]:
        return list(self._kinds)

    def values(self, name: str) -> list[Any]:
        return from_arrow(self._batch.column(self._position[name]), *self._kinds[name])

    def array(self, name: str) -> NDArray[Any]:
        return arrow_as_array(self._batch.column(self._position[name]), *self._kinds[name])


class Rows(Sequence[dict[str, Any]]):
    """The rows of a run as a sequence of dictionaries; grows with a run that is being written."""

    def __init__(self, source: Callable[[], RowSource]) -> None:
        self._source = source  # gives the best source of rows at this moment

    def __len__(self) -> int:
        return self._source().count()

    @overload
    def __getitem__(self, i: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, i: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, i: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        source = self._source()
        count = source.count()
        if isinstance(i, slice):
            return [source.row(k) for k in range(*i.indices(count))]
        if not -count <= i < count:
            raise IndexError(f"row {i} of {count}")
        return source.row(i % count)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        source = self._source()
        return (source.row(k) for k in range(source.count()))

    def __repr__(self) -> str:
        return f"<{len(self)} rows>"
