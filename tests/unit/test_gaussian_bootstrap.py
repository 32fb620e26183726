"""Bootstrap errors: against error propagation where that is exact, and against repetition."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.analysis.gaussian import (
    Reconstruction,
    bootstrap_errors,
    covariance_from_variances,
    displacement_qfi,
    nearest_physical,
    nullifier_direction,
    ppt_gradient,
    ppt_values,
)

SIGMA = 0.003


def true_state() -> np.ndarray:
    """Three modes: a lossy chain of squeezers."""
    v = np.eye(6)
    for i in (0, 1):
        s = np.eye(6)
        for a, sign in ((0, 1.0), (3, -1.0)):
            s[a + i, a + i] = s[a + i + 1, a + i + 1] = np.cosh(0.3)
            s[a + i, a + i + 1] = s[a + i + 1, a + i] = sign * np.sinh(0.3)
        v = s @ v @ s.T
    return 0.6 * v + 0.4 * np.eye(6)


def settings() -> np.ndarray:
    axes = np.eye(6)
    return np.array([axes[i] + axes[j] for i in range(6) for j in range(i, 6)])


def measure(seed: int, sigma: float = SIGMA, heat: float = 0.0) -> Reconstruction:
    directions = settings()
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    variances = np.einsum("si,ij,sj->s", directions, true_state() + heat * np.eye(6), directions)
    noise = sigma * np.random.default_rng(seed).normal(size=len(variances))
    return covariance_from_variances(directions, variances + noise, sigma)


def test_linear_quantities_have_the_propagated_error() -> None:
    measured = measure(1)
    direction = nullifier_direction(3, 1, [0, 2], 0.65)
    found = bootstrap_errors(
        measured, lambda v: direction @ v @ direction, draws=2000, physical=False
    )
    exact = measured.uncertainty(np.outer(direction, direction))
    assert found.error == pytest.approx(exact, rel=0.06)
    assert abs(found.bias) < 4 * exact / np.sqrt(2000)
    assert found.high - found.low == pytest.approx(2 * exact, rel=0.1)


def test_drawn_elements_scatter_and_correlate_as_the_reconstruction_says() -> None:
    measured = measure(2)
    drawn = measured.drawn(4000, seed=3)
    assert drawn.std(axis=0) == pytest.approx(measured.error, rel=0.08)
    gradient = np.zeros((6, 6))
    gradient[0, 0], gradient[0, 1] = 1.0, -1.0  # they share a measured variance
    assert (drawn[:, 0, 0] - drawn[:, 0, 1]).std() == pytest.approx(
        measured.uncertainty(gradient), rel=0.06
    )
    assert (drawn == np.swapaxes(drawn, 1, 2)).all()


def test_ppt_values_against_their_gradient() -> None:
    measured = measure(4, 3e-4, heat=0.05)
    state = measured.covariance
    found = bootstrap_errors(measured, ppt_values, draws=800, physical=False)
    for row, party in enumerate(([False, True, False], [False, False, True], [False, True, True])):
        exact = measured.uncertainty(ppt_gradient(state, np.array(party)))
        assert found.error[row] == pytest.approx(exact, rel=0.12)
    assert found.value == pytest.approx(ppt_values(state))


def test_errors_are_those_of_repeated_experiments() -> None:
    """Bound of the Fisher information; nobody has this scatter in the laboratory."""

    def bound(v: np.ndarray) -> float:
        return float(3 / np.linalg.eigvalsh(v)[0])

    assert displacement_qfi(true_state())[1] == pytest.approx(bound(true_state()))
    found = bootstrap_errors(measure(5), bound, draws=150)
    repeated = [bound(nearest_physical(measure(seed).covariance)) for seed in range(100, 250)]
    assert found.error == pytest.approx(np.std(repeated), rel=0.3)


def test_bias_is_what_noise_adds_and_the_interval_is_freed_of_it() -> None:
    """The square of an element of 1.2 +- 0.1: 0.01 too high, and the repetitions twice that."""
    measured = covariance_from_variances(np.eye(4), [1.2, 1.3, 1.2, 1.3], 0.1)
    found = bootstrap_errors(measured, lambda v: v[0, 0] ** 2, draws=20_000, physical=False)
    assert found.bias == pytest.approx(0.01, abs=0.006)
    assert found.low == pytest.approx((1.2 - 0.0994458) ** 2 - 0.02, abs=0.008)
    assert found.high == pytest.approx((1.2 + 0.0994458) ** 2 - 0.02, abs=0.008)


def test_unmeasured_elements_stay_zero_and_seeds_repeat() -> None:
    directions = np.eye(4)
    measured = covariance_from_variances(directions, [1.2, 1.3, 1.2, 1.3], 0.01)
    drawn = measured.drawn(5, seed=1)
    assert (drawn[:, 0, 1] == 0).all()
    assert (drawn == measured.drawn(5, seed=1)).all()
    assert (drawn != measured.drawn(5, seed=2)).any()


@pytest.mark.parametrize("draws", [1, 0, -3])
def test_too_few_draws(draws: int) -> None:
    with pytest.raises(ValueError, match="draws: must be at least 2"):
        bootstrap_errors(measure(1), ppt_values, draws=draws)
