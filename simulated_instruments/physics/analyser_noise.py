"""What a spectrum analyser shows of Gaussian noise: exact averages, spread and correlation.

Noise behind a Gaussian resolution filter has exponentially distributed power. Its envelope (as
power, voltage or logarithm) passes a single-pole video filter; a detector makes one number of each
bucket. The displayed power is taken as a Gamma variable whose shape follows from the exact variance
of the filtered envelope (right without filter, and in the limit of many averages); successive
points are correlated through a Gaussian copula.

The variance is exact for any ratio of the bandwidths: the envelope's autocovariance is
sum_n c_n g^(2n), with g^2 = exp(-a^2 u^2), a = pi RBW / sqrt(2 ln 2), at lag u, and coefficients
c_n = 1 (n = 1 only) for power, 1/n^2 for the natural logarithm and ((-1/2)_n / n!)^2 for voltage
(S. O. Rice, Bell Syst. Tech. J. 24, 46 (1945), sec. 3.7-3.10). Bandwidths are in Hz, times in s.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.signal import lfilter
from scipy.special import erfcx, gammainccinv, gammaincinv, gammaln, log_ndtr, ndtr, polygamma, psi

#: Noise bandwidth of a Gaussian filter over its 3 dB bandwidth, sqrt(pi / (4 ln 2)).
NOISE_BANDWIDTH = math.sqrt(math.pi / (4 * math.log(2)))
#: Video bandwidths from here on (in units of the resolution bandwidth) leave the noise as it is.
OPEN_VIDEO = 3.0
BOLTZMANN = 1.380649e-23
#: Thermal noise of a matched source at 290 K, in W/Hz (-174 dBm/Hz).
THERMAL_W_PER_HZ = BOLTZMANN * 290.0

AVERAGE_TYPES = ("RMS", "LOG", "SCAL")
DETECTORS = ("NORM", "AVER", "SAMP", "POS", "NEG")

_TERMS = np.arange(1, 20001, dtype=float)
_COEFFICIENTS = {
    "RMS": np.array([1.0]),
    "LOG": 1.0 / _TERMS**2,
    "SCAL": np.cumprod((_TERMS - 1.5) / _TERMS) ** 2,
}
_GRID = np.linspace(-6.5, 6.5, 1301)  # normal deviates; 1e-10 of all lie outside


class Envelope(NamedTuple):
    """Second-order statistics of the video signal of stationary noise of unit mean power."""

    variance: float  # relative to the squared mean (RMS, SCAL), or in nepers of power squared (LOG)
    correlation_time: float  # integral of the autocorrelation over positive lags (s)


class Pointwise(NamedTuple):
    """How points of a trace are drawn: `ln(displayed / mean)` from correlated normal deviates."""

    correlation: float  # between neighbouring points
    edge_weight: float  # AVER: a bucket is this times the deviates at its two edges...
    own_weight: float  # ...plus this times a deviate of its own, over its own rms
    tables: tuple[np.ndarray, ...]  # quantiles on `_GRID`; NORM alternates between two


@lru_cache(maxsize=256)
def envelope(rbw_hz: float, vbw_hz: float, average: str) -> Envelope:
    """Exact variance and correlation time of the filtered envelope."""
    coefficients = _COEFFICIENTS[average]
    n = _TERMS[: len(coefficients)]
    a = math.pi * rbw_hz / math.sqrt(2 * math.log(2))
    lags = math.sqrt(math.pi) / (2 * a * np.sqrt(n))  # integrals of g^(2n) over positive lags
    if vbw_hz >= OPEN_VIDEO * rbw_hz:
        variance = float(coefficients.sum())
    else:
        rate = 2 * math.pi * vbw_hz
        variance = float(np.sum(coefficients * rate * lags * erfcx(rate / (2 * a * np.sqrt(n)))))
    # A filter with unit gain at zero frequency keeps the integral of the autocovariance.
    return Envelope(variance, float(np.sum(coefficients * lags)) / variance)


def effective_averages(rbw_hz: float, vbw_hz: float) -> float:
    """How many independent samples of noise power one displayed value averages (M)."""
    return 1.0 / envelope(rbw_hz, vbw_hz, "RMS").variance


def shape(variance: float, average: str) -> float:
    """The Gamma shape parameter whose power, logarithm or root has this variance."""
    if average == "RMS":
        return 1.0 / variance

    def excess(k: float) -> float:
        if average == "LOG":
            return float(polygamma(1, k)) / variance - 1.0
        return math.expm1(math.log(k) - 2 * _half_step(k)) / variance - 1.0

    return float(brentq(excess, 0.25 / (variance + 1.0), 1.0 / variance + 2.0, xtol=1e-9))


def _half_step(k: float) -> float:
    """ln(Gamma(k + 1/2) / Gamma(k))."""
    return float(gammaln(k + 0.5) - gammaln(k))


def _offset(k: float, average: str) -> float:
    """What to add to ln(Gamma variate) to get ln(displayed / true mean power)."""
    if average == "RMS":
        return -math.log(k)
    if average == "LOG":
        return -float(np.euler_gamma) - float(psi(k))
    return math.log(math.pi / 4) - 2 * _half_step(k)


def quantiles(
    variance: float, average: str, detector: str = "SAMP", samples: float = 1.0
) -> np.ndarray:
    """ln(displayed / mean) at the normal deviates of `_GRID`, of a sample or a peak of several.

    Args:
        variance: of the envelope, as in `Envelope`.
        average: "RMS", "LOG" or "SCAL".
        detector: "SAMP"; "POS" or "NEG" for the largest or smallest of `samples` independent ones.
        samples: may be a fraction, at least 1.
    """
    k = shape(variance, average)
    if detector == "NEG":
        above = np.exp(log_ndtr(-_GRID) / samples)
        below = -np.expm1(log_ndtr(-_GRID) / samples)
    elif detector == "POS":
        below = np.exp(log_ndtr(_GRID) / samples)
        above = -np.expm1(log_ndtr(_GRID) / samples)
    else:
        below, above = ndtr(_GRID), ndtr(-_GRID)
    variate = np.where(below < 0.5, gammaincinv(k, below), gammainccinv(k, above))
    return np.asarray(np.log(variate) + _offset(k, average))


@lru_cache(maxsize=64)
def pointwise(
    rbw_hz: float, vbw_hz: float, average: str, detector: str, interval: float
) -> Pointwise:
    """How to draw points that lie `interval` apart (s)."""
    variance, time = envelope(rbw_hz, vbw_hz, average)
    u = interval / time
    correlation = math.exp(-u)
    if detector == "AVER":  # average of an Ornstein-Uhlenbeck process, given both edges
        share = 2 * (u + math.expm1(-u)) / u**2 if u > 1e-3 else 1 - u / 3  # variance left of it
        edge = math.tanh(u / 2) / u
        own = math.sqrt(max(0.0, share - 2 * (1 + correlation) * edge**2))
        rms = math.sqrt(share)
        tables = (quantiles(variance * share, average),)
        return Pointwise(correlation, edge / rms, own / rms, tables)
    samples = max(1.0, u / 2)
    kinds = ("NEG", "POS") if detector == "NORM" else (detector,)
    return Pointwise(
        correlation, 0.0, 0.0, tuple(quantiles(variance, average, k, samples) for k in kinds)
    )


def log_factors(how: Pointwise, rng: np.random.Generator, points: int) -> np.ndarray:
    """ln(displayed / mean power) for the points of one sweep of stationary noise."""
    average = how.own_weight > 0.0
    steps = rng.standard_normal(points + average)
    steps[1:] *= math.sqrt(1 - how.correlation**2)
    deviates = lfilter([1.0], [1.0, -how.correlation], steps)
    if average:
        deviates = how.edge_weight * (deviates[1:] + deviates[:-1])
        deviates += how.own_weight * rng.standard_normal(points)
    factors = np.interp(deviates, _GRID, how.tables[0])
    if len(how.tables) > 1:
        factors[1::2] = np.interp(deviates[1::2], _GRID, how.tables[1])
    return factors


def settle(
    power_w: np.ndarray, before_w: float, correlation: float, average: str
) -> tuple[np.ndarray, float]:
    """Mean power (W) behind the video filter while the input has mean `power_w` point by point.

    Args:
        power_w: input power at each point.
        before_w: filtered power one point before the first.
        correlation: of neighbouring points, exp(-interval / filter time).
        average: the quantity that the filter acts on.

    Returns:
        the filtered powers, and the last of them.
    """
    if average == "LOG":
        signal, start = np.log(power_w), math.log(before_w)
    elif average == "SCAL":
        signal, start = np.sqrt(power_w), math.sqrt(before_w)
    else:
        signal, start = power_w, before_w
    filtered, _ = lfilter(
        [1.0 - correlation], [1.0, -correlation], signal, zi=[correlation * start]
    )
    if average == "LOG":
        filtered = np.exp(filtered)
    elif average == "SCAL":
        filtered = np.square(filtered)
    return filtered, float(filtered[-1])


def overload(power_w: np.ndarray, floor_w: float, limit_w: float) -> tuple[np.ndarray, bool]:
    """Displayed mean power of signal plus floor (W), and whether the input stage is overloaded.

    The input stage saturates softly at ten times `limit_w`; above `limit_w` its distortion lifts
    the floor in proportion to the power. A coarse model: real analysers are worse than this.
    """
    excess = float(power_w.max()) / limit_w
    if excess <= 1.0:
        return power_w + floor_w, False
    return power_w / (1.0 + power_w / (10 * limit_w)) + floor_w * (1.0 + 100.0 * excess), True


def filter_response(offset_hz: np.ndarray, rbw_hz: float) -> np.ndarray:
    """Power response of the Gaussian resolution filter, 1 at its centre and 1/2 at RBW/2."""
    return np.exp(-4 * math.log(2) * np.square(offset_hz / rbw_hz))
