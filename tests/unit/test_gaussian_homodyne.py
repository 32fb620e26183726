"""Reconstruction from variances: exactness, error bars that mean what they say, alignment."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.analysis.gaussian import (
    align_phases,
    covariance_from_variances,
    is_physical,
    nullifier_direction,
    ppt_gradient,
    ppt_values,
    quadrature_direction,
    reduced,
)


def chain(modes: int, r: float = 0.35) -> np.ndarray:
    """Lossy state with nearest-neighbour x-p correlations along a chain."""
    coupling = np.diag(np.full(modes - 1, -r), 1)
    coupling = coupling + coupling.T
    generator = np.block([[np.zeros_like(coupling), coupling], [coupling, np.zeros_like(coupling)]])
    values, vectors = np.linalg.eigh(generator)
    return 0.8 * (vectors * np.exp(2 * values)) @ vectors.T + 0.2 * np.eye(2 * modes)


def settings(modes: int, pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """x, p, x + p of every mode; x+x, p+p, x+p, p+x of every pair: weights and angles."""
    lines: list[dict[int, float]] = []
    for k in range(modes):
        lines += [{k: 0.0}, {k: np.pi / 2}, {k: np.pi / 4}]
    for i, j in pairs:
        lines += [{i: a, j: b} for a in (0.0, np.pi / 2) for b in (0.0, np.pi / 2)]
    weights, angles = np.zeros((len(lines), modes)), np.zeros((len(lines), modes))
    for row, line in enumerate(lines):
        for k, angle in line.items():
            weights[row, k], angles[row, k] = 1.0, angle
    return weights, angles


def variances(cov: np.ndarray, directions: np.ndarray) -> np.ndarray:
    return np.einsum("si,ij,sj->s", directions, cov, directions)


def test_direction_of_one_and_two_lines() -> None:
    assert quadrature_direction([2.0, 0.0], [np.pi / 2, 0.0]) == pytest.approx([0, 0, 1, 0])
    assert quadrature_direction([1.0, 1.0], [0.0, np.pi / 2]) == pytest.approx(
        np.array([1, 0, 0, 1]) / np.sqrt(2)
    )


def test_selective_sweep_returns_the_measured_elements_exactly() -> None:
    cov = chain(5)
    pairs = [(k, k + 1) for k in range(4)]
    directions = quadrature_direction(*settings(5, pairs))
    found = covariance_from_variances(directions, variances(cov, directions), 0.01)
    assert len(directions) == 3 * 5 + 4 * 4
    assert found.measured.sum() == 5 * 4 + 4 * 8
    assert found.covariance[found.measured] == pytest.approx(cov[found.measured], abs=1e-12)
    assert (found.covariance[~found.measured] == 0).all()
    assert np.isnan(found.error[~found.measured]).all()
    matrix, error = found
    assert matrix is found.covariance
    assert error is found.error


def test_unequal_lines_and_full_sweep() -> None:
    cov = chain(4)
    weights, angles = settings(4, [(i, j) for i in range(4) for j in range(i + 1, 4)])
    weights *= np.random.default_rng(2).uniform(0.5, 1.5, weights.shape)
    angles += 0.1
    directions = quadrature_direction(weights, angles)
    found = covariance_from_variances(directions, variances(cov, directions), 0.01)
    assert found.measured.all()
    assert found.covariance == pytest.approx(cov, abs=1e-11)


def test_errors_of_directly_and_indirectly_measured_elements() -> None:
    """2 V_ij = 2 Var(sum) - V_ii - V_jj with Var(sum) relative to shot noise."""
    directions = quadrature_direction(*settings(2, [(0, 1)]))
    found = covariance_from_variances(directions, variances(np.eye(4), directions), 0.02)
    assert found.error[0, 0] == pytest.approx(0.02)
    assert found.error[0, 1] == pytest.approx(0.02 * np.sqrt(1.5))


def test_repeated_settings_average_by_weight() -> None:
    directions = np.repeat([[1.0, 0.0]], 2, axis=0)
    found = covariance_from_variances(directions, [1.0, 2.0], [0.1, 0.2])
    assert found.covariance[0, 0] == pytest.approx((1.0 / 0.01 + 2.0 / 0.04) / (125))
    assert found.error[0, 0] == pytest.approx(125**-0.5)


def test_error_bars_agree_with_repeated_measurements() -> None:
    cov = chain(4)
    pairs = [(0, 1), (1, 2), (2, 3)]
    directions = quadrature_direction(*settings(4, pairs))
    exact = variances(cov, directions)
    sigma = 0.01 * exact
    rng = np.random.default_rng(8)
    party = np.array([False, True])
    null = nullifier_direction(4, 1, [0, 2], 0.7)
    elements, nus, nulls = [], [], []
    for _ in range(600):
        found = covariance_from_variances(
            directions, exact + sigma * rng.normal(size=len(sigma)), sigma
        )
        elements.append(found.covariance)
        nus.append(ppt_values(reduced(found.covariance, [1, 2]), party[None])[0])
        nulls.append(null @ found.covariance @ null)
    found = covariance_from_variances(directions, exact, sigma)
    ratio = np.std(elements, axis=0)[found.measured] / found.error[found.measured]
    assert ratio == pytest.approx(np.ones_like(ratio), abs=0.13)
    gradient = ppt_gradient(reduced(found.covariance, [1, 2]), party)
    predicted = found.uncertainty(gradient, [1, 2])
    assert np.std(nus) == pytest.approx(predicted, rel=0.13)
    assert np.std(nulls) == pytest.approx(found.uncertainty(np.outer(null, null)), rel=0.13)
    # The shared variances make it clearly smaller than independent elements would suggest.
    error = np.nan_to_num(found.error)
    assert found.uncertainty(np.outer(null, null)) < 0.8 * np.sqrt(
        np.sum((2 * np.triu(np.outer(null, null) * error, 1)) ** 2)
        + np.sum((np.diag(np.outer(null, null)) * np.diag(error)) ** 2)
    )


def test_alignment_turns_correlations_into_negative_x_p() -> None:
    cov = chain(6)
    rng = np.random.default_rng(4)
    angles = rng.uniform(-3, 3, 6)
    cos, sin = np.diag(np.cos(angles)), np.diag(np.sin(angles))
    turn = np.block([[cos, -sin], [sin, cos]])
    pairs = [(k, k + 1) for k in range(5)]
    aligned, found = align_phases(turn @ cov @ turn.T, pairs)
    assert found.shape == (6,)
    again, nothing = align_phases(aligned, pairs)
    assert np.allclose(nothing, 0, atol=1e-12)
    assert np.allclose(again, aligned)
    for i, j in pairs:
        assert aligned[i, j] == pytest.approx(0, abs=1e-12)
        assert aligned[6 + i, 6 + j] == pytest.approx(0, abs=1e-12)
        assert aligned[i, 6 + j] < -0.1
        assert aligned[i, 6 + j] == pytest.approx(aligned[6 + i, j])
    assert is_physical(aligned, 1e-9)


def test_alignment_starts_a_new_tree_for_modes_out_of_reach() -> None:
    cov = np.eye(8)
    pair = chain(2)
    for modes in ([0, 3], [1, 2]):
        rows = np.array([*modes, modes[0] + 4, modes[1] + 4])
        cov[np.ix_(rows, rows)] = pair[np.ix_([0, 1, 2, 3], [0, 1, 2, 3])]
    aligned, angles = align_phases(cov)
    assert np.allclose(angles, 0, atol=1e-12)
    assert aligned[0, 7] < -0.1
    assert aligned[1, 6] < -0.1


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: quadrature_direction([0.0, 0.0], [0.0, 0.0]), "weights"),
        (lambda: quadrature_direction([1.0], [0.0, 0.0]), "angles"),
        (lambda: covariance_from_variances([[1.0, 0, 0]], [1.0], [0.1]), "directions"),
        (lambda: covariance_from_variances([[0.0, 0]], [1.0], [0.1]), "directions"),
        (lambda: covariance_from_variances([[1.0, np.nan]], [1.0], [0.1]), "directions"),
        (lambda: covariance_from_variances([[1.0, 0]], [1.0, 2.0], [0.1]), "variances"),
        (lambda: covariance_from_variances([[1.0, 0]], [np.inf], [0.1]), "variances"),
        (lambda: covariance_from_variances([[1.0, 0]], [1.0], [0.0]), "errors"),
        (lambda: covariance_from_variances([[1.0, 0]], [1.0], [0.1, 0.1]), "errors"),
        (lambda: align_phases(np.eye(4), [(0, 0)]), "pairs"),
        (lambda: align_phases(np.eye(4), [(0, 2)]), "pairs"),
        (lambda: align_phases(np.array([[1.0, 0.5], [0.0, 1.0]])), "cov"),
    ],
)
def test_bad_input_is_refused_by_name(call, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        call()


def test_settings_that_leave_elements_open_are_named() -> None:
    directions = [[1.0, 0, 0, 0], [0.0, 1, 1, 0]]
    with pytest.raises(ValueError, match=r"^directions: .*V\[1, 1\]"):
        covariance_from_variances(directions, [1.0, 1.0], 0.1)


def test_uncertainty_checks_its_arguments() -> None:
    found = covariance_from_variances(np.eye(2), [1.0, 1.0], 0.1)
    assert found.uncertainty(np.diag([1.0, 0.0])) == pytest.approx(0.1)
    with pytest.raises(ValueError, match=r"^gradient: "):
        found.uncertainty(np.eye(4))
    with pytest.raises(ValueError, match=r"^modes: "):
        found.uncertainty(np.eye(2), [1])
