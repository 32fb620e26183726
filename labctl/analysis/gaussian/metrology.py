"""What a cluster state is good for: nullifiers, and sensing of displacements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from labctl.analysis.arguments import Array, scalar
from labctl.analysis.gaussian.checks import mode_index, mode_list, state

#: A weight beyond this is no weight: p_k would be lost in rounding.
MOST_WEIGHT = 1e9
#: Random starting points of the search over directions; it has several local maxima.
STARTS = 128
ROUNDS = 3000
#: After so many rounds the worse half of the starting points is given up, down to the finalists.
NARROW_EVERY = 50
FINALISTS = 12


def nullifier_direction(modes: int, k: int, partners: Sequence[int], weight: float) -> Array:
    """Return the direction of p_k + weight * sum of x over `partners`, unit length."""
    k = mode_index(k, modes, "k")
    others = mode_list(partners, modes, "partners")
    if k in others:
        raise ValueError(f"partners: must be other modes than {k}, got {others}")
    direction = np.zeros(2 * modes)
    direction[modes + k] = 1.0
    direction[others] = scalar(weight, "weight", -MOST_WEIGHT, MOST_WEIGHT)
    return np.asarray(direction / np.linalg.norm(direction))


def nullifier_variance(cov: ArrayLike, k: int, partners: Sequence[int], weight: float) -> float:
    """Return Var(p_k + weight * sum of x_l) relative to shot noise, 1 + weight^2 per partner."""
    array = state(cov)
    direction = nullifier_direction(array.shape[-1] // 2, k, partners, weight)
    return float(direction @ array @ direction)


def displacement_qfi(cov: ArrayLike) -> tuple[float, float]:
    """Return the quantum Fisher information of displacement sensing and its upper bound.

    One quadrature direction of unit length per mode, F = max n^T V^-1 n with |n_k| = 1: N for
    coherent states (vacuum = 1). The bound is N divided by the smallest eigenvalue of V.
    The search is deterministic and keeps the best of many starts.
    """
    array = state(cov)
    best, _ = _best_direction(array)
    lowest = float(np.linalg.eigvalsh(array)[0])
    return float(best @ np.linalg.solve(array, best)), array.shape[0] / 2 / lowest


def displacement_qfi_gradients(cov: ArrayLike) -> tuple[Array, Array]:
    """Return dF/dV and d(bound)/dV of `displacement_qfi`, each (2N, 2N) and symmetric.

    At the optimum the directions do not contribute: dF = -(V^-1 n)^T dV (V^-1 n).
    """
    array = state(cov)
    best, _ = _best_direction(array)
    response = np.linalg.solve(array, best)
    values, vectors = np.linalg.eigh(array)
    softest = vectors[:, 0]
    bound = -array.shape[0] / 2 / values[0] ** 2 * np.outer(softest, softest)
    return -np.outer(response, response), np.asarray(bound)


def _best_direction(array: Array) -> tuple[Array, float]:
    """Maximise n^T V^-1 n over one unit vector per mode, by projected power iteration.

    The quadratic form, shifted to have a smallest eigenvalue of 0, is convex, so replacing each
    n_k by the direction of (M n)_k never lowers it.
    """
    modes = array.shape[0] // 2
    inverse = np.linalg.inv(array)
    inverse = 0.5 * (inverse + inverse.T)
    values, vectors = np.linalg.eigh(inverse)
    form = inverse - values[0] * np.eye(2 * modes)
    generator = np.random.default_rng(20240610)
    angles = generator.uniform(0.0, 2.0 * np.pi, (STARTS, modes))
    starts = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    guided = np.concatenate([starts, vectors[:, -min(16, 2 * modes) :].T])
    points = _unit(guided, modes)
    score = np.full(len(points), -np.inf)
    for number in range(1, ROUNDS + 1):
        pushed = points @ form
        new = np.einsum("ij,ij->i", points, pushed)
        if np.all(new - score < 1e-12 * np.abs(new).max() + 1e-15):
            break
        points, score = _unit(pushed, modes), new
        if number % NARROW_EVERY == 0 and len(points) > FINALISTS:
            ahead = np.argsort(-score, kind="stable")[: max(FINALISTS, len(points) // 2)]
            points, score = points[ahead], score[ahead]
    winner = points[int(np.argmax(np.einsum("ij,ij->i", points, points @ form)))]
    return winner, float(winner @ inverse @ winner)


def _unit(points: Array, modes: int) -> Array:
    """Scale each mode's pair of components to unit length; a zero pair points along x."""
    length = np.hypot(points[:, :modes], points[:, modes:])
    zero = length < 1e-300
    safe = np.where(zero, 1.0, length)
    x = np.where(zero, 1.0, points[:, :modes] / safe)
    return np.concatenate([x, np.where(zero, 0.0, points[:, modes:] / safe)], axis=1)
