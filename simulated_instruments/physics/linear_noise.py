"""Stationary noise of a linear system as a function of time: several correlated quantities.

`noise.OrnsteinUhlenbeck` for vectors: dx = A x dt + dW with cov(dW) = L dt. Every point of the time
grid owns a vector of normal numbers, a hash of (seed, point); the state in the middle of an
interval is drawn given the states at its two ends, so it depends on no past and on no order of
asking. All joint distributions are exact on the grid; between its points the path is linear.

Source: the bridge of a linear Gauss-Markov process. With Phi and Q of half an interval and S of
the whole one, the middle is Phi x_left + G (x_right - Phi^2 x_left) + N(0, Q - G S G^T) with
G = Q Phi^T S^-1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulated_instruments.physics.noise import HashedNormals, LinearSystem

Floats = NDArray[np.float64]

STRIDE = 8  # counters that a grid point owns; the largest number of quantities
REMEMBERED = 1 << 16  # grid points


class LinearNoise:
    """One realisation, from `seed`, of the steady state of a stable linear system.

    Args:
        seed: of this realisation.
        system: drift A (1/s) and diffusion L; its other parts are not used.
        step: spacing of the time grid in s, a power of two.
    """

    def __init__(self, seed: int, system: LinearSystem, step: float = 2.0**-4) -> None:
        size = system.drift.shape[0]
        slowest = float(np.min(-np.linalg.eigvals(system.drift).real))
        if not 0 < size <= STRIDE or not slowest > 0:
            raise ValueError("the steady state of noise needs a stable system of 1 to 8 quantities")
        self._size = size
        self._step = step
        self._normals = HashedNormals(seed)
        # Ends of an interval of 64 time constants are independent: no tree above is needed.
        self._top = max(1, math.ceil(math.log2(64.0 / slowest / step)))
        self._spread_top = _root(system.stationary())
        self._bridges = [_bridge(system, step * 2.0**level) for level in range(self._top)]
        self._points: dict[int, Floats] = {}

    def at(self, t: float | Floats) -> Floats:
        """The quantities at time `t` (s, from 0); for an array, one row per time."""
        if isinstance(t, np.ndarray):
            return np.array([self.at(float(one)) for one in t.ravel()]).reshape(*t.shape, -1)
        if not t >= 0:
            raise ValueError(f"time must not be negative, got {t!r} s")
        scaled = t / self._step
        cell = int(scaled)
        left, right = self._point(cell), self._point(cell + 1)
        return left + (scaled - cell) * (right - left)

    def _point(self, position: int) -> Floats:
        """The quantities at a point of the grid."""
        value = self._points.get(position)
        if value is None:
            numbers = STRIDE * position + np.arange(self._size, dtype=np.int64)
            level = self._top
            if position:
                level = min(level, (position & -position).bit_length() - 1)
            if level == self._top:
                value = self._spread_top @ self._normals(numbers)
            else:
                half = 1 << level
                from_left, from_right, spread = self._bridges[level]
                value = (
                    from_left @ self._point(position - half)
                    + from_right @ self._point(position + half)
                    + spread @ self._normals(numbers)
                )
            if len(self._points) >= REMEMBERED:
                self._points.clear()
            self._points[position] = value
        return value


def _bridge(system: LinearSystem, half: float) -> tuple[Floats, Floats, Floats]:
    """Weights of the two ends, `half` s away, and a root of the covariance of the middle."""
    phi, _, q = system.step(half)
    whole = phi @ q @ phi.T + q
    # Covariances of short times span many decades, correlations do not: solve with those.
    scale = np.sqrt(np.diag(whole))
    scale[scale == 0] = 1.0
    scaled = whole / np.outer(scale, scale)
    gain = np.linalg.lstsq(scaled, (phi @ q) / scale[:, None], rcond=1e-12)[0].T / scale
    return phi - gain @ phi @ phi, gain, _root(q - gain @ whole @ gain.T)


def _root(covariance: Floats) -> Floats:
    """A matrix R with R R^T = `covariance`; negative eigenvalues from rounding are clipped."""
    scale = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    divisor = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(covariance / np.outer(divisor, divisor))
    root: Floats = scale[:, None] * vectors * np.sqrt(np.maximum(values, 0.0))
    return root
