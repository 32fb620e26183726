"""What a sweep will be worth, against measurements that were simulated."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.analysis.gaussian import (
    covariance_from_variances,
    nullifier_direction,
    quadrature_direction,
    sweep_value,
)


def state() -> np.ndarray:
    """Modes 0 and 1 squeezed together, mode 2 thermal."""
    c, s = np.cosh(0.8), np.sinh(0.8)
    v = 1.5 * np.eye(6)
    v[np.ix_([0, 1], [0, 1])] = [[c, 0], [0, c]]
    v[np.ix_([3, 4], [3, 4])] = [[c, 0], [0, c]]
    for i, j in ((3, 1), (4, 0)):
        v[i, j] = v[j, i] = -s
    return v


def sweep(pairs: list[tuple[int, int]]) -> np.ndarray:
    rows = []
    for mode in range(3):
        for angle in (0.0, np.pi / 2, np.pi / 4):
            rows.append(quadrature_direction(np.eye(3)[mode], angle * np.eye(3)[mode]))
    for i, j in pairs:
        for a, b in ((0, 0), (np.pi / 2, np.pi / 2), (0, np.pi / 2), (np.pi / 2, 0)):
            weights = np.eye(3)[i] + np.eye(3)[j]
            rows.append(quadrature_direction(weights, a * np.eye(3)[i] + b * np.eye(3)[j]))
    return np.array(rows)


DIRECTION = nullifier_direction(3, 0, [1], 1.0)
GRADIENT = np.outer(DIRECTION, DIRECTION)


def test_predicted_error_is_that_of_simulated_measurements() -> None:
    rows, v = sweep([(0, 1)]), state()
    value = sweep_value(v, rows, GRADIENT, 0.002, 10.0)
    exact = np.einsum("si,ij,sj->s", rows, v, rows)
    rng = np.random.default_rng(1)
    found = [
        DIRECTION
        @ covariance_from_variances(
            rows, exact * (1 + 0.002 * rng.normal(size=len(rows))), 0.002 * exact
        ).covariance
        @ DIRECTION
        for _ in range(400)
    ]
    assert value.error == pytest.approx(np.std(found), rel=0.12)
    assert value.settings == 13
    assert value.hours == pytest.approx(130 / 3600)
    assert value.per_hour == pytest.approx(1 / value.error**2 / value.hours)


def test_repeating_a_sweep_changes_nothing_per_hour() -> None:
    once = sweep_value(state(), sweep([(0, 1)]), GRADIENT, 0.002, 10.0)
    rows = np.concatenate([sweep([(0, 1)])] * 3)
    thrice = sweep_value(state(), rows, GRADIENT, 0.002, 10.0)
    assert thrice.error == pytest.approx(once.error / np.sqrt(3))
    assert thrice.per_hour == pytest.approx(once.per_hour)


def test_measuring_what_is_not_asked_for_costs_time() -> None:
    selective = sweep_value(state(), sweep([(0, 1)]), GRADIENT, 0.002, 10.0)
    full = sweep_value(state(), sweep([(0, 1), (0, 2), (1, 2)]), GRADIENT, 0.002, 10.0)
    assert full.error <= selective.error * (1 + 1e-9)
    assert full.per_hour < selective.per_hour


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"relative_error": 0.0}, "relative_error: must be positive"),
        ({"seconds": -1.0}, "seconds: must be positive"),
        ({"directions": np.eye(4)}, "directions: must have shape"),
        ({"gradient": np.zeros((6, 6))}, "do not measure this quantity"),
    ],
)
def test_bad_arguments_are_named(change: dict[str, object], message: str) -> None:
    arguments = {
        "cov": state(), "directions": sweep([(0, 1)]), "gradient": GRADIENT,
        "relative_error": 0.002, "seconds": 10.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        sweep_value(**(arguments | change))  # type: ignore[arg-type]
