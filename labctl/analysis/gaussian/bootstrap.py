"""Errors of whatever is calculated from a measured covariance matrix, by parametric bootstrap.

Error propagation with derivatives is exact for small errors of smooth quantities. PPT values, the
largest of many, and what is calculated from the nearest physical matrix are neither; here the
measurement is repeated on paper, with the errors of the measured variances, and everything is
calculated anew each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from labctl.analysis.arguments import Array
from labctl.analysis.gaussian.homodyne import Reconstruction
from labctl.analysis.gaussian.symplectic import nearest_physical


@dataclass(frozen=True)
class Bootstrap:
    """What repeating the measurement would do to a quantity (or an array of them)."""

    value: Array  # from the matrix as measured
    error: Array  # standard deviation over repetitions
    bias: Array  # mean over repetitions minus value; value - bias is corrected to first order
    low: Array  # 16 % and 84 % quantiles of the repetitions, shifted by twice the bias
    high: Array


def bootstrap_errors(
    measured: Reconstruction,
    quantity: Callable[[Array], ArrayLike],
    draws: int = 200,
    seed: int = 0,
    *,
    physical: bool = True,
) -> Bootstrap:
    """Return value, error and bias of `quantity(cov)`.

    Args:
        measured: from `covariance_from_variances`; it knows how errors of elements correlate.
        quantity: a function of a (2N, 2N) matrix, such as `lambda v: ppt_values(v).max()`.
        draws: repetitions; the relative error of the error is 1 / sqrt(2 draws).
        seed: of the repetitions; the same seed gives the same result.
        physical: project each matrix to the nearest physical one first.
    """
    if draws < 2:
        raise ValueError(f"draws: must be at least 2, got {draws}")

    def of(matrix: Array) -> Array:
        return np.asarray(quantity(nearest_physical(matrix) if physical else matrix), dtype=float)

    value = of(measured.covariance)
    repeated = np.array([of(matrix) for matrix in measured.drawn(draws, seed)])
    bias = repeated.mean(axis=0) - value
    low, high = np.quantile(repeated, (0.16, 0.84), axis=0) - 2.0 * bias
    return Bootstrap(value, repeated.std(axis=0, ddof=1), bias, low, high)
