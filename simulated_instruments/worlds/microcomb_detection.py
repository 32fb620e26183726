"""What the two detectors give: the homodyne detector's noise, and the signal of the lock."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simulated_instruments.physics.gaussian import Complex, Real
from simulated_instruments.physics.homodyne import Detector, relative_variance
from simulated_instruments.physics.phase_lock import PhaseLoop
from simulated_instruments.physics.ring_table import RingTable
from simulated_instruments.worlds.microcomb_filter import (
    AT_REST,
    LASER_GRID,
    FilteredComb,
    Light,
    groups,
)
from simulated_instruments.worlds.microcomb_slow import SlowLight

#: Steps (s) in which the filter is followed while its liquid crystal turns: for the lock signal,
#: for the local oscillator, and for the ring, which takes longest to solve.
FRINGE_STEP, LO_STEP, RING_STEP = 0.001, 0.02, 0.1


class LockSignal:
    """The interference of the tapped pump line with the pump behind the ring."""

    def __init__(self, filtered: FilteredComb, slow: SlowLight) -> None:
        self._filtered = filtered
        self._slow = slow

    def volts(self, times_s: Any) -> Any:
        """Amplitude (V) of the lock signal at times (s), a float or an array.

        Both arms of the interference carry the primary pump line from behind the filter, so the
        amplitude goes with its power. Follows the filter in steps of 1 ms, the laser in steps of
        1 s.
        """
        if not isinstance(times_s, np.ndarray) or times_s.ndim == 0:
            return self._fringe(float(times_s))
        seconds = np.floor(times_s)
        moving = times_s < self._filtered.shaper.settle_until
        when = np.where(moving, np.floor(times_s / FRINGE_STEP) * FRINGE_STEP, AT_REST)
        cell = np.rint(self._slow.laser_hz(seconds) / LASER_GRID)
        level = np.empty(times_s.shape)
        for pair, here in groups(when, cell):
            level[here] = self._filtered.lock_volts(*pair)
        return level * self._slow.power(seconds)

    def _fringe(self, t: float) -> float:
        """The same for one time, which a running lock asks for often."""
        second = math.floor(t)
        moving = t < self._filtered.shaper.settle_until
        when = math.floor(t / FRINGE_STEP) * FRINGE_STEP if moving else AT_REST
        cell = float(round(self._slow.one("laser", second) / LASER_GRID))
        return self._filtered.lock_volts(when, cell) * self._slow.one("power", second)


class HomodyneNoise:
    """What a spectrum analyser finds behind the balanced detector."""

    def __init__(
        self,
        values: dict[str, Any],
        filtered: FilteredComb,
        slow: SlowLight,
        ring: RingTable,
        loop: PhaseLoop,
    ) -> None:
        self.values = values
        self.detector = Detector(values["shot_level"], values["dark_level"])
        self.ring = ring
        self.loop = loop
        self._filtered = filtered
        self._slow = slow

    def detuning(self, shift_hz: Any) -> Any:
        """Detuning (Gamma) of the pumped mode when the laser is off by `shift_hz`."""
        return -self.values["thermal_drag"] * shift_hz / self._filtered.gamma_hz

    def psd_w_per_hz(self, frequency_hz: Any, times_s: Any) -> Real:
        """Noise density (W/Hz) from the detector at analysis frequencies and times; broadcast."""
        shape = np.broadcast_shapes(np.shape(frequency_hz), np.shape(times_s))
        frequency = np.broadcast_to(np.asarray(frequency_hz, dtype=float), shape).ravel()
        times = np.broadcast_to(np.asarray(times_s, dtype=float), shape).ravel()
        variance, lo_power = np.ones(times.size), np.zeros(times.size)
        power = self._slow.power(times) if times.size else lo_power
        if power.any():
            laser, shift = self._slow.laser_hz(times), self._slow.ring_hz(times)
            moving = times < self._filtered.shaper.settle_until
            stage = np.where(moving, np.floor(times / LO_STEP), AT_REST)
            for (step, cell), here in groups(stage, np.rint(laser / LASER_GRID)):
                light = self._filtered.light_of(step * LO_STEP if step >= 0 else AT_REST, cell)
                if not light.lo_power:
                    continue
                lo_power[here] = light.lo_power * power[here]
                number, squeezing = self._seen(
                    light, step, cell, frequency[here], shift[here], power[here]
                )
                if number.any():
                    variance[here] = relative_variance(
                        number,
                        squeezing,
                        self.values["efficiency"],
                        self.loop.phase(times[here]),
                        self.loop.jitter_rms(times[here]),
                    )
        return self.detector.psd_w_per_hz(frequency, lo_power, variance).reshape(shape)

    def _seen(
        self, light: Light, step: float, cell: float, frequency: Real, shift: Real, power: Real
    ) -> tuple[Real, Complex]:
        """What the local oscillator sees of the ring, for points with the same light."""
        number, squeezing = np.zeros(shift.size), np.zeros(shift.size, dtype=complex)
        captured = (np.abs(shift) <= self.values["capture_range"]) & (power > 0)
        pumps = self._filtered.light_of(AT_REST, cell).pumps
        if step >= 0:
            ring_time = step // (RING_STEP / LO_STEP) * RING_STEP
            turning = self._filtered.light_of(ring_time, cell).pumps
            if turning != pumps:  # the ring follows the filter in coarse steps
                now = np.array([ring_time])
                at = float(self.detuning(self._slow.ring_hz(now)[0]))
                relative = float(self._slow.power(now)[0])
                if turning.lines and captured.any():
                    number[captured], squeezing[captured] = self.ring.frozen(
                        turning, light.oscillator, at, relative, frequency[captured]
                    )
                return number, squeezing
        if pumps.lines and captured.any():
            number[captured], squeezing[captured] = self.ring.drifting(
                pumps,
                light.oscillator,
                self.detuning(shift[captured]),
                power[captured],
                frequency[captured],
            )
        return number, squeezing
