"""Parts of the simulated Red Pitaya gateware: waveform generator, modulation, oscilloscope."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulated_instruments.redpitaya_registers import CLOCK, POINTS, Floats, Words, codes, signed

#: Coarsest time grid in s on which a level trigger is looked for.
TRIGGER_GRID = 1e-5

#: Volts of signal number n (see `redpitaya_registers`) at times.
Signal = Callable[[int, Any], Any]


@dataclass(frozen=True)
class Ramp:
    """Integrator of a PID outside the loop: it integrates what its input was at the last change."""

    volts: float = 0.0
    slope: float = 0.0  # V/s
    start: float = 0.0  # s
    low: float = -4.0
    high: float = 4.0

    def __call__(self, times: Any) -> Any:
        volts = self.volts + self.slope * (times - self.start)
        return np.minimum(np.maximum(volts, self.low), self.high)


@dataclass(frozen=True)
class Sine:
    """Modulation of an IQ module."""

    amplitude: float  # V
    frequency: float  # Hz
    phase: float  # rad

    def __call__(self, times: Any) -> Any:
        turns = (self.frequency * times) % 1.0
        return self.amplitude * np.sin(2 * math.pi * turns + self.phase)


@dataclass(frozen=True)
class Sum:
    """What is added to the controller's voltage at OUT1."""

    parts: tuple[Callable[[Any], Any], ...]

    def __call__(self, times: Any) -> Any:
        return sum((part(times) for part in self.parts), 0.0 * times)


@dataclass(frozen=True, eq=False)
class Waveform:
    """What one generator channel puts out, as a function of time."""

    table: Floats  # V, at an amplitude of 1
    amplitude: float
    offset: float  # V
    step: int  # phase per clock cycle; the table has 2^16 phases per point
    wrap: int  # phase at which it starts over
    first: int  # phase at the start
    cycles: int  # repeats of the table; 0: for ever
    start: float | None  # s; None: waits for its trigger at the first point

    def __call__(self, times: Any) -> Any:
        ticks = np.zeros_like(times, dtype=np.int64)
        if self.start is not None:
            ticks = np.floor((times - self.start) * CLOCK + 1e-3).astype(np.int64)
            ticks = np.maximum(ticks, 0)
        period = self.wrap + 1
        phase = (self.first + (ticks % period) * self.step) % period
        values = self.table[phase >> 16]
        if self.cycles:
            ended = ticks * float(self.step) >= self.cycles * float(period)
            values = np.where(ended, self.table[-1], values)
        return self.amplitude * values + self.offset

    def next_cycle(self, after: float) -> float:
        """The first time from `after` (s) on at which the table starts over; may be infinite."""
        if self.start is None or not self.step:
            return math.inf
        duration = (self.wrap + 1) / self.step / CLOCK
        number = max(0, math.ceil((after - self.start) / duration - 1e-9))
        return self.start + number * duration if number < (self.cycles or math.inf) else math.inf


class Generator:
    """One channel of the arbitrary signal generator."""

    def __init__(self) -> None:
        self.table: Floats = np.zeros(POINTS)
        self.control = 0  # trigger source in bits 0-2, reset in bit 6, output off in bit 7
        self.scale = 0
        self.wrap = 0x3FFFFFFF
        self.first = 0
        self.step = 0
        self.cycles = 0
        self._start: float | None = None

    def set_control(self, control: int, now: float) -> None:
        """Reset, or start at `now` (s) if triggered "immediately" and not running yet."""
        self.control = control
        if control & 0x40:
            self._start = None
        elif control & 0x7 == 1 and self._start is None:
            self._start = now

    def waveform(self) -> Waveform | None:
        """The output from now on; None when it is switched off."""
        if self.control & 0x80:
            return None
        return Waveform(
            table=self.table,
            amplitude=(self.scale & 0x3FFF) / 8192,
            offset=signed(self.scale >> 16, 14) / 8192,
            step=self.step,
            wrap=min(self.wrap, 0x3FFFFFFF),
            first=self.first,
            cycles=self.cycles,
            start=self._start,
        )

    def write_table(self, first: int, words: Words) -> None:
        """Replace points of the table, which stays as it was for running waveforms."""
        numbers = (words & 0x3FFF).astype(np.int64)
        table = self.table.copy()
        part = table[first : first + words.size]
        part[:] = np.where(numbers >= 8192, numbers - 16384, numbers)[: part.size] / 8192
        self.table = table


