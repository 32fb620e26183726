"""What a sweep will be worth before it is measured: error and information per hour of a result."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from labctl.analysis.arguments import finite_array
from labctl.analysis.gaussian.checks import symmetric
from labctl.analysis.gaussian.homodyne import covariance_from_variances


@dataclass(frozen=True)
class SweepValue:
    """What a set of homodyne settings will tell about one quantity."""

    settings: int
    hours: float
    error: float  # standard error of the quantity
    per_hour: float  # information (1 / variance of the quantity) per hour


def sweep_value(
    cov: ArrayLike,
    directions: ArrayLike,
    gradient: ArrayLike,
    relative_error: float,
    seconds: float,
) -> SweepValue:
    """Predict how well a sweep will determine a quantity F.

    Noise powers have equal relative errors, so setting s has the error `relative_error` times its
    variance d_s^T V d_s. Information adds up over repetitions, so that sweeps of different length
    compare by their information per hour.

    Args:
        cov: the state expected, (2N, 2N).
        directions: (S, 2N), see `quadrature_direction`.
        gradient: dF/dV, (2N, 2N), ij and ji counted separately.
        relative_error: of one measured variance.
        seconds: that one setting takes.
    """
    array = symmetric(cov)
    rows = finite_array(directions, "directions")
    if not (math.isfinite(relative_error) and relative_error > 0):
        raise ValueError(f"relative_error: must be positive, got {relative_error}")
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"seconds: must be positive, got {seconds}")
    if rows.ndim != 2 or rows.shape[1] != len(array):
        raise ValueError(f"directions: must have shape (S, {len(array)}), got {rows.shape}")
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    variances = np.einsum("si,ij,sj->s", rows, array, rows)
    measured = covariance_from_variances(rows, variances, relative_error * variances)
    error = float(measured.uncertainty(gradient))
    hours = len(rows) * seconds / 3600.0
    if not error > 0:
        raise ValueError("gradient: the settings do not measure this quantity")
    return SweepValue(len(rows), hours, error, 1.0 / error**2 / hours)
