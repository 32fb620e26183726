"""How long a run will take and how much disk it needs, from what earlier runs took."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from labctl.errors import LabError
from labctl.run.catalogue import list_runs
from labctl.run.reading import RunReader

#: Earlier runs that are looked at, newest first.
LOOK_AT = 5


@dataclass(frozen=True)
class Pace:
    """What one point took in an earlier run."""

    run: int  # its number; 0 for a dry run
    seconds: float  # of real time per point
    bench_seconds: float  # of the bench's clock per point
    bytes: float  # on disk per point
    parameters: Mapping[str, Any]

    def seconds_for(self, mode: str) -> float:
        """Seconds per point in a mode; a simulation's own clock foretells the real bench."""
        return self.bench_seconds if mode == "real" else self.seconds


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
            number or run.number, max(0.0, seconds) / rows, run.last_time / rows, size / rows,
            start["parameters"],
        )  # fmt: skip
    except (LabError, OSError, KeyError, TypeError, ValueError):
        return None


def earlier(runs_dir: Path, procedure: str, parameters: Mapping[str, Any]) -> Pace | None:
    """The pace of the earlier run of a procedure whose parameters were most like these."""
    try:
        runs = [r for r in list_runs(runs_dir, procedure=procedure) if r.rows]
    except (LabError, OSError):
        return None
    found = [pace for run in runs[::-1][:LOOK_AT] if (pace := measure(run.path)) is not None]
    if not found:
        return None
    return min(found, key=lambda pace: _unlike(pace.parameters, parameters))


def _unlike(one: Mapping[str, Any], other: Mapping[str, Any]) -> int:
    return sum(one.get(name) != value for name, value in other.items())


def _kind(run: RunReader, kind: str) -> list[dict[str, Any]]:
    return [entry for entry in run.events if entry["entry"] == kind]


def _moment(entry: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(str(entry["time"])).timestamp()


def total(pace: Pace | None, points: int | None, mode: str) -> tuple[float, float]:
    """Seconds and bytes that so many points will need; NaN where unknown."""
    if pace is None or not points:
        return math.nan, math.nan
    return pace.seconds_for(mode) * points, pace.bytes * points
