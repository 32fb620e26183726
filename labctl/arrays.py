"""Append-only Arrow IPC streams for what does not fit a JSON line: traces and time tags.

One record batch per append. The stream itself is never trusted for its length: the journal cites
each batch by its byte range and CRC-32, and only cited bytes are believed. Any Arrow reader opens
the file; it has no end mark, because a stream may end with its file.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from labctl.errors import StorageError
from labctl.journal import storage_error

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

#: What a stream can hold. Complex values are stored as pairs of their parts, bool as uint8.
KINDS = (
    "bool",
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    *("float16", "float32", "float64", "complex64", "complex128"),
)


@dataclass(frozen=True)
class Citation:
    """What a journal says of one batch: where its bytes are and what they sum to."""

    batch: int
    start: int
    end: int
    crc: str
    length: int

    def as_entry(self) -> dict[str, int | str]:
        """Return the members to put into a journal entry."""
        return asdict(self)

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> Citation:
        """Read the members that `as_entry` wrote; further members are left alone."""
        batch, start, end, length = (int(entry[k]) for k in ("batch", "start", "end", "length"))
        return cls(batch, start, end, str(entry["crc"]), length)


class ArrayStream:
    """Writer of one stream; a batch is with the operating system when `append` returns.

    Args:
        path: the file.
        fields: name and dtype name of each column, the same in all batches.
        keep: for an existing file, the last citation in the journal; bytes behind it are cut off.
    """

    def __init__(
        self, path: Path | str, fields: Mapping[str, str], *, keep: Citation | None = None
    ) -> None:
        self.path = Path(path)
        self.fields = dict(fields)
        self._schema = _schema(self.fields)
        header: bytes = self._schema.serialize().to_pybytes()
        self.origin = (0, len(header))  #: where the first batch goes
        self._batch, self._end = (keep.batch + 1, keep.end) if keep else self.origin
        self._ragged_end = False
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        try:
            self._fd = os.open(self.path, flags, 0o666)
            size = os.fstat(self._fd).st_size
            if keep and size < keep.end:
                self.close()
                raise StorageError(
                    f"{self.path}: {size} bytes, but the journal cites {keep.end}; data were lost"
                )
            if not keep:
                os.ftruncate(self._fd, 0)
                os.write(self._fd, header)
            elif size > keep.end:
                os.ftruncate(self._fd, keep.end)
        except OSError as exc:
            raise storage_error(self.path, exc) from exc

    @property
    def position(self) -> tuple[int, int]:
        """Number and start byte of the next batch, as `rewind` takes them."""
        return self._batch, self._end

    def append(self, *columns: NDArray[Any]) -> Citation:
        """Write one batch of equally long one-dimensional columns, in the order of `fields`.

        Raises:
            StorageError: the disk is full or broken; the stream then ends with its last batch.
        """
        if self._ragged_end:
            self.rewind(self._batch, self._end)
        data = self._encode(columns)
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except BaseException as exc:
            with contextlib.suppress(StorageError):
                self.rewind(self._batch, self._end)
            if isinstance(exc, OSError):
                raise storage_error(self.path, exc) from exc
            raise
        start, self._end = self._end, self._end + len(data)
        self._batch += 1
        crc = f"{crc32(data):08x}"
        return Citation(self._batch - 1, start, self._end, crc, len(columns[0]))

    def rewind(self, batch: int, end: int) -> None:
        """Cut off batch number `batch`, which starts at byte `end`, and what follows it."""
        self._batch, self._end, self._ragged_end = batch, end, True
        try:
            os.ftruncate(self._fd, end)
        except OSError as exc:  # tried again before the next append
            raise StorageError(f"{self.path}: cannot be shortened: {exc.strerror}") from exc
        self._ragged_end = False

    def sync(self) -> None:
        """Wait until the disk itself has everything."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Close the file; doing so twice is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> ArrayStream:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _encode(self, columns: tuple[NDArray[Any], ...]) -> memoryview:
        import pyarrow as pa

        arrays = [
            _to_arrow(exactly(column, kind, f"{self.path.name}, {name}"), field.type)
            for column, (name, kind), field in zip(
                columns, self.fields.items(), self._schema, strict=True
            )
        ]
        return memoryview(pa.RecordBatch.from_arrays(arrays, schema=self._schema).serialize())


