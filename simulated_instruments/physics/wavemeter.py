"""Wavelength meter with a fibre switch and a regulation that holds lasers through their piezos.

It measures on a grid of 10 ms; with several channels in use each gets its turn. A reading is the
true frequency plus 0.3 MHz rms, plus an offset that wanders by 2 MHz within an hour; below -30 dBm
there is none. Each reading of a regulated channel moves that channel's output voltage:

    e = measured - wanted,   V = V0 - polarity (P e + I sum(e dt) + D de/dt) / sensitivity

The laser answers with `hz_per_v`, so for P = D = 0 the loop is the sampled integrator of the shared
instrument dynamics, section 4, with g = I dt. Its lag (1 ms) is over before the next reading. The
formula of V and what the sensor needs of light are assumed; the maker does not tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulated_instruments.physics.noise import HashedNormals, OrnsteinUhlenbeck
from simulated_instruments.physics.steps import Steps

Floats = NDArray[np.float64]
Source = Callable[[Any], Any]  # of time (s), a float or an array

C = 299_792_458.0  # m/s
TICK = 0.01  # s between readings
NOISE = 0.3e6  # Hz rms
OFFSET, OFFSET_TAU = 2e6, 3600.0  # Hz, s
DARKEST = 1.0  # uW, which is -30 dBm
SENSITIVITY = 3.0  # signal per uW and ms
LOW, GOOD, HIGH = 300.0, 2000.0, 3500.0  # signal: too low, wanted, too high
EXPOSURES = (1, 999)  # ms
BOUND = 10_000.0  # mV, the outputs' limits
CHUNK = 100_000  # readings that are regulated at a time

NO_VALUE, NO_SIGNAL, LOW_SIGNAL, BIG_SIGNAL = 0, -1, -3, -4  # instead of a frequency


def _bright(t: Any) -> Any:
    return 100.0 + 0.0 * t


@dataclass
class Light:
    """What comes to one channel, and what that channel's output does to it."""

    frequency_hz: Source  # of the laser without regulation
    power_uw: Source = _bright
    hz_per_v: float = 0.0  # answer of the laser to the output; 0: no cable


@dataclass
class Channel:
    """Settings of one channel and of the regulation through its output."""

    used: bool = False
    shown: bool = False
    automatic: bool = True  # exposure
    exposure_ms: int = 1
    p: float = 0.0
    i: float = 0.0  # 1/s
    d: float = 0.0  # s
    constant_dt: bool = False
    dt: float = TICK  # s
    course: float | None = None  # wanted, in `unit`
    unit: int = 2  # 0: nm (vacuum), 2: THz
    polarity: int = 1
    sensitivity: float = 1e-3  # unit per V
    bounds: tuple[float, float] = (-BOUND, BOUND)  # mV
    outputs: Steps = field(default_factory=lambda: Steps(0.0))  # mV
    base: float = 0.0  # mV
    integral: float = 0.0  # unit s
    previous: tuple[float, float] | None = None  # s, unit: the reading before

    @property
    def output(self) -> float:
        """Voltage (mV) at the output now."""
        return float(self.outputs.last[0])

    def output_mv(self, t: Any) -> Any:
        """Voltage (mV) at the output at a time (s), a float or an array; steps act just after."""
        rows = self.outputs.at(t, just_before=True)[1]
        return rows[..., 0] if isinstance(t, np.ndarray) else float(rows[0])

    def clear(self) -> None:
        """Forget what the regulation has summed up; the output stays where it is."""
        self.base = self.output
        self.integral = 0.0
        self.previous = None


