"""Time-to-digital converter: electrical pulses in, time tags out, with all that is lost between.

Every input adds its own jitter, rounds to the resolution and is blind for a dead time after each
tag. Tags on their way to the computer share one buffer, a leaky bucket: what arrives faster than
`max_rate` fills it, and when it is full tags are dropped, and counted, until it is half empty.

Times are int64 picoseconds; 0 is the world's time 0. Nothing depends on how often anybody looks:
jitter is numbered by tag, and the bucket decides for whole milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulated_instruments.physics.dead_time import alive
from simulated_instruments.physics.tag_buffer import Buffer

Ints = NDArray[np.int64]
#: clicks(t0, t1) -> sorted times of the pulses at each input in [t0, t1)
Clicks = Callable[[int, int], Sequence[Ints]]

PS = 10**12  # ps in a second
#: Pulses this close to the end of an interval wait for the next one: jitter may reorder them.
HELD = 1000  # ps
GRAIN = 10 * 10**9  # ps that pass before a look by somebody else makes the tagger work
MOST_TAGS = 1_000_000  # aimed at for one step through a long interval
DARK_RATE = 100.0  # 1/s at each input of a tagger that no world has wired


class Reference(Protocol):
    """A periodic signal at the start input; `first_ps` is None while it is off.

    It may have a method `missed(last)`: numbers of edges up to `last` that the input does not see.
    """

    period_ps: float
    first_ps: int | None


class DarkCounts:
    """Random pulses at inputs where nothing else is connected, drawn second by second."""

    def __init__(self, seed_of: Callable[[str], int], name: str, inputs: int, rate: float) -> None:
        self._seed_of, self._name, self._inputs, self._rate = seed_of, name, inputs, rate

    def __call__(self, t0: int, t1: int) -> list[Ints]:
        return [self._clicks(n, t0, t1) for n in range(self._inputs)]

    def _clicks(self, number: int, t0: int, t1: int) -> Ints:
        blocks = []
        for second in range(t0 // PS, (t1 - 1) // PS + 1):
            seed = self._seed_of(f"{self._name}.dark{number}.{second}")
            rng = np.random.Generator(np.random.PCG64(seed))
            blocks.append(np.sort(rng.integers(PS, size=rng.poisson(self._rate))) + second * PS)
        times = np.concatenate(blocks) if blocks else np.empty(0, dtype=np.int64)
        return times[np.searchsorted(times, t0) : np.searchsorted(times, t1)]


class Input:
    """One input with its discriminator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.enabled = True
        self.threshold_v = 0.1
        self.falling = False
        #: Events, sorted, that are still needed; and the time (ps) up to which they are known.
        self.events: Ints = np.empty(0, dtype=np.int64)
        self._rng = rng
        self._pending: Ints = np.empty(0, dtype=np.int64)
        self._last = -PS

    def take(self, pulses: Ints, until: int, model: TaggerModel) -> None:
        """Turn pulses into events that are sure up to `until` (ps)."""
        low, high = model.pulse_volts
        if not self.enabled or not low < self.threshold_v < high:
            pulses = pulses[:0]
        if len(pulses):
            noise = model.jitter_ps * self._rng.standard_normal(len(pulses))
            if self.falling:
                noise += model.pulse_ps
            step = model.resolution_ps
            times = np.rint((noise + pulses % step) / step).astype(np.int64) * step
            times += pulses - pulses % step
            if len(self._pending):
                times = np.concatenate((self._pending, times))
            times.sort()
        else:
            times = self._pending
        sure = np.searchsorted(times, until)
        self._pending = times[sure:]
        new = alive(times[:sure], model.dead_time_ps, self._last)
        if len(new):
            self._last = int(new[-1])
            self.events = np.concatenate((self.events, new)) if len(self.events) else new

    def forget(self, before: int) -> None:
        """Drop events before `before` (ps)."""
        self.events = self.events[np.searchsorted(self.events, before) :]

    def skip(self) -> None:
        """Nobody has listened for a while."""
        self.events = self.events[:0]
        self._pending = self._pending[:0]


