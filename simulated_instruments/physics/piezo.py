"""Piezo actuators on a controller: each follows its voltage after a short while."""

from __future__ import annotations

from simulated_instruments.physics.motion import Approach

MOST_VOLTS = 150.0
LAG = 0.02  # s of the low-pass behind each output
AXES = 4


class PiezoModel:
    """Voltages of four scanners; a grounded one is at 0 V."""

    def __init__(self, axes: int = AXES) -> None:
        self.now = 0.0
        self.names = tuple(str(n + 1) for n in range(axes))
        self.volts = [0.0] * axes
        self.modes = ["gnd"] * axes
        self._moves = [Approach(0.0, 0.0, 0.0, LAG) for _ in range(axes)]

    def applied(self, axis: int) -> float:
        """Voltage that is asked of an axis, none while it is not in input mode."""
        return self.volts[axis] if self.modes[axis] == "inp" else 0.0

    def set(self, axis: int, *, volts: float | None = None, mode: str | None = None) -> None:
        """Change an axis from the time of the last `advance` on."""
        here = self._moves[axis].at(self.now)
        if volts is not None:
            self.volts[axis] = volts
        if mode is not None:
            self.modes[axis] = mode
        self._moves[axis] = Approach(self.now, here, self.applied(axis), LAG)

    def at(self, axis: int, t: float) -> float:
        """Voltage on the piezo at time `t` (s)."""
        return float(self._moves[axis].at(t))

    def advance(self, now: float) -> None:
        self.now = now
