"""A phase lock that is lost while a point is measured: the point is repeated, and counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from labctl.bench import Bench, find_bench
from labctl.procedure import RunData
from labctl.run import run
from labctl.run.folder import RunFolder
from procedures.homodyne import repeated
from procedures.squeezing_spectrum import SqueezingSpectrum


def test_the_point_is_repeated_and_counted(tmp_path: Path) -> None:
    """The loop stands still far from its point during the signal trace of x - x.

    Every point has two readings: signal and shot, or twice dark.
    """
    bench = Bench.open(find_bench("cluster-microcomb"), "sim", seed=3)
    procedure = SqueezingSpectrum(sweep_time=1.0, scan_steps=5)
    inner, count = procedure.read_power, 0
    slipping = 2 * [point["kind"] for point in procedure.points()].index("x-x")

    def read_power() -> Any:
        nonlocal count
        if count == slipping:
            bench["lock"].freeze()
            bench["lock"].integrator = 0.4  # V: another phase than the one that was locked
        count += 1
        return inner()

    procedure.read_power = read_power  # type: ignore[method-assign]
    rows = run(procedure, bench, tmp_path)
    bench.close()
    assert [row["kind"] for row in rows if row["tries"] == 2] == ["x-x"]
    assert sum(row["tries"] for row in rows) == len(rows) + 1
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    results = procedure.analyse(RunData(columns, procedure.parameter_values()))
    assert results["repeated"] == 1
    assert abs(results["antisqueezing_x"][0] - 10.3) < 0.2
    (folder,) = (RunFolder.open(path) for path in tmp_path.iterdir() if path.is_dir())
    notes = [str(event) for event in folder.events if event["entry"] == "note"]
    assert len(notes) == 1
    assert "phase lock lost" in notes[0]


def test_runs_from_before_the_count_have_none() -> None:
    assert repeated(RunData({"kind": np.array(["dark"])})) == 0
