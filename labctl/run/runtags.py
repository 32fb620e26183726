"""The time tags of a run as its reader offers them: by name, by row, batch by batch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labctl.arrays import joined
from labctl.errors import StorageError
from labctl.run.rows import RowSource
from labctl.run.tags import TagReader, Tags


class RunTags:
    """What `RunReader` can say of time tags; the journal and the rows come from there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tag_reader = TagReader(path)

    def source(self) -> RowSource:
        """Return the best source of rows at this moment."""
        raise NotImplementedError

    def _read_events(self) -> tuple[list[dict[str, Any]], list[int]]:
        """Return every entry that is not a row, and how many rows stand before each."""
        raise NotImplementedError

    @property
    def tag_names(self) -> list[str]:
        """Names of the streams of time tags."""
        return self._tags().names

    def tag_fields(self, name: str) -> dict[str, str]:
        """Return name and dtype name of each column of the tags `name`.

        Raises:
            RequestError: there are no such tags.
        """
        return self._tags().fields(name)

    def tag_counts(self) -> dict[str, int]:
        """Return how many tags there are by name, of finished points and the one under way."""
        counts: dict[str, int] = {}
        of_point: dict[str, int] = {}
        row = 0
        for entry, before in zip(*self._read_events(), strict=True):
            if before != row:
                row, of_point = before, {}
            if entry["entry"] == "opened":  # what was recorded for a point that is measured again
                for name, length in of_point.items():
                    counts[name] -= length
                of_point = {}
            elif entry["entry"] == "tags":
                name, length = str(entry["name"]), int(entry["cited"]["length"])
                counts[name] = counts.get(name, 0) + length
                of_point[name] = of_point.get(name, 0) + length
        return counts

    def tag_batches(self, name: str, row: int | None = None) -> Iterator[Tags]:
        """Yield the columns of each commit: of one row, or of all and the point under way.

        Raises:
            RequestError: there are no such tags.
            StorageError: a batch is damaged.
        """
        for entry in self.tag_entries(name, row):
            yield self.tag_batch(entry)

    def tag_entries(self, name: str, row: int | None = None) -> list[Mapping[str, Any]]:
        """Return what the journal says of each commit that `tag_batches` yields."""
        source = self.source()  # before the events: a row comes after what it cites
        return list(self._tags().entries(name, source, row))

    def intact_tags(self, name: str) -> Iterator[tuple[int, Tags]]:
        """Yield every batch that can be read, with its row (-1: the point under way).

        Raises:
            RequestError: there are no such tags.
        """
        source = self.source()
        reader = self._tags()
        for key, row in reader.rows(name, source).items():
            with contextlib.suppress(StorageError):  # `verify` says so
                yield row, reader.read(reader.entry(name, key))

    def tag_batch(self, entry: Mapping[str, Any]) -> Tags:
        """Return the columns of one commit, as read-only views of the file.

        Raises:
            StorageError: it is damaged.
        """
        return self._tag_reader.read(entry)

    def tags(self, name: str, row: int | None = None) -> Tags:
        """Return columns by name: of one row (empty if it has none), or of everything.

        Raises:
            RequestError: there are no such tags.
            StorageError: a batch is damaged.
        """
        return joined(self.tag_batches(name, row), self.tag_fields(name))

    def _tags(self) -> TagReader:
        self._tag_reader.look(self._read_events()[0])
        return self._tag_reader
