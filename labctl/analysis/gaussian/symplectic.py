"""Symplectic spectrum, physicality, and the nearest physical covariance matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from labctl.analysis.arguments import Array, scalar
from labctl.analysis.gaussian.checks import form, mode_list, symmetric, triangular_root

#: Dykstra stops when no element moves more than this (vacuum = 1), or after so many rounds.
PROJECTION_STEP = 1e-12
PROJECTION_ROUNDS = 20_000


def symplectic_form(modes: int) -> Array:
    """Return Omega with [r_i, r_j] proportional to i Omega_ij, for r = (x1..xN, p1..pN)."""
    if modes < 1:
        raise ValueError(f"modes: must be at least 1, got {modes}")
    return form(modes)


def symplectic_eigenvalues(cov: ArrayLike) -> Array:
    """Return the N symplectic eigenvalues, ascending, of one (2N, 2N) matrix or of a stack.

    With V = L L^T they are the singular values of the antisymmetric L^T Omega L, which keeps
    them accurate for strongly squeezed states.
    """
    array = symmetric(cov, batched=True)
    modes = array.shape[-1] // 2
    root = triangular_root(array)
    kernel = np.swapaxes(root, -1, -2) @ form(modes) @ root
    return np.asarray(np.linalg.eigvalsh(1j * kernel)[..., modes:])


def is_physical(cov: ArrayLike, tolerance: float = 1e-9) -> bool:
    """Say whether V + i Omega >= -tolerance, the uncertainty relation for vacuum variance 1."""
    array = symmetric(cov)
    allowed = scalar(tolerance, "tolerance", 0.0)
    lowest = np.linalg.eigvalsh(array + 1j * form(array.shape[-1] // 2))[0]
    return bool(lowest >= -allowed)


def nearest_physical(cov: ArrayLike) -> Array:
    """Return the physical covariance matrix closest to `cov` in the Frobenius norm.

    Dykstra's alternating projections between the positive cone and the Hermitian matrices whose
    imaginary part is Omega. Only the first set needs a correction term, the second is affine.
    """
    array = symmetric(cov)
    modes = array.shape[-1] // 2
    omega = form(modes)
    target = array + 1j * omega
    if np.linalg.eigvalsh(target)[0] >= 0:
        return array
    correction = np.zeros_like(target)
    for _ in range(PROJECTION_ROUNDS):
        values, vectors = np.linalg.eigh(target + correction)
        positive = (vectors * np.maximum(values, 0.0)) @ vectors.conj().T
        correction += target - positive
        moved = positive.real + 1j * omega
        step = max(np.abs(moved - target).max(), np.abs(positive.imag - omega).max())
        target = moved
        if step < PROJECTION_STEP * max(1.0, np.abs(array).max()):
            break
    nearest = target.real
    nearest = 0.5 * (nearest + nearest.T)
    # What rounding leaves below zero (about 1e-13) is lifted, so the result passes is_physical.
    lowest = np.linalg.eigvalsh(nearest + 1j * omega)[0]
    return np.asarray(nearest + max(0.0, -lowest) * np.eye(2 * modes))


def reduced(cov: ArrayLike, modes: Sequence[int]) -> Array:
    """Return the covariance matrix (or a stack) of the chosen modes alone, in the order given."""
    symmetric(cov, batched=True)
    array = np.asarray(cov, dtype=float)
    total = array.shape[-1] // 2
    chosen = np.array(mode_list(modes, total, "modes"), dtype=int)
    if not len(chosen):
        raise ValueError("modes: must name at least one mode")
    rows = np.concatenate([chosen, chosen + total])
    return np.asarray(array[..., rows[:, None], rows[None, :]])
