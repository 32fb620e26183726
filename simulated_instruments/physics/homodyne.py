"""Balanced homodyne detection with a local oscillator of several comb lines.

The current is i = sum conj(E_k) a_k e^{i psi} + h.c.: psi is the phase of the signal arm, and a
local oscillator phase theta_k selects x_k cos(theta_k) + p_k sin(theta_k). With E_k normalised
this is one quadrature of the collective mode b (see `Moments.collective`), and its variance is
    V = 1 + 2 eta <b'b> + 2 eta Re[<bb> e^{2 i psi}] exp(-2 s^2)
after the exact mean over a Gaussian fast phase jitter of rms s; slower motion of psi is followed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from simulated_instruments.physics.gaussian import Real

#: Equivalent noise bandwidth of the analyser filter for which levels in dBm are stated.
NOISE_BANDWIDTH = 1.0645 * 100e3  # Hz


def relative_variance(
    number: ArrayLike, squeezing: ArrayLike, efficiency: float, phase: ArrayLike, jitter: ArrayLike
) -> Real:
    """Noise power over shot noise; `phase` and `jitter` (rms) in rad."""
    turned = (np.asarray(squeezing) * np.exp(2j * np.asarray(phase))).real
    blurred = np.exp(-2.0 * np.asarray(jitter, dtype=float) ** 2) * turned
    light = np.asarray(number, dtype=float) + blurred
    return np.asarray(1.0 + 2.0 * efficiency * light, dtype=float)


@dataclass(frozen=True)
class Detector:
    """Levels of a balanced detector, as an analyser with 100 kHz resolution shows them."""

    shot_dbm: float = -67.0  # one local oscillator line at 0 dB
    dark_dbm: float = -80.0
    bandwidth_hz: float = 100e6  # first-order roll-off
    corner_hz: float = 1e3  # below, the dark noise rises as 1/f

    def psd_w_per_hz(self, frequency_hz: Real, lo_power: ArrayLike, variance: ArrayLike) -> Real:
        """Noise density (W/Hz); `lo_power` in lines at 0 dB, `variance` relative to shot noise."""
        frequency = np.maximum(np.abs(frequency_hz), 1.0)
        shot = _density(self.shot_dbm) * np.asarray(lo_power, dtype=float) * np.asarray(variance)
        dark = _density(self.dark_dbm) * (1.0 + self.corner_hz / frequency)
        return (shot + dark) / (1.0 + (frequency / self.bandwidth_hz) ** 2)


def _density(level_dbm: float) -> float:
    return float(10.0 ** (level_dbm / 10.0) * 1e-3 / NOISE_BANDWIDTH)
