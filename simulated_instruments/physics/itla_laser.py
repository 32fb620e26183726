"""A small tunable laser module (ITLA): channel grid, fine tuning, dither or free running.

With dither the module holds its frequency at an etalon, with a fixed error, a slow wander and the
tone itself. In whisper mode there is no tone and nothing holds the frequency: it walks away.
While it tunes from channel to channel, and while it warms up, it is dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from simulated_instruments.physics.motion import Approach
from simulated_instruments.physics.noise import OrnsteinUhlenbeck, Wiener

LOWEST_HZ, HIGHEST_HZ = 191.5e12, 196.25e12
LOWEST_DBM, HIGHEST_DBM = 7.0, 13.5
FINE_RANGE_HZ = 12e9  # either side
FINE_LAG, FINE_SLEW = 0.2, 5e9  # s, Hz/s
FINE_ARRIVED = 1e6  # Hz
POWER_LAG, POWER_ARRIVED = 0.1, 0.05  # s, dB
WARM_UP, TUNING = 25.0, 8.0  # s
ACCURACY = 0.3e9  # Hz rms, fixed error of the etalon
WANDER, WANDER_TAU = 10e6, 300.0  # Hz rms, s
DITHER, DITHER_HZ = 40e6, 888.0  # Hz amplitude of the frequency, Hz
WHISPER_WALK = 0.5e6  # Hz per square root of s
RELOCK = 2.0  # s, when dither returns
POWER_NOISE = 2e-3  # relative rms, 300 s
REMEMBERED = 1000  # changes of mode


class ItlaModel:
    """One module. Its set points are in the units of `frequency_hz` and dBm."""

    def __init__(self, seed_of: Callable[[str], int], name: str = "itla") -> None:
        self.now = 0.0
        self.linewidth_hz = 10e3
        self.enabled = False
        self.lit_from = math.inf  # s, when light leaves the module
        self.channel_hz = 193.5e12  # set point without fine tuning
        self.whisper = False
        self._fine = Approach(0.0, 0.0, 0.0, FINE_LAG, FINE_SLEW)  # Hz
        self._level = Approach(0.0, 10.0, 10.0, POWER_LAG)  # dBm
        self._error = ACCURACY * OrnsteinUhlenbeck(seed_of(f"{name}.etalon"), 1.0, 1.0).at(0.0)
        self._wander = OrnsteinUhlenbeck(seed_of(f"{name}.wander"), WANDER, WANDER_TAU)
        self._walk = Wiener(seed_of(f"{name}.walk"), WHISPER_WALK)
        self._power = OrnsteinUhlenbeck(seed_of(f"{name}.power"), POWER_NOISE, 300.0)
        self._case = OrnsteinUhlenbeck(seed_of(f"{name}.case"), 0.5, 1800.0)
        #: since (s), whether free running, what to add (Hz) to its walk or wander: `_deviation_of`
        self._holds: list[tuple[float, bool, float]] = [(0.0, False, 0.0)]

    # ---------------------------------------------------------------- light

    @property
    def emitting(self) -> bool:
        """Whether light leaves the module now."""
        return self.enabled and self.now >= self.lit_from

    @property
    def settings(self) -> tuple[Any, ...]:
        """What the module was told: frequency and power are functions of time while it is equal."""
        return (
            self.enabled, self.lit_from, self.channel_hz, self.whisper, self._fine, self._level,
        )  # fmt: skip

    @property
    def target_hz(self) -> float:
        """Where the module goes, within what it can do (Hz)."""
        return min(max(self.channel_hz, LOWEST_HZ), HIGHEST_HZ) + self._fine.target

    @property
    def out_of_reach(self) -> bool:
        """Whether the channel is outside the range, so that the module is elsewhere."""
        return not LOWEST_HZ <= self.channel_hz <= HIGHEST_HZ

    def frequency_hz(self, t: Any) -> Any:
        """True optical frequency (Hz) at time `t` (s), a float or an array of times."""
        channel = min(max(self.channel_hz, LOWEST_HZ), HIGHEST_HZ)
        return channel + self._fine.at(t) + self._error + self._deviation(t) + self._tone(t)

    def power_mw(self, t: Any) -> Any:
        """Power (mW) at time `t` (s); 0 when dark."""
        if not self.enabled:
            return np.zeros(t.shape) if isinstance(t, np.ndarray) else 0.0
        power = 10.0 ** (self._level.at(t) / 10.0) * (1.0 + self._power.at(t))
        if isinstance(t, np.ndarray):
            return np.where(t >= self.lit_from, power, 0.0)
        return power if t >= self.lit_from else 0.0

    def case_celsius(self, t: Any) -> Any:
        """Temperature (degC) of the case."""
        return 35.0 + self._case.at(t)

    # ---------------------------------------------------------------- orders

    def enable(self, t: float) -> float:
        """Begin to warm up; returns when there will be light (s)."""
        self.enabled = True
        self.lit_from = t + WARM_UP
        self._hold(self.lit_from)
        return self.lit_from

    def disable(self) -> None:
        """Light off at once."""
        self.enabled, self.lit_from = False, math.inf

    def tune(self, hertz: float, t: float) -> float:
        """Go to another channel (Hz), dark on the way; returns when it is there (s)."""
        self.channel_hz = hertz
        if not self.enabled:
            return t
        self.lit_from = max(t, self.lit_from) + TUNING
        self._hold(self.lit_from)
        return self.lit_from

    def fine_tune(self, hertz: float, t: float) -> float:
        """Shift the frequency, with light; returns when it is there (s)."""
        start = self._fine.at(t) if self.enabled else hertz
        self._fine = Approach(t, start, hertz, FINE_LAG, FINE_SLEW)
        return self._fine.reaches(FINE_ARRIVED)

    def set_power(self, dbm: float, t: float) -> float:
        """Change the power; returns when it is there (s)."""
        start = self._level.at(t) if self.enabled else dbm
        self._level = Approach(t, start, dbm, POWER_LAG)
        return self._level.reaches(POWER_ARRIVED)

    def set_whisper(self, whisper: bool, t: float) -> None:
        """Let the frequency go, or hold it again."""
        if whisper == self.whisper:
            return
        deviation = self._deviation(t)
        self.whisper = whisper
        rest = deviation - (self._walk if whisper else self._wander).at(t)
        self._holds = [*self._holds[-REMEMBERED:], (t, whisper, rest)]

    def advance(self, now: float) -> None:
        """Nothing is in progress that a function of time does not tell; keeps the time."""
        self.now = now

    # ---------------------------------------------------------------- deviation

    def _hold(self, t: float) -> None:
        """At `t` (s) the module has just found its channel, whatever the mode."""
        rest = self._wander.at(t) - self._walk.at(t) if self.whisper else 0.0
        self._holds = [hold for hold in self._holds[-REMEMBERED:] if hold[0] < t]
        self._holds.append((t, self.whisper, rest))

    def _deviation(self, t: Any) -> Any:
        """How far (Hz) it is from its etalon at time `t` (s), without the tone."""
        if not isinstance(t, np.ndarray):
            held = next((hold for hold in reversed(self._holds) if t >= hold[0]), None)
            return float(self._deviation_of(*held, t)) if held else 0.0
        value: Any = 0.0
        for since, whisper, rest in self._holds:
            here = self._deviation_of(since, whisper, rest, t)
            value = np.where(t >= since, here, value)
        return value

    def _deviation_of(self, since: float, whisper: bool, rest: float, t: Any) -> Any:
        if whisper:
            return rest + self._walk.at(t)
        return self._wander.at(t) + rest * np.exp(-np.maximum(np.asarray(t) - since, 0.0) / RELOCK)

    def _tone(self, t: Any) -> Any:
        if self.whisper:
            return 0.0
        return DITHER * np.sin(2.0 * np.pi * ((DITHER_HZ * np.asarray(t)) % 1.0))
