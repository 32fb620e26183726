"""Phase lock: when a loop captures the phase of an interferometer, loses it, slips or saturates.

Between two commands everything is a function of time. Events (capture, loss of the signal, end of
the modulator's range, slips) lie on fixed time grids, so they too do not depend on polling. The
one assumption: A changes monotonically between two commands to any instrument, as a light path
does that is opened or blocked.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from simulated_instruments.physics.interferometer import Controller, Interferometer, Segment

#: Time grid of capture and loss of the lock, in s.
EVENT_GRID = 2.0**-10
#: Finest time grid on which the end of the modulator's range is looked for, in s.
RANGE_GRID = 2.0**-6

_HISTORY = 4096  # segments that are remembered


class PhaseLoop:
    """An interferometer and its loop.

    Args:
        seed_of: gives the seed of a named noise, e.g. `world.seed_of`.
        **arms: parameters of the `Interferometer`.
    """

    def __init__(self, seed_of: Callable[[str], int], **arms: Any) -> None:
        self.arms = Interferometer(seed_of, **arms)
        self._seed_of = seed_of
        self._slips = 0
        self._fuse = self._new_fuse()
        self._checked = 0  # number of the last point of the event grid that was looked at
        self._range_check = math.inf  # when to look next at the range of the modulator
        self._segments = [Segment(0.0, Controller(), locked=False)]
        self._starts = [0.0]

    # ---------------------------------------------------------------- for the FPGA

    def set_controller(self, now: float, controller: Controller) -> None:
        """Use other settings from `now` (s) on; call `advance` first."""
        self._enter(now, controller, self.integral(now))

    def set_integral(self, now: float, volts: float) -> None:
        """Set the integrator, from which the loop then captures anew."""
        self._enter(now, self._segments[-1].controller, volts)

    def integral(self, t: float) -> float:
        """The controller's output without its proportional part, in V."""
        return float(self.output(t))

    def error(self, times: Any) -> Any:
        """Volts at the detector at `times` (s)."""
        return self._piecewise(self.arms.error, times)

    def output(self, times: Any) -> Any:
        """Volts from the controller at `times` (s)."""
        return self._piecewise(self.arms.output, times)

    def saturated(self, t: float) -> bool:
        """Whether the controller is at one of its limits."""
        segment = self._at(t)
        limits = segment.controller
        return segment.saturated or not limits.low < self.arms.output(segment, t) < limits.high

    # ---------------------------------------------------------------- for the world

    def phase(self, times: Any) -> Any:
        """Phase psi between the arms in rad, without what is faster than the loop."""
        return self._piecewise(self.arms.phase, times)

    def jitter_rms(self, t: Any) -> Any:
        """Standard deviation in rad of what is faster: residual noise of the loop and beyond."""
        return self._piecewise(self.arms.jitter, t)

    def locked(self, t: float) -> bool:
        """Whether the loop holds the phase."""
        return self._at(t).locked

    def advance(self, now: float) -> None:
        """Find all events up to `now` (s)."""
        while (event := self._next_event(now)) is not None:
            when, act = event
            self._checked = max(self._checked, math.floor(when / EVENT_GRID))
            act(when)
        self._checked = max(self._checked, math.floor(now / EVENT_GRID))

    # ---------------------------------------------------------------- state at a time

    def _at(self, t: float) -> Segment:
        """The segment of a time; of one long past, the oldest that is remembered."""
        return self._segments[max(bisect_right(self._starts, t) - 1, 0)]

    def _piecewise(self, function: Callable[[Segment, Any], Any], times: Any) -> Any:
        """Apply a function of (segment, times) to each time with the segment it belongs to."""
        starts = self._starts
        if not isinstance(times, np.ndarray) or times.ndim == 0:
            return function(self._at(float(times)), float(times))
        if times.size == 0:
            return np.empty(times.shape)
        first = max(bisect_right(starts, times.min()) - 1, 0)
        if first + 1 == len(starts) or times.max() < starts[first + 1]:
            return function(self._segments[first], times)
        result = np.empty(times.shape)
        owner = np.maximum(np.searchsorted(starts, times, side="right") - 1, 0)
        for index in np.unique(owner):
            chosen = owner == index
            result[chosen] = function(self._segments[index], times[chosen])
        return result

    # ---------------------------------------------------------------- events

    def _next_event(self, now: float) -> tuple[float, Callable[[float], None]] | None:
        """The earliest event up to `now` and what to do then."""
        segment = self._segments[-1]
        events: list[tuple[float, Callable[[float], None]]] = []
        grid = math.floor(now / EVENT_GRID)
        if segment.controller.integral and not segment.saturated and grid > self._checked:
            events.append((self._first_turn(segment, grid), self._turn))
        if segment.slip_rate:
            events.append((segment.start + self._fuse / segment.slip_rate, self._slip))
        first = min(events, default=(math.inf, self._turn), key=lambda event: event[0])
        while self._range_check <= min(now, first[0]):
            if self._exhausted(self._range_check):
                return self._range_check, self._saturate
        return first if first[0] <= now else None

    def _first_turn(self, segment: Segment, grid: int) -> float:
        """First grid time up to `grid` at which the loop can hold, or no longer can."""
        if self.arms.can_hold(segment.controller, grid * EVENT_GRID) == segment.locked:
            return math.inf
        low, high = self._checked, grid
        while high - low > 1:
            middle = (low + high) // 2
            if self.arms.can_hold(segment.controller, middle * EVENT_GRID) == segment.locked:
                low = middle
            else:
                high = middle
        return high * EVENT_GRID

    def _turn(self, when: float) -> None:
        """Capture, or lose the signal."""
        self._enter(when, self._segments[-1].controller, self.integral(when))

    def _enter(self, now: float, controller: Controller, volts: float) -> None:
        """Begin a new segment at `now`, with the integrator at `volts`."""
        self._checked = max(self._checked, math.floor(now / EVENT_GRID))
        segment = self.arms.begin(now, controller, volts)
        self._begin(segment)
        if segment.locked and self._exhausted(now):
            self._saturate(now)

    def _begin(self, segment: Segment) -> None:
        self._range_check = math.inf
        last = self._segments[-1]
        self._fuse -= last.slip_rate * (segment.start - last.start)
        if segment.start == last.start:
            self._segments[-1] = segment
            return
        self._segments.append(segment)
        self._starts.append(segment.start)
        if len(self._segments) > 2 * _HISTORY:
            del self._segments[:_HISTORY], self._starts[:_HISTORY]

    def _exhausted(self, when: float) -> bool:
        """Whether the modulator's range is at its end; if not, decides when to look next.

        The next look is so early that the drift reaches a limit before it with a probability of
        1e-15; when that is depends on the path only, not on who asks.
        """
        segment = self._segments[-1]
        limits = segment.controller
        arms = self.arms
        target = arms.target(limits, arms.amplitude(when)) + segment.turns
        volts = float(target - arms.drifted(when)) / arms.gain
        margin = arms.gain * min(volts - limits.low, limits.high - volts)
        if margin <= 0:
            return True
        wait = (margin / (8 * arms.drift)) ** 2 if arms.drift else math.inf
        steps = max(1.0, min(wait, 1e6) // RANGE_GRID)
        self._range_check = (math.floor(when / RANGE_GRID) + steps) * RANGE_GRID
        return False

    def _saturate(self, when: float) -> None:
        """Stay at the limit that was reached; a new command starts the loop again."""
        limits = self._segments[-1].controller
        upper = self.integral(when) > (limits.low + limits.high) / 2
        volts = limits.high if upper else limits.low
        self._begin(Segment(when, limits, locked=False, volts=volts, saturated=True))

    def _slip(self, when: float) -> None:
        """Move to a neighbouring fringe at once; the error signal does not notice."""
        self._slips += 1
        side = np.random.default_rng(self._seed_of(f"slip.{self._slips}")).choice((-1.0, 1.0))
        segment = self._segments[-1]
        turns = segment.turns + 2 * math.pi * float(side)
        self._begin(replace(segment, start=when, turns=turns, pull=0.0))
        self._fuse = self._new_fuse()
        if self._exhausted(when):
            self._saturate(when)

    def _new_fuse(self) -> float:
        """Exponential number with mean 1: slips happen when the integral of their rate is this."""
        rng = np.random.default_rng(self._seed_of(f"fuse.{self._slips}"))
        return float(rng.exponential())
