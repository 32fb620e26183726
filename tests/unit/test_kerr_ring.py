"""Estimates for pump lines: against the physics sheet, and against the full model of the ring."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.analysis.kerr_ring import correlations, couplings, growth_rate
from simulated_instruments.physics.ring import drift_matrix, ring_output, stability_margin

OMEGA = 0.10340


def test_couplings_count_nondegenerate_mixing_twice() -> None:
    assert couplings({0: 1.0, -1: 0.5}) == {-2: 0.25, -1: 1.0, 0: 1.0}
    found = couplings({-1: 1.0, 0: 0.2**0.5, 1: 0.16**0.5})
    assert found[0] == pytest.approx(0.2 + 2 * 0.4)  # two processes lead to one sum
    assert list(found) == [-2, -1, 0, 1, 2]


def test_correlations_of_the_physics_sheet() -> None:
    squeezing, scattering = correlations(
        {0: 0.11**0.5, -1: 0.022**0.5}, -0.4, OMEGA, 2
    )  # fmt: skip
    assert scattering[0] == pytest.approx(0.0582834, abs=1e-6)
    m2, m1, zero, plus, _ = squeezing
    assert [zero, m1, m2, plus] == pytest.approx(
        [0.1845471, 0.1648674, 0.0374629, 0.0301267], abs=1e-6
    )


def test_correlations_equal_those_of_the_ring_without_dispersion() -> None:
    """Complex amplitudes; modes far from the end of the simulated range."""
    pumps = {-1: 0.5, 0: 0.3 * np.exp(0.7j), 2: 0.2j}
    squeezing, scattering = correlations(pumps, -1.5, OMEGA, 6)
    moments = ring_output(pumps, -1.5, 0.0, -1, OMEGA).moments
    middle = 45
    for total in range(-6, 7):
        assert squeezing[total + 6] == pytest.approx(
            abs(moments.squeezing[middle + 3, middle + total - 3]), abs=1e-9
        )
    for step in range(7):
        assert scattering[step] == pytest.approx(
            abs(moments.number[middle + 3, middle + 3 - step]), abs=1e-9
        )


def test_growth_of_one_pump_is_known_exactly() -> None:
    assert growth_rate({0: 0.6**0.5}, 0.0) == pytest.approx(-0.4)
    assert growth_rate({3: 1.2**0.5}, 0.0) == pytest.approx(0.2)
    assert growth_rate({0: 1.2**0.5}, 5.0) == -1.0
    assert growth_rate({0: 1.2**0.5}, -0.5, outermost=0.6) == pytest.approx(0.2, abs=1e-3)


def test_growth_never_promises_more_than_the_full_model() -> None:
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(60):
        lines = rng.choice(np.arange(-3, 4), 3, replace=False)
        pumps = {
            int(n): complex(rng.uniform(0.2, 0.7) * np.exp(6.28j * rng.random())) for n in lines
        }
        detuning = rng.uniform(-8, 2)
        primary = max(pumps, key=lambda n: abs(pumps[n]))
        exact = stability_margin(drift_matrix(pumps, detuning, 1e-3, primary))
        estimate = growth_rate(pumps, detuning, 1e-3 * (45 + abs(primary)) ** 2 / 2)
        assert exact <= estimate + 1e-6
        assert estimate <= exact + 0.4
        seen.add((exact > 0, exact > -0.999))
    assert len(seen) == 3  # unstable, stable with gain, without gain: all were there


@pytest.mark.parametrize(("pumps", "detuning"), [({}, 0.0), ({0: np.nan}, 0.0), ({0: 0.5}, np.inf)])
def test_bad_arguments_are_named(pumps: dict[int, complex], detuning: float) -> None:
    with pytest.raises(ValueError, match=r"^(pumps|detuning): "):
        growth_rate(pumps, detuning)


def test_no_correlations_above_threshold() -> None:
    with pytest.raises(ValueError, match="pumps: above threshold"):
        correlations({0: 1.1}, 0.0, OMEGA, 3)