class ArrayReader:
    """Memory-mapped reader; believes only cited bytes whose checksum matches."""

    def __init__(self, path: Path | str, fields: Mapping[str, str]) -> None:
        self.path = Path(path)
        self.fields = dict(fields)
        self._schema = _schema(self.fields)
        self._map: Any = None

    def read(self, citation: Citation) -> list[NDArray[Any]]:
        """Return the columns of one batch as read-only views of the file.

        Raises:
            StorageError: the bytes are missing or not those that were written.
        """
        import pyarrow as pa

        piece = self._bytes(citation)
        if f"{crc32(piece):08x}" != citation.crc:
            raise StorageError(
                f"{self.path}: batch {citation.batch} (bytes {citation.start} to {citation.end}):"
                " checksum does not match"
            )
        message = pa.ipc.read_message(piece)
        batch = pa.ipc.read_record_batch(message, self._schema)
        return [
            _from_arrow(column, kind)
            for column, kind in zip(batch.columns, self.fields.values(), strict=True)
        ]

    def check(self, citations: Iterable[Citation]) -> list[str]:
        """Return one line per batch that cannot be read."""
        damage = []
        for citation in citations:
            try:
                self.read(citation)
            except StorageError as exc:
                damage.append(str(exc))
        return damage

    def close(self) -> None:
        """Drop the map; arrays already handed out keep it alive."""
        self._map = None

    def _bytes(self, citation: Citation) -> Any:
        import pyarrow as pa

        if self._map is None or len(self._map) < citation.end:
            try:
                with pa.memory_map(str(self.path)) as file:
                    self._map = file.read_buffer()
            except OSError as exc:
                raise StorageError(f"{self.path}: cannot be read: {exc}") from exc
        if len(self._map) < citation.end:
            raise StorageError(
                f"{self.path}: batch {citation.batch} ends at byte {citation.end},"
                f" but the file has {len(self._map)}"
            )
        return self._map.slice(citation.start, citation.end - citation.start)


def joined(
    batches: Iterable[Mapping[str, NDArray[Any]]], fields: Mapping[str, str]
) -> dict[str, NDArray[Any]]:
    """Return batches of columns as one; a single batch is not copied.

    Args:
        batches: columns by name.
        fields: name and dtype name of each column.
    """
    parts = list(batches)
    if len(parts) == 1:
        return dict(parts[0])
    return {
        name: np.concatenate([np.empty(0, kind), *(part[name] for part in parts)])
        for name, kind in fields.items()
    }


def kind_of(array: NDArray[Any], where: str) -> str:
    """Return the dtype name under which an array is stored.

    Raises:
        StorageError: arrays of this dtype cannot be stored.
    """
    kind = str(array.dtype.name)
    if kind not in KINDS:
        raise StorageError(f"{where}: arrays of {kind} cannot be stored, convert to float or int")
    return kind


def exactly(array: NDArray[Any], kind: str, where: str) -> NDArray[Any]:
    """Return the array as dtype `kind`, refusing to change a value.

    Raises:
        StorageError: a value would change.
    """
    if array.dtype == kind:
        return array
    if not _fits(array, np.dtype(kind_of(array, where)), np.dtype(kind)):
        raise StorageError(
            f"{where}: holds {kind}, and this {array.dtype.name} array does not fit exactly;"
            " return the same dtype in each row"
        )
    return array.astype(kind)


def _fits(array: NDArray[Any], own: np.dtype[Any], target: np.dtype[Any]) -> bool:
    """Tell whether every value is the same number in the dtype `target`."""
    if not np.can_cast(own, target, "same_kind"):
        return False
    if own.kind in "iu" and array.size:
        if target.kind in "fc":
            most = 2 ** (np.finfo(target).nmant + 1)
            least = -most
        else:
            least, most = np.iinfo(target).min, np.iinfo(target).max
        return bool(least <= int(array.min()) and int(array.max()) <= most)
    if np.can_cast(own, target, "safe"):
        return True
    with np.errstate(over="ignore"):
        return bool(np.array_equal(array.astype(target).astype(own), array, equal_nan=True))


def _schema(fields: Mapping[str, str]) -> pa.Schema:
    import pyarrow as pa

    def kind(name: str) -> pa.DataType:
        if name.startswith("complex"):
            part = pa.float32() if name == "complex64" else pa.float64()
            return pa.list_(pa.field("part", part, nullable=False), 2)
        return pa.uint8() if name == "bool" else pa.from_numpy_dtype(np.dtype(name))

    return pa.schema(
        [pa.field(n, kind(k), nullable=False, metadata={"dtype": k}) for n, k in fields.items()]
    )


# Arrow's own conversions from and to NumPy import pandas, 0.3 s; buffers are all that is needed.


def _to_arrow(array: NDArray[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    if array.dtype.kind != "c":
        return pa.Array.from_buffers(kind, len(array), [None, pa.py_buffer(array)])
    part = kind.value_type
    parts = pa.Array.from_buffers(part, 2 * len(array), [None, pa.py_buffer(array)])
    return pa.FixedSizeListArray.from_arrays(parts, type=kind)


def _from_arrow(column: pa.Array, kind: str) -> NDArray[Any]:
    *_, values = column.buffers()
    if not len(column):
        return np.empty(0, dtype=kind)
    return np.frombuffer(values, dtype=kind, count=len(column))
