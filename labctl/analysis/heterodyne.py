"""Covariance of two output fields from heterodyne records behind amplifiers, with honest errors.

A record is (I1, Q1, I2, Q2) = M (q + h): quadratures q of the output modes (vacuum 1/2), noise h of
the amplifiers, and for each output a 2 x 2 matrix M of gain, imbalance and skew. Two loads of known
temperature give M; the same records with the drive off give what does not belong to the state:

    V = V_off + M^-1 (S_on - S_off) M^-T,      V_off = coth(h f / 2 k T)/2

Errors are propagated from everything that was measured: the scatter of all second moments, and the
temperatures, whose errors all quadratures share.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.analysis.magnomechanics import occupation

Array = NDArray[np.float64]

UPPER = np.triu_indices(4)
PAIRS = (slice(0, 2), slice(2, 4))


@dataclass(frozen=True)
class Moments:
    """Second moments of records: sum and number; `discount` counts correlation of neighbours."""

    covariance: Array  # (4, 4), in V^2 or in converter steps squared
    count: float
    discount: float = 1.0

    @property
    def effective(self) -> float:
        return self.count / self.discount


def moments(sums: ArrayLike, squares: ArrayLike, lagged: ArrayLike, count: float) -> Moments:
    """Moments from sums of records (4,), of products (4, 4) and of products one sample apart."""
    if count < 10:
        raise ValueError(f"count: {count:g} records are too few for a covariance")
    mean = np.asarray(sums, dtype=float) / count
    covariance = np.asarray(squares, dtype=float) / count - np.outer(mean, mean)
    neighbour = np.asarray(lagged, dtype=float) / count - np.outer(mean, mean)
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    correlation = neighbour / scale
    # Variance of a second moment of correlated samples: 1 + 2 sum over lags of rho^2, and the
    # squares fall off at least as fast as a geometric series. Noise in rho itself is taken off.
    square = min(0.9, max(0.0, float(np.sum(correlation**2)) / 4.0 - 4.0 / float(count)))
    return Moments(covariance, count, 1.0 + 2.0 * square / (1.0 - square))


@dataclass(frozen=True)
class Estimate:
    """A covariance matrix with the errors of its ten elements, statistical and shared."""

    covariance: Array  # (4, 4), vacuum 1/2
    statistical: Array  # (10, 10) covariance of the upper triangle, row by row
    systematic: Array  # (10, 10)
    added_noise: Array  # (2,) quanta of each chain
    added_error: Array
    gain: Array  # (2,) of each chain
    gain_error: Array

    @property
    def errors(self) -> Array:
        """Standard errors of the elements, as a symmetric matrix."""
        return triangle(np.sqrt(np.diag(self.statistical + self.systematic)))

    def propagate(self, function: Callable[[Array], ArrayLike]) -> tuple[float, float, float]:
        """Value of a function of the matrix with statistical and systematic standard error."""
        value = float(np.asarray(function(self.covariance)))
        slope = np.empty(10)
        for n, (i, j) in enumerate(zip(*UPPER, strict=True)):
            step = 1e-5
            shift = np.zeros((4, 4))
            shift[i, j] = shift[j, i] = step
            high = float(np.asarray(function(self.covariance + shift)))
            low = float(np.asarray(function(self.covariance - shift)))
            slope[n] = (high - low) / (2.0 * step)
        return (
            value,
            _root_of(slope @ self.statistical @ slope),
            _root_of(slope @ self.systematic @ slope),
        )


def _root_of(variance: Any) -> float:
    """Standard deviation; rounding may leave a variance of nothing slightly negative."""
    return math.sqrt(max(0.0, float(variance)))


def triangle(values: ArrayLike) -> Array:
    """The symmetric matrix whose upper triangle, row by row, is given."""
    matrix = np.zeros((4, 4))
    matrix[UPPER] = matrix.T[UPPER] = np.asarray(values, dtype=float)
    return matrix


def wishart(covariance: Array, count: float) -> Array:
    """Covariance (10, 10) of the elements of a sample covariance of `count` records."""
    i, j = UPPER
    s = covariance
    return np.asarray(
        (s[np.ix_(i, i)] * s[np.ix_(j, j)] + s[np.ix_(i, j)] * s[np.ix_(j, i)]) / count
    )


def load_variance(frequency: float, temperature: float) -> float:
    """Variance of a quadrature of a load's noise at MHz and mK: coth(h f/2 k T)/2."""
    return float(occupation(frequency, temperature)) + 0.5


