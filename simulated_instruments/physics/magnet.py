"""A superconducting magnet and its programmed supply: linear ramps, a switch, and quenches.

The current moves at the set rate towards its target; the field follows the current that flows in
the coil, which a cold persistent switch keeps as it is. A coil quenches when its current exceeds
what it carries; the supply then shows the quench and drives no current until it is reset.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from simulated_instruments.physics.noise import OrnsteinUhlenbeck

RAMPING, HOLDING, PAUSED, ZEROING, QUENCH, AT_ZERO = 1, 2, 3, 6, 7, 8
HEATING, COOLING = 9, 10
COLLAPSE = 2.0  # s in which the current decays after a quench
SWITCH_TIME = 20.0  # s to heat or to cool the switch


class MagnetModel:
    """Currents in A, fields in kG, times in s.

    Args:
        seed_of: seeds by name.
        name: of the model.
        coil_constant: kG/A, the true one.
        quench_current: A that the coil carries.
        rate_limit: A/s that the coil stands.
        noise: relative rms of the supply's current, 100 s.
    """

    def __init__(
        self,
        seed_of: Callable[[str], int],
        name: str = "magnet",
        *,
        coil_constant: float = 0.1,
        quench_current: float = 60.0,
        rate_limit: float = 1.0,
        noise: float = 3e-7,
    ) -> None:
        self.now = 0.0
        self.coil_constant = coil_constant
        self.quench_current = quench_current
        self.rate_limit = rate_limit
        self.rate = 0.1  # A/s, as programmed
        self.target = 0.0  # A, as programmed
        self.quenched = False
        self.switch_heater = True
        self._state = PAUSED
        self._begun, self._from, self._goal = 0.0, 0.0, 0.0
        self._quench_time = math.inf
        self._frozen: float | None = None  # A in the coil while its switch is cold
        self._switch_until = 0.0
        self._noise = OrnsteinUhlenbeck(seed_of(f"{name}.noise"), noise, 100.0)

    # --- what flows

    def supply_current(self, t: float) -> float:
        """Current (A) of the supply at time `t` from the last command on."""
        if t >= self._quench_time:
            before = self._linear(self._quench_time)
            return before * math.exp(-(t - self._quench_time) / COLLAPSE)
        return self._linear(t)

    def _linear(self, t: float) -> float:
        step = self.rate * max(0.0, t - self._begun)
        far = self._goal - self._from
        return self._goal if step >= abs(far) else self._from + math.copysign(step, far)

    def coil_current(self, t: float) -> float:
        """Current (A) in the coil, with the supply's noise."""
        if self._frozen is not None:
            return self._frozen
        return self.supply_current(t) * (1.0 + float(self._noise.at(t)))

    def field(self, t: float) -> float:
        """Field (kG) of the coil."""
        return self.coil_constant * self.coil_current(t)

    # --- commands

    def go(self, goal: float, state: int) -> None:
        """Ramp to `goal` (A) from where the supply is now."""
        if self.quenched:
            return
        here = self.supply_current(self.now)
        self._begun, self._from, self._goal, self._state = self.now, here, goal, state
        self._quench_time = math.inf
        limit = self.quench_current
        if self.rate > 3.0 * self.rate_limit:  # eddy currents and flux jumps warm the coil
            limit = 0.0
        if self._frozen is None and abs(goal) > limit >= abs(here):
            self._quench_time = self.now + (limit - abs(here)) / self.rate

    def set_rate(self, rate: float) -> None:
        """Change the rate (A/s), also of a ramp that is under way."""
        going, state = self._goal, self._state
        here = self.supply_current(self.now)
        self.rate = rate
        self._begun, self._from = self.now, here
        if state in (RAMPING, ZEROING):
            self.go(going, state)

    def pause(self) -> None:
        if not self.quenched:
            self.go(self.supply_current(self.now), PAUSED)

    def reset_quench(self) -> None:
        """What QUench 0 does: the supply may ramp again, from zero."""
        self.quenched, self._quench_time = False, math.inf
        self._begun, self._from, self._goal, self._state = self.now, 0.0, 0.0, PAUSED

    def heat_switch(self, on: bool) -> None:
        if on == self.switch_heater:
            return
        self.switch_heater = on
        self._frozen = None if on else self.coil_current(self.now)
        self._switch_until = self.now + SWITCH_TIME

    def state(self, t: float) -> int:
        """The code that STATE? returns."""
        if self.quenched or t >= self._quench_time:
            return QUENCH
        if t < self._switch_until:
            return HEATING if self.switch_heater else COOLING
        if self.supply_current(t) != self._goal:
            return self._state if self._state in (RAMPING, ZEROING) else RAMPING
        if self._state == RAMPING:
            return HOLDING
        return AT_ZERO if self._state == ZEROING else self._state

    def advance(self, now: float) -> None:
        """Notice a quench that has happened by `now`."""
        if now >= self._quench_time:
            self.quenched = True
        self.now = now
