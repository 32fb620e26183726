"""Light pulses that an acousto-optic modulator cuts from a played pattern.

The intensity is that of the drive smoothed by the transit of sound through the beam: an edge is an
error function whose 10-90 % rise is the modulator's. The first order takes sin^2(pi/2 a) of the
light, a being the amplitude of the radio wave over that of full diffraction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

GRID = 0.25  # ns
RISE_PER_SIGMA = 2.5631  # 10-90 % rise over the standard deviation of the edge

#: Full width at half maximum over the standard deviation of a Gaussian that is cut off one such
#: width either side: 2.3548 / sqrt(1 - 2 z phi(z) / (2 Phi(z) - 1)) with z = 2.3548.
CUT_GAUSSIAN = 2.5097


class Envelope:
    """Transmission of a modulator against time, on an even grid of times (ns)."""

    def __init__(self, times: Floats, transmission: Floats) -> None:
        self.times = times
        self.transmission = transmission

    @cached_property
    def area(self) -> float:
        """Integral of the transmission (ns)."""
        return float(self.transmission.sum() * GRID)

    @cached_property
    def peak(self) -> float:
        return float(self.transmission.max(initial=0.0))

    @cached_property
    def centre(self) -> float:
        """Centre of gravity (ns)."""
        return float(self.times @ self.transmission * GRID / self.area)

    @cached_property
    def fwhm(self) -> float:
        """Distance (ns) of the outermost points at half the maximum."""
        above = np.flatnonzero(self.transmission >= self.peak / 2)
        left, right = int(above[0]), int(above[-1])
        half, y, t = self.peak / 2, self.transmission, self.times
        begin = t[left]
        if left > 0:
            begin -= GRID * (y[left] - half) / (y[left] - y[left - 1])
        end = t[right]
        if right + 1 < y.size:
            end += GRID * (y[right] - half) / (y[right] - y[right + 1])
        return float(end - begin)

    @cached_property
    def gaussian_fwhm(self) -> float:
        """Width (ns) of the Gaussian, cut off one width before and after its middle, of the same
        standard deviation: where a smoothed pulse begins and ends.
        """
        variance = (self.times - self.centre) ** 2 @ self.transmission * GRID / self.area
        return math.sqrt(float(variance)) * CUT_GAUSSIAN

    @cached_property
    def cumulative(self) -> Floats:
        """Part of the area up to each time."""
        steps = (self.transmission[1:] + self.transmission[:-1]) / 2
        total = np.concatenate(([0.0], np.cumsum(steps)))
        return np.asarray(total / total[-1])

    def fraction(self, times: Floats | float) -> Floats:
        """Part of the area before `times` (ns)."""
        return np.asarray(np.interp(times, self.times, self.cumulative))

    def quantile(self, share: Floats) -> Floats:
        """The time (ns) before which this share of the area lies."""
        return np.asarray(np.interp(share, self.cumulative, self.times))


def modulated(
    durations: Sequence[float], amplitudes: Sequence[float], rise: float
) -> Envelope | None:
    """What a drive in steps of `durations` (ns) lets pass; None if it never opens.

    Args:
        durations: lengths of the steps.
        amplitudes: of the radio wave during each, 1 for full diffraction.
        rise: 10-90 % rise time (ns) of the modulator.
    """
    edges = np.concatenate(([0.0], np.cumsum(durations)))
    taken = np.sin(np.pi / 2 * np.clip(amplitudes, 0.0, None)) ** 2
    lit = np.flatnonzero(taken > 0.0)
    if not lit.size:
        return None
    from scipy.special import ndtr

    sigma = rise / RISE_PER_SIGMA
    begin = math.floor(edges[lit[0]] - 5 * sigma)
    end = math.ceil(edges[lit[-1] + 1] + 5 * sigma)
    times = np.arange(begin, end + GRID / 2, GRID)
    out = np.zeros(times.size)
    for k in lit.tolist():
        out += taken[k] * (ndtr((times - edges[k]) / sigma) - ndtr((times - edges[k + 1]) / sigma))
    return Envelope(times, out)