class Scope:
    """The two-channel oscilloscope: sample k since arming is kept at index k modulo 16384.

    Args:
        signal: volts of a signal at times.
        channels: numbers of the signals at both channels at present.
        generators: the two channels of the generator, for triggers from their cycles.
    """

    def __init__(
        self,
        signal: Signal,
        channels: Callable[[], tuple[int, int]],
        generators: tuple[Generator, Generator],
    ) -> None:
        self._signal = signal
        self._channels = channels
        self._generators = generators
        self.decimation = 1
        self.delay = 0  # samples after the trigger
        self.threshold = 0.0  # V
        self.hysteresis = 0.0  # V
        self.source = 0
        self.trigger_time = 0.0
        self._armed_at: float | None = None
        self._searched = 0.0
        self._ready = False  # a level trigger has seen the signal on the far side
        self._trigger: int | None = None  # number of the sample at the trigger
        self._last = -1  # number of the last sample written, once stopped
        self._kept: list[Words] = [np.zeros(POINTS, dtype=np.uint32) for _ in range(2)]

    @property
    def _period(self) -> float:
        return self.decimation / CLOCK

    def _count(self, t: float) -> int:
        """Number of the sample that is taken at `t` (s)."""
        assert self._armed_at is not None
        return math.floor((t - self._armed_at) / self._period + 1e-6)

    def control(self, word: int, now: float) -> None:
        """Write the control register: bit 1 resets, bit 0 arms."""
        if word & 2:
            self._armed_at = self._trigger = None
            self.source = 0
            self._last = -1
        if word & 1:
            self._armed_at = self._searched = now
            self._trigger = None

    def set_source(self, source: int, now: float) -> None:
        """Choose the trigger; source 1 triggers at once."""
        self.source = source
        self._searched = now
        self._ready = False
        if source == 1 and self._armed_at is not None and self._trigger is None:
            self._fire(now)

    def state(self, now: float) -> int:
        """The control register: armed in bit 0, post-trigger samples under way in bit 2."""
        if self._armed_at is None:
            return 0
        return 1 if self._trigger is None else 4

    def current(self, now: float) -> int:
        """Number of the sample written last."""
        return self._last if self._armed_at is None else self._count(now)

    @property
    def trigger_sample(self) -> int:
        return self._trigger or 0

    def pretrigger_ok(self, now: float) -> bool:
        """Whether enough samples from before a trigger are there."""
        return self.current(now) >= POINTS - self.delay

    def curve(self, channel: int, now: float) -> Words:
        """The memory of a channel (0 or 1)."""
        if self._armed_at is not None:
            return self._sampled(channel, self._count(now))
        return self._kept[channel]

    def advance(self, now: float) -> None:
        """Look for the trigger, and stop when the samples after it are complete."""
        if self._armed_at is None:
            return
        if self._trigger is None and self.source and self._searched < now:
            when = self._find(now)
            self._searched = now
            if when <= now:
                self._fire(when)
        if self._trigger is not None and self._count(now) >= self._trigger + self.delay:
            self._last = self._trigger + self.delay
            for channel in (0, 1):
                self._kept[channel] = self._sampled(channel, self._last)
            self._armed_at = None

    def _fire(self, when: float) -> None:
        self._trigger = self._count(when)
        self.trigger_time = when
        self.source = 0

    def _find(self, now: float) -> float:
        """When the trigger comes, if until `now`."""
        if self.source in (8, 9):
            waveform = self._generators[self.source - 8].waveform()
            return waveform.next_cycle(self._searched) if waveform else math.inf
        if self.source not in (2, 3, 4, 5):
            return math.inf
        # first on a coarse grid of samples, then sample by sample
        stride = max(1, math.ceil(TRIGGER_GRID / self._period))
        first, last = self._count(self._searched) // stride, self._count(now) // stride
        beyond = self._beyond(np.arange(first + 1, last + 1) * stride)
        if not self._ready:
            far = np.flatnonzero(beyond < -self.hysteresis)
            if far.size == 0:
                return math.inf
            self._ready = True
            first += int(far[0])
            beyond = beyond[far[0] :]
        hits = np.flatnonzero(beyond >= 0)
        if hits.size == 0:
            return math.inf
        number = (first + 1 + int(hits[0])) * stride
        fine = np.flatnonzero(self._beyond(np.arange(number - stride + 1, number + 1)) >= 0)
        assert self._armed_at is not None
        return self._armed_at + (number - stride + 1 + int(fine[0])) * self._period

    def _beyond(self, numbers: NDArray[np.int64]) -> Floats:
        """How far the signal is beyond the threshold, in the chosen direction, in V."""
        assert self._armed_at is not None
        number = self._channels()[0 if self.source in (2, 3) else 1]
        volts: Floats = self._signal(number, self._armed_at + numbers * self._period)
        beyond: Floats = (volts - self.threshold) * (1.0 if self.source % 2 == 0 else -1.0)
        return beyond

    def _sampled(self, channel: int, last: int) -> Words:
        assert self._armed_at is not None
        numbers = np.arange(max(0, last - POINTS + 1), last + 1)
        memory = self._kept[channel].copy()
        times = self._armed_at + numbers * self._period
        memory[numbers % POINTS] = codes(self._signal(self._channels()[channel], times))
        return memory
