"""What changes slowly on the cluster-microcomb bench: laser, amplifier, temperature of the chip.

The ring's heat follows no faster than a second, and what happens within one second by itself (the
laser's drift: rms 0.5 MHz, that is 1e-3 of the ring's half linewidth) is not seen. So all three are
looked up once per second and joined by straight lines; a second in which the laser moves or the
power changes on purpose is looked at point by point. No result depends on who asked before.

The gain of the amplifier is the steady one for its pump and for the light at its input. Its own
power noise (0.1 % within a second) averages out in a trace, and its spontaneous emission is left
out: what the filter lets through of it is 50 dB below the lines.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulated_instruments.physics.edfa import EdfaModel
from simulated_instruments.physics.gaussian import Real
from simulated_instruments.physics.laser import CtlLaserModel
from simulated_instruments.physics.thermal import TecModel

#: Changes in one second beyond which the world is looked at point by point.
FREQUENCY_JUMP = 10e6  # Hz
POWER_JUMP = 0.01  # of the nominal power

BLOCK = 64  # s that are looked up together


class SlowLight:
    """The laser's frequency, the shift of the ring's resonances, and the power behind both.

    Args:
        laser, amplifier, chip: the models; `amplifier` gets its input from here.
        resonance_hz: laser frequency at which the pumped mode is on resonance.
        nominal_mw: power of the laser that counts as 1.
        throughput: part of the laser's power that arrives at the amplifier.
        celsius: temperature of the chip at which its resonances are where they should be.
    """

    def __init__(
        self,
        laser: CtlLaserModel,
        amplifier: EdfaModel,
        chip: TecModel,
        *,
        resonance_hz: float,
        nominal_mw: float,
        throughput: float,
        celsius: float,
    ) -> None:
        self._laser = laser
        self._amplifier = amplifier
        self._chip = chip
        self._resonance_hz = resonance_hz
        self._nominal_mw = nominal_mw
        self._celsius = celsius
        self._settings: tuple[Any, ...] = ()
        self._known: dict[str, dict[int, Real]] = {}
        self._exact: dict[str, Callable[[Real], Real]] = {
            "laser": self.exact_laser_hz,
            "chip": self.exact_chip_hz,
            "seed": lambda times: np.asarray(laser.power_mw(times)),
            "power": self.exact_power,
        }
        amplifier.input_mw = lambda t: nominal_mw * throughput + 0.0 * t
        self._nominal_gain = float(amplifier.gain_as_told(np.zeros(1))[0])
        amplifier.input_mw = lambda t: throughput * self._seed(t)

    def laser_hz(self, times: Real) -> Real:
        """Laser frequency minus nominal resonance (Hz) at times (s)."""
        return self._joined("laser", times, FREQUENCY_JUMP)

    def ring_hz(self, times: Real) -> Real:
        """Laser frequency minus resonance of the chip as warm as it is (Hz)."""
        return self.laser_hz(times) - self._joined("chip", times, FREQUENCY_JUMP)

    def power(self, times: Real) -> Real:
        """Power behind the amplifier over its nominal value at times (s)."""
        return self._joined("power", times, POWER_JUMP)

    def one(self, name: str, second: int) -> float:
        """Value of "laser" (Hz), "seed" (mW) or "power" (of nominal) at a whole second."""
        number = second // BLOCK
        return float(self._block(name, number)[second - number * BLOCK])

    def exact_laser_hz(self, times: Real) -> Real:
        """The same as `laser_hz`, point by point."""
        return np.asarray(self._laser.frequency_hz(times) - self._resonance_hz)

    def exact_chip_hz(self, times: Real) -> Real:
        """Shift (Hz) of the ring's resonances by the temperature of the chip."""
        return np.asarray(self._chip.tuning * (self._chip.temperature(times) - self._celsius))

    def exact_power(self, times: Real) -> Real:
        """The same as `power`, point by point."""
        gain = np.asarray(self._amplifier.gain_as_told(times)) / self._nominal_gain
        return np.asarray(self._laser.power_mw(times) / self._nominal_mw * gain)

    def _seed(self, t: Any) -> Any:
        """Power (mW) of the laser at a time (s), which is asked for often, or at times."""
        jump = POWER_JUMP * self._nominal_mw
        if isinstance(t, np.ndarray):
            return self._joined("seed", t, jump) if t.size else t
        second = math.floor(t)
        left, right = self.one("seed", second), self.one("seed", second + 1)
        if abs(right - left) > jump:
            return float(self._laser.power_mw(t))
        return left + (t - second) * (right - left)

    def _joined(self, name: str, times: Real, jump: float) -> Real:
        before = np.floor(times)
        seconds = before.astype(np.int64)
        first, last = int(seconds.min()) // BLOCK, (int(seconds.max()) + 1) // BLOCK
        if last - first < 2:
            values = self._block(name, first)
            if last > first:
                values = np.concatenate([values, self._block(name, last)])
            start = seconds - first * BLOCK
            left, right = values[start], values[start + 1]
        else:
            left, right = (self._far(name, seconds + i) for i in (0, 1))
        joined = left + (times - before) * (right - left)
        wild = np.abs(right - left) > jump
        if wild.any():
            joined[wild] = self._exact[name](times[wild])
        return np.asarray(joined)

    def _far(self, name: str, seconds: NDArray[np.int64]) -> Real:
        """Values at whole seconds that lie in many blocks."""
        blocks, which = np.unique(seconds // BLOCK, return_inverse=True)
        table = np.stack([self._block(name, number) for number in blocks.tolist()])
        return np.asarray(table[which, seconds % BLOCK])

    def _block(self, name: str, number: int) -> Real:
        """Values at the seconds of one block; forgotten when an instrument is told anything."""
        settings = (self._laser.settings, self._amplifier.switches, self._chip.control)
        if settings != self._settings:
            self._settings, self._known = settings, {what: {} for what in self._exact}
        known = self._known[name]
        if number not in known:  # ahead of time as well: one look costs as much as many
            seconds = np.arange(number * BLOCK, (number + 1) * BLOCK, dtype=float)
            known[number] = self._exact[name](seconds)
        return known[number]
