"""Symplectic spectrum, physicality and projection, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.analysis.gaussian import (
    is_physical,
    nearest_physical,
    reduced,
    symplectic_eigenvalues,
    symplectic_form,
)


def random_state(modes: int, seed: int, squeezing: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """A covariance matrix with known symplectic eigenvalues: S diag(nu, nu) S^T."""
    rng = np.random.default_rng(seed)

    def passive() -> np.ndarray:
        unitary, _ = np.linalg.qr(
            rng.normal(size=(modes, modes)) + 1j * rng.normal(size=(modes, modes))
        )
        return np.block([[unitary.real, -unitary.imag], [unitary.imag, unitary.real]])

    r = rng.normal(0, squeezing, modes)
    symplectic = passive() @ np.diag(np.exp(np.concatenate([-r, r]))) @ passive()
    nu = np.sort(1 + rng.exponential(0.3, modes))
    return symplectic @ np.diag(np.concatenate([nu, nu])) @ symplectic.T, nu


@given(st.integers(1, 6), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_recovers_the_spectrum_the_state_was_built_with(modes: int, seed: int) -> None:
    cov, nu = random_state(modes, seed)
    assert np.allclose(symplectic_eigenvalues(cov), nu, rtol=1e-9)
    assert is_physical(cov)


def test_stacks_keep_their_leading_axes() -> None:
    states = [random_state(3, seed) for seed in range(4)]
    stack = np.array([cov for cov, _ in states]).reshape(2, 2, 6, 6)
    expected = np.array([nu for _, nu in states]).reshape(2, 2, 3)
    assert np.allclose(symplectic_eigenvalues(stack), expected, rtol=1e-9)


def test_vacuum_and_thermal_states() -> None:
    assert np.allclose(symplectic_eigenvalues(np.eye(6)), 1)
    assert np.allclose(symplectic_eigenvalues(3.7 * np.eye(4)), 3.7)
    assert is_physical(np.eye(4))
    assert not is_physical(0.5 * np.eye(4))
    assert is_physical((1 - 1e-7) * np.eye(4), tolerance=1e-6)


@pytest.mark.parametrize("modes", [1, 3])
def test_symplectic_form_is_antisymmetric_and_squares_to_minus_one(modes: int) -> None:
    omega = symplectic_form(modes)
    assert np.array_equal(omega, -omega.T)
    assert np.array_equal(omega @ omega, -np.eye(2 * modes))
    assert omega[0, modes] == 1


def test_projection_of_known_matrices() -> None:
    assert np.allclose(nearest_physical(0.9 * np.eye(4)), np.eye(4), atol=1e-9)
    assert np.allclose(nearest_physical(np.diag([0.5, 1.2])), np.diag([0.7473, 1.3381]), atol=2e-4)


def test_projection_leaves_physical_matrices_alone() -> None:
    cov, _ = random_state(4, 7)
    assert np.array_equal(nearest_physical(cov), 0.5 * (cov + cov.T))


@pytest.mark.parametrize("seed", range(4))
def test_projection_is_physical_and_no_physical_neighbour_is_closer(seed: int) -> None:
    """For a convex set, (x - P(x)) . (y - P(x)) <= 0 holds for every y in the set."""
    rng = np.random.default_rng(seed)
    cov, _ = random_state(3, seed)
    noise = rng.normal(0, 0.3, cov.shape)
    rough = cov + noise + noise.T
    near = nearest_physical(rough)
    assert is_physical(near)
    assert not is_physical(rough)
    for other in range(50):
        inside, _ = random_state(3, 1000 + other)
        assert np.sum((rough - near) * (inside - near)) < 1e-6


@pytest.mark.parametrize(
    "cov",
    [np.ones(4), np.eye(3), np.ones((4, 6)), np.triu(np.ones((4, 4))), np.zeros((0, 0))],
    ids=["one axis", "odd", "not square", "asymmetric", "empty"],
)
def test_reduced_names_a_matrix_that_is_none(cov) -> None:
    with pytest.raises(ValueError, match=r"^cov: "):
        reduced(cov, [0])


def test_reduced_keeps_the_order_given() -> None:
    cov, _ = random_state(3, 1)
    part = reduced(cov, [2, 0])
    assert part[0, 1] == cov[2, 0]
    assert part[2, 1] == cov[5, 0]
    with pytest.raises(ValueError, match=r"^modes: "):
        reduced(cov, [0, 3])
    with pytest.raises(ValueError, match=r"^modes: "):
        reduced(cov, [1, 1])


BAD_MATRICES = {
    "odd size": np.eye(3),
    "not square": np.ones((2, 4)),
    "vector": np.ones(4),
    "not finite": np.diag([1.0, np.nan]),
    "infinite": np.diag([1.0, np.inf]),
    "not symmetric": np.array([[1.0, 0.2], [0.0, 1.0]]),
    "complex": np.eye(2) * 1j,
    "text": [["a", "b"], ["c", "d"]],
    "empty": np.empty((0, 0)),
}


@pytest.mark.parametrize("what", BAD_MATRICES)
@pytest.mark.parametrize("function", [symplectic_eigenvalues, is_physical, nearest_physical])
def test_bad_matrices_are_refused_by_name(function, what: str) -> None:
    with pytest.raises(ValueError, match=r"^cov: "):
        function(BAD_MATRICES[what])


def test_matrix_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^cov: must be positive definite"):
        symplectic_eigenvalues(np.diag([1.0, -1.0]))
    with pytest.raises(ValueError, match=r"^tolerance: "):
        is_physical(np.eye(2), tolerance=float("nan"))
