"""Elements that a selective sweep leaves out: consistent with zero, or found when they are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.errors import RequestError
from labctl.procedure import RunData
from labctl.run.folder import RunFolder
from labctl.run.request import Request
from labctl.run.results import run_data
from labctl.run.runner import start
from procedures.graphs import graph
from procedures.zero_check import (
    ZERO,
    ZeroCheck,
    chance_of,
    chosen_pairs,
    covariances,
    expected,
    largest_of,
)


def check(tmp_path: Path, **options: Any) -> RunData:
    outcome = start(
        Request("zero-check", options, bench="cluster-microcomb", record=False), tmp_path
    )
    assert outcome.status == "finished", outcome.reason
    return run_data(ZeroCheck(**options), RunFolder.open(outcome.path))


def test_what_a_sweep_leaves_out_is_zero(tmp_path: Path) -> None:
    data = check(tmp_path)
    results = {name: value for name, (value, _, _) in data.results.items()}
    assert results["zeros"] > 60
    assert results["worst_zero"] < 4
    assert 2 < results["expected_worst"] < 3.5
    assert results["chance"] > 0.01
    assert 0.7 < results["rms_zero"] < 1.3
    # Pairs with k + l = 1 are correlated over scattering; the sweep sets them to zero.
    assert 0.05 < results["largest_unmeasured"] < 0.2
    assert data.results["worst_zero"][2] == "sigma"
    (figure,) = ZeroCheck().figures(data).values()
    figure.savefig(tmp_path / "zeros.png", dpi=40)
    assert f"{results['worst_zero']:.1f} standard" in figure.axes[0].get_title()


def test_a_hidden_pump_line_shows(tmp_path: Path) -> None:
    """A line that nobody thought of: its pairs k + l = 4 are among those that are not measured."""
    data = check(tmp_path, pumps="0:1,-1:0.2,4:0.1", sweep_time=2.0)
    assert data.results["worst_zero"][0] > 10
    assert data.results["chance"][0] < 1e-9


def test_selection_follows_from_parameters_and_begins_close_to_the_graph() -> None:
    made = graph("1d")
    first = chosen_pairs(made, 40, 0)
    assert first == chosen_pairs(made, 40, 0)
    assert len(set(first)) == 40
    assert not set(first) & set(made.connected)
    assert set(first) != set(chosen_pairs(made, 40, 1))
    near = first[:20]
    assert {1, -2} <= {i + j for i, j in near}
    assert {1, 2} <= {j - i for i, j in near}
    assert len(chosen_pairs(made, 0, 0)) == 60 * 59 // 2 - 59


def test_expected_correlations_fade_away_from_the_graph() -> None:
    model = expected(graph("1d"))
    assert model["sum", 0] > model["sum", 1] > model["sum", 2] > 0.01
    assert model["sum", 20] < ZERO / 100
    assert model["difference", 20] < ZERO / 100


def synthetic(walk: float, seed: int) -> RunData:
    """Sums and differences of uncorrelated modes whose excess noise 0.15 walks."""
    rng = np.random.default_rng(seed)
    pairs = 200
    excess = 0.15 * np.exp(np.cumsum(walk * rng.normal(size=8 * pairs)))
    signal = (1 + excess) * (1 + 1e-3 * rng.normal(size=8 * pairs))
    count = 8 * pairs + 1
    columns: dict[str, Any] = {
        "kind": np.array(["dark"] + ["sum", "difference"] * 4 * pairs),
        "signal (mW)": np.concatenate([[0.0], signal]),
        "shot (mW)": np.concatenate([[0.0], np.ones(8 * pairs)]),
        "signal error (mW)": np.full(count, 1e-3),
        "shot error (mW)": np.full(count, 1e-9),
    }
    return RunData(columns)


@pytest.mark.parametrize("walk", [0.0, 0.01])
def test_errors_contain_the_drift(walk: float) -> None:
    values, errors, statistical, _ = covariances(synthetic(walk, 3))
    assert len(values) == 800
    assert np.std(values / errors) == pytest.approx(1.0, abs=0.15)
    assert (errors >= statistical).all()
    if walk:
        assert np.mean(errors) > 1.1 * np.mean(statistical)


def test_look_elsewhere() -> None:
    rng = np.random.default_rng(5)
    largest = np.abs(rng.normal(size=(2000, 160))).max(axis=1)
    assert largest_of(160) == pytest.approx(np.median(largest), abs=0.03)
    assert chance_of(3.0, 160) == pytest.approx(np.mean(largest > 3.0), abs=0.04)
    assert chance_of(40.0, 160) < 1e-9
    assert chance_of(0.0, 160) == pytest.approx(1.0)


def test_a_run_without_elements_is_refused_in_one_line() -> None:
    columns: dict[str, Any] = {
        name: np.ones(1)
        for name in ("signal (mW)", "signal error (mW)", "shot (mW)", "shot error (mW)")
    }
    data = RunData(columns | {"kind": np.array(["dark"])}, ZeroCheck().parameter_values())
    with pytest.raises(RequestError, match="lacks its elements; resume it first"):
        ZeroCheck().analyse(data)
