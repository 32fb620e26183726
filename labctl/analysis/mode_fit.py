"""Fits of measured S parameters with the linear response of cavities, magnon and phonon.

Each S parameter may carry an unknown complex factor, which is what a calibration leaves of gain and
phase; it is found by linear regression for every trial device, so that only the device is fitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.analysis.magnomechanics import Device, scattering

Array = NDArray[np.float64]

#: What a sweep without drive determines.
MODES = (
    "detuning_1", "detuning_2", "detuning_m", "kappa_1", "kappa_2", "kappa_m", "g_1", "g_2",
)  # fmt: skip
CAVITIES = ("detuning_1", "detuning_2", "kappa_1", "kappa_2")
POSITIVE = ("kappa_1", "kappa_2", "kappa_m", "g_1", "g_2", "coupling")
#: Factors of gain and phase may differ from 1 by this (rms); holds a factor of no signal at 1.
FACTOR_SPREAD = 0.05
TYPICAL_NOISE = 1e-3  # rms of an S parameter's point


@dataclass(frozen=True)
class ModeFit:
    """A fitted device with standard errors of what was free, and the rms residual."""

    device: Device
    names: tuple[str, ...]
    values: Array
    covariance: Array
    misfit: float

    @property
    def errors(self) -> dict[str, float]:
        return dict(zip(self.names, np.sqrt(np.diag(self.covariance)).tolist(), strict=True))


def residuals(device: Device, probe: Array, s: NDArray[np.complex128]) -> Array:
    """Data minus model, real and imaginary parts, with the best factor for each S parameter."""
    model = scattering(device, probe)
    # Ridge regression towards a factor of 1: an S parameter without signal keeps its factor.
    weight = (TYPICAL_NOISE / FACTOR_SPREAD) ** 2
    top = (model.conj() * s).sum(axis=0) + weight
    bottom = (np.abs(model) ** 2).sum(axis=0) + weight
    missed = (s - top / bottom * model).ravel()
    return np.concatenate([missed.real, missed.imag])


def fit_modes(
    probe: ArrayLike, s: ArrayLike, start: Device, free: Sequence[str] = MODES
) -> ModeFit:
    """Fit `free` fields of a device to S parameters (n, 2, 2) at `probe` (MHz from the drive).

    Raises:
        ValueError: wrong shapes, or fewer points than unknowns.
    """
    from scipy.optimize import least_squares

    x = np.asarray(probe, dtype=float)
    data = np.asarray(s, dtype=complex)
    if x.ndim != 1 or data.shape != (len(x), 2, 2):
        raise ValueError(f"s: must have shape ({len(x)}, 2, 2), got {data.shape}")
    if 8 * len(x) <= len(free) + 8:
        raise ValueError(f"probe: {len(x)} points do not determine {len(free)} unknowns")
    names = tuple(free)

    def device(values: Array) -> Device:
        changed: dict[str, Any] = dict(zip(names, values.tolist(), strict=True))
        for name in POSITIVE:
            if name in changed:
                changed[name] = abs(changed[name])
        return start.with_(**changed)

    first = np.array([float(getattr(start, name)) for name in names])

    def missed(values: Array) -> Array:
        return residuals(device(values), x, data)

    fit = least_squares(missed, first, x_scale="jac", xtol=1e-12)
    noise = float(np.sum(fit.fun**2)) / (len(fit.fun) - len(names) - 8)
    jacobian = np.asarray(fit.jac, dtype=float)
    covariance = noise * np.linalg.pinv(jacobian.T @ jacobian)
    best = device(np.asarray(fit.x))
    values = np.array([float(getattr(best, name)) for name in names])
    return ModeFit(best, names, values, covariance, float(np.sqrt(2.0 * noise)))


def best_start(
    probe: ArrayLike, s: ArrayLike, start: Device, trials: Mapping[str, ArrayLike]
) -> Device:
    """The device, among all combinations of trial values, that misses the data least."""
    x, data = np.asarray(probe, dtype=float), np.asarray(s, dtype=complex)
    grids = np.meshgrid(*(np.asarray(v, dtype=float) for v in trials.values()), indexing="ij")
    choices = np.stack([grid.ravel() for grid in grids], axis=-1)
    missed = [
        float(np.sum(residuals(start.with_(**dict(zip(trials, c, strict=True))), x, data) ** 2))
        for c in choices.tolist()
    ]
    chosen = choices[int(np.argmin(missed))].tolist()
    return start.with_(**dict(zip(trials, chosen, strict=True)))


def resonance_guess(probe: ArrayLike, reflection: ArrayLike) -> float:
    """Where a reflection (complex) turns fastest: the resonance of a cavity without other loss."""
    x, r = np.asarray(probe, dtype=float), np.asarray(reflection, dtype=complex)
    if x.shape != r.shape or len(x) < 5:
        raise ValueError(f"reflection: must have the shape of probe, {x.shape}, got {r.shape}")
    place = int(np.argmax(np.abs(r[2:] - r[:-2])))
    return float(x[place + 1])