class TaggerModel:
    """Inputs, start input and buffer of a time tagger; what it makes of its tags is not here.

    Args:
        seed_of: seeds by name, for example `World.seed_of`.
        name: of the instrument.
        clicks: the world's pulses; it is called with intervals that follow one another, with
            gaps where nobody listened. By default dark counts.
        inputs: number of inputs.
        resolution_ps: unit of the tags.
        jitter_ps: rms of each input.
        dead_time_ps: of each input, not extended by what it makes unseen.
        max_rate: tags per second that all inputs together can send to a computer.
        buffer: tags that wait for that.
        reference: what is connected to the start input.
        zero_ps: time at which tags are 0 if several taggers share a zero; None: tags count from
            the beginning of each acquisition, as those of a tagger on its own.
    """

    pulse_volts = (0.01, 0.5)  # noise and height of the pulses at the inputs
    pulse_ps = 20_000  # their length

    def __init__(
        self,
        seed_of: Callable[[str], int],
        name: str,
        *,
        clicks: Clicks | None = None,
        inputs: int = 4,
        resolution_ps: int = 1,
        jitter_ps: float = 10.0,
        dead_time_ps: int = 2000,
        max_rate: float = 8.5e6,
        buffer: float = 1.6e7,
        reference: Reference | None = None,
        zero_ps: int | None = 0,
    ) -> None:
        self.clicks = clicks or DarkCounts(seed_of, name, inputs, DARK_RATE)
        self.resolution_ps = resolution_ps
        self.jitter_ps = jitter_ps
        self.dead_time_ps = dead_time_ps
        self.reference = reference
        self.zero_ps = zero_ps
        self.buffer = Buffer(max_rate, buffer)
        self.inputs = [
            Input(np.random.Generator(np.random.PCG64(seed_of(f"{name}.jitter{n}"))))
            for n in range(inputs)
        ]
        #: Who is told of new events: called with the time (ps) up to which they are all there.
        self.listeners: list[Callable[[int], None]] = []
        #: Whether anybody needs events; while nobody does, none are made.
        self.wanted: Callable[[], bool] = lambda: False
        #: How far back (ps) events are kept.
        self.keep_ps = 0
        self.known = 0  # events before this time (ps) are all there
        self._idle = True
        self._done = 0  # clicks were asked for up to here (ps)
        self._now = 0
        self._step = GRAIN

    # ------------------------------------------------- time

    @property
    def now(self) -> float:
        """Time (s)."""
        return self._now / PS

    def advance(self, now: float) -> None:
        """Let time pass up to `now` (s); works once enough of it has passed."""
        self._now = round(now * PS)
        if not self.wanted():
            self._idle = True
        elif self._now - self._done >= GRAIN:
            self.catch_up()

    def catch_up(self) -> None:
        """Make all events up to now; long intervals are taken in steps of bounded size."""
        while self._done < self._now and not self._idle:
            end = min(self._now, self._done + self._step)
            pulses = self.clicks(self._done, end)
            if len(pulses) != len(self.inputs):
                raise ValueError(f"{len(pulses)} streams of clicks for {len(self.inputs)} inputs")
            sure = max(self.known, end - HELD)
            for one, times in zip(self.inputs, pulses, strict=True):
                one.take(np.asarray(times, dtype=np.int64), sure, self)
            self._done, self.known = end, sure
            for listener in self.listeners:
                listener(sure)
            for one in self.inputs:
                one.forget(sure - self.keep_ps)
            made = sum(len(times) for times in pulses)
            if made > MOST_TAGS:
                self._step = max(GRAIN, self._step // 2)
            elif made < MOST_TAGS // 4:
                self._step = min(2 * self._step, 1 << 60)

    def wake(self, span_ps: int = 0) -> None:
        """Make events from `span_ps` ago on, although nobody wanted them until now."""
        if self._idle:
            self._idle = False
            self._done = max(self._done, self._now - span_ps)
            self.known = max(self.known, self._done)
            self._step = GRAIN
            for one in self.inputs:
                one.skip()
        self.catch_up()

    # ------------------------------------------------- events

    def events(self, number: int, start: int, end: int) -> Ints:
        """Events of an input (from 0) in [start, end) ps, as far as they are kept."""
        times = self.inputs[number].events
        return times[np.searchsorted(times, start) : np.searchsorted(times, end)]

    def edges_before(self, times: Ints) -> tuple[Ints, Ints]:
        """For each time (ps): edges of the reference up to it, and when the last of them was.

        The second is -1 before the first edge.
        """
        signal = self.reference
        if signal is None or signal.first_ps is None:
            return np.zeros(len(times), dtype=np.int64), np.full(len(times), -1, dtype=np.int64)
        first, period = signal.first_ps, signal.period_ps
        number = np.maximum(_last_edge(times - first, period), -1)
        missed = self._missed(int(number.max(initial=-1)))
        count = number + 1 - np.searchsorted(missed, number, side="right")
        while (unseen := _among(missed, number)).any():
            number = number - unseen
        return count, np.where(number >= 0, first + _edge(number, period), -1)

    def _missed(self, last: int) -> Ints:
        """Numbers of edges up to `last` that the start input did not see, ascending."""
        missed = getattr(self.reference, "missed", None)
        return np.empty(0, dtype=np.int64) if missed is None else missed(last)

    def edges(self, start: int, end: int) -> Ints:
        """Edges of the reference in [start, end) ps."""
        signal = self.reference
        if signal is None or signal.first_ps is None:
            return np.empty(0, dtype=np.int64)
        spans = np.array([start - 1, end - 1]) - signal.first_ps
        before, last = np.maximum(_last_edge(spans, signal.period_ps), -1).tolist()
        number = np.arange(before + 1, last + 1)
        number = number[~_among(self._missed(last), number)]
        return signal.first_ps + _edge(number, signal.period_ps)


def _among(ascending: Ints, numbers: Ints) -> NDArray[np.bool_]:
    """Which of the numbers are among the ascending ones."""
    places = np.searchsorted(ascending, numbers, side="right")
    known = np.concatenate((np.array([-1], dtype=np.int64), ascending))
    return (places > 0) & (known[places] == numbers)


def _edge(number: Ints, period: float) -> Ints:
    """Span from the first edge to edge `number`, rounded to whole ps; exact if the period is."""
    if float(period).is_integer():
        return number * int(period)
    return np.rint(number * period).astype(np.int64)


def _last_edge(spans: Ints, period: float) -> Ints:
    """Number of the last edge at or before each span after the first one."""
    if float(period).is_integer():
        return spans // int(period)
    number = np.floor(spans / period).astype(np.int64)
    number += _edge(number + 1, period) <= spans
    return np.asarray(number - (_edge(number, period) > spans))