class WavemeterModel:
    """The meter without its software.

    Args:
        seed_of: gives the seed that belongs to a name (`World.seed_of`).
        name: of the meter, as its owner names its random numbers.
        lights: what comes in, by channel (from 1).
        channels: inputs of the switch.
        missed: probability that a reading fails to trigger.
    """

    def __init__(
        self,
        seed_of: Callable[[str], int],
        name: str = "wavemeter",
        lights: Mapping[int, Light] | None = None,
        channels: int = 8,
        missed: float = 0.0,
    ) -> None:
        self.lights = dict(lights or {})
        self.channels = {number: Channel() for number in range(1, channels + 1)}
        self.channels[1].used = self.channels[1].shown = True
        self.missed = missed
        self.measuring = False
        self.switching = True  # between the channels in use
        self.active = 1  # the channel that is measured when it is not switching
        self.regulating = False
        self.now = 0.0
        self._noise = HashedNormals(seed_of(f"{name}.noise"))
        self._triggers = HashedNormals(seed_of(f"{name}.trigger"))
        self._offset = OrnsteinUhlenbeck(seed_of(f"{name}.offset"), OFFSET, OFFSET_TAU)
        self._case = OrnsteinUhlenbeck(seed_of(f"{name}.case"), 0.2, 1800.0)
        self._air = OrnsteinUhlenbeck(seed_of(f"{name}.air"), 3.0, 7200.0)
        self._done = 0  # readings that are regulated
        self._first = 1  # reading since which the settings of the schedule hold
        self._kept: dict[int, int] = {}  # last reading of a channel before that
        self._read: dict[int, tuple[int, float]] = {}  # readings that somebody has asked for

    # ---------------------------------------------------------------- light

    def frequency_hz(self, channel: int, t: Any) -> Any:
        """True frequency (Hz) of the laser on a channel, regulated or not, at a time (s)."""
        self._catch_up(float(np.max(t)) if np.size(t) else self.now)
        return self._true(channel, t)

    def _true(self, channel: int, t: Any) -> Any:
        light = self.lights[channel]
        volts = 1e-3 * self.channels[channel].output_mv(t)
        return light.frequency_hz(t) + light.hz_per_v * volts

    def output_mv(self, channel: int, t: Any) -> Any:
        """Voltage (mV) at the output of a channel at a time (s)."""
        self._catch_up(float(np.max(t)) if np.size(t) else self.now)
        return self.channels[channel].output_mv(t)

    # ---------------------------------------------------------------- readings

    def reading(self, channel: int) -> tuple[int, float]:
        """Number and value (Hz, or a code below 1) of the last reading of a channel."""
        number = self._last(channel)
        if not number:
            return 0, NO_VALUE
        if self._read.get(channel, (0, 0.0))[0] != number:
            self._read[channel] = self._measured(channel, number)
        return self._read[channel]

    def _measured(self, channel: int, number: int) -> tuple[int, float]:
        """Number and value of one reading."""
        numbers = np.array([number])
        code = int(self._codes(channel, numbers)[0])
        if code:
            return number, code
        return number, float((self._true(channel, numbers * TICK) + self._errors(numbers))[0])

    def power_uw(self, channel: int) -> float:
        """Power (uW) at the last reading of a channel; 0 without light."""
        number = self._last(channel)
        light = self.lights.get(channel)
        return float(light.power_uw(number * TICK)) if light and number else 0.0

    def exposure_ms(self, channel: int) -> int:
        """Exposure of the sensor, as set or as found."""
        settings = self.channels[channel]
        if settings.automatic:
            best = GOOD / (SENSITIVITY * max(self.power_uw(channel), DARKEST))
            settings.exposure_ms = round(min(max(best, EXPOSURES[0]), EXPOSURES[1]))
        return settings.exposure_ms

    def celsius(self) -> float:
        """Temperature (degC) inside."""
        return 24.0 + float(self._case.at(self.now))

    def millibar(self) -> float:
        """Pressure (mbar) inside."""
        return 1013.0 + float(self._air.at(self.now))

    def _last(self, channel: int) -> int:
        """Number of the last reading of a channel; 0: there was none."""
        if not self.measuring:
            return self._kept.get(channel, 0)
        order = self._order()
        if channel not in order:
            return self._kept.get(channel, 0)
        number = _tick(self.now)
        number -= (number - order.index(channel)) % len(order)
        return number if number >= self._first else self._kept.get(channel, 0)

    def _order(self) -> list[int]:
        """The channels that are measured, in turn."""
        used = [number for number, channel in self.channels.items() if channel.used]
        return used if self.switching and used else [self.active]

    def _codes(self, channel: int, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """What is wrong with readings; 0 where nothing is."""
        light = self.lights.get(channel)
        if light is None:
            return np.full(numbers.shape, NO_SIGNAL)
        power = np.broadcast_to(light.power_uw(numbers * TICK), numbers.shape)
        settings = self.channels[channel]
        exposure: Any = settings.exposure_ms
        if settings.automatic:
            exposure = np.clip(GOOD / (SENSITIVITY * np.maximum(power, DARKEST)), *EXPOSURES)
        signal = SENSITIVITY * power * exposure
        codes = np.where(signal > HIGH, BIG_SIGNAL, np.where(signal < LOW, LOW_SIGNAL, 0))
        codes = np.where(power < DARKEST, NO_SIGNAL, codes)
        if self.missed:
            from scipy.special import ndtri

            codes = np.where(self._triggers(numbers) < ndtri(self.missed), NO_SIGNAL, codes)
        return codes

    def _errors(self, numbers: NDArray[np.int64]) -> Floats:
        """What readings are off by (Hz)."""
        return NOISE * self._noise(numbers) + self._offset.at(numbers * TICK)

    # ---------------------------------------------------------------- what it is told

    def change(self, **changes: Any) -> None:
        """Change `measuring`, `switching`, `active`, or `used` = (channel, whether)."""
        self._kept = {number: self._last(number) for number in self.channels}
        used = changes.pop("used", None)
        if used is not None:
            self.channels[used[0]].used = used[1]
        for name, value in changes.items():
            setattr(self, name, value)
        self._first = _tick(self.now) + 1

    def regulate(self, on: bool) -> None:
        """Let readings move the outputs, or leave those where they are."""
        if on and not self.regulating:
            for channel in self.channels.values():
                channel.clear()
        self.regulating = on

    def set_output(self, channel: int, millivolt: float) -> None:
        """Put an output to a voltage."""
        self.channels[channel].outputs.add(self.now, millivolt)
        self.channels[channel].clear()

    def advance(self, now: float) -> None:
        """Regulate with all readings up to time `now` (s)."""
        self._catch_up(now)
        self.now = now

    # ---------------------------------------------------------------- regulation

    def _catch_up(self, t: float) -> None:
        last = _tick(t)
        order = self._order()
        regulated = [
            number
            for number in order
            if self.channels[number].course is not None and number in self.lights
        ]
        if not (self.measuring and self.regulating and regulated):
            self._done = max(self._done, last)
            return
        while self._done < last:
            end = min(last, self._done + CHUNK)
            numbers = np.arange(self._done + 1, end + 1)
            for number in regulated:
                self._run(number, numbers[numbers % len(order) == order.index(number)])
            self._done = end

    def _run(self, number: int, readings: NDArray[np.int64]) -> None:
        """Let readings of one channel move its output."""
        channel, light = self.channels[number], self.lights[number]
        good = readings[self._codes(number, readings) == 0]
        if not good.size:
            return
        times = good * TICK
        free = np.broadcast_to(light.frequency_hz(times), times.shape) + self._errors(good)
        low, high = channel.bounds
        wanted, base, integral = channel.course, channel.base, channel.integral
        scale = 1e3 * channel.polarity / channel.sensitivity  # mV per unit
        pull = 1e-3 * light.hz_per_v  # Hz/mV
        p, i, d, unit = channel.p, channel.i, channel.d, channel.unit
        output, previous = channel.output, channel.previous
        outputs: list[float] = []
        assert wanted is not None
        for t, unregulated in zip(times.tolist(), free.tolist(), strict=True):
            error = in_unit(unregulated + pull * output, unit) - wanted
            elapsed = t - previous[0] if previous else 0.0
            step = channel.dt if channel.constant_dt else elapsed
            slope = (error - previous[1]) / elapsed if previous and elapsed else 0.0
            summed = integral + error * step
            asked = base - scale * (p * error + i * summed + d * slope)
            output = min(max(asked, low), high)
            if output == asked:  # otherwise the sum would run away
                integral = summed
            previous = (t, error)
            outputs.append(output)
        channel.integral, channel.previous = integral, previous
        channel.outputs.add(times, outputs)


def in_unit(hertz: float, unit: int) -> float:
    """A frequency in THz (2) or as a vacuum wavelength in nm (0)."""
    return hertz * 1e-12 if unit == 2 else C / hertz * 1e9


def _tick(t: float) -> int:
    """Number of the last reading at or before time `t` (s)."""
    return math.floor(t / TICK + 1e-9)
