"""An electro-optic frequency comb: one laser, phase and intensity modulators, equal line spacing.

Flat by default: an intensity modulator before the phase modulators cuts the pulse so that the
spectrum has a flat top, and what is left is levelled with the programmable filter behind it.
The phases of the lines are equal (the chirp is compressed before the filter).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulated_instruments.physics.gaussian import Real


@dataclass(frozen=True)
class Comb:
    """Lines -reach..reach around the laser; amplitude 1 is the laser line at nominal power."""

    reach: int = 35
    spacing_hz: float = 25e9
    rolloff_db: float = 0.0  # how much weaker than the middle the outermost lines are

    @property
    def orders(self) -> NDArray[np.int64]:
        """Line numbers; 0 is at the laser's frequency."""
        return np.arange(-self.reach, self.reach + 1)

    def frequencies_thz(self, laser_hz: float) -> Real:
        """Optical frequencies (THz) of all lines."""
        return np.asarray((laser_hz + self.orders * self.spacing_hz) * 1e-12)

    def amplitudes(self) -> Real:
        """Field amplitudes of all lines, falling off with the square of the line number in dB."""
        fall = self.rolloff_db * (self.orders / self.reach) ** 2
        return np.asarray(10.0 ** (-fall / 20.0), dtype=float)
