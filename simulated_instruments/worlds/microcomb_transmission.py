"""Light behind the ring, line by line, as a power meter sees it."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulated_instruments.physics.gaussian import Real
from simulated_instruments.physics.itla_laser import ItlaModel
from simulated_instruments.worlds.microcomb_filter import (
    AT_REST,
    LASER_GRID,
    FilteredComb,
    groups,
)
from simulated_instruments.worlds.microcomb_slow import SlowLight

#: Fixed-point steps of a mode that light heats; each reduces the error by a third or more.
HEATING_ROUNDS = 40


class Transmission:
    """What passes the ring of the pump port's lines and of a second laser."""

    def __init__(
        self, values: dict[str, Any], filtered: FilteredComb, slow: SlowLight, probe: ItlaModel
    ) -> None:
        self.values = values
        self.filtered = filtered
        self.gamma_hz = filtered.gamma_hz
        self._slow = slow
        self._probe = probe

    def watt(self, times_s: Real) -> Real:
        """Power (W) of all light behind the ring, at times (s); what the power meter sees.

        Line n meets mode n if the laser is at the resonance, but for dispersion and what the line
        spacing differs from the mode spacing. On resonance the
        light from the ring interferes with what passes it, |1 - 2 extraction / (1 + i x)|^2 at x
        half linewidths. A line so weak that it shifts its mode by less than half a linewidth sees
        a cold ring; stronger ones are followed by their mode (see `thermal_drag`).
        """
        v = self.values
        power = self._slow.exact_power(times_s)
        laser = self._slow.exact_laser_hz(times_s)
        shift = laser - self._slow.exact_chip_hz(times_s)
        stage = np.where(times_s < self.filtered.shaper.settle_until, times_s, AT_REST)
        total = self._probe_w(times_s)
        for (when, cell), here in groups(stage, np.rint(laser / LASER_GRID)):
            lines = np.abs(self.filtered.to_ring(when, cell)) ** 2
            for line in np.flatnonzero(lines > 1e-9):
                order = int(self.filtered.comb.orders[line])
                cold = self._mode_gamma(order) - shift[here] / self.gamma_hz
                cold -= order * self.filtered.comb.spacing_hz / self.gamma_hz
                # By how much the light shifts its mode: it can follow the laser over the whole
                # capture range when a line at 0 dB heats the ring.
                heat = v["capture_range"] / self.gamma_hz * lines[line] * power[here]
                x = cold
                for _ in range(HEATING_ROUNDS):
                    x = cold - np.minimum(heat, 1.0) / (1.0 + x**2)
                locked = (heat >= 1.0) & (np.abs(shift[here]) <= v["capture_range"])
                x = np.where(locked, v["thermal_drag"] * cold, x)
                total[here] += 1e-3 * v["line_power"] * lines[line] * power[here] * self._past(x)
        return total

    def _probe_w(self, times_s: Real) -> Real:
        """Power (W) of the second laser behind the ring; so weak that it heats nothing."""
        power = 1e-3 * self.values["probe_tap"] * np.asarray(self._probe.power_mw(times_s))
        if not power.any():
            return np.zeros(times_s.shape)
        above = np.asarray(self._probe.frequency_hz(times_s)) - self.values["resonance"]
        above = above - self._slow.exact_chip_hz(times_s)
        mode = np.rint(above / self.values["mode_spacing"])
        return np.asarray(power * self._past(self._mode_gamma(mode) - above / self.gamma_hz))

    def _mode_gamma(self, order: Any) -> Any:
        """Frequency (Gamma) of mode `order` of the cold ring above that of mode 0."""
        spacing = self.values["mode_spacing"] / self.gamma_hz
        return order * spacing + self.values["dispersion"] * order**2 / 2.0

    def _past(self, x: Real) -> Real:
        """Part of the light that passes the ring at x half linewidths from a mode."""
        return np.asarray(np.abs(1.0 - 2.0 * self.values["extraction"] / (1.0 + 1j * x)) ** 2)
