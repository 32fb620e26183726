"""Phase between the two arms of an interferometer while nothing changes hands.

The phase is psi = free phase + gain x voltage on the modulator. The detector sees
V = A sin(psi) + offset + noise. A controller integrates e = V - setpoint onto the modulator.

Whether the loop holds or not, within one `Segment` everything is a function of time; when one
ends and which follows is found in `phase_lock`.
"""

from __future__ import annotations

import math
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

#: A loop that would slip more often than once in this time (s) does not capture.
SHORTEST_HOLD = 1.0
#: Nor does one whose setpoint is beyond this fraction of the fringe amplitude.
STEEPEST_SETPOINT = 0.98
#: Variance of a phase that is spread evenly over the circle, in rad^2.
EVEN = math.pi**2 / 3


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
class Segment:
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


class Interferometer:
    """Two arms, detector and modulator, and what they do while the loop is in one state.

    Defaults are assumed, chosen to give the published jitter.

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

    def amplitude(self, times: Any) -> Any:
        """Amplitude A of the fringe in V."""
        amplitude = self.error_amplitude
        return amplitude(times) if callable(amplitude) else amplitude

    def drifted(self, times: Any) -> Any:
        """Free phase in rad without the acoustic noise, which comes back to where it was."""
        return self._start + self._wander.at(times)

    def _free(self, times: Any) -> Any:
        return self.drifted(times) + self._acoustic.at(times)

    def target(self, controller: Controller, amplitude: Any) -> Any:
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

    def phase(self, segment: Segment, times: Any) -> Any:
        """Phase psi in rad, without what is faster than the loop."""
        if not segment.locked:
            return self._free(times) + self.gain * self._modulator(segment, times)
        target = self.target(segment.controller, self.amplitude(times)) + segment.turns
        if segment.pull:  # dpsi = -k sin(psi) dt has a closed form
            decay = np.exp(-segment.loop_rate * (times - segment.start))
            target = target + 2 * np.arctan(math.tan(segment.pull / 2) * decay)
        return target

    def _modulator(self, segment: Segment, times: Any) -> Any:
        """Volts on the modulator while the loop is open."""
        volts = self.output(segment, times)
        drive = segment.controller.drive
        if drive is None:
            return volts
        return np.minimum(np.maximum(volts + drive(times), -1.0), 1.0)

    def output(self, segment: Segment, times: Any) -> Any:
        """Volts from the controller."""
        limits = segment.controller
        if segment.locked:
            volts = (self.phase(segment, times) - self._free(times)) / self.gain
            if limits.drive is not None:
                volts = volts - limits.drive(times)
        elif segment.rate or segment.walk:
            path = self._walk.at(times) - self._walk.at(segment.start)
            volts = segment.volts + segment.rate * (times - segment.start) + segment.walk * path
        else:
            volts = segment.volts + 0.0 * times
        return np.minimum(np.maximum(volts, limits.low), limits.high)

    def error(self, segment: Segment, times: Any) -> Any:
        """Volts at the detector."""
        psi = self.phase(segment, times)
        amplitude = self.amplitude(times)
        if segment.locked:
            variance = self._loop(segment.controller, amplitude)[2]
            psi = psi + np.sqrt(variance) * self._residual_noise(segment.loop_rate).at(times)
        elif segment.cycle:
            psi = psi + segment.cycle * np.sin(math.pi / (2 * self.delay) * times)
        return amplitude * np.sin(psi) + self.offset + self._sensor.at(times)

    def _residual_noise(self, rate: float) -> OrnsteinUhlenbeck:
        """What the loop leaves, scaled to 1; its correlation time is 1/k to a factor of 2^0.5."""
        octave = round(math.log2(rate))
        if octave not in self._residual:
            seed = self._seed_of(f"residual.{octave}")
            self._residual[octave] = OrnsteinUhlenbeck(seed, 1.0, 2.0**-octave)
        return self._residual[octave]

    def jitter(self, segment: Segment, times: Any) -> Any:
        """Standard deviation in rad of what is faster than `phase`."""
        if segment.locked:
            more = self._loop(segment.controller, self.amplitude(times))[2]
        else:
            more = segment.cycle**2 / 2 + 0.0 * times
        return np.sqrt(self.fast_rms**2 + more)

    # ---------------------------------------------------------------- what a segment begins with

    def begin(self, now: float, controller: Controller, volts: float) -> Segment:
        """What the loop does from `now` (s) on with its integrator at `volts`: hold, or drift."""
        volts = min(max(volts, controller.low), controller.high)
        segment = Segment(now, controller, locked=False, volts=volts)
        if self.can_hold(controller, now):
            return self._captured(segment)
        return self._adrift(segment)

    def can_hold(self, controller: Controller, t: float) -> bool:
        """Whether the loop, with the light it has at `t`, would hold the phase."""
        amplitude = float(self.amplitude(t))
        if not controller.integral or amplitude < 1e-2 * self.full_amplitude:
            return False
        if abs(controller.setpoint - self.offset) > STEEPEST_SETPOINT * amplitude:
            return False
        rate, proportional, variance = self._loop(controller, amplitude)
        if delay_lag(rate, self.delay, proportional) >= math.pi / 2:
            return False
        return slip_time(float(rate), float(rate * variance)) > SHORTEST_HOLD

    def _captured(self, segment: Segment) -> Segment:
        """The segment of a loop that is pulled to the nearest fringe and stays there."""
        now, controller = segment.start, segment.controller
        psi = float(self.phase(segment, now))
        amplitude = self.amplitude(now)
        target = float(self.target(controller, amplitude))
        turns = 2 * math.pi * round((psi - target) / (2 * math.pi))
        rate, _, variance = (float(x) for x in self._loop(controller, amplitude))
        return replace(
            segment,
            locked=True,
            turns=turns,
            pull=psi - target - turns,
            loop_rate=rate,
            slip_rate=1 / slip_time(rate, rate * variance),
        )

    def _adrift(self, segment: Segment) -> Segment:
        """An open segment with what its integrator does while it runs without a hold."""
        controller = segment.controller
        if not controller.integral:
            return segment
        rate, proportional, _ = self._loop(controller, self.amplitude(segment.start))
        cycle = limit_cycle(float(delay_lag(rate, self.delay, proportional)))
        if cycle:
            return replace(segment, cycle=cycle)
        speed = 2 * math.pi * controller.integral  # blind: it integrates offset and sensor noise
        return replace(
            segment,
            rate=speed * (self.offset - controller.setpoint),
            walk=abs(speed) * self.full_amplitude * math.sqrt(self.sensor_noise),
        )
