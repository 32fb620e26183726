"""A microwave source that drives an electro-optic comb: the lines stand one RF frequency apart.

The true frequency is that of the set point times one plus the error of the 10 MHz reference; of
line n of a comb, n times this error and n times the phase noise add to those of the laser. The
phase noise close to the carrier is white frequency noise, so the phase is a random walk.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from simulated_instruments.physics.motion import Approach
from simulated_instruments.physics.noise import OrnsteinUhlenbeck, Wiener

MINIMUM_HZ, MAXIMUM_HZ = 250e3, 31.8e9
MINIMUM_DBM, MAXIMUM_DBM = -20.0, 25.0
RESOLUTION_HZ = 1e-3
LEVELED_DBM = ((20e9, 18.0), (math.inf, 15.0))  # up to a frequency (Hz): most it really delivers
SETTLING = 11e-3  # s after a change of frequency
LAG = 0.5e-3  # s
REFERENCE_OFFSET = 2e-8  # rms fractional error of the internal reference, fixed
REFERENCE_WALK = 1e-12  # per square root of s
LEVEL_ERROR = 0.3  # dB rms, fixed
LEVEL_DRIFT = 0.01  # dB rms, 600 s
PHASE_WALK = 2 * math.pi * 1e-3  # rad per square root of s at 20 GHz: -60 dBc/Hz at 1 Hz


class RfSourceModel:
    """One output. A world may set `external_reference` and read what leaves the source."""

    def __init__(
        self,
        seed_of: Callable[[str], int],
        name: str = "rf",
        *,
        frequency_hz: float = MAXIMUM_HZ,
        power_dbm: float = MINIMUM_DBM,
        output: bool = False,
    ) -> None:
        self.now = 0.0
        self.power = power_dbm  # dBm, set point
        self.output = output
        self.modulation = False  # the switch; there is nothing to modulate with
        self.leveling = True
        self.reference_auto = True
        #: Fractional error of what comes in at the 10 MHz input at a time (s); None: no cable.
        self.external_reference: Callable[[Any], Any] | None = None
        self._frequency = Approach(0.0, frequency_hz, frequency_hz, LAG)
        self._walk = Wiener(seed_of(f"{name}.reference"), REFERENCE_WALK)
        self._offset = REFERENCE_OFFSET * _fixed(seed_of(f"{name}.offset"))
        self._level_offset = LEVEL_ERROR * _fixed(seed_of(f"{name}.level"))
        self._level = OrnsteinUhlenbeck(seed_of(f"{name}.drift"), LEVEL_DRIFT, 600.0)
        self._phase = Wiener(seed_of(f"{name}.phase"), PHASE_WALK)

    @property
    def frequency(self) -> float:
        """Set point in Hz; setting it begins to tune at the time of the last `advance`."""
        return self._frequency.target

    @frequency.setter
    def frequency(self, hertz: float) -> None:
        target = round(hertz / RESOLUTION_HZ) * RESOLUTION_HZ
        self._frequency = Approach(self.now, self._frequency.at(self.now), target, LAG)

    @property
    def settled_at(self) -> float:
        """When the last change of frequency is over (s)."""
        moved = self._frequency.start != self._frequency.target
        return self._frequency.begun + SETTLING if moved else 0.0

    @property
    def external(self) -> bool:
        """Whether the reference from outside is used."""
        return self.reference_auto and self.external_reference is not None

    @property
    def leveled_max(self) -> float:
        """Most power (dBm) that is delivered at the present frequency."""
        return next(most for up_to, most in LEVELED_DBM if self.frequency <= up_to)

    @property
    def unleveled(self) -> bool:
        """Whether the output stage cannot deliver what is set."""
        return self.output and self.power > self.leveled_max

    def frequency_hz(self, t: Any) -> Any:
        """True frequency (Hz) at time `t` (s), a float or an array; without phase noise."""
        if self.external and self.external_reference is not None:
            error = self.external_reference(t)
        else:
            error = self._offset + self._walk.at(t)
        return self._frequency.at(t) * (1.0 + error)

    def power_dbm(self, t: Any) -> Any:
        """True power (dBm) at time `t` (s); -infinity when the output is off."""
        if not self.output:
            return self._level.at(t) * 0.0 - math.inf
        level = min(self.power, self.leveled_max)
        return level + self._level_offset + self._level.at(t)

    def phase_rad(self, t: Any) -> Any:
        """Phase noise (rad) at time `t` (s): a random walk, in proportion to the frequency."""
        return self._phase.at(t) * (self.frequency / 20e9)

    def preset(self) -> None:
        """What `*RST` does: output off, highest frequency, lowest power."""
        self.output, self.modulation = False, False
        self.leveling, self.reference_auto = True, True
        self.power = MINIMUM_DBM
        self.frequency = MAXIMUM_HZ

    def advance(self, now: float) -> None:
        """Nothing is in progress that a function of time does not tell; keeps the time."""
        self.now = now


def _fixed(seed: int) -> float:
    """One normal number that belongs to a seed."""
    return OrnsteinUhlenbeck(seed, 1.0, 1.0).at(0.0)
