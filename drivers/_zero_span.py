"""Noise in zero span: what a sweep was, and the mean power of its trace with an error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

#: dB by which an average of this type shows Gaussian noise too low (power, voltage, logarithm).
UNDER_READS = {
    "RMS": 0.0,
    "SCAL": -10 * math.log10(math.pi / 4),
    "LOG": 10 / math.log(10) * float(np.euler_gamma),
}


@dataclass(frozen=True)
class SweepSettings:
    """What the analyser has really set; it rounds bandwidths to its own steps."""

    centre_hz: float
    span_hz: float
    rbw_hz: float
    vbw_hz: float
    sweep_time_s: float
    points: int
    detector: str  # for all families: AVER, SAMP, NORM, POS or NEG
    average_type: str  # in what the video filter and the detector AVER average: RMS, SCAL or LOG
    trace_type: str
    average_count: int
    sweeps: int  # that one start makes
    filtered: bool  # whether the video filter acts on what the detector sees

    @property
    def duration_s(self) -> float:
        """Time of all sweeps that one start takes, without overhead."""
        return self.sweep_time_s * self.sweeps

    @property
    def interval_s(self) -> float:
        """Time between points in zero span."""
        return self.sweep_time_s / max(1, self.points - 1)

    @property
    def correlation_time_s(self) -> float:
        """How long the displayed noise remembers: the filters' time constants."""
        video = 1 / (2 * math.pi * self.vbw_hz) if self.filtered else 0.0
        return video + 0.332 / self.rbw_hz

    @property
    def settling_s(self) -> float:
        """How long the filters need until what was before the sweep is forgotten.

        For the video filter 1/VBW, which is 6.3 of its time constants; half as much again if the
        logarithm is averaged, because that settles in decibels.
        """
        if not self.filtered:
            return 2 / self.rbw_hz
        return (1.5 if self.average_type == "LOG" else 1.0) / self.vbw_hz


class ZeroSpanPower(NamedTuple):
    """Mean noise power of a trace, its standard error, and the whole trace."""

    mean_mw: float
    standard_error_mw: float
    trace_dbm: Array


@lru_cache(maxsize=64)
def share_of_mean(points: int, ratio: float, averaged: bool) -> float:
    """Variance of the mean of correlated points, relative to the variance of one point.

    The points are samples of a process with correlation exp(-t/time), or its averages over the
    intervals between them.

    Args:
        points: how many.
        ratio: interval between points over correlation time.
        averaged: whether each point is an average over its interval.
    """
    lags = np.arange(1, points)
    correlation = np.exp(-ratio * lags)
    if averaged and ratio > 1e-3:
        # The correlation of averages, exp(ratio) taken into the exponent so that nothing overflows.
        correlation = np.exp(-ratio * (lags - 1)) * math.expm1(-ratio) ** 2
        correlation /= 2 * (ratio + math.expm1(-ratio))
    return float(1 + 2 * np.sum((1 - lags / points) * correlation)) / points


def mean_power(trace_dbm: Array, average_type: str, share: float) -> tuple[float, float]:
    """Mean power and its standard error in mW, averaging what the analyser averages."""
    if average_type == "LOG":
        values = trace_dbm
    else:
        values = 10 ** (trace_dbm / (20 if average_type == "SCAL" else 10))
    mean = float(values.mean())
    # The scatter about the trace's own mean lacks the part that the mean has taken.
    error = math.sqrt(float(values.var()) * share / (1 - share))
    correction = 10 ** (UNDER_READS[average_type] / 10)
    if average_type == "LOG":
        power = correction * 10 ** (mean / 10)
        return power, power * error * math.log(10) / 10
    if average_type == "SCAL":
        return correction * mean**2, correction * 2 * mean * error
    return mean, error
