"""Phase between the two arms of an interferometer, free or held by an integrator.

The phase is psi = free phase + gain x voltage on the modulator. The detector sees
V = A sin(psi) + offset + noise. A controller integrates e = V - setpoint onto the modulator.

Between two commands everything is a function of time. Events (capture, loss of the signal, end of
the modulator's range, slips) lie on fixed time grids, so they too do not depend on polling. The
one assumption: A changes monotonically between two commands to any instrument, as a light path
does that is opened or blocked.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulated_instruments.physics.loop_noise import (
    delay_lag,
    limit_cycle,
    residual_variance,
    slip_time,
)
from simulated_instruments.physics.noise import OrnsteinUhlenbeck, White, Wiener

#: Time grid of capture and loss of the lock, in s.
EVENT_GRID = 2.0**-10
#: Finest time grid on which the end of the modulator's range is looked for, in s.
RANGE_GRID = 2.0**-6
#: A loop that would slip more often than once in this time (s) does not capture.
SHORTEST_HOLD = 1.0
#: Nor does one whose setpoint is beyond this fraction of the fringe amplitude.
STEEPEST_SETPOINT = 0.98
#: Variance of a phase that is spread evenly over the circle, in rad^2.
EVEN = math.pi**2 / 3

_HISTORY = 4096  # segments that are remembered


@dataclass(frozen=True)
class Controller:
    """What the loop's controller does with e = input - setpoint; `integral` 0 holds its output."""

    integral: float = 0.0  # unity-gain frequency in Hz, with sign
    proportional: float = 0.0  # V/V, with sign
    setpoint: float = 0.0  # V
    low: float = -1.0  # V, smallest output
    high: float = 1.0  # V
    drive: Callable[[Any], Any] | None = None  # voltage added to the output, a function of times


@dataclass(frozen=True)
class _Segment:
    """Time since `start` during which the loop is in one state."""

    start: float
    controller: Controller
    locked: bool
    volts: float = 0.0  # open: integrator at start
    rate: float = 0.0  # open: its mean slope in V/s
    walk: float = 0.0  # open: its random walk in V per square root of s
    cycle: float = 0.0  # open: amplitude of the oscillation of an unstable loop in rad
    saturated: bool = False  # open: ran into a limit while locked
    turns: float = 0.0  # locked: 2 pi x number of the fringe
    pull: float = 0.0  # locked: distance from the fringe at start, in rad
    loop_rate: float = 1.0  # locked: k at start in 1/s
    slip_rate: float = 0.0  # locked: slips per s


