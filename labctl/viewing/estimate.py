"""How long a run will take and how much disk it needs, from what earlier runs took."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from labctl.errors import LabError
from labctl.run.catalogue import newest_runs, renew
from labctl.run.reading import RunReader

#: Earlier runs of a procedure that are considered, and those of them whose files are read.
LOOK_AT, READ = 50, 3


@dataclass(frozen=True)
class Pace:
    """What one point took in an earlier run."""

    run: int  # its number; 0 for a dry run
    mode: str  # real or sim
    seconds: float  # of real time per point
    bench_seconds: float  # of the bench's clock per point
    bytes: float  # on disk per point
    parameters: Mapping[str, Any]

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
            run.last_time / rows, size / rows, start["parameters"],
        )  # fmt: skip
    except (LabError, OSError, KeyError, TypeError, ValueError):
        return None


def earlier(
    runs_dir: Path, procedure: str, parameters: Mapping[str, Any], mode: str, dry: Path | None
) -> Pace | None:
    """The pace of the earlier run whose parameters were most like these, else with the same mode.

    Args:
        runs_dir: where they lie.
        procedure: only runs of this one.
        parameters: of what is planned.
        mode: of what is planned.
        dry: folder of a dry run, which counts as the newest.
    """

    def distance(pace: Pace) -> tuple[bool, int, bool]:
        return math.isnan(pace.seconds_for(mode)), len(pace.unlike(parameters)), pace.mode != mode

    found = [pace] if dry is not None and (pace := measure(dry)) is not None else []
    try:
        renew(runs_dir, lately=True)
        runs = newest_runs(runs_dir, f'"procedure:{procedure}"', LOOK_AT)[0]
    except (LabError, OSError):
        runs = []
    whole = [run for run in runs if run.rows]
    whole.sort(
        key=lambda run: distance(Pace(run.number, run.mode, 0.0, 0.0, 0.0, run.parameters))
    )  # those of a kind stay in order, the newest first
    found += [p for run in whole[:READ] if (p := measure(run.path, run.number)) is not None]
    return min(found, key=distance, default=None)


def _kind(run: RunReader, kind: str) -> list[dict[str, Any]]:
    return [entry for entry in run.events if entry["entry"] == kind]


def _moment(entry: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(str(entry["time"])).timestamp()


def total(pace: Pace | None, points: int | None, mode: str) -> tuple[float, float]:
    """Seconds and bytes that so many points will need; NaN where unknown."""
    if pace is None or not points:
        return math.nan, math.nan
    return pace.seconds_for(mode) * points, pace.bytes * points
