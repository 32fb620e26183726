"""How long a run will take and how much disk it needs, from what earlier runs took."""

from __future__ import annotations

import contextlib
import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from operator import ne
from pathlib import Path
from typing import Any

from labctl.errors import LabError
from labctl.run.catalogue import INDEX, RunSummary, newest_runs, renew
from labctl.run.locate import numbered
from labctl.run.reading import RunReader

#: Earlier runs of a procedure that are considered, and those of them whose files are read.
LOOK_AT, READ = 50, 3
#: Folders of so many runs are not indexed anew while somebody waits.
FEW = 500
#: Runs that are remembered.
MOST = 1000


@dataclass(frozen=True)
class Pace:
    """What one point took in an earlier run."""

    run: int  # its number; 0 for a dry run
    mode: str  # real or sim
    seconds: float  # of real time per point
    bench_seconds: float  # of the bench's clock per point
    bytes: float  # on disk per point
    parameters: Mapping[str, Any]
    rows: int = 0  # of the whole run, if it finished

    def seconds_for(self, mode: str) -> float:
        """Seconds per point in a mode; a simulation's own clock foretells the real bench.

        NaN if it cannot be known: hardware says nothing of how fast its simulation is.
        """
        if self.mode == mode:
            return self.seconds
        return self.bench_seconds if mode == "real" else math.nan

    def unlike(self, parameters: Mapping[str, Any]) -> list[str]:
        """Names of the parameters that were others."""
        return [n for n, value in parameters.items() if self.parameters.get(n) != value]


def measure(path: Path, number: int = 0) -> Pace | None:
    """The pace of a recorded run; None if it has too little to tell."""
    run = RunReader(path)
    try:
        start, rows = run.start, run.row_count
        opened = [e for e in run.events if e["entry"] == "opened"]
        stop = run.stop_entry
        if not rows or len(opened) != 1 or stop is None:
            return None
        seconds = _moment(stop) - _moment(opened[0])
        for paused, resumed in zip(_kind(run, "paused"), _kind(run, "resumed"), strict=False):
            seconds -= _moment(resumed) - _moment(paused)
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        return Pace(
            number, str(start.get("mode") or "real"), max(0.0, seconds) / rows,
            run.bench_time / rows, size / rows, start["parameters"],
            rows if stop["status"] == "finished" else 0,
        )  # fmt: skip
    except (LabError, OSError, KeyError, TypeError, ValueError):
        return None


class Experience:
    """What the earlier runs of a folder took; each of them is read once.

    Args:
        runs_dir: where they lie.
        patient: bring their index up to date however many runs it lacks; otherwise only if that
            takes no noticeable time.
    """

    def __init__(self, runs_dir: Path, *, patient: bool = True) -> None:
        self._runs_dir, self._patient = runs_dir, patient
        self._runs: dict[str, list[RunSummary]] | None = None  # by procedure
        self._paces: dict[tuple[Path, str, int], Pace | None] = {}

    def renew(self) -> None:
        """Consider also the runs that ended since the last look."""
        self._runs = None
        if len(self._paces) > MOST:
            self._paces.clear()

    def pace(
        self, procedure: str, parameters: Mapping[str, Any], mode: str, dry: Path | None = None
    ) -> Pace | None:
        """The pace of the earlier run whose parameters were most like these.

        Args:
            procedure: only runs of this one.
            parameters: of what is planned.
            mode: of what is planned.
            dry: folder of a dry run, which counts as the newest.
        """

        def distance(pace: Pace | RunSummary) -> tuple[bool, int, bool]:
            others = sum(map(ne, map(pace.parameters.get, parameters), values))
            says_nothing = mode not in (pace.mode, "real")
            return says_nothing, others, pace.mode != mode

        values = parameters.values()
        found = [pace] if dry is not None and (pace := measure(dry)) is not None else []
        # Those of a kind stay in order, the newest first.
        runs = heapq.nsmallest(READ, self._whole_runs(procedure), key=distance)
        found += [pace for run in runs if (pace := self._measured(run)) is not None]
        return min(found, key=distance, default=None)

    def _whole_runs(self, procedure: str) -> list[RunSummary]:
        if self._runs is None:
            self._runs = {}
            with contextlib.suppress(LabError, OSError):
                if self._patient or _is_quick(self._runs_dir):
                    renew(self._runs_dir, lately=True)
        if procedure not in self._runs:
            try:
                runs = newest_runs(self._runs_dir, f'"procedure:{procedure}"', LOOK_AT)[0]
            except (LabError, OSError):
                runs = []
            self._runs[procedure] = [run for run in runs if run.rows]
        return self._runs[procedure]

    def _measured(self, run: RunSummary) -> Pace | None:
        key = (run.path, run.status, run.rows)  # a run that is resumed is another one
        if key not in self._paces:
            self._paces[key] = measure(run.path, run.number)
        return self._paces[key]


def _is_quick(runs_dir: Path) -> bool:
    """Whether the index of a folder of runs needs but a moment to be brought up to date."""
    return (runs_dir / INDEX).exists() or len(list(islice(numbered(runs_dir), FEW))) < FEW


def _kind(run: RunReader, kind: str) -> list[dict[str, Any]]:
    return [entry for entry in run.events if entry["entry"] == kind]


def _moment(entry: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(str(entry["time"])).timestamp()


def total(pace: Pace | None, points: int | None, mode: str) -> tuple[float, float]:
    """Seconds and bytes that so many points will need; NaN where unknown."""
    if pace is None or not points:
        return math.nan, math.nan
    return pace.seconds_for(mode) * points, pace.bytes * points
