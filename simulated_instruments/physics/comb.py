"""An electro-optic frequency comb: one laser, phase and intensity modulators, equal line spacing.

Flat by default: an intensity modulator before the phase modulators cuts the pulse so that the
spectrum has a flat top, and what is left is levelled with the programmable filter behind it.
The phases of the lines are equal (the chirp is compressed before the filter).

How far the flat top reaches goes with the modulation index, hence with the square root of the
microwave power; beyond, lines fall off steeply. The light is shared among the lines, so fewer
lines are stronger ones, and without microwaves all of it is in line 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulated_instruments.physics.gaussian import Real

#: Half width (lines) of the flat top at nominal microwave power: a little more than is used.
FLAT_TOP = 38.0
#: dB per line beyond the flat top (assumed: Bessel functions of high order fall off like this).
STEEPNESS = 6.0


@dataclass(frozen=True)
class Comb:
    """Lines -reach..reach around the laser; amplitude 1 is the laser line at nominal power."""

    reach: int = 35
    spacing_hz: float = 25e9
    rolloff_db: float = 0.0  # how much weaker than the middle the outermost lines are
    drive_db: float = 0.0  # microwave power relative to nominal; -infinity: off

    @property
    def orders(self) -> NDArray[np.int64]:
        """Line numbers; 0 is at the laser's frequency."""
        return np.arange(-self.reach, self.reach + 1)

    def frequencies_thz(self, laser_hz: float) -> Real:
        """Optical frequencies (THz) of all lines."""
        return np.asarray((laser_hz + self.orders * self.spacing_hz) * 1e-12)

    def amplitudes(self) -> Real:
        """Field amplitudes of all lines; `rolloff_db` goes with the square of the line number."""
        top = FLAT_TOP * 10.0 ** (self.drive_db / 20.0)
        beyond = np.maximum(np.abs(self.orders) - top, 0.0)
        shared = 10.0 * np.log10((top + 0.5) / (FLAT_TOP + 0.5))
        fall = self.rolloff_db * (self.orders / self.reach) ** 2 + STEEPNESS * beyond + shared
        return np.asarray(10.0 ** (-fall / 20.0), dtype=float)
