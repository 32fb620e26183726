"""Time tags of a run: one Arrow stream per name in `tags/`, committed while they come.

Each commit is a record batch and, once that is with the operating system, a journal entry `tags`
that cites it. A row cites the batches that were recorded for it, so that a point which was measured
again after a crash never counts the tags of its first, unfinished attempt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.arrays import ArrayReader, ArrayStream, Citation, exactly, kind_of
from labctl.errors import RequestError, StorageError, nearest
from labctl.journal import Follower
from labctl.run.rows import ROW_START, RowSource
from labctl.run.traces import file_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Columns by name, all of one length.
Tags = dict[str, "NDArray[Any]"]


class TagWriter:
    """Appends batches to one stream per name, and knows which of them the next row will cite."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.streams: dict[str, ArrayStream] = {}  #: by name
        self.for_next_row: dict[str, dict[str, Any]] = {}  #: what the next row cites
        self._files: dict[str, str] = {}
        self._taken: set[str] = set()  # stems of files that the journal cites

    def mend(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Cut off what the journal does not cite; called once when a run is resumed."""
        last = {}
        for entry in entries:
            last[entry["name"]] = entry
            self._taken.add(Path(entry["cited"]["file"]).stem)
        for name, entry in last.items():
            cited = entry["cited"]
            path = self._folder / cited["file"]
            if not path.is_file() or path.stat().st_size < cited["end"]:
                continue  # somebody cut it: leave what is there, begin another file
            self._files[name] = cited["file"]
            keep = Citation.from_entry(cited)
            self.streams[name] = ArrayStream(path, entry["fields"], keep=keep)

    def append(self, name: str, columns: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Store one batch; returns the members of the entry that cites it."""
        columns = self._checked(name, columns)
        stream = self._stream(name, columns)
        values = [
            exactly(columns[column], kind, f"tags {name!r}, column {column!r}")
            for column, kind in stream.fields.items()
        ]
        citation = stream.append(*values)
        cited = {"file": self._files[name], **citation.as_entry()}
        return {"name": name, "fields": stream.fields, "cited": cited}

    def recorded(self, entry: Mapping[str, Any]) -> None:
        """Note that the journal has this entry: the next row will cite its batch."""
        file, batch = entry["cited"]["file"], entry["cited"]["batch"]
        cited = self.for_next_row.setdefault(entry["name"], {"file": file, "first": batch})
        cited["end"] = batch + 1

    def sync(self) -> None:
        """Wait until the disk itself has everything."""
        for stream in self.streams.values():
            stream.sync()

    def close(self) -> None:
        """Close all streams."""
        for stream in self.streams.values():
            stream.close()
        self.streams.clear()

    def _checked(
        self, name: str, columns: Mapping[str, NDArray[Any]]
    ) -> Mapping[str, NDArray[Any]]:
        if not isinstance(name, str) or not name:
            raise StorageError(f"tags {name!r}: the name must be a text that is not empty")
        arrays = {column: np.asarray(values) for column, values in columns.items()}
        lengths = {column: values.shape for column, values in arrays.items()}
        if len(set(lengths.values())) != 1 or any(len(shape) != 1 for shape in lengths.values()):
            shown = ", ".join(f"{column!r} {shape}" for column, shape in lengths.items())
            raise StorageError(
                f"tags {name!r}: columns must be one-dimensional and equally long, not "
                + (shown or "none at all")
            )
        stream = self.streams.get(name)
        if stream is not None and stream.fields.keys() != arrays.keys():
            raise StorageError(
                f"tags {name!r}: has columns {', '.join(map(repr, stream.fields))}; "
                f"this batch has {', '.join(map(repr, arrays))}"
            )
        return arrays

    def _stream(self, name: str, columns: Mapping[str, NDArray[Any]]) -> ArrayStream:
        if name not in self.streams:
            fields = {
                column: kind_of(values, f"tags {name!r}, column {column!r}")
                for column, values in columns.items()
            }
            stem = file_names([*sorted(self._taken), name])[name]  # never one that is cited
            path = self._folder / "tags" / f"{stem}.arrows"
            try:
                path.parent.mkdir(exist_ok=True)
            except OSError as exc:
                raise StorageError(f"{path.parent}: cannot be made: {exc.strerror}") from exc
            self.streams[name] = ArrayStream(path, fields)
            self._files[name] = f"tags/{path.name}"
            self._taken.add(stem)
        return self.streams[name]


class TagReader:
    """Reads what the journal cites, memory-mapped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._readers: dict[tuple[str, ...], ArrayReader] = {}
        self._entries: dict[str, dict[tuple[str, int], Mapping[str, Any]]] = {}
        self._late: dict[str, list[tuple[str, int]]] = {}  # by name: batches of the last stretch
        self._seen = 0

    def look(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Take in the journal's entries; only those that were added are looked at."""
        if len(events) < self._seen:  # read again from its start
            self._entries, self._late, self._seen = {}, {}, 0
        for entry in events[self._seen :]:
            if entry["entry"] == "opened":
                self._late.clear()
            elif entry["entry"] == "tags":
                key = (str(entry["cited"]["file"]), int(entry["cited"]["batch"]))
                self._entries.setdefault(str(entry["name"]), {})[key] = entry
                self._late.setdefault(str(entry["name"]), []).append(key)
        self._seen = len(events)

    @property
    def names(self) -> list[str]:
        """Names of the streams, in order of their first batches."""
        return list(self._entries)

    def fields(self, name: str) -> dict[str, str]:
        """Return name and dtype name of each column.

        Raises:
            RequestError: there are no such tags.
        """
        try:
            return dict(next(reversed(self._entries[name].values()))["fields"])
        except KeyError:
            there = f"; there are {', '.join(map(repr, self._entries))}" if self._entries else ""
            hint = nearest(name, self._entries) or there
            raise RequestError(f"{self._folder}: has no tags {name!r}{hint}") from None

    def rows(self, name: str, source: RowSource) -> dict[tuple[str, int], int]:
        """Return file and number of each batch that counts, and its row (-1: not recorded yet).

        Raises:
            RequestError: there are no such tags.
        """
        self.fields(name)
        found = {key: i for i, cited in source.tagged.items() for key in _keys(cited, name)}
        return found | {key: -1 for key in self._late.get(name, ()) if key not in found}

    def entries(
        self, name: str, source: RowSource, row: int | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the entries of one row; or of all rows and, last, of the point under way.

        Raises:
            RequestError: there are no such tags.
            StorageError: an entry is damaged.
        """
        if row is None:
            keys: Iterable[tuple[str, int]] = self.rows(name, source)
        else:
            self.fields(name)
            keys = _keys(source.tagged.get(row, {}), name)
        for key in keys:
            yield self.entry(name, key)

    def entry(self, name: str, key: tuple[str, int]) -> Mapping[str, Any]:
        """Return the entry of one batch.

        Raises:
            StorageError: it is damaged.
        """
        try:
            return self._entries[name][key]
        except KeyError:
            raise StorageError(
                f"{self._folder / key[0]}: a row cites batch {key[1]}, but its entry in run.jsonl"
                " is damaged"
            ) from None

    def read(self, entry: Mapping[str, Any]) -> Tags:
        """Return the columns of one batch as read-only views of the file.

        Raises:
            StorageError: its bytes are missing or damaged.
        """
        fields, cited = entry["fields"], entry["cited"]
        key = (str(cited["file"]), *fields, *fields.values())
        if key not in self._readers:
            self._readers[key] = ArrayReader(self._folder / cited["file"], fields)
        values = self._readers[key].read(Citation.from_entry(cited))
        return dict(zip(fields, values, strict=True))

    def check(self, source: RowSource) -> list[str]:
        """Return one line per batch that cannot be read; reads everything."""
        found = []
        for name in self.names:
            for key in self.rows(name, source):
                try:
                    self.read(self.entry(name, key))
                except StorageError as exc:
                    found.append(str(exc))
        return found


@dataclass(frozen=True)
class TagBatch:
    """What one commit added."""

    name: str
    t: float  #: s of the bench's clock when it was recorded
    columns: Tags


@dataclass
class TagFollower:
    """What is new among the tags of a run, whoever writes it: for live counts and histograms.

    Never blocks and never writes. Batches that cannot be read are named in `damage`.
    """

    folder: Path
    counts: dict[str, int] = field(default_factory=dict)  #: tags given out so far, by name
    damage: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder = Path(self.folder)
        self._journal = Follower(self.folder / "run.jsonl", skip=ROW_START)
        self._reader = TagReader(self.folder)

    def poll(self) -> list[TagBatch]:
        """Return the batches committed since the last call, in order of recording."""
        found: list[TagBatch] = []
        of_point = 0  # where those of the point under way begin
        rows = self._journal.skipped
        for entry in self._journal.follow():
            if self._journal.skipped != rows:
                rows, of_point = self._journal.skipped, len(found)
            if entry.get("entry") == "opened":
                del found[of_point:]  # of a point that was never finished
            elif entry.get("entry") == "tags":
                try:
                    columns = self._reader.read(entry)
                except StorageError as exc:
                    self.damage.append(str(exc))
                    continue
                found.append(TagBatch(str(entry["name"]), float(entry["t"]), columns))
        for batch in found:
            length = len(next(iter(batch.columns.values())))
            self.counts[batch.name] = self.counts.get(batch.name, 0) + length
        return found


def _keys(cited: Mapping[str, Mapping[str, Any]], name: str) -> Iterator[tuple[str, int]]:
    if name in cited:
        of_row = cited[name]
        for batch in range(of_row["first"], of_row["end"]):
            yield str(of_row["file"]), batch
