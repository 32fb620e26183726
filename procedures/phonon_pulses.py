"""Voltages that make Gaussian light pulses behind acousto-optic modulators.

Light follows the drive with the modulator's rise time, so a pulse as short as these is wider than
its pattern. The levels of the pattern are therefore those whose smoothed sum is nearest to the
wanted pulse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from labctl.errors import RequestError

#: Time (ns) in which the analog outputs of the generator keep one level.
LEVEL_TIME = 8
#: 10-90 % rise over the standard deviation of an edge that is an error function.
RISE_PER_SIGMA = 2.5631
#: Transmission at the peak; what is left to 1 makes up for the steps.
PEAK = 0.9
#: Before the first pulse (ns): long enough for its tail.
LEAD = 96
#: Levels of one pulse; finding them takes a second for this many.
MOST_LEVELS = 500


@dataclass(frozen=True)
class Pulse:
    """One Gaussian light pulse: middle and full width at half maximum (ns).

    It is cut off one full width before and after its middle.
    """

    middle: float
    fwhm: float

    @property
    def begin(self) -> float:
        return self.middle - self.fwhm

    @property
    def end(self) -> float:
        return self.middle + self.fwhm


def pulse_pair(first_fwhm: float, second_fwhm: float, delay: float) -> tuple[Pulse, Pulse]:
    """Preparation and read-out pulse; `delay` (ns) from the end of the first to the second.

    Raises:
        RequestError: they would overlap.
    """
    if delay < 0:
        raise RequestError(
            f"delay: {delay:g} ns would let the read-out pulse begin before the preparation "
            "pulse has ended; ask for 0 ns or more"
        )
    first = Pulse(LEAD + first_fwhm, first_fwhm)
    return first, Pulse(first.end + delay + second_fwhm, second_fwhm)


@dataclass(frozen=True)
class Level:
    """One level of an analog output: start and width (ns), and volts; 1 V is full drive."""

    start: int
    width: int
    volts: float


def drive(pulse: Pulse, rise: float) -> list[Level]:
    """Levels that make the pulse behind a modulator of this 10-90 % `rise` (ns).

    Raises:
        RequestError: the modulator is too slow, or the pulse has too many steps.
    """
    from scipy.optimize import nnls
    from scipy.special import ndtr

    sigma = rise / RISE_PER_SIGMA
    if 2.3548 * sigma > 0.9 * pulse.fwhm:
        raise RequestError(
            f"pulses: {pulse.fwhm:g} ns cannot be made by modulators with a rise time of "
            f"{rise:g} ns; ask for longer pulses"
        )
    first, last = math.floor(pulse.begin / LEVEL_TIME), math.ceil(pulse.end / LEVEL_TIME)
    if last - first > MOST_LEVELS:
        raise RequestError(
            f"pulses: {pulse.fwhm:g} ns take {last - first} levels of {LEVEL_TIME} ns, more than "
            f"the {MOST_LEVELS} foreseen; ask for shorter pulses"
        )
    edges = LEVEL_TIME * np.arange(first, last + 1)
    t = np.arange(pulse.begin - 3 * sigma, pulse.end + 3 * sigma, 0.5)
    wanted = PEAK * np.exp(-4 * math.log(2) * ((t - pulse.middle) / pulse.fwhm) ** 2)
    wanted[(t < pulse.begin) | (t > pulse.end)] = 0.0
    smooth = ndtr((t[:, None] - edges) / sigma)
    levels, _ = nnls(smooth[:, :-1] - smooth[:, 1:], wanted)
    # The same area wherever the pulse lies between the edges of the levels; a short one, whose
    # levels would have to pass more than all light, keeps its shape at a lower peak.
    levels *= wanted.sum() * 0.5 / (levels.sum() * LEVEL_TIME)
    volts = 2 / np.pi * np.arcsin(np.sqrt(levels / max(levels.max(), 1.0)))
    return [
        Level(int(start), LEVEL_TIME, float(height))
        for start, height in zip(edges[:-1], volts, strict=True)
        if height > 0
    ]


@lru_cache(maxsize=32)
def lit(fwhm: float, rise: float) -> float:
    """Area (ns) of the light that is really made, if a modulator that stays open passes all."""
    levels = drive(Pulse(LEAD + fwhm, fwhm), rise)
    return sum(level.width * math.sin(math.pi / 2 * level.volts) ** 2 for level in levels)