@dataclass(frozen=True)
class Loads:
    """Both loads and the stage: temperatures in mK with relative errors, frequency in MHz."""

    frequency: float
    cold: float
    hot: float
    stage: float
    cold_error: float
    hot_error: float
    stage_error: float


def _solve(
    on: Array, off: Array, hot: Array, cold: Array, temperatures: Array, frequency: float
) -> tuple[Array, Array, Array]:
    """V, added noise and gain from second moments and temperatures (hot, cold, stage)."""
    high, low, stage = (load_variance(frequency, t) for t in temperatures.tolist())
    inverse = np.zeros((4, 4))
    added, gain = np.empty(2), np.empty(2)
    for n, pair in enumerate(PAIRS):
        root = np.linalg.cholesky((hot[pair, pair] - cold[pair, pair]) / (high - low))
        inverse[pair, pair] = np.linalg.inv(root)
        quiet = inverse[pair, pair] @ cold[pair, pair] @ inverse[pair, pair].T
        added[n] = np.trace(quiet) / 2.0 - low
        gain[n] = np.linalg.det(root)
    return stage * np.eye(4) + inverse @ (on - off) @ inverse.T, added, gain


def estimate(on: Moments, off: Moments, hot: Moments, cold: Moments, loads: Loads) -> Estimate:
    """The output state from four sets of moments in the same unit, and the loads' temperatures.

    Raises:
        ValueError: the hot load is not hotter, or the loads' noise says so.
    """
    temperatures = np.array([loads.hot, loads.cold, loads.stage])
    high, low = (load_variance(loads.frequency, t) for t in (loads.hot, loads.cold))
    if not high - low > 0.01 * low:
        raise ValueError(
            f"loads: {loads.hot:.4g} mK and {loads.cold:.4g} mK differ by {high - low:.2g} quanta, "
            "which does not tell gain from noise; heat one of them"
        )
    sets = [m.covariance for m in (on, off, hot, cold)]
    counts = [m.effective for m in (on, off, hot, cold)]
    for pair in PAIRS:
        difference = sets[2][pair, pair] - sets[3][pair, pair]
        if np.linalg.eigvalsh(difference)[0] <= 0:
            raise ValueError(
                "loads: the hot load is not noisier than the cold one; check the input switch"
            )

    def values(stack: Array) -> Array:
        matrices = [triangle(stack[10 * n : 10 * n + 10]) for n in range(4)]
        on_, off_, hot_, cold_ = matrices
        v, added, gain = _solve(on_, off_, hot_, cold_, stack[40:], loads.frequency)
        return np.concatenate([v[UPPER], added, gain])

    centre = np.concatenate([*(s[UPPER] for s in sets), temperatures])
    size = np.concatenate(
        [*(np.sqrt(np.diag(wishart(s, 1.0))) for s in sets), np.maximum(temperatures, 1e-3)]
    )
    slopes = np.empty((14, len(centre)))
    for n in range(len(centre)):
        step = np.zeros(len(centre))
        step[n] = 1e-4 * size[n]
        slopes[:, n] = (values(centre + step) - values(centre - step)) / (2.0 * step[n])
    statistical = np.zeros((14, 14))
    for n, (s, count) in enumerate(zip(sets, counts, strict=True)):
        part = slopes[:, 10 * n : 10 * n + 10]
        statistical += part @ wishart(s, count) @ part.T
    relative = np.array([loads.hot_error, loads.cold_error, loads.stage_error])
    shared = slopes[:, 40:] * (relative * temperatures)
    systematic = shared @ shared.T
    found = values(centre)
    errors = np.sqrt(np.diag(statistical + systematic))
    return Estimate(
        triangle(found[:10]),
        statistical[:10, :10],
        systematic[:10, :10],
        found[10:12],
        errors[10:12],
        found[12:],
        errors[12:],
    )


def records_needed(spread: float, error: float) -> int:
    """Records for a standard error of E_N, from `magnomechanics.negativity_spread`."""
    if not error > 0:
        raise ValueError(f"error: must be positive, got {error}")
    return int(np.ceil((spread / error) ** 2))
