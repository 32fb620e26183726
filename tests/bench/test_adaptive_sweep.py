"""Averaging where the certificate's error comes from: which pairs, what it gains, kill and resume."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.analysis.gaussian import covariance_from_variances, quadrature_direction
from labctl.bench import Bench, find_bench
from labctl.run import run
from labctl.run.folder import RunFolder
from labctl.run.results import run_data
from procedures.covariance_analysis import common_drift, with_blocks
from procedures.covariance_sweep import ALONE, BLOCK, TOGETHER, CovarianceSweep

OPTIONS: dict[str, Any] = {"topology": "1d", "sweep_time": 0.5, "trace_points": 51, "adaptive": 6}
BASE = 1 + 2 * 6 + 416


def settings_of(pair: tuple[int, int]) -> list[tuple[list[int], list[float]]]:
    i, j = pair
    alone = [([k], [angle]) for k in (i, j) for _, angle in ALONE]
    return alone + [([i, j], [one, other]) for _, one, other in TOGETHER]


def directions(settings: list[tuple[list[int], list[float]]], modes: int) -> np.ndarray:
    weights, angles = np.zeros((2, len(settings), modes))
    for row, (lit, phases) in enumerate(settings):
        weights[row, lit], angles[row, lit] = 1.0, phases
    return quadrature_direction(weights, angles)


def entangled() -> np.ndarray:
    """Modes 0 and 1 squeezed together."""
    noise, correlation = 1.6, math.sqrt(1.6**2 - 1)
    cov = noise * np.eye(4)
    for i, j in ((0, 3), (1, 2)):
        cov[i, j] = cov[j, i] = -correlation
    return cov


def test_blocks_are_corrected_for_what_the_laser_did_since() -> None:
    """The light grew by 5 % before the block and the error says how well that is known."""
    truth = entangled()
    once = directions(settings_of((0, 1)), 2)
    exact = np.einsum("si,ij,sj->s", once, truth, once)
    later = np.einsum("si,ij,sj->s", once, truth + 0.05 * common_drift(truth, 1.0), once)
    sweep = covariance_from_variances(once, exact, 0.002 * exact)
    alone = np.tile([True] * 6 + [False] * 4, 2)
    both = np.concatenate([exact, later])
    made = with_blocks(sweep, np.tile(once, (2, 1)), both, 0.002 * both, alone, BLOCK)
    assert made.blocks == 1
    assert made.whole.covariance == pytest.approx(truth, abs=1e-9)
    direction = np.array([0.0, 1.0, 1.0, 0.0]) / math.sqrt(2)  # x_1 + p_0, squeezed
    slope = np.outer(direction, direction)
    before, after = float(made.sweep.uncertainty(slope)), float(made.whole.uncertainty(slope))
    assert 0.65 < after / before < 0.8  # two measurements of the same, a little correction
    half = with_blocks(sweep, np.tile(once, (2, 1))[:-1], both[:-1], 0.002 * both[:-1],
                       alone[:-1], BLOCK)  # fmt: skip
    assert half.blocks == 0


def test_a_killed_run_goes_on_with_the_pairs_that_it_chose(tmp_path: Path) -> None:
    bench = Bench.open(find_bench("cluster-microcomb"), "sim", seed=5)
    first = CovarianceSweep(**OPTIONS)
    assert first.count_points() == BASE + 6 * BLOCK
    run(first, bench, tmp_path, stop_after=BASE + BLOCK + 4)
    again = CovarianceSweep(**OPTIONS)
    rows = run(again, bench, tmp_path)
    bench.close()
    assert [row["index"] for row in rows] == list(range(BASE + 6 * BLOCK))
    for block in range(6):
        part = rows[BASE + block * BLOCK : BASE + (block + 1) * BLOCK]
        pair = (part[-1]["mode i"], part[-1]["mode j"])
        assert [row["kind"] for row in part] == [
            *[kind for _ in range(2) for kind, _ in ALONE], *[kind for kind, *_ in TOGETHER]
        ]  # fmt: skip
        again._kept = {row["index"]: row for row in rows}
        assert again._next_pair(BASE + block * BLOCK) == pair
        assert pair in again.graph.connected
    folder = RunFolder.open(next(path for path in tmp_path.iterdir() if path.is_dir()))
    results = run_data(again, folder).results
    assert results["blocks"][0] == 6
    assert results["adaptive_gain"][0] > 5  # over one more sweep, per hour
    assert results["bottleneck_statistical"][0] < results["ppt_bottleneck"][1]

    # As many points follow from the recorded rows, whatever the target.
    done = CovarianceSweep(**OPTIONS | {"target_error": 0.5})
    done.rows = rows
    assert done.count_points() == BASE
