"""What an integrating phase loop leaves of the noise, how it oscillates, and how often it slips.

Formulae: residual noise of an integrator with delay, U. Kuechler and B. Mensch, Stochastics 40,
23 (1992); mean time to a slip, R. L. Stratonovich (1967), for dpsi = -k sin(psi) dt + sigma dW.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ive, j1

FloatLike = float | NDArray[np.float64]


def residual_variance(
    rate: FloatLike,
    *,
    drift: float = 0.0,
    sensor: FloatLike = 0.0,
    delay: float = 0.0,
    acoustic_rms: float = 0.0,
    acoustic_time: float = 1.0,
    proportional: FloatLike = 0.0,
) -> Any:
    """Phase variance in rad^2 that an integrating loop leaves, infinite if the loop is unstable.

    Exact for each noise alone without delay, and with delay for white frequency or sensor noise;
    acoustic noise with delay is taken as the exact value without delay times the same factor.

    Args:
        rate: integrator gain x slope, k in 1/s.
        drift: free phase noise in rad per square root of s.
        sensor: two-sided density of the sensor noise in rad^2/Hz.
        delay: loop delay in s.
        acoustic_rms: standard deviation of the acoustic phase noise in rad.
        acoustic_time: its correlation time in s.
        proportional: proportional gain x slope, without unit; stable below 1.
    """
    share = 1.0 / (1.0 + np.maximum(proportional, -0.9))
    k = np.maximum(rate, 1e-300) * share
    lag = delay_lag(rate, delay, proportional)
    x = np.minimum(lag, 1.5707)
    peaking = (1.0 + np.sin(x)) / np.cos(x)
    free = drift**2 * share**2 / (2 * k) + acoustic_rms**2 * share**2 / (1.0 + k * acoustic_time)
    measured = k * sensor / 2
    if delay > 0:  # the proportional path writes sensor noise on the phase up to 1/(4 delay)
        measured = measured + sensor * (proportional * share) ** 2 / (2 * delay)
    return np.where(lag < math.pi / 2, (free + measured) * peaking, np.inf)


def delay_lag(rate: FloatLike, delay: float, proportional: FloatLike = 0.0) -> Any:
    """Phase lag in rad that the delay adds at unity gain; the loop is unstable from pi/2 on.

    With proportional gain p the margin is pi - acos(p) at k / sqrt(1 - p^2); scaled to pi/2.
    """
    if isinstance(proportional, float) and proportional == 0.0:
        return rate * delay
    if delay == 0.0:
        return 0.0 * np.asarray(rate)
    p = np.minimum(np.maximum(proportional, -0.999), 0.999)
    lag = np.arccos(p)
    scaled = (math.pi / 2) * delay * rate / (np.sin(lag) * (math.pi - lag))
    return np.where(np.abs(proportional) < 1, scaled, np.maximum(scaled, math.pi))


def slip_time(rate: float, diffusion: float) -> float:
    """Mean time in s until a locked phase leaves by one turn, T = (2 pi^2 / D) I0(k / D)^2."""
    if not diffusion > 0:
        return math.inf
    z = rate / diffusion
    bessel = float(ive(0, z)) * math.exp(min(z, 340.0))
    return math.inf if z > 340 else 2 * math.pi**2 / diffusion * bessel**2


def limit_cycle(lag: float) -> float:
    """Amplitude in rad of the oscillation of an unstable loop: 2 J1(a)/a = (pi/2) / lag."""
    low, high = 0.0, 3.8317  # 2 J1(a)/a falls from 1 to 0
    if lag <= math.pi / 2:
        return low
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if 4 * j1(middle) * lag > math.pi * middle else (low, middle)
    return low
