"""Lines of a comb in a measured spectrum, and the envelope of a soliton."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.errors import RequestError

if TYPE_CHECKING:
    from drivers.keysight_switch import KeysightSwitch
    from drivers.yokogawa_aq6370 import YokogawaAq6370

SPEED_OF_LIGHT = 299_792_458.0  # m/s
AWAY = 1.5  # lines around the pump that are left out
DARK = -90.0  # dBm; below is what the analyser says where it sees nothing
FEWEST = 10  # lines that an envelope can be fitted to


def sweep(
    osa: YokogawaAq6370, switch: KeysightSwitch, port: str, centre: float, span: float
) -> tuple[np.ndarray, np.ndarray]:
    """Wavelengths (nm) and levels (dBm) of what the switch brings to the analyser."""
    switch.select(port)
    osa.centre, osa.span = centre, span
    osa.resolution = 0.1
    osa.points = 10_001
    osa.sensitivity = "HIGH1"
    osa.single()
    return osa.trace("A")


@dataclass(frozen=True)
class Comb:
    """The lines of a comb."""

    order: np.ndarray  #: number counted from the pump line, which is left out
    frequency: np.ndarray  #: THz
    level: np.ndarray  #: dBm

    def within(self, decibel: float) -> int:
        """How many lines are within so many dB of the strongest."""
        return int(np.sum(self.level > self.level.max() - decibel)) if self.level.size else 0


def find_lines(wavelength: np.ndarray, level: np.ndarray, pump: float, spacing: float) -> Comb:
    """Lines on a grid of `spacing` (GHz) around the pump line (nm): the largest level near each.

    The strongest level near `pump` fixes the grid; a line counts if it stands 3 dB above what is
    half-way to its neighbours.
    """
    frequency = SPEED_OF_LIGHT / wavelength * 1e-3
    guess = SPEED_OF_LIGHT / pump * 1e-3
    near = np.abs(frequency - guess) < 0.4e-3 * spacing
    if not near.any():
        raise RequestError(f"the spectrum does not contain the pump at {pump:.3f} nm")
    centre = frequency[near][np.argmax(level[near])]
    place = (frequency - centre) / (1e-3 * spacing)
    order = np.rint(place).astype(int)
    off = np.abs(place - order)
    found = []
    for n in np.unique(order):
        inside, outside = (order == n) & (off < 0.15), (order == n) & (off > 0.35)
        if abs(n) < AWAY or not inside.any() or not outside.any():
            continue
        best = np.flatnonzero(inside)[np.argmax(level[inside])]
        if level[best] > np.max(level[outside]) + 3.0:
            found.append((n, frequency[best], level[best]))
    columns = np.array(found).reshape(-1, 3).T
    return Comb(columns[0].astype(int), columns[1], columns[2])


@dataclass(frozen=True)
class Envelope:
    """A sech^2 that was fitted to the levels of lines."""

    fwhm: float  #: THz
    fwhm_error: float  #: THz
    residual: float  #: dB, rms of what the envelope leaves

    @property
    def smooth(self) -> bool:
        """Whether it looks like one soliton: several interfere and leave several dB."""
        return self.residual < 1.5


def fit_envelope(comb: Comb) -> Envelope:
    """Fit level = peak - 20 log10 cosh((f - centre) / width) to all lines within 30 dB.

    Raises:
        RequestError: there are too few lines.
    """
    from scipy.optimize import curve_fit

    strong = comb.level > comb.level.max() - 30.0 if comb.level.size else np.zeros(0, bool)
    if strong.sum() < FEWEST:
        raise RequestError(f"{strong.sum()} lines are too few for the envelope of a soliton")
    frequency, level = comb.frequency[strong], comb.level[strong]

    def sech(f: np.ndarray, peak: float, centre: float, width: float) -> Any:
        return peak - 20.0 * np.log10(np.cosh((f - centre) / width))

    start = (level.max(), frequency.mean(), 0.5 * np.ptp(frequency) / 2)
    (_, _, width), covariance = curve_fit(sech, frequency, level, p0=start, maxfev=10_000)
    best, _ = curve_fit(sech, frequency, level, p0=start, maxfev=10_000)
    residual = float(np.sqrt(np.mean((level - sech(frequency, *best)) ** 2)))
    scale = 2.0 * float(np.arccosh(np.sqrt(2.0)))
    return Envelope(scale * abs(float(width)), scale * float(np.sqrt(covariance[2, 2])), residual)
