"""Grating optical spectrum analyser: what a sweep shows of narrow lines.

A line of power P at wavelength l is seen at every point x as P times the instrument's response:
a Gaussian whose full width at half maximum is the resolution, and a skirt of -70 dB at 0.2 nm that
falls off with the square of the distance. The light is that at the beginning of the sweep. Noise
floors and times per sensitivity are assumed (-90 dBm for the highest, after the data sheet), as are
a level error of 0.1 dB and a wavelength error of 5 pm of the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Lines = tuple[Floats, Floats]  # frequencies (Hz), powers (W)

C = 299_792_458.0  # m/s
RESOLUTIONS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)  # nm
SENSITIVITIES = ("NHLD", "NAUT", "MID", "HIGH1", "HIGH2", "HIGH3", "NORM")  # by code
#: Noise (dBm, rms) and time (s) of a sweep over 100 nm with 1001 points.
FLOORS = {
    "NHLD": (-60.0, 0.2), "NAUT": (-65.0, 0.5), "NORM": (-70.0, 1.0), "MID": (-75.0, 2.0),
    "HIGH1": (-80.0, 5.0), "HIGH2": (-85.0, 20.0), "HIGH3": (-90.0, 75.0),
}  # fmt: skip
CENTRES, SPANS, POINTS = (600.0, 1700.0), (0.0, 1100.0), (101, 50001)  # nm, nm, points
STARTS, STOPS = (50.0, 1700.0), (600.0, 2250.0)  # nm
EMPTY_DBM = -210.0  # where there is nothing to show
LEVEL_ERROR, RELATIVE_NOISE = 0.1, 0.005  # dB of the device; dB of each point
WAVELENGTH_ERROR = 0.005  # nm
SKIRT, SKIRT_NM = 1e-7, 0.2
ZERO_EVERY, ZERO_TIME = 600.0, 30.0  # s between offset adjustments by itself; s that one takes
GAUSS = 4.0 * math.log(2.0)


def _dark(t: float) -> Lines:
    return np.empty(0), np.empty(0)


@dataclass
class Sweep:
    """One sweep: what it saw, and when it is over."""

    number: int
    ends: float  # s
    wavelengths: Floats  # nm
    resolution: float  # nm
    sensitivity: str
    lines: Lines


class OsaModel:
    """The analyser; wavelengths in nm (vacuum), powers in dBm, times in s.

    Args:
        seed_of: gives the seed that belongs to a name (`World.seed_of`).
        name: as its owner names its random numbers.
        light: the lines that reach the input at a time: frequencies (Hz) and powers (W).
    """

    def __init__(
        self,
        seed_of: Callable[[str], int],
        name: str = "osa",
        *,
        light: Callable[[float], Lines] = _dark,
    ) -> None:
        self._seed_of = seed_of
        self._name = name
        self.light = light
        device = self._rng("device")
        self._level = LEVEL_ERROR * device.standard_normal()
        self._shift = WAVELENGTH_ERROR * device.standard_normal()
        self.auto_zero = True
        self._zeroed = 0.0
        self._sweeps = 0
        self.sweep: Sweep | None = None  # that is being made
        self.shown: tuple[Floats, Floats] | None = None  # nm, dBm, of the last one
        self.now = 0.0
        self.restore()

    def restore(self) -> None:
        """Settings of a reset."""
        self.centre, self.span = 1150.0, 1100.0
        self.resolution = 1.0
        self.sensitivity = "NAUT"
        self.points = 1001
        self.automatic_points = True
        self.abort()

    def initiate(self) -> None:
        """Begin a sweep; an adjustment that is due comes first."""
        _, seconds = FLOORS[self.sensitivity]
        if self.automatic_points:  # five points within the resolution
            wanted = math.ceil(5.0 * self.span / self.resolution) + 1
            self.points = min(max(wanted, POINTS[0]), POINTS[1])
        time = seconds * max(self.span / 100.0, self.points / 1001.0, 0.1)
        if self.auto_zero and self.now - self._zeroed >= ZERO_EVERY:
            time += ZERO_TIME
            self._zeroed = self.now
        half = self.span / 2.0
        self.sweep = Sweep(
            self._sweeps,
            self.now + time,
            np.linspace(self.centre - half, self.centre + half, self.points),
            self.resolution,
            self.sensitivity,
            self.light(self.now),
        )
        self._sweeps += 1

    def zero(self) -> float:
        """Adjust the offset now; when it is over (s)."""
        self.abort()
        self._zeroed = self.now
        return self.now + ZERO_TIME

    def abort(self) -> None:
        """Stop the sweep; what was shown before stays."""
        self.sweep = None

    def advance(self, now: float) -> None:
        """Finish the sweep that is over by `now` (s)."""
        self.now = now
        if self.sweep is not None and self.sweep.ends <= now:
            self.shown = self.sweep.wavelengths, self._levels(self.sweep)
            self.sweep = None

    def _levels(self, sweep: Sweep) -> Floats:
        """What is shown (dBm) at each point."""
        frequencies, powers = (np.asarray(part, dtype=float) for part in sweep.lines)
        watts = np.zeros(sweep.wavelengths.size)
        centres = C / frequencies * 1e9 + self._shift if frequencies.size else frequencies
        for centre, power in zip(centres.tolist(), powers.tolist(), strict=True):
            away = (sweep.wavelengths - centre) / sweep.resolution
            near = np.abs(away) < 8.0  # beyond, the Gaussian is below 1e-70
            watts[near] += power * np.exp(-GAUSS * away[near] ** 2)
            distance = away * sweep.resolution
            watts += power * SKIRT * SKIRT_NM**2 / (distance**2 + SKIRT_NM**2)
        draw = self._rng(f"sweep.{sweep.number}")
        relative = self._level + RELATIVE_NOISE * draw.standard_normal(watts.size)
        floor = 1e-3 * 10.0 ** (FLOORS[sweep.sensitivity][0] / 10.0)
        seen = watts * 10.0 ** (relative / 10.0) + floor * draw.standard_normal(watts.size)
        positive = seen > 0.0
        levels = np.full(watts.size, EMPTY_DBM)
        levels[positive] = 10.0 * np.log10(seen[positive] / 1e-3)
        return np.maximum(levels, EMPTY_DBM)

    def _rng(self, purpose: str) -> Any:
        return np.random.Generator(np.random.PCG64(self._seed_of(f"{self._name}.{purpose}")))
