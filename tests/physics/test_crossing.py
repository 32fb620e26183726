"""A transverse mode family that crosses the ring's: loss and shift of a few modes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labctl.run.folder import RunFolder
from labctl.run.request import Request
from labctl.run.results import run_data
from labctl.run.runner import start
from procedures.nullifiers import Nullifiers
from simulated_instruments.physics.ring import GUARD, Crossing, drift_matrix, ring_output

OMEGA = 0.1034


def test_loss_and_shift_are_those_of_a_coupled_mode() -> None:
    """s / (1 + i x) with x = (k - 27) / 2."""
    crossing = Crossing(0.8, 27.0, 2.0)
    modes = np.array([27.0, 29.0, 25.0, -35.0])
    for k, loss, shift in zip(modes, crossing.loss(modes), crossing.shift(modes), strict=True):
        assert loss + 1j * shift == pytest.approx(0.8 / (1 + 0.5j * (k - 27)))


def test_no_crossing_is_exactly_what_it_was() -> None:
    pumps = {0: 0.5, -1: 0.2}
    assert (drift_matrix(pumps, 0.1, 1e-3, 0)
            == drift_matrix(pumps, 0.1, 1e-3, 0, crossing=Crossing(0.0, 3.0, 1.0))).all()  # fmt: skip


def test_without_pump_the_lossy_ring_still_emits_vacuum() -> None:
    state = ring_output({}, 0.3, 1e-3, 0, OMEGA, crossing=Crossing(2.0))
    assert np.abs(state.moments.covariance() - np.eye(4 * GUARD + 2)).max() < 1e-12


def test_lossy_pair_against_its_own_equations() -> None:
    """One pump; mode 27 loses s more: a 2 x 2 problem with a bath at the lossy mode."""
    pump, e, s = 0.6, -0.1, 0.7
    crossing = Crossing(s, 27.0, 1e-6)  # no other mode loses light
    moments = ring_output({0: pump**0.5}, e, 0.0, 0, OMEGA, crossing=crossing).moments
    number, product = 0.0, 0j

    def response(w: float) -> np.ndarray:
        """To (a_27, a'_-27) at w from their inputs."""
        return np.linalg.inv(
            np.array([[1 + s + 1j * (e - w), -1j * pump], [1j * pump, 1 - 1j * (e + w)]])
        )

    for w in (OMEGA, -OMEGA):
        here = response(w)
        number += abs(2 * here[0, 1]) ** 2 / 2
        # <a_27 a_-27>, both transformed to the same inputs; only creation after annihilation counts
        out = 2 * here - np.eye(2)
        product += (out[0, 0] * out[1, 0].conj() + 4 * s * here[0, 0] * here[1, 0].conj()) / 2
    k, l = 27 + GUARD, -27 + GUARD
    assert moments.number[k, k].real == pytest.approx(number, rel=1e-6)
    assert moments.squeezing[k, l] == pytest.approx(product, rel=1e-6)


def test_nullifiers_near_the_crossing_degrade(tmp_path: Path) -> None:
    """Paper, Fig. 3c: "notable degradation near qumode 27", on both sides of the comb."""
    outcome = start(
        Request("nullifiers", {"sweep_time": 1.0}, bench="cluster-microcomb",
                world={"avoided_crossing": 1.0}, record=False),
        tmp_path,
    )  # fmt: skip
    data = run_data(Nullifiers(sweep_time=1.0), RunFolder.open(outcome.path))
    modes, nullifier = data.derived["mode_numbers"], data.derived["nullifier_db"][:, 0]
    value = dict(zip(modes.tolist(), nullifier.tolist(), strict=True))
    for side, bottom in ((1, 27), (-1, -28)):
        assert value[bottom] < value[side * 20] - 0.15
        assert value[bottom] < value[side * 34] - 0.2
    assert min(value, key=lambda k: value[k] if 8 < abs(k) < 35 else 9.0) in (27, -27, -28)
