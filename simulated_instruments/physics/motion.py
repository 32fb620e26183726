"""Moves of a motorised or piezo actuator as closed-form functions of time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Approach:
    """First-order lag to a target with a slew limit; exact, so it composes over any steps."""

    begun: float  # s
    start: float
    target: float
    lag: float  # s
    slew: float = math.inf  # units of the coordinate per second

    def at(self, t: Any) -> Any:
        """Position at time `t` (s); float for a float, array for an array."""
        gap = self.start - self.target
        near = min(abs(gap), self.slew * self.lag)  # the distance where the slewing ends
        slewing = (abs(gap) - near) / self.slew
        if isinstance(t, np.ndarray):
            elapsed = np.maximum(t - self.begun, 0.0)
            late = near * np.exp(-np.maximum(elapsed - slewing, 0.0) / self.lag)
            distance = (
                late
                if slewing == 0
                else np.where(
                    elapsed < slewing, abs(gap) - self.slew * np.minimum(elapsed, slewing), late
                )
            )
            return self.target + np.copysign(distance, gap)
        elapsed = t - self.begun
        if elapsed <= 0:
            return self.start
        if elapsed < slewing:
            return self.target + math.copysign(abs(gap) - self.slew * elapsed, gap)
        return self.target + math.copysign(near * math.exp((slewing - elapsed) / self.lag), gap)

    def reaches(self, distance: float) -> float:
        """Time (s) from which on the position is within `distance` of the target."""
        gap = abs(self.start - self.target)
        if gap <= distance:
            return self.begun
        near = min(gap, self.slew * self.lag)
        if distance >= near:
            return self.begun + (gap - distance) / self.slew
        return self.begun + (gap - near) / self.slew + self.lag * math.log(near / distance)


@dataclass(frozen=True)
class Sweep:
    """Straight lines through knots (times relative to `begun`), once or again and again."""

    begun: float  # s
    times: tuple[float, ...]  # s, ascending, first 0
    positions: tuple[float, ...]
    repeat: bool = False

    def at(self, t: Any) -> Any:
        """Position at time `t` (s); before the beginning the first, after the end the last."""
        elapsed = np.maximum(np.asarray(t, dtype=float) - self.begun, 0.0)
        if self.repeat:
            elapsed = elapsed % self.times[-1]
        position = np.interp(elapsed, self.times, self.positions)
        return position if isinstance(t, np.ndarray) else float(position)

    @property
    def ends(self) -> float:
        """Time (s) at which the last knot is reached; infinite when repeating."""
        return math.inf if self.repeat else self.begun + self.times[-1]
