"""What the filter makes of the comb: pump lines, local oscillator, and the tap of the lock."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulated_instruments.physics.comb import Comb
from simulated_instruments.physics.gaussian import Complex, Real
from simulated_instruments.physics.rf_source import RfSourceModel
from simulated_instruments.physics.ring_table import LocalOscillator, Pumps, Selection
from simulated_instruments.physics.shaper import ShaperModel

PUMP_PORT, LO_PORT = 1, 2

#: Optical frequency (Hz) grid on which the filter's transfer is looked up. A line in the middle
#: of its block is exact; one 1.6 GHz off the middle of a 25 GHz block is wrong by 2e-4.
LASER_GRID = 0.1e9

AT_REST = -1.0  # in place of a time: the filter's crystal has arrived

REMEMBERED = 256  # states of the filter

Version = tuple[int, Comb]  # of the filter's profile, and the comb


@dataclass(frozen=True)
class Light:
    """What the filter makes of the comb, at nominal laser power."""

    pumps: Pumps
    oscillator: LocalOscillator
    lo_power: float  # in lines at 0 dB


class FilteredComb:
    """The lines of the comb behind the filter's two ports.

    Times are in s, or `AT_REST`; a cell is the laser's distance from the resonance in `LASER_GRID`.
    """

    def __init__(
        self, values: dict[str, Any], rf_source: RfSourceModel, shaper: ShaperModel, gamma_hz: float
    ) -> None:
        self.values = values
        self.rf_source = rf_source
        self.shaper = shaper
        self.gamma_hz = gamma_hz
        self._driven: tuple[tuple[float, float, bool], Comb] | None = None  # RF settings
        self._light: dict[tuple[Version, float, float], Light] = {}
        self._levels: dict[tuple[Version, float, float], float] = {}
        self._pumped: dict[tuple[Version, float, float], Complex] = {}

    @property
    def comb(self) -> Comb:
        """The comb that the RF source drives as it is set now."""
        rf = self.rf_source
        settings = (rf.frequency, rf.power, rf.output)
        if self._driven is None or self._driven[0] != settings:
            power = min(rf.power, rf.leveled_max) if rf.output else -math.inf
            drive = power - self.values["rf_power"]
            self._driven = (
                settings,
                Comb(
                    spacing_hz=rf.frequency, rolloff_db=self.values["comb_rolloff"], drive_db=drive
                ),
            )
        return self._driven[1]

    @property
    def _version(self) -> Version:
        """What the light behind the filter depends on, apart from time and laser."""
        return self.shaper.version, self.comb

    def light_of(self, when: float, cell: float) -> Light:
        """What the filter makes of the comb at time `when` (s) or at rest."""
        key = (self._version, when, cell)
        if key not in self._light:
            pumps = self._fields(PUMP_PORT, when, cell) * self.values["pump_per_line"] ** 0.5
            mismatch = (self.values["mode_spacing"] - self.comb.spacing_hz) / self.gamma_hz
            if mismatch:  # the ring follows the primary line only
                primary = self.comb.orders[int(np.argmax(np.abs(pumps)))]
                pumps = pumps / (1.0 + 1j * mismatch * (self.comb.orders - primary))
            oscillator = self._fields(LO_PORT, when, cell)
            oscillator[np.abs(self.comb.orders) <= self.values["pump_filter"]] = 0.0
            power = float(np.sum(np.abs(oscillator) ** 2))
            if len(self._light) >= REMEMBERED:
                self._light.clear()
            self._light[key] = Light(
                Pumps.of(self.comb.orders, pumps, mismatch),
                LocalOscillator(oscillator / (power or 1.0) ** 0.5),
                power,
            )
        return self._light[key]

    def lock_volts(self, when: float, cell: float) -> float:
        """Amplitude (V) of the lock signal at time `when` or at rest, at nominal power."""
        key = (self._version, when, cell)
        if key not in self._levels:
            if len(self._levels) >= 16 * REMEMBERED:
                self._levels.clear()
            primary = float(np.max(np.abs(self._fields(PUMP_PORT, when, cell)))) ** 2
            tap = (self.values["lock_tap"] / 0.1) ** 0.5
            self._levels[key] = self.values["fringe"] * tap * primary * 10**0.3
        return self._levels[key]

    def to_ring(self, when: float, cell: float) -> Complex:
        """Amplitudes of all lines that go to the ring; remembered while the filter rests."""
        if when != AT_REST:
            return self._fields(PUMP_PORT, when, cell)
        key = (self._version, when, cell)
        if key not in self._pumped:
            if len(self._pumped) >= REMEMBERED:
                self._pumped.clear()
            self._pumped[key] = self._fields(PUMP_PORT, when, cell)
        return self._pumped[key]

    def _fields(self, port: int, when: float, cell: float) -> Complex:
        """Amplitudes of all lines behind a port of the filter."""
        laser_hz = self.values["resonance"] + cell * LASER_GRID
        at = self.shaper.settle_until if when == AT_REST else when
        lines = self.comb.frequencies_thz(laser_hz)
        return np.asarray(self.comb.amplitudes() * self.shaper.transfer(port, lines, at))


def groups(stage: Real, cell: Real) -> Iterator[tuple[tuple[float, float], Selection]]:
    """Points with the same stage of the filter and the same laser cell."""
    if stage.size and (stage == stage[0]).all() and (cell == cell[0]).all():
        yield (float(stage[0]), float(cell[0])), slice(None)
        return
    for pair in np.unique(np.stack([stage, cell]), axis=1).T:
        yield (float(pair[0]), float(pair[1])), (stage == pair[0]) & (cell == pair[1])
