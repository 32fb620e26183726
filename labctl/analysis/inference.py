"""What the fields inside the cavities must be like, given the measured output fields.

The output modes are not the cavity modes: a narrow filter sees far more entanglement than is inside
at any one time. The linear model joins both. Its unknowns are known from spectroscopy with errors;
the measured output covariance narrows them further, and the intracavity state follows with what
uncertainty remains. The inference is only as good as the model; `chi_square` says how well it fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.heterodyne import UPPER, Estimate
from labctl.analysis.magnomechanics import (
    CAVITIES,
    Device,
    covariance,
    duan,
    output_covariance,
    signed_negativity,
)

Array = NDArray[np.float64]

#: Relative step for slopes, and the least step (MHz, rad, or mK).
STEP = 1e-4
ROUNDS = 8
CONVERGED = 1e-3  # of a standard error


@dataclass(frozen=True)
class Inferred:
    """The device that explains the outputs best; E_N is signed (negative: not entangled)."""

    device: Device
    phases: tuple[float, float]  # rad, of the local oscillators against the drive
    log_negativity: float
    error: float
    duan: float
    duan_error: float
    chi_square: float
    freedom: int


def turned(v: Array, first: Array, second: Array) -> Array:
    """Covariances (..., 4, 4) as local oscillators ahead by these phases (rad) see them."""
    turn = np.zeros((*np.shape(first), 4, 4))
    for place, angle in ((0, first), (2, second)):
        turn[..., place, place] = turn[..., place + 1, place + 1] = np.cos(angle)
        turn[..., place, place + 1] = np.sin(angle)
        turn[..., place + 1, place] = -np.sin(angle)
    return np.asarray(turn @ v @ np.swapaxes(turn, -1, -2))


def infer(
    estimate: Estimate,
    start: Device,
    errors: Mapping[str, float],
    bandwidth: float,
    sideband: float,
    phase_error: float = 0.1,
) -> Inferred:
    """Fit fields of `start`, each known with a standard error, to a measured output state.

    Args:
        estimate: the measured state with its errors.
        start: the device as spectroscopy, thermometry and earlier work know it.
        errors: standard error of each field that is not exactly known.
        bandwidth, sideband: of the filters, MHz.
        phase_error: standard error of each oscillator's phase, rad.

    Raises:
        ValueError: the starting device is unstable.
    """
    names = tuple(errors)
    prior = np.array([*(float(getattr(start, n)) for n in names), 0.0, 0.0])
    spread = np.array([*errors.values(), phase_error, phase_error])
    if not (spread > 0).all():
        raise ValueError("errors: standard errors must be positive")
    weight = np.linalg.pinv(estimate.statistical + estimate.systematic)
    measured = estimate.covariance[UPPER]

    def devices(values: Array) -> Device:
        changed: dict[str, Any] = {n: values[..., k] for k, n in enumerate(names)}
        return start.with_(**changed)

    def outputs(values: Array) -> Array:
        v = output_covariance(devices(values), bandwidth, sideband)
        return turned(v, values[..., -2], values[..., -1])[..., UPPER[0], UPPER[1]]

    steps = np.maximum(STEP * np.abs(prior), 1e-3 * spread)
    around = np.concatenate([np.diag(steps), -np.diag(steps), np.zeros((1, len(prior)))])

    def slopes(values: Array) -> tuple[Array, Array]:
        table = outputs(values + around)
        count = len(prior)
        return table[-1], (table[:count] - table[count : 2 * count]).T / (2.0 * steps)

    current = prior.copy()
    information = np.diag(1.0 / spread**2)
    for _ in range(ROUNDS):
        model, jacobian = slopes(current)
        if not np.isfinite(model).all():
            raise ValueError("the device is unstable, it has no steady state to infer")
        gradient = jacobian.T @ weight @ (measured - model) + (prior - current) / spread**2
        posterior = np.linalg.inv(jacobian.T @ weight @ jacobian + information)
        change = posterior @ gradient
        change *= min(1.0, 5.0 / max(1e-12, float(np.max(np.abs(change) / spread))))
        current = current + change
        if np.max(np.abs(change) / np.sqrt(np.diag(posterior))) < CONVERGED:
            break
    model, jacobian = slopes(current)
    posterior = np.linalg.inv(jacobian.T @ weight @ jacobian + information)
    missed = measured - model
    deviation = (current - prior) / spread
    chi_square = float(missed @ weight @ missed + deviation @ deviation)
    inside = covariance(devices(current + around))[..., CAVITIES, CAVITIES]
    found = []
    for function in (signed_negativity, duan):
        table = function(inside)
        count = len(prior)
        slope = (table[:count] - table[count : 2 * count]) / (2.0 * steps)
        found += [float(table[-1]), float(np.sqrt(max(0.0, slope @ posterior @ slope)))]
    best = start.with_(
        **{n: float(value) for n, value in zip(names, current[:-2].tolist(), strict=True)}
    )
    phases = (float(current[-2]), float(current[-1]))
    return Inferred(best, phases, found[0], found[1], found[2], found[3], chi_square, 10)
