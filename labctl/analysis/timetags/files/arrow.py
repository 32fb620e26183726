"""Reading Arrow streams and files with columns `channel` and `time (ps)`: ours, or anybody's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from labctl.analysis.timetags.files.model import About, Piece, TagFileError

TIME, CHANNEL = "time (ps)", "channel"
_PULSE = ("sync", "pulse", "index")  # names of a column with the number of the pulse


class ArrowSource:
    """An Arrow IPC stream (`.arrows`) or file (`.arrow`).

    Every whole batch is read. What a run folder's journal does not cite may be the left-over of a
    crash: naming the run instead of the file reads only what is cited.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self.path = path
        self.warnings: list[str] = []
        self.tally: dict[str, int] = {}
        self._reader = self._open()
        schema = self._reader.schema
        for name, ok in ((TIME, pa.types.is_integer), (CHANNEL, pa.types.is_integer)):
            if name not in schema.names or not ok(schema.field(name).type):
                raise TagFileError(
                    f"{path}: has no column {name!r} of whole numbers; its columns are "
                    + ", ".join(map(repr, schema.names))
                )
        self._pulse = next((name for name in _PULSE if name in schema.names), "")
        self.most = path.stat().st_size // 9  # unless it is compressed
        self.about = About(
            "Arrow", "T3" if self._pulse else "T2", 1.0,
            header={"columns": list(schema.names)},
        )  # fmt: skip

    def pieces(self) -> Iterator[Piece]:
        """Yield the tags batch by batch."""
        import pyarrow as pa

        number = tags = 0
        while True:
            try:
                batch = self._next(number)
                batch.validate()
            except StopIteration:
                return
            except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
                what = " ".join(str(error).split())
                self.warnings.append(
                    f"batch {number} cannot be read ({what}); the {tags} tags before it are there"
                )
                return
            yield self._piece(batch, number)
            number += 1
            tags += batch.num_rows

    def _open(self) -> Any:
        import pyarrow as pa

        with self.path.open("rb") as file:
            is_file = file.read(6) == b"ARROW1"
        source = pa.memory_map(str(self.path))
        try:
            return pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
        except (pa.ArrowException, OSError, ValueError) as error:
            what = " ".join(str(error).split())
            raise TagFileError(f"{self.path}: is no Arrow stream or file: {what}") from None

    def _next(self, number: int) -> Any:
        if hasattr(self._reader, "read_next_batch"):
            return self._reader.read_next_batch()
        if number >= self._reader.num_record_batches:
            raise StopIteration
        return self._reader.get_batch(number)

    def _piece(self, batch: Any, number: int) -> Piece:
        columns = {}
        for name, kind in ((TIME, "i8"), (CHANNEL, "i8"), (self._pulse, "i8")):
            if not name:
                continue
            column = batch.column(name)
            if column.null_count:
                raise TagFileError(f"{self.path}: batch {number} has gaps in column {name!r}")
            values = column.to_numpy(zero_copy_only=False)
            if values.dtype == np.uint64 and values.size and values.max() >> 63:
                raise TagFileError(
                    f"{self.path}: batch {number} has a value beyond int64 in column {name!r}"
                )
            columns[name] = values.astype(kind, copy=False)
        channels = columns[CHANNEL]
        if channels.size and not 0 <= channels.min() <= channels.max() <= 255:
            raise TagFileError(
                f"{self.path}: batch {number} has channels from {channels.min()} to "
                f"{channels.max()}; 0 to 255 can be read"
            )
        sync = columns[self._pulse] if self._pulse else np.empty(0, np.int64)
        return Piece(channels.astype(np.uint8), columns[TIME], sync)
