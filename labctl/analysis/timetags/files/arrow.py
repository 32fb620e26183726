"""Reading Arrow streams and files with columns `channel` and `time (ps)`: ours, or anybody's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.timetags.files.model import About, Piece, TagFileError, Times

TIME, CHANNEL = "time (ps)", "channel"
_PULSE = ("sync", "pulse", "index")  # names of a column with the number of the pulse


class ArrowSource:
    """An Arrow IPC stream (`.arrows`) or file (`.arrow`).

    Every whole batch is read. What a run folder's journal does not cite may be the left-over of a
    crash: naming the run instead of the file reads only what is cited.
    """

    def __init__(self, path: Path) -> None:

        self.path = path
        self.warnings: list[str] = []
        self.tally: dict[str, int] = {}
        self._reader, integers, names = self._open()
        for name in (TIME, CHANNEL):
            if name not in integers:
                raise TagFileError(
                    f"{path}: has no column {name!r} of whole numbers; its columns are "
                    + ", ".join(map(repr, names))
                )
        self._pulse = next((name for name in _PULSE if name in integers), "")
        self._places = {n: integers[n] for n in (TIME, CHANNEL, self._pulse) if n}
        self.most = path.stat().st_size // 9  # unless it is compressed
        self.about = About("Arrow", "T3" if self._pulse else "T2", 1.0, header={"columns": names})

    def pieces(self) -> Iterator[Piece]:
        """Yield the tags batch by batch."""
        number = tags = 0
        while True:
            try:
                batch = self._next(number)
                batch.validate()
                columns = {n: batch.column(i) for n, i in self._places.items()}
                gaps = [name for name, column in columns.items() if column.null_count]
                found = {n: column.to_numpy(zero_copy_only=False) for n, column in columns.items()}
            except StopIteration:
                return
            except _broken() as error:
                what = _line(error)
                self.warnings.append(
                    f"batch {number} cannot be read ({what}); the {tags} tags before it are there"
                )
                return
            if gaps:
                raise TagFileError(f"{self.path}: batch {number} has gaps in column {gaps[0]!r}")
            yield self._piece(found, number)
            number += 1
            tags += batch.num_rows

    def _open(self) -> tuple[Any, dict[str, int], list[str]]:
        """Return the reader, the places of columns of whole numbers, and the names of all."""
        import pyarrow as pa

        with self.path.open("rb") as file:
            is_file = file.read(6) == b"ARROW1"
        source = pa.memory_map(str(self.path))
        try:
            reader = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
            fields = [(field.name, pa.types.is_integer(field.type)) for field in reader.schema]
        except _broken() as error:
            raise TagFileError(f"{self.path}: is no Arrow stream or file: {_line(error)}") from None
        names = [name for name, _ in fields]
        return reader, {n: i for i, (n, whole) in enumerate(fields) if whole}, names

    def _next(self, number: int) -> Any:
        if hasattr(self._reader, "read_next_batch"):
            return self._reader.read_next_batch()
        if number >= self._reader.num_record_batches:
            raise StopIteration
        return self._reader.get_batch(number)

    def _piece(self, found: dict[str, NDArray[Any]], number: int) -> Piece:
        columns: dict[str, Times] = {}
        for name, values in found.items():
            if values.dtype == np.uint64 and values.size and values.max() >> 63:
                raise TagFileError(
                    f"{self.path}: batch {number} has a value beyond int64 in column {name!r}"
                )
            columns[name] = values.astype(np.int64, copy=False)
        channels = columns[CHANNEL]
        if channels.size and not 0 <= channels.min() <= channels.max() <= 255:
            raise TagFileError(
                f"{self.path}: batch {number} has channels from {channels.min()} to "
                f"{channels.max()}; 0 to 255 can be read"
            )
        sync = columns[self._pulse] if self._pulse else np.empty(0, np.int64)
        return Piece(channels.astype(np.uint8), columns[TIME], sync)


def _broken() -> tuple[type[Exception], ...]:
    """What pyarrow raises over broken files."""
    import pyarrow as pa

    python_s = (ValueError, OSError, LookupError, TypeError, NotImplementedError, MemoryError)
    return (pa.ArrowException, *python_s)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
