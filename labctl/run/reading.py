"""Reading a run folder, finished or growing, with the cache where it can be believed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.errors import FileUnusable, RequestError
from labctl.filelock import is_locked
from labctl.journal import Follower
from labctl.jsonline import decode
from labctl.run import cache, traces
from labctl.run.locate import path_number
from labctl.run.rows import ROW_START, JournalRows, Rows, RowSource
from labctl.run.runtags import RunTags

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: From this size on the cache is worth looking at even for the events alone.
_LARGE = 1 << 22
#: The entries that say in which state a run is.
_STATE = ("start", "opened", "paused", "resumed", "stop")


class RunReader(RunTags):
    """What a run folder holds; nothing is read before it is asked for."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file = path / "run.jsonl"
        self._traces = traces.TraceReader(path)
        self._from_journal = JournalRows(self._file)
        self._cache: cache.Cache | None = None
        self._begin_events()

    def _begin_events(self) -> None:
        self._scan = Follower(self._file, skip=ROW_START)
        self._events: list[dict[str, Any]] = []
        self._rows_before: list[int] = []
        self._rows_saved = 0

    @property
    def writing(self) -> bool:
        """Whether this very object writes to the run."""
        return False

    @property
    def number(self) -> int:
        """Number of the run in its runs directory, 0 for a folder that was renamed."""
        return path_number(self.path)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every intact entry that is not a row, in order."""
        return self._read_events()[0]

    @property
    def start(self) -> dict[str, Any]:
        """The `start` entry.

        Raises:
            StorageError: it is damaged or missing.
        """
        if not self._events:  # a watcher has no time to read a long journal to its end
            with self._file.open("rb") as file:
                first = decode(file.readline())
            if first is not None and first.get("entry") == "start":
                return first
        for entry in self.events:
            if entry["entry"] == "start":
                return entry
        raise FileUnusable(f"{self._file}: has no intact start entry, so the run is unreadable")

    @property
    def status(self) -> str:
        """finished, failed, aborted, paused, running or interrupted."""
        last = self._last(*_STATE) or {"entry": ""}
        if last["entry"] == "stop":
            return str(last["status"])
        return unstopped_status(self.path, last["entry"], self.writing)

    @property
    def stop_entry(self) -> dict[str, Any] | None:
        """The `stop` entry of the last stretch, if it has one."""
        last = self._last(*_STATE)
        return last if last and last["entry"] == "stop" else None

    @property
    def state(self) -> str:
        """Kind of the last entry that says in which state the run is."""
        return str((self._last(*_STATE) or {"entry": ""})["entry"])

    @property
    def row_count(self) -> int:
        """Number of row lines; quick, because nothing of them is read."""
        self._read_events()
        if self._cache is not None:
            return self._cache.rows.count()
        return self._scan.skipped + self._rows_saved

    @property
    def result(self) -> dict[str, Any]:
        """The last recorded results, by name."""
        return dict((self._last("results") or {}).get("results") or {})

    @property
    def notes(self) -> list[str]:
        """The remarks, oldest first; tracebacks are not among them."""
        return [str(e["text"]) for e in self.events if e["entry"] == "note" and _is_remark(e)]

    @property
    def settings(self) -> dict[str, Any]:
        """Instrument settings when the last stretch began."""
        return dict((self._last("opened") or {}).get("settings") or {})

    @property
    def stretches(self) -> int:
        """How many times measuring began: once, and once more per resumption."""
        return sum(entry["entry"] == "opened" for entry in self.events)

    def rows_in_stretch(self, number: int) -> int:
        """Return how many rows stretch `number` (from 0) recorded."""
        events, before = self._read_events()
        bounds = [n for e, n in zip(events, before, strict=True) if e["entry"] == "opened"]
        return [*bounds, len(self.rows)][number + 1] - bounds[number]

    @property
    def last_time(self) -> float:
        """Bench-clock time of the last thing recorded with one, in s."""
        times = [float(e["t"]) for e in self.events if isinstance(e.get("t"), float | int)]
        return float(max([0.0, *times, *self.source().times()[-1:]]))

    @property
    def bench_time(self) -> float:
        """Bench-clock time at which the run ended, in s: also what passed without a row."""
        ended = (self.stop_entry or {}).get("ended")
        return self.last_time if ended is None else float(ended)

    @cached_property
    def rows(self) -> Rows:
        """The rows as dictionaries of scalars, in order of recording; arrays: see `trace`."""
        return Rows(self.source)

    @property
    def times(self) -> NDArray[np.float64]:
        """Bench-clock time of each row in s."""
        return self.source().times()

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return each scalar column as an array; gaps are NaN among numbers, else None."""
        source = self.source()
        if not source.count():
            names = self.start.get("columns") or ()
            return {n: np.empty(0) for n in names if n not in (self.start.get("traces") or ())}
        return {name: source.array(name) for name in source.names()}

    def trace(self, name: str, i: int) -> NDArray[Any]:
        """Return the array that row number `i` recorded in column `name`, as a read-only view.

        Raises:
            RequestError: the row has no such array.
            StorageError: its bytes are damaged.
        """
        cited = self.source().citations(i).get(name)
        if cited is None:
            raise RequestError(f"{self.path}: row {i} has no array {name!r}")
        return self._traces.read(cited)

    def has_trace(self, name: str, i: int) -> bool:
        """Tell whether row number `i` recorded an array in column `name`."""
        return name in self.source().citations(i)

    @property
    def trace_names(self) -> list[str]:
        """Columns that hold an array in at least one row."""
        source = self.source()
        return list(dict.fromkeys(n for i in range(source.count()) for n in source.citations(i)))

    @property
    def keys(self) -> list[dict[str, Any]]:
        """What the journal says of each block of secret bits that the run made; not the bits."""
        return [
            {name: e[name] for name in ("link", "label", "block", "bits", "store")}
            for e in self.events if e["entry"] == "key"
        ]  # fmt: skip

    def derived(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of the analysis by name.

        Raises:
            StorageError: one is missing or damaged.
        """
        return {name: self.derived_array(name) for name in self.derived_names}

    @property
    def derived_names(self) -> list[str]:
        """Names of the arrays of the analysis."""
        return list(self._derived_entries())

    def derived_array(self, name: str) -> NDArray[Any]:
        """Return one array of the analysis.

        Raises:
            StorageError: it is missing or damaged.
        """
        return traces.load_derived(self.path, self._derived_entries()[name])

    @property
    def points_done(self) -> set[int]:
        """Values of the column "index" of all rows."""
        source = self.source()
        if "index" not in source.names():
            return set()
        return {value for value in source.values("index") if isinstance(value, int)}

    @property
    def damage(self) -> list[str]:
        """What of the journal cannot be believed, one line per place."""
        self.source()
        if self._cache is not None:
            return list(self._cache.damage)
        return [str(damage) for damage in self._from_journal.follower.damage]

    def verify(self) -> list[str]:
        """Return `damage` and what is wrong with any array; reads everything."""
        source = self.source()
        found = self.damage
        for i in range(source.count()):
            found += self._traces.check(source.citations(i))
        found += self._tags().check(source)
        for entry in self._derived_entries().values():
            found += traces.check_derived(self.path, entry)
        return found

    def _derived_entries(self) -> dict[str, dict[str, Any]]:
        return {e["name"]: e for e in self.events if e["entry"] == "derived"}

    def _last(self, *kinds: str) -> dict[str, Any] | None:
        return next((e for e in reversed(self.events) if e["entry"] in kinds), None)

    def _being_written(self) -> bool:
        return self.writing or is_locked(self.path / "writer.lock")

    def _read_events(self) -> tuple[list[dict[str, Any]], list[int]]:
        size = self._file.stat().st_size
        if self._cache is None and self._scan.offset == 0 and size > _LARGE:
            self._look_for_cache()
        if self._cache is not None and self._cache.size == size:
            return self._cache.events, self._cache.rows_before
        try:
            for entry in self._scan.follow(final=not self._being_written()):
                if entry.get("entry") == "row":  # out of a damaged line
                    self._rows_saved += 1
                else:
                    self._events.append({"entry": "", **entry})
                    self._rows_before.append(self._scan.skipped + self._rows_saved)
        except BaseException:  # Ctrl-C: never miss an entry later that was half read now
            self._begin_events()
            raise
        return self._events, self._rows_before

    def source(self) -> RowSource:
        """Return the best source of rows at this moment: the cache, or the journal itself."""
        stat = self._file.stat()
        if self._cache is None and self._from_journal.follower.offset == 0:
            self._look_for_cache()
        if self._cache is not None:
            if self._cache.size == stat.st_size:
                return self._cache.rows
            self._cache = None
        if self._from_journal.follower.offset != stat.st_size:
            if self._being_written():
                self._from_journal.refresh(final=False)
            else:
                self._from_journal.refresh(final=True)
                self._build_cache()
        return self._from_journal

    def _look_for_cache(self) -> None:
        if not self.writing:
            self._cache = cache.read(self.path)

    def _build_cache(self) -> None:
        """Write `rows.arrow` from the journal, whole; the caller knows that nobody is writing."""
        stat = self._file.stat()
        self._from_journal.refresh(final=True)
        events, before = self._read_events()
        if self._from_journal.follower.offset == stat.st_size:
            cache.write(self.path, self._from_journal, events, before, stat)


def unstopped_status(path: Path, state: str, writing: bool = False) -> str:
    """Return running, paused or interrupted for a run whose last state entry is no `stop`."""
    if not writing and not is_locked(path / "writer.lock"):
        return "interrupted"
    return "paused" if state == "paused" else "running"


def _is_remark(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("level", "note") != "traceback")
