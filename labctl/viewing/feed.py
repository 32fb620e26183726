"""Following one run by its journal: its state, its progress, and its rows as a table."""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import Any

from labctl.errors import LabError, StorageError
from labctl.filelock import is_locked
from labctl.journal import Follower
from labctl.run import cache
from labctl.run.locate import path_number
from labctl.run.reading import RunReader, unstopped_status
from labctl.viewing.table import CLOCK, Table

#: A run stalls when no point came for this long, or for so many times the usual interval.
STALLED_AFTER, STALLED_TIMES = 5.0, 10.0
#: Runs with a journal of this size are read from their columns, not line by line.
LARGE = 1 << 22
_STATE = ("start", "opened", "paused", "resumed", "stop")


class Feed:
    """What a window knows of one run; `poll` reads what was added since, within a time budget."""

    def __init__(self, path: Path, *, most_rows: int | None = None) -> None:
        self.path = path
        self.table = Table(most_rows) if most_rows else Table()
        self.start: dict[str, Any] = {}
        self.opened: dict[str, Any] = {}  #: identities and settings of the last stretch
        self.stop: dict[str, Any] = {}  #: the last `stop` entry, if nothing came after it
        self.results: dict[str, Any] = {}
        self.notes: deque[dict[str, Any]] = deque(maxlen=200)
        self.state = ""  #: kind of the last entry that says in which state the run is
        self.reason = ""  #: why it is paused or stopped
        self.complete = False  #: nothing can come any more
        self.arrays: dict[str, Any] = {}  #: citations of the arrays of the last row with any
        self.row_time = 0.0  #: s of the bench's clock at the last row
        self.arrival = 0.0  #: Unix time at which the last row came
        self._wall = time.time() - time.monotonic()  # set back later, the clock counts as it was
        self._follower = Follower(path / "run.jsonl")
        self._began = 0.0  # Unix time at which the last stretch began
        self._rows_before = 0  # rows when it did
        self._paused_at = 0.0
        self._paused_for = 0.0
        self._intervals: deque[float] = deque(maxlen=50)
        self._writing = True
        self._behind = False

    def poll(self, budget: float = 0.0) -> bool:
        """Take in what was added, for at most `budget` seconds; tells whether anything was.

        Without a budget the window keeps half of its time even where a long journal is joined.
        """
        if self.complete and not self._goes_on():
            return False
        budget = budget or (0.025 if self._behind else 0.015)
        self._writing = is_locked(self.path / "writer.lock")
        if not self._writing and self._follower.offset == 0 and self._is_large():
            return self._read_whole()
        end = time.perf_counter() + budget
        before, rows = self._follower.offset, self.table.seen
        try:
            for count, entry in enumerate(self._follower.follow(final=not self._writing)):
                self._take(entry)
                if count % 64 == 63 and time.perf_counter() > end:
                    break
            else:
                self.complete = not self._writing
            with contextlib.suppress(FileNotFoundError):  # it may not be there yet
                self._behind = (self.path / "run.jsonl").stat().st_size > before + LARGE
        except (StorageError, OSError) as error:  # the folder was moved away
            self.reason, self.complete = str(error), True
        if (new := self.table.seen - rows) > 0:
            self._note_arrival(new, first=before == 0)
        return self._follower.offset != before or self.complete

    @property
    def number(self) -> int:
        return path_number(self.path)

    @property
    def procedure(self) -> str:
        return str(self.start.get("procedure", ""))

    @property
    def mode(self) -> str:
        """real, sim or replay."""
        return "replay" if self.start.get("replay_of") else str(self.start.get("mode") or "real")

    @property
    def status(self) -> str:
        """finished, failed, aborted, paused, running or interrupted."""
        if self.stop:
            return str(self.stop["status"])
        if not self._writing:
            return "interrupted"
        return unstopped_status(self.path, self.state, writing=True)

    @property
    def points(self) -> int:
        """How many points the run has in all; 0 if nobody knows."""
        return int(self.start.get("points") or 0)

    def elapsed(self, now: float | None = None) -> float:
        """Seconds of the last stretch so far, pauses left out."""
        if not self._began:
            return 0.0
        end = (self._now() if now is None else now) if self._writing else self.arrival
        if self.stop:
            end = _unix(self.stop)
            end = end if end >= self._began else self.arrival  # the clock was set back meanwhile
        elif self._paused_at:
            end = self._paused_at
        return max(0.0, end - self._began - self._paused_for)

    def left(self, now: float | None = None) -> float:
        """Seconds that the rest will take at the pace so far; NaN if that is unknown."""
        done = self.table.seen - self._rows_before
        if not self.points or done < 1 or self.status not in ("running", "paused"):
            return math.nan
        return self.elapsed(now) / done * max(0, self.points - self.table.seen)

    def age(self, now: float | None = None) -> float:
        """Seconds since the last point came (or the run began)."""
        since = max(self.arrival, self._began)
        return max(0.0, (self._now() if now is None else now) - since) if since else 0.0

    def stalled(self, now: float | None = None) -> bool:
        """Whether a running run has not delivered for much longer than it usually takes."""
        if self.status != "running" or self.state == "paused" or not self._began:
            return False
        usual = sorted(self._intervals)[len(self._intervals) // 2] if self._intervals else 0.0
        return self.age(now) > max(STALLED_AFTER, STALLED_TIMES * usual)

    # Inside

    def _now(self) -> float:
        """Unix time by a clock that nobody sets."""
        return self._wall + time.monotonic()

    def _goes_on(self) -> bool:
        """Whether a run that died was taken up again: it was resumed, or its end was recorded."""
        with contextlib.suppress(OSError):
            size = (self.path / "run.jsonl").stat().st_size
            if not self.stop and size > self._follower.offset > 0:
                self.complete = False
        return not self.complete

    def _is_large(self) -> bool:
        """Whether this is long and can be read from its columns; without, it is read bit by bit."""
        try:
            large = (self.path / "run.jsonl").stat().st_size > LARGE
        except OSError:
            return False
        return large and cache.read(self.path) is not None

    def _read_whole(self) -> bool:
        """Read a long run that is over by its columns, which a cache may hold."""
        run = RunReader(self.path)
        try:
            for entry in run.events:
                self._take(entry)
            times = run.times
            self.table.extend({**run.columns(), CLOCK: times})
            for i in range(self.table.seen - 1, max(-1, self.table.seen - 100), -1):
                if cited := run.source().citations(i):
                    self.arrays = dict(cited)
                    break
        except (LabError, OSError) as error:
            self.reason, self.complete = str(error), True
            return True
        self.row_time = float(times[-1]) if len(times) else 0.0
        self.arrival = (self.path / "run.jsonl").stat().st_mtime
        self.complete = True
        return True

    def _take(self, entry: dict[str, Any]) -> None:
        kind = entry.get("entry")
        if kind == "row":
            self.row_time = float(entry.get("t") or 0.0)
            self.table.append({**entry["row"], CLOCK: self.row_time})
            if cited := entry.get("arrays"):
                self.arrays = cited
            return
        if kind in _STATE:
            self.state, self.reason = str(kind), str(entry.get("reason") or "")
        if kind == "start":
            self.start = entry
            self.table.expect(self.points)
        elif kind == "opened":
            self.opened, self.stop = entry, {}
            self._began, self._paused_for, self._paused_at = _unix(entry), 0.0, 0.0
            self._rows_before = self.table.seen
        elif kind == "paused":
            self._paused_at = _unix(entry)
        elif kind == "resumed" and self._paused_at:
            self._paused_for += _unix(entry) - self._paused_at
            self._paused_at = 0.0
        elif kind == "results":
            self.results = dict(entry["results"])
        elif kind == "note":
            self.notes.append(entry)
        elif kind == "stop":
            self.stop = entry

    def _note_arrival(self, new: int, first: bool) -> None:
        now = self._now()
        if first:  # joined later: the file tells when the last row came
            with contextlib.suppress(OSError):  # it was deleted meanwhile
                now = min(now, (self.path / "run.jsonl").stat().st_mtime)
        elif self.arrival:
            self._intervals.append((now - self.arrival) / new)
        self.arrival = now


def _unix(entry: dict[str, Any]) -> float:
    try:
        return datetime.fromisoformat(entry["time"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return time.time()
