"""Where what a procedure emits goes: recorded first, told to others afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from labctl.clock import Clock
from labctl.procedure import Row
from labctl.run.folder import RunFolder


class Enough(Exception):
    """The asked number of rows is recorded."""


@dataclass
class Sinks:
    """Where rows, tags and notes of a procedure go.

    Args:
        folder: of the run.
        clock: of the bench.
        tell: tells the listener.
        watched: whether there is one.
        log: the wire log, if the bench keeps one.
        most: raise `Enough` after so many rows.
        yields: let others act after each row; a procedure of ours does so before each point.
    """

    folder: RunFolder
    clock: Clock
    tell: Callable[[str, Any], None]
    watched: bool
    log: Any = None
    most: int | None = None
    yields: bool = False

    def emitter(self) -> Callable[[str, Any], None]:
        """Return what a procedure calls as its `emit`."""
        emit_row, emit_tags = self._rows(), self._tags()

        def emit(topic: str, value: Any) -> None:
            if topic == "results":
                emit_row(value)
                if self.yields:
                    self.clock.sleep(0.0)
            elif topic == "batch results":
                for values in zip(*value.values(), strict=True):
                    emit_row(dict(zip(value, values, strict=True)))
            elif topic == "tags":
                emit_tags(*value)
            elif topic == "note":
                self.folder.note(str(value))
                self.tell("note", value)
            else:
                self.tell(topic, value)

        return emit

    def _rows(self) -> Callable[[Row], None]:
        now, record, watched = self.clock.now, self.folder.emit, self.watched
        flush = self.log.flush if self.log is not None else None
        left = self.most
        if flush is None and not watched and left is None:
            return lambda row: record(row, now())

        def emit_row(row: Row) -> None:
            nonlocal left
            if flush is not None:
                flush()  # a row on disk never cites an exchange that is not
            record(row, now())
            if watched:
                self.tell("point", row)
            if left is not None:
                left -= 1
                if left <= 0:
                    raise Enough

        return emit_row

    def _tags(self) -> Callable[[str, Mapping[str, Any]], None]:
        now, record = self.clock.now, self.folder.record_tags

        def emit_tags(name: str, columns: Mapping[str, Any]) -> None:
            if self.log is not None:
                self.log.flush()  # tags on disk never cite an exchange that is not
            record(name, columns, now())
            self.tell("tags", (name, columns))

        return emit_tags