class PhaseLoop:
    """The interferometer and its loop. Defaults are assumed, chosen to give the published jitter.

    With the driver's default bandwidth of 1 kHz the loop leaves 0.037 rad, and with `fast_rms`
    the total is 0.1094 rad, what explains squeezing and antisqueezing of the benchmark pair.

    Args:
        seed_of: gives the seed of a named noise, e.g. `world.seed_of`.
        drift: free drift in rad per square root of s.
        fast_rms: phase noise in rad that the loop's detector does not see (other paths).
        sensor_noise: two-sided density in rad^2/Hz at `full_amplitude`.
        volts_per_rad: of modulator and high-voltage driver; 0.05 makes +-1 V be +-20 rad.
        delay: of the whole loop in s; mostly the high-voltage driver.
        error_amplitude: A in V, as a function of time in s (float or array); or a constant.
        acoustic_rms: acoustic phase noise in rad.
        acoustic_time: its correlation time in s.
        full_amplitude: A in V at which `sensor_noise` is stated.
        offset: of the detector in V.
        detector_bandwidth: in Hz, with which single readings see the sensor noise.
    """

    def __init__(
        self,
        seed_of: Callable[[str], int],
        drift: float = 0.1,
        fast_rms: float = 0.10296,
        sensor_noise: float = 4.5e-10,
        volts_per_rad: float = 0.05,
        delay: float = 100e-6,
        error_amplitude: Callable[[Any], Any] | float = 0.4,
        *,
        acoustic_rms: float = 0.15,
        acoustic_time: float = 5e-3,
        full_amplitude: float = 0.4,
        offset: float = 2e-3,
        detector_bandwidth: float = 1e6,
    ) -> None:
        self.drift = drift
        self.fast_rms = fast_rms
        self.sensor_noise = sensor_noise
        self.gain = 1.0 / volts_per_rad  # rad/V
        self.delay = delay
        self.acoustic_rms = acoustic_rms
        self.acoustic_time = acoustic_time
        self.full_amplitude = full_amplitude
        self.offset = offset
        self.error_amplitude = error_amplitude
        self._seed_of = seed_of
        start = np.random.default_rng(seed_of("phase")).uniform(-math.pi, math.pi)
        self._start = float(start)
        self._wander = Wiener(seed_of("drift"), drift)
        self._acoustic = OrnsteinUhlenbeck(seed_of("acoustic"), acoustic_rms, acoustic_time)
        self._walk = Wiener(seed_of("walk"), 1.0)
        self._residual: dict[int, OrnsteinUhlenbeck] = {}
        sensor_rms = full_amplitude * math.sqrt(2 * detector_bandwidth * sensor_noise)
        self._sensor = White(seed_of("sensor"), sensor_rms, 8e-9)
        self._slips = 0
        self._fuse = self._new_fuse()
        self._checked = 0  # number of the last point of the event grid that was looked at
        self._range_check = math.inf  # when to look next at the range of the modulator
        self._segments = [_Segment(0.0, Controller(), locked=False)]
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
        return self._piecewise(self._error, times) + self._sensor.at(times)

    def output(self, times: Any) -> Any:
        """Volts from the controller at `times` (s)."""
        return self._piecewise(self._output, times)

    def saturated(self, t: float) -> bool:
        """Whether the controller is at one of its limits."""
        segment = self._at(t)
        limits = segment.controller
        return segment.saturated or not limits.low < self._output(segment, t) < limits.high

    # ---------------------------------------------------------------- for the world

    def phase(self, times: Any) -> Any:
        """Phase psi between the arms in rad, without what is faster than the loop."""
        return self._piecewise(self._phase, times)

    def jitter_rms(self, t: Any) -> Any:
        """Standard deviation in rad of what is faster: residual noise of the loop and beyond."""
        return self._piecewise(self._jitter, t)

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

    def _at(self, t: float) -> _Segment:
        """The segment of a time; of one long past, the oldest that is remembered."""
        return self._segments[max(bisect_right(self._starts, t) - 1, 0)]

    def _piecewise(self, function: Callable[[_Segment, Any], Any], times: Any) -> Any:
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

    def _amplitude(self, times: Any) -> Any:
        amplitude = self.error_amplitude
        return amplitude(times) if callable(amplitude) else amplitude

    def _free(self, times: Any) -> Any:
        return self._start + self._wander.at(times) + self._acoustic.at(times)

    def _target(self, controller: Controller, amplitude: Any) -> Any:
        """Stable phase: on the rising slope of the fringe at negative gain, else on the falling."""
        x = (controller.setpoint - self.offset) / np.maximum(amplitude, 1e-12)
        rising = np.arcsin(np.minimum(np.maximum(x, -1.0), 1.0))
        return rising if controller.integral < 0 else math.pi - rising

    def _loop(self, controller: Controller, amplitude: Any) -> tuple[Any, Any, Any]:
        """Integrator rate k in 1/s, proportional loop gain, residual variance in rad^2."""
        x = controller.setpoint - self.offset
        slope = np.sqrt(np.maximum(amplitude * amplitude - x * x, 1e-24))  # V/rad
        rate = 2 * math.pi * abs(controller.integral) * self.gain * slope
        proportional: Any = 0.0
        if controller.proportional:
            alike = controller.proportional * math.copysign(1.0, controller.integral)
            proportional = alike * self.gain * slope
        variance = residual_variance(
            rate,
            drift=self.drift,
            sensor=self.sensor_noise * (self.full_amplitude / slope) ** 2,
            delay=self.delay,
            acoustic_rms=self.acoustic_rms,
            acoustic_time=self.acoustic_time,
            proportional=proportional,
        )
        return rate, proportional, np.minimum(variance, EVEN)

    def _phase(self, segment: _Segment, times: Any) -> Any:
        if not segment.locked:
            return self._free(times) + self.gain * self._modulator(segment, times)
        target = self._target(segment.controller, self._amplitude(times)) + segment.turns
        if segment.pull:  # dpsi = -k sin(psi) dt has a closed form
            decay = np.exp(-segment.loop_rate * (times - segment.start))
            target = target + 2 * np.arctan(math.tan(segment.pull / 2) * decay)
        return target

    def _modulator(self, segment: _Segment, times: Any) -> Any:
        """Volts on the modulator while the loop is open."""
        volts = self._output(segment, times)
        drive = segment.controller.drive
        if drive is None:
            return volts
        return np.minimum(np.maximum(volts + drive(times), -1.0), 1.0)

    def _output(self, segment: _Segment, times: Any) -> Any:
        limits = segment.controller
        if segment.locked:
            volts = (self._phase(segment, times) - self._free(times)) / self.gain
            if limits.drive is not None:
                volts = volts - limits.drive(times)
        elif segment.rate or segment.walk:
            path = self._walk.at(times) - self._walk.at(segment.start)
            volts = segment.volts + segment.rate * (times - segment.start) + segment.walk * path
        else:
            volts = segment.volts + 0.0 * times
        return np.minimum(np.maximum(volts, limits.low), limits.high)

    def _error(self, segment: _Segment, times: Any) -> Any:
        psi = self._phase(segment, times)
        amplitude = self._amplitude(times)
        if segment.locked:
            variance = self._loop(segment.controller, amplitude)[2]
            psi = psi + np.sqrt(variance) * self._residual_noise(segment.loop_rate).at(times)
        elif segment.cycle:
            psi = psi + segment.cycle * np.sin(math.pi / (2 * self.delay) * times)
        return amplitude * np.sin(psi) + self.offset

    def _residual_noise(self, rate: float) -> OrnsteinUhlenbeck:
        """What the loop leaves, scaled to 1; its correlation time is 1/k to a factor of 2^0.5."""
        octave = round(math.log2(rate))
        if octave not in self._residual:
            seed = self._seed_of(f"residual.{octave}")
            self._residual[octave] = OrnsteinUhlenbeck(seed, 1.0, 2.0**-octave)
        return self._residual[octave]

    def _jitter(self, segment: _Segment, times: Any) -> Any:
        if segment.locked:
            more = self._loop(segment.controller, self._amplitude(times))[2]
        else:
            more = segment.cycle**2 / 2 + 0.0 * times
        return np.sqrt(self.fast_rms**2 + more)

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

    def _first_turn(self, segment: _Segment, grid: int) -> float:
        """First grid time up to `grid` at which the loop can hold, or no longer can."""
        if self._can_hold(segment.controller, grid * EVENT_GRID) == segment.locked:
            return math.inf
        low, high = self._checked, grid
        while high - low > 1:
            middle = (low + high) // 2
            if self._can_hold(segment.controller, middle * EVENT_GRID) == segment.locked:
                low = middle
            else:
                high = middle
        return high * EVENT_GRID

    def _can_hold(self, controller: Controller, t: float) -> bool:
        """Whether the loop, with the light it has at `t`, would hold the phase."""
        amplitude = float(self._amplitude(t))
        if not controller.integral or amplitude < 1e-2 * self.full_amplitude:
            return False
        if abs(controller.setpoint - self.offset) > STEEPEST_SETPOINT * amplitude:
            return False
        rate, proportional, variance = self._loop(controller, amplitude)
        if delay_lag(rate, self.delay, proportional) >= math.pi / 2:
            return False
        return slip_time(float(rate), float(rate * variance)) > SHORTEST_HOLD

    def _turn(self, when: float) -> None:
        """Capture, or lose the signal."""
        self._enter(when, self._segments[-1].controller, self.integral(when))

    def _enter(self, now: float, controller: Controller, volts: float) -> None:
        """Begin a new segment at `now`, with the integrator at `volts`."""
        self._checked = max(self._checked, math.floor(now / EVENT_GRID))
        volts = min(max(volts, controller.low), controller.high)
        segment = _Segment(now, controller, locked=False, volts=volts)
        if not self._can_hold(controller, now):
            self._begin(self._adrift(segment))
            return
        psi = float(self._phase(segment, now))
        amplitude = self._amplitude(now)
        target = float(self._target(controller, amplitude))
        turns = 2 * math.pi * round((psi - target) / (2 * math.pi))
        rate, _, variance = (float(x) for x in self._loop(controller, amplitude))
        segment = replace(
            segment,
            locked=True,
            turns=turns,
            pull=psi - target - turns,
            loop_rate=rate,
            slip_rate=1 / slip_time(rate, rate * variance),
        )
        self._begin(segment)
        if self._exhausted(now):
            self._saturate(now)

    def _adrift(self, segment: _Segment) -> _Segment:
        """An open segment with what its integrator does while it runs without a hold."""
        controller = segment.controller
        if not controller.integral:
            return segment
        rate, proportional, _ = self._loop(controller, self._amplitude(segment.start))
        cycle = limit_cycle(float(delay_lag(rate, self.delay, proportional)))
        if cycle:
            return replace(segment, cycle=cycle)
        speed = 2 * math.pi * controller.integral  # blind: it integrates offset and sensor noise
        return replace(
            segment,
            rate=speed * (self.offset - controller.setpoint),
            walk=abs(speed) * self.full_amplitude * math.sqrt(self.sensor_noise),
        )

    def _begin(self, segment: _Segment) -> None:
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
        target = self._target(limits, self._amplitude(when)) + segment.turns
        volts = float(target - self._start - self._wander.at(when)) / self.gain
        margin = self.gain * min(volts - limits.low, limits.high - volts)
        if margin <= 0:
            return True
        wait = (margin / (8 * self.drift)) ** 2 if self.drift else math.inf
        steps = max(1.0, min(wait, 1e6) // RANGE_GRID)
        self._range_check = (math.floor(when / RANGE_GRID) + steps) * RANGE_GRID
        return False

    def _saturate(self, when: float) -> None:
        """Stay at the limit that was reached; a new command starts the loop again."""
        limits = self._segments[-1].controller
        upper = self.integral(when) > (limits.low + limits.high) / 2
        volts = limits.high if upper else limits.low
        self._begin(_Segment(when, limits, locked=False, volts=volts, saturated=True))

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
