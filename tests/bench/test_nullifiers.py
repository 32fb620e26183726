"""Nullifiers measured directly, through the wire: the sheet, the covariance matrix, the levels."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labctl.errors import RequestError
from labctl.procedure import RunData
from labctl.run.folder import RunFolder
from labctl.run.request import Request
from labctl.run.results import run_data
from labctl.run.runner import start
from procedures.covariance_sweep import CovarianceSweep
from procedures.graphs import graph
from procedures.nullifiers import Nullifiers, aligned_angles, probed, scanned_pairs

#: Two measurements of one state: a laser that stays where it is.
STEADY = {"laser_drift": 0.0, "laser_wander": 0.0}
KNOWN_STEADY = {"detuning_noise": 0.0, "detuning_drift": 0.0}


def measure(cls: Any, tmp_path: Path, world: dict[str, Any], **options: Any) -> RunData:
    outcome = start(
        Request(cls.name(), options, bench="cluster-microcomb", world=world, record=False),
        tmp_path,
    )
    assert outcome.status == "finished", outcome.reason
    return run_data(cls(**options), RunFolder.open(outcome.path))


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    place = tmp_path_factory.mktemp("chain")
    return SimpleNamespace(
        direct=measure(Nullifiers, place, STEADY, **KNOWN_STEADY),
        matrix=measure(CovarianceSweep, place, STEADY),
    )


def test_sixty_nullifiers_reach_the_figure_of_the_sheet(chain: Any) -> None:
    """Sheet: 1.2975 and 0.9067 dB; paper: 1.31 +- 0.07 and 0.82 +- 0.08 dB."""
    results = {name: value for name, (value, _, _) in chain.direct.results.items()}
    assert results["nullifiers"] == 60
    assert results["nullifier"] == pytest.approx(1.2975, abs=0.05)
    assert results["two_mode"] == pytest.approx(0.9067, abs=0.03)
    assert 0 < results["nullifier_bias"] < 0.03
    assert abs(results["nullifier_mode"]) > 30
    assert chain.direct.results["nullifier"][1] < 0.02


def test_pairs_equal_those_of_the_covariance_matrix(chain: Any) -> None:
    direct, matrix = (side.derived["two_mode_db"] for side in (chain.direct, chain.matrix))
    pulls = (direct[..., 0] - matrix[..., 0]) / np.hypot(direct[..., 1], matrix[..., 1])
    pulls = pulls[np.isfinite(pulls)]
    assert len(pulls) == 118
    assert 0.7 < np.sqrt(np.mean(pulls**2)) < 1.3
    assert np.abs(pulls).max() < 4  # of 118, chance alone gives 2.8


def test_nullifiers_equal_those_of_the_covariance_matrix(chain: Any) -> None:
    """Up to Cov(x_l, x_l') of the two neighbours, which a selective sweep takes as zero.

    Scattering makes it about 2 x 0.675 x 0.0065, which raises V = 0.75 by 2 w^2 / (1 + 2 w^2) of
    that: 0.02 dB less squeezing when measured directly.
    """
    direct, matrix = (side.derived["nullifier_db"] for side in (chain.direct, chain.matrix))
    inner = np.abs(np.array(graph("1d").modes)) < 35
    missing = direct[inner, 0] - matrix[inner, 0]
    left_out = 4.343 * 2 * 0.65**2 / (1 + 2 * 0.65**2) * 2 * 0.675 * 0.0065 / 0.77
    assert missing.mean() == pytest.approx(-left_out, abs=0.008)
    error = np.hypot(direct[inner, 1], matrix[inner, 1])
    assert np.abs(missing + left_out).max() < 3 * error.max()


def test_two_dimensions_have_56(tmp_path: Path) -> None:
    data = measure(Nullifiers, tmp_path, {}, topology="2d", sweep_time=1.0)
    assert data.results["nullifiers"][0] == 56
    assert data.results["nullifier"][0] == pytest.approx(0.7404, abs=0.1)
    assert data.results["two_mode"][0] == pytest.approx(0.5497, abs=0.1)
    assert data.derived["two_mode_db"].shape == (56, 3, 2)
    (figure,) = Nullifiers(topology="2d").figures(data).values()
    figure.savefig(tmp_path / "nullifiers.png", dpi=40)
    assert f"{data.results['nullifier'][0]:.2f}" in figure.axes[0].get_title()


def test_uneven_lines_are_levelled_before_they_are_weighted(tmp_path: Path) -> None:
    """Outer lines 6 dB weaker: what reaches the detector has the nullifier's weights all the same.

    Shot noise is the sum of the powers of the lines: 1 + 2 w^2 for a nullifier of three lines.
    """
    data = measure(
        Nullifiers, tmp_path, {"comb_rolloff": 6.0, "shot_level": -60.0}, sweep_time=0.5,
        pump_attenuation=3.0,
    )  # fmt: skip
    kinds = data["kind"]
    shot = {
        (kind, int(i), int(j)): value
        for kind, i, j, value in zip(
            kinds, data["mode i"], data["mode j"], data["shot (mW)"], strict=True
        )
    }
    assert shot["line", 6, 6] > 3.5 * shot["line", 35, 35]
    dark = data["shot (mW)"][0]
    weakest = min(shot["line", k, k] for k in (34, -34, -35)) - dark
    expected = weakest * (1 + 2 * 0.65**2)
    top = (shot["line", 34, 34] - dark) / weakest  # p_34 passes whole, or its neighbour does
    assert shot["nullifier", 34, 0] - dark <= top * expected * 1.02
    for k in (34, 20, 8):
        lines = [shot["line", n, n] - dark for n in (k, -k, -k - 1)]
        scale = min(lines[0], lines[1] / 0.65**2, lines[2] / 0.65**2)
        assert shot["nullifier", k, 0] - dark == pytest.approx(scale * (1 + 2 * 0.65**2), rel=0.02)


def test_angles_align_every_edge_of_a_tree() -> None:
    """Squeezing angles known: phases of each edge add up to twice them minus a quarter turn."""
    made = graph("1d")
    true = {total: lambda d, t=total: 0.3 - t + 2e-4 * d * d for total in made.sums}
    theta = math.pi * np.arange(6) / 6
    scan = {
        (i, j): dict(
            zip(
                theta.tolist(),
                (1.5 - np.cos(2 * (theta - true[i + j](j - i)))).tolist(),
                strict=True,
            )
        )
        for i, j in scanned_pairs(made, 5)
    }
    angles = aligned_angles(made, scan)
    assert set(angles) == set(made.modes)
    for i, j in made.connected:
        wanted = 2 * true[i + j](j - i) - math.pi / 2
        assert abs(math.remainder(angles[i] + angles[j] - wanted, math.tau)) < 1e-6


def test_modes_that_tell_how_all_follow_the_laser_have_all_neighbours() -> None:
    for topology in ("1d", "2d"):
        made = graph(topology)
        assert len(probed(made)) == 3
        for mode in probed(made):
            assert all(total - mode in made.modes for total in made.sums)


def test_incomplete_data_are_refused_in_one_line() -> None:
    columns: dict[str, Any] = {
        name: np.ones(1)
        for name in ("signal (mW)", "signal error (mW)", "shot (mW)", "shot error (mW)",
                     "mode i", "mode j", "time (s)")
    }  # fmt: skip
    columns |= {"kind": np.array(["dark"]), "state": np.array(["nominal"])}
    data = RunData(columns, Nullifiers().parameter_values())
    with pytest.raises(RequestError, match=r"lacks nullifier -35; resume it first"):
        Nullifiers().analyse(data)
