"""Steady states of linear stochastic systems, for thousands of systems at a time.

du = A u dt + dW with cov(dW) = D dt settles at A C + C A^T = -D (Eq. 8 of Phys. Rev. Lett. 124,
213604). The independent elements of C solve a linear system, which is built and solved in blocks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BLOCK = 512  # systems that are solved together; keeps the matrices in the cache


def steady_state(drift: Array, noise: Array) -> Array:
    """C of A C + C A^T = -D for stacks (..., n, n); meaningless where A is unstable."""
    size = drift.shape[-1]
    shape = np.broadcast_shapes(drift.shape, noise.shape)
    a = np.broadcast_to(drift, shape).reshape(-1, size, size)
    d = np.broadcast_to(noise, shape).reshape(-1, size, size)
    scale = np.maximum(np.max(np.abs(a), axis=(1, 2), keepdims=True), 1e-300)
    rows, columns = np.triu_indices(size)
    place = np.zeros((size, size), dtype=int)
    place[rows, columns] = place[columns, rows] = np.arange(len(rows))
    used = np.argwhere(np.any(a != 0, axis=0)).tolist()
    result = np.empty(shape).reshape(-1, size, size)
    for begin in range(0, len(a), BLOCK):
        part = slice(begin, begin + BLOCK)
        here, loss = a[part] / scale[part], d[part] / scale[part]
        matrix = np.zeros((len(rows), len(rows), len(here)))
        for i, k in used:
            value = here[:, i, k]
            # A[i, k] C[k, j] appears in the equations of (i, j); twice in that of (i, i).
            for j in range(size):
                matrix[place[i, j], place[k, j]] += value * (2.0 if i == j else 1.0)
        system = np.moveaxis(matrix, -1, 0)
        right = -loss[:, rows, columns]
        try:
            found = np.linalg.solve(system, right[..., None])[..., 0]
        except np.linalg.LinAlgError:  # one of them has no steady state at all
            found = np.array([_solved(m, r) for m, r in zip(system, right, strict=True)])
        result[part] = found[:, place]
    return result.reshape(shape)


def _solved(matrix: Array, right: Array) -> Array:
    try:
        return np.asarray(np.linalg.solve(matrix, right))
    except np.linalg.LinAlgError:
        return np.full(right.shape, np.nan)


def is_positive(matrix: Array) -> NDArray[np.bool_]:
    """Whether symmetric matrices (..., n, n) have positive eigenvalues only.

    By Lyapunov's theorem the solution of a system that noise reaches everywhere is positive if and
    only if the system is stable.
    """
    finite = np.asarray(np.isfinite(matrix).all(axis=(-2, -1)))
    left = np.where(finite[..., None, None], matrix, 0.0).copy()
    positive = finite.copy()
    size = matrix.shape[-1]
    for n in range(size):  # pivots of the elimination without exchange
        pivot = left[..., n, n]
        positive &= pivot > 0
        safe = np.where(positive, pivot, np.inf)  # nothing more is done to what has failed
        factor = left[..., n + 1 :, n] / safe[..., None]
        left[..., n + 1 :, n + 1 :] -= factor[..., :, None] * left[..., None, n, n + 1 :]
    return np.asarray(positive)


def growth_rate(drift: Array) -> Array:
    """Largest real part of the eigenvalues of (..., n, n); the state is steady if negative."""
    return np.asarray(np.linalg.eigvals(drift).real.max(axis=-1))
