"""Procedure loop with null instruments, every row kill-safe: ours beside pymeasure's own worker.

python benchmarks/bench_loop.py [rows]
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pymeasure.experiment import IntegerParameter, Procedure, Results, Worker

from labctl.clock import VirtualClock
from labctl.parameters import integer
from labctl.procedure import LabProcedure, Point, Row
from labctl.run.folder import RunFolder
from labctl.run.request import Checked, Request, start_entry
from labctl.run.stretch import Stretch


class Theirs(Procedure):
    """A loop as pymeasure's documentation writes it."""

    steps = IntegerParameter("Steps", default=1)
    DATA_COLUMNS = ["index", "x", "y"]

    def execute(self) -> None:
        for step in range(self.steps):
            self.emit("results", {"index": step, "x": step * 0.1, "y": step * 0.2})
            if self.should_stop():
                break


class Ours(LabProcedure):
    """The same numbers from points."""

    steps: int = integer("Steps", 1)
    DATA_COLUMNS = ["index", "x", "y"]

    def points(self) -> Iterator[Point]:
        for step in range(self.steps):
            yield {"x": step * 0.1}

    def measure_point(self, point: Point) -> Row:
        return {"y": point["x"] * 2}


class NoBench:
    """As much of a bench as a loop without instruments needs."""

    def __init__(self) -> None:
        self.clock = VirtualClock()


def ours(rows: int, place: Path) -> float:
    procedure = Ours(steps=rows)
    procedure.bench = NoBench()  # type: ignore[assignment]
    checked = Checked(procedure, None, "", {})
    folder = RunFolder.create(place, "ours", start_entry(Request("ours"), checked))
    stretch = Stretch(folder, procedure, None, "", {}, 0)
    began = 0.0

    def startup() -> None:
        nonlocal began
        began = time.perf_counter()

    took = []
    procedure.startup = startup
    procedure.shutdown = lambda: took.append(time.perf_counter() - began)
    outcome = stretch.run()
    assert outcome.status == "finished", outcome.reason
    assert len(RunFolder.open(outcome.path).rows) == rows
    return rows / took[0]


def theirs(rows: int, place: Path) -> float:
    logging.getLogger().setLevel(logging.WARNING)
    procedure = Theirs(steps=rows)
    results = Results(procedure, str(place / f"{time.monotonic_ns()}.csv"))
    worker = Worker(results)
    began = 0.0
    took = []

    def startup() -> None:
        nonlocal began
        began = time.perf_counter()

    procedure.startup = startup
    procedure.shutdown = lambda: took.append(time.perf_counter() - began)
    worker.start()
    worker.join(timeout=600)
    assert procedure.status == Procedure.FINISHED
    return rows / took[0]


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as folder:
        pairs = [(ours(rows, Path(folder)), theirs(rows, Path(folder))) for _ in range(3)]
    for mine, other in pairs:
        print(f"ours {mine:9.0f} rows/s   pymeasure {other:9.0f} rows/s   ratio {mine / other:.2f}")
    ratio = sorted(mine / other for mine, other in pairs)[1]
    print(f"procedure loop, {rows} rows: median ratio {ratio:.2f} (goal 1.5)")


if __name__ == "__main__":
    main()
