"""Arrays of a run folder: traces that rows cite (`arrays/`) and what analysis made (`derived/`)."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from labctl.arrays import ArrayReader, ArrayStream, Citation, exactly, kind_of
from labctl.errors import StorageError
from labctl.journal import storage_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labctl.journal import Journal

#: Name of the only column of a trace stream.
_COLUMN = "value"
_RESERVED = {"con", "prn", "aux", "nul", *(f"{p}{n}" for p in ("com", "lpt") for n in range(1, 10))}


class TraceWriter:
    """Appends the arrays of rows to one stream per column."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.streams: dict[str, ArrayStream] = {}  #: by column
        self._last: dict[str, dict[str, Any]] = {}  # by column: the last citation in the journal
        self._files: dict[str, str] = {}

    def mend(self, cited: Iterable[Mapping[str, Any]]) -> None:
        """Cut off what the journal does not cite; called once when a run is resumed."""
        for citations in cited:
            for name, citation in citations.items():
                self._files[name] = citation["file"]
                path = self._folder / citation["file"]
                if path.is_file() and path.stat().st_size >= citation["end"]:
                    self._last[name] = citation
        for name in self._last:
            self._stream(name, None)

    def append(
        self, row: Mapping[str, Any], *, sync: bool = False
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Store the arrays of a row; returns its scalars, and the citations of its arrays."""
        scalars: dict[str, Any] = {}
        cited: dict[str, Any] = {}
        for name, value in row.items():
            if not isinstance(value, np.ndarray) or value.ndim == 0:
                scalars[name] = value
                continue
            stream = self._stream(name, value)
            kind = stream.fields[_COLUMN]
            citation = stream.append(exactly(value, kind, f"column {name!r}").reshape(-1))
            cited[name] = {"file": self._files[name], **citation.as_entry(), "type": kind}
            if value.ndim > 1:
                cited[name]["shape"] = value.shape
            if sync:
                stream.sync()
        return scalars, cited

    def sync(self) -> None:
        """Wait until the disk itself has everything."""
        for stream in self.streams.values():
            stream.sync()

    def close(self) -> None:
        """Close all streams."""
        for stream in self.streams.values():
            stream.close()
        self.streams.clear()

    def _stream(self, name: str, value: NDArray[Any] | None) -> ArrayStream:
        stream = self.streams.get(name)
        if stream is None:
            last = self._last.get(name)
            if last is not None:
                kind, keep = str(last["type"]), Citation.from_entry(last)
            else:
                assert value is not None
                kind, keep = kind_of(value, f"column {name!r}"), None
            path = self._folder / self._file(name)
            with contextlib.suppress(OSError):  # opening the stream says what is wrong
                path.parent.mkdir(exist_ok=True)
            stream = self.streams[name] = ArrayStream(path, {_COLUMN: kind}, keep=keep)
        return stream

    def _file(self, name: str) -> str:
        """Return the file of a column: the one already cited, or a new one."""
        if name not in self._files:
            taken = [Path(file).stem for file in self._files.values()]
            self._files[name] = f"arrays/{file_names([*taken, name])[name]}.arrows"
        return self._files[name]


@contextlib.contextmanager
def all_or_nothing(streams: Mapping[str, ArrayStream], journal: Journal) -> Iterator[None]:
    """Cut off again what was appended to `streams` inside, if anything inside fails.

    Not if `journal` has grown: Ctrl-C came when the entry that cites it was recorded already.
    """
    size = journal.size
    before = {name: stream.position for name, stream in streams.items()}
    try:
        yield
    except BaseException:
        if journal.size != size:
            raise
        for name, stream in streams.items():
            with contextlib.suppress(StorageError):  # cut before the next append instead
                stream.rewind(*before.get(name, stream.origin))
        raise


class TraceReader:
    """Reads cited arrays, memory-mapped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._readers: dict[tuple[str, str], ArrayReader] = {}

    def read(self, cited: Mapping[str, Any]) -> NDArray[Any]:
        """Return one array as a read-only view.

        Raises:
            StorageError: its bytes are missing or damaged.
        """
        key = (str(cited["file"]), str(cited["type"]))
        if key not in self._readers:
            self._readers[key] = ArrayReader(self._folder / key[0], {_COLUMN: key[1]})
        (flat,) = self._readers[key].read(Citation.from_entry(cited))
        return flat.reshape(cited["shape"]) if "shape" in cited else flat

    def check(self, citations: Mapping[str, Any]) -> list[str]:
        """Return one line per array of a row that cannot be read."""
        found = []
        for cited in citations.values():
            try:
                self.read(cited)
            except StorageError as exc:
                found.append(str(exc))
        return found


def save_derived(
    folder: Path, name: str, array: NDArray[Any], known: Sequence[str]
) -> dict[str, Any]:
    """Write `derived/NAME.npy` in one step; returns the members of the entry that vouches for it.

    Raises:
        StorageError: the array holds Python objects, or the file cannot be written.
    """
    buffer = io.BytesIO()
    try:
        np.save(buffer, array, allow_pickle=False)
    except ValueError as exc:
        raise StorageError(f"derived array {name!r} cannot be stored: {exc}") from exc
    data = buffer.getvalue()
    path = folder / "derived" / f"{file_names(dict.fromkeys([*known, name]))[name]}.npy"
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as exc:
        part.unlink(missing_ok=True)
        raise storage_error(path, exc) from exc
    return {"name": name, "file": f"derived/{path.name}", "crc32": f"{crc32(data):08x}"}


def load_derived(folder: Path, entry: Mapping[str, Any]) -> NDArray[Any]:
    """Return the array an entry vouches for.

    Raises:
        StorageError: the file is missing or damaged.
    """
    path = folder / entry["file"]
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise StorageError(f"{path}: cannot be read: {exc.strerror}") from exc
    if f"{crc32(data):08x}" != entry["crc32"]:
        raise StorageError(f"{path}: checksum does not match, analyse the run again")
    array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return array


def check_derived(folder: Path, entry: Mapping[str, Any]) -> list[str]:
    """Return one line if the array cannot be read."""
    try:
        load_derived(folder, entry)
    except StorageError as exc:
        return [str(exc)]
    return []


def file_names(names: Iterable[str]) -> dict[str, str]:
    """Return a portable file name (no suffix) for each name; "signal (dBm)" gives signal_dBm."""
    chosen: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        stem = re.sub(r"[^0-9A-Za-z.-]+", "_", name).strip("_.") or "column"
        stem = f"_{stem}" if stem.split(".")[0].lower() in _RESERVED else stem[:100]
        candidate, number = stem, 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{stem}-{number}"
        taken.add(candidate.lower())
        chosen[name] = candidate
    return chosen
