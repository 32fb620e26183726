"""Nullifiers and displacement sensing, against closed forms and brute force."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.analysis.gaussian import (
    displacement_qfi,
    displacement_qfi_gradients,
    nullifier_direction,
    nullifier_variance,
)


def squeezed_pair(r: float) -> np.ndarray:
    """x1 + p2 and p1 + x2 squeezed (the aligned frame); order x1, x2, p1, p2."""
    c, s = np.cosh(2 * r), np.sinh(2 * r)
    return np.array([[c, 0, 0, -s], [0, c, -s, 0], [0, -s, c, 0], [-s, 0, 0, c]])


def test_nullifier_is_relative_to_its_own_shot_noise() -> None:
    assert nullifier_variance(np.eye(6), 0, [1, 2], 0.65) == pytest.approx(1)
    assert nullifier_variance(squeezed_pair(0.4), 0, [1], 1.0) == pytest.approx(np.exp(-0.8))
    weight = 0.5
    c, s = np.cosh(0.8), np.sinh(0.8)
    expected = (c + weight**2 * c - 2 * weight * s) / (1 + weight**2)
    assert nullifier_variance(squeezed_pair(0.4), 0, [1], weight) == pytest.approx(expected)


def test_nullifier_direction_has_unit_length() -> None:
    assert nullifier_direction(3, 1, [0, 2], 0.65) == pytest.approx(
        np.array([0.65, 0, 0.65, 0, 1, 0]) / np.sqrt(1 + 2 * 0.65**2)
    )


def test_coherent_states_reach_one_per_mode() -> None:
    assert displacement_qfi(np.eye(10)) == pytest.approx((5, 5))


def test_squeezed_modes_reach_the_bound() -> None:
    cov = np.diag([0.5, 2.0, 2.0, 0.5])
    value, bound = displacement_qfi(cov)
    assert value == pytest.approx(4)
    assert bound == pytest.approx(4)
    value, bound = displacement_qfi(squeezed_pair(0.5))
    assert value == pytest.approx(2 * np.e)
    assert bound == pytest.approx(2 * np.e)


def test_agrees_with_a_grid_over_all_directions() -> None:
    rng = np.random.default_rng(3)
    raw = rng.normal(size=(6, 6))
    cov = raw @ raw.T + 1.2 * np.eye(6)
    inverse = np.linalg.inv(cov)
    grid = np.linspace(0, 2 * np.pi, 73)
    a, b, c = np.meshgrid(grid, grid, grid, indexing="ij")
    n = np.stack([np.cos(a), np.cos(b), np.cos(c), np.sin(a), np.sin(b), np.sin(c)])
    brute = np.einsum("iabc,ij,jabc->abc", n, inverse, n).max()
    value, bound = displacement_qfi(cov)
    assert brute <= value * (1 + 1e-12)
    assert value == pytest.approx(brute, rel=5e-3)
    assert value <= bound


def test_is_deterministic() -> None:
    assert displacement_qfi(squeezed_pair(0.3)) == displacement_qfi(squeezed_pair(0.3))


def test_gradients_agree_with_finite_differences() -> None:
    rng = np.random.default_rng(5)
    raw = rng.normal(size=(8, 8))
    cov = raw @ raw.T / 4 + 1.5 * np.eye(8)
    gradients = displacement_qfi_gradients(cov)
    change = rng.normal(size=cov.shape)
    change = 1e-5 * (change + change.T)
    up, down = displacement_qfi(cov + change), displacement_qfi(cov - change)
    for gradient, high, low in zip(gradients, up, down, strict=True):
        assert np.sum(gradient * change) == pytest.approx((high - low) / 2, rel=1e-3)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: nullifier_variance(np.eye(4), 2, [0], 1.0), "k"),
        (lambda: nullifier_variance(np.eye(4), 0, [2], 1.0), "partners"),
        (lambda: nullifier_variance(np.eye(4), 0, [1], float("nan")), "weight"),
        (lambda: nullifier_variance(np.eye(3), 0, [1], 1.0), "cov"),
        (lambda: nullifier_variance(0.4 * np.eye(4), 0, [1], 1.0), "cov"),
        (lambda: nullifier_variance(np.eye(4), 0, [0], 1.0), "partners"),
        (lambda: nullifier_variance(np.eye(4), 0, [1, 1], 1.0), "partners"),
        (lambda: displacement_qfi(0.4 * np.eye(4)), "cov"),
        (lambda: displacement_qfi([[1.0, np.inf], [np.inf, 1.0]]), "cov"),
    ],
)
def test_bad_input_is_refused_by_name(call, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        call()
