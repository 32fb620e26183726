"""Correlated noise as a function of time: exact distribution, any order of asking."""

from __future__ import annotations

import numpy as np
import pytest

from simulated_instruments.physics.linear_noise import LinearNoise
from simulated_instruments.physics.noise import LinearSystem

# An oscillating pair behind a slow quantity: three rather different time constants.
DRIFT = [[-0.5, 2.0, 0.1], [-2.0, -0.5, 0.0], [0.0, 0.0, -0.02]]
DIFFUSION = [[0.4, 0.1, 0.0], [0.1, 0.3, 0.0], [0.0, 0.0, 0.5]]


@pytest.fixture(scope="module")
def system():
    return LinearSystem(DRIFT, DIFFUSION)


def test_same_numbers_in_any_order(system):
    times = np.random.default_rng(1).uniform(0.0, 3000.0, 60)
    forward = LinearNoise(7, system)
    backward = LinearNoise(7, system)
    expected = {t: forward.at(t).tolist() for t in sorted(times.tolist())}
    assert {t: backward.at(t).tolist() for t in times.tolist()} == expected
    assert np.array_equal(LinearNoise(7, system).at(times), [expected[t] for t in times.tolist()])
    assert LinearNoise(8, system).at(100.0).tolist() != forward.at(100.0).tolist()


def test_every_level_of_the_tree_keeps_the_exact_covariances(system):
    """Of the middle with itself and with its left end, for all lengths of interval."""
    noise = LinearNoise(1, system)
    steady = system.stationary()
    for level, (left, right, spread) in enumerate(noise._bridges):
        phi = system.step(2.0**-4 * 2.0**level)[0]
        across = phi @ phi @ steady  # of the right end with the left end
        middle_left = left @ steady + right @ across
        middle = middle_left @ left.T + (left @ across.T + right @ steady) @ right.T
        assert middle + spread @ spread.T == pytest.approx(steady, abs=1e-9)
        assert middle_left == pytest.approx(phi @ steady, abs=1e-9)


def test_covariance_and_correlation_of_a_long_path(system):
    times = np.arange(0.0, 40_000.0, 2.0)
    path = LinearNoise(3, system).at(times)
    steady = system.stationary()
    later = system.step(2.0)[0] @ steady
    for quantity, correlation_time in ((0, 2.0), (1, 2.0), (2, 50.0)):
        effective = times[-1] / correlation_time / 2.0
        spread = 4.0 * np.sqrt(2.0 / effective)
        variance = steady[quantity, quantity]
        assert path[:, quantity].var() == pytest.approx(variance, rel=spread)
        product = np.mean(path[1:, quantity] * path[:-1, quantity])
        assert product == pytest.approx(later[quantity, quantity], abs=spread * variance)


def test_refuses_what_has_no_steady_state():
    with pytest.raises(ValueError, match="stable"):
        LinearNoise(1, LinearSystem([[0.1]], [[1.0]]))
    with pytest.raises(ValueError, match="negative"):
        LinearNoise(1, LinearSystem([[-0.1]], [[1.0]])).at(-1.0)
