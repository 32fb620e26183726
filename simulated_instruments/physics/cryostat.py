"""Stages of a dilution refrigerator: heaters and set points move their temperatures.

A stage relaxes exponentially towards the temperature at which cooling and heating power balance.
Cooling goes as the square of the temperature (dilute phase of a dilution refrigerator: Pobell,
"Matter and Methods at Low Temperatures", chapter 7), so P = a (T^2 - T_base^2). The thermometer
adds a fixed relative calibration error and noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulated_instruments.physics.noise import OrnsteinUhlenbeck, White

OFF, OPEN_LOOP, CLOSED_LOOP = 0, 2, 5  # modes of a heater output, numbered as the 372 does

#: Slow changes of a stage's temperature (relative rms, s) and noise of one reading (relative rms).
WANDER, WANDER_TIME = 2e-3, 120.0
READING_NOISE, READING_TICK = 1e-3, 0.1


@dataclass(frozen=True)
class Stage:
    """One thermometer with what it sits on."""

    name: str
    base_k: float  # without any heating
    watts_per_k2: float = 0.0  # cooling power is this times (T^2 - T_base^2); 0: cannot be heated
    warming_s: float = 15.0  # time constant towards a higher temperature
    cooling_s: float = 30.0
    calibration: float = 0.0  # relative rms error of the thermometer, fixed


@dataclass
class Heater:
    """One output: what it drives and how."""

    channel: int  # of the stage that it heats
    most_watts: float  # at full output
    mode: int = OFF
    setpoint_k: float = 0.0
    fraction: float = 0.0  # of full output, in open loop
    enabled: bool = False  # False: the range is off


#: Channel numbers as many refrigerators have them.
STAGES: Mapping[int, Stage] = {
    1: Stage("50 K plate", 38.0),
    2: Stage("4 K plate", 3.6),
    5: Stage("still", 0.85),
    6: Stage("mixing chamber", 0.010, watts_per_k2=0.04),
}


class CryostatModel:
    """Temperatures as functions of time. A world reads `temperature_k`; `extra_watts` heats.

    Args:
        seed_of: seeds by name, as `World.seed_of`.
        name: of the model.
        stages: by channel of the thermometer bridge.
        heaters: by output; by default output 0 heats channel 6 with at most 10 mW.
    """

    def __init__(
        self,
        seed_of: Callable[[str], int],
        name: str = "thermometer",
        stages: Mapping[int, Stage] = STAGES,
        heaters: Mapping[int, Heater] | None = None,
    ) -> None:
        self.now = 0.0
        self.stages = dict(stages)
        chosen = heaters if heaters is not None else {0: Heater(6, 0.01)}
        self.heaters = dict(chosen)
        self.extra_watts: dict[int, float] = {}
        self._moves = {n: (0.0, s.base_k, s.base_k, s.cooling_s) for n, s in self.stages.items()}
        self._wander: dict[int, OrnsteinUhlenbeck] = {}
        self._noise: dict[int, White] = {}
        self._error: dict[int, float] = {}
        for number, stage in self.stages.items():
            own = f"{name}.{number}"
            self._wander[number] = OrnsteinUhlenbeck(seed_of(f"{own}.wander"), WANDER, WANDER_TIME)
            self._noise[number] = White(seed_of(f"{own}.noise"), READING_NOISE, READING_TICK)
            fixed = OrnsteinUhlenbeck(seed_of(f"{own}.calibration"), 1.0, 1.0).at(0.0)
            self._error[number] = stage.calibration * fixed

    def temperature_k(self, t: float, channel: int = 6) -> float:
        """True temperature (K) of a stage at time `t` (s), from the last command on."""
        begun, start, target, tau = self._moves[channel]
        steady = target + (start - target) * math.exp(-max(0.0, t - begun) / tau)
        return steady * (1.0 + float(self._wander[channel].at(t)))

    def reading_k(self, t: float, channel: int) -> float:
        """What the thermometer says at time `t` (s)."""
        noise = float(self._noise[channel].at(t))
        return self.temperature_k(t, channel) * (1.0 + self._error[channel]) * (1.0 + noise)

    def heater_fraction(self, output: int, t: float) -> float:
        """Part of full output (0 to 1, as current) that a heater gives at time `t` (s)."""
        heater = self.heaters[output]
        if not heater.enabled or heater.mode == OFF:
            return 0.0
        if heater.mode == OPEN_LOOP:
            return heater.fraction
        stage = self.stages[heater.channel]
        wanted = stage.watts_per_k2 * (self._moves[heater.channel][2] ** 2 - stage.base_k**2)
        wanted -= self.extra_watts.get(heater.channel, 0.0)
        return min(1.0, math.sqrt(max(0.0, wanted) / heater.most_watts))

    def tell(self, now: float, output: int, **changes: Any) -> None:
        """Change attributes of a heater at time `now` (s); its stage starts to move."""
        heater = self.heaters[output]
        for attribute, value in changes.items():
            setattr(heater, attribute, value)
        self.balance(now, heater.channel)

    def load(self, now: float, channel: int, watts: float) -> None:
        """Heat a stage from outside, from time `now` (s) on."""
        if self.extra_watts.get(channel, 0.0) != watts:
            self.extra_watts[channel] = watts
            self.balance(now, channel)

    def balance(self, now: float, channel: int) -> None:
        """Let a stage start from where it is towards its new equilibrium."""
        stage = self.stages[channel]
        begun, start, target, tau = self._moves[channel]
        here = target + (start - target) * math.exp(-max(0.0, now - begun) / tau)
        extra = self.extra_watts.get(channel, 0.0)
        goal = self._equilibrium(stage, extra)
        for heater in self.heaters.values():
            if heater.channel != channel or not heater.enabled:
                continue
            if heater.mode == OPEN_LOOP:
                goal = self._equilibrium(stage, extra + heater.most_watts * heater.fraction**2)
            elif heater.mode == CLOSED_LOOP:
                highest = self._equilibrium(stage, extra + heater.most_watts)
                goal = min(max(goal, heater.setpoint_k), highest)
        slow = stage.warming_s if goal > here else stage.cooling_s
        self._moves[channel] = (now, here, goal, slow)

    @staticmethod
    def _equilibrium(stage: Stage, watts: float) -> float:
        if not stage.watts_per_k2:
            return stage.base_k
        return float(np.sqrt(stage.base_k**2 + watts / stage.watts_per_k2))

    def advance(self, now: float) -> None:
        """Nothing is in progress that a function of time does not tell; keeps the time."""
        self.now = now
