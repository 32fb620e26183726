"""Settings and state of the blocks inside a time controller, each on its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from simulated_instruments.physics.tagger import PS, Ints

MOST_BINS = 16384


@dataclass
class Delay:
    """Shifts its input by `value` ps."""

    link: str
    value: int = 0


@dataclass
class Combiner:
    """Passes events of its first or second input, differently inside and outside of a window."""

    first: str = ""
    second: str = ""
    window: bool = False
    begin: str = ""
    begin_delay: int = 0  # ps
    end: str = ""
    end_delay: int = 0
    inside: str = "ONLYFIR"
    outside: str = "ONLYFIR"


@dataclass
class Counter:
    """Events of a block: all since a reset, or those of the last whole integration time."""

    accumulates: bool = False
    integration: int = PS  # ps
    since: int = 0
    total: int = 0
    cycle: int = 0  # of the cycle before the current one
    current: int = 0

    def reset(self, now: int) -> None:
        self.since, self.total, self.cycle, self.current = now, 0, 0, 0

    def count(self, events: Callable[[int, int], int], start: int, end: int) -> None:
        """Take the events in [start, end) ps into account; `events` says how many there are."""
        start = max(start, self.since)
        if end <= start:
            return
        number = events(start, end)
        self.total += number
        last = self.since + (end - self.since) // self.integration * self.integration
        if last <= start:  # no cycle has ended
            self.current += number
            return
        first = last - self.integration  # begin of the cycle that ended last
        self.cycle = events(max(first, start), last) + (self.current if first < start else 0)
        self.current = events(last, end)

    @property
    def value(self) -> int:
        return self.total if self.accumulates else self.cycle


@dataclass
class Histogram:
    """Distances from the last event of `reference` to each event of `stop`."""

    reference: str = "STAR"
    stop: str = ""
    minimum: int = 0  # ps
    width: int = 100
    bins: int = MOST_BINS
    counts: Ints = field(default_factory=lambda: np.zeros(MOST_BINS, dtype=np.int64))

    def flush(self) -> None:
        self.counts = np.zeros(self.bins, dtype=np.int64)

    def add(self, spans: Ints) -> None:
        if len(self.counts) != self.bins:
            self.flush()
        place = (spans - self.minimum) // self.width
        place = place[(place >= 0) & (place < self.bins)]
        self.counts += np.bincount(place, minlength=self.bins)


@dataclass
class Acquisition:
    """One run of the record timer."""

    start: int  # ps
    duration: int  # of each acquisition
    number: int  # of acquisitions; 0: without end
    stopped: int | None = None

    def end(self) -> float:
        """When the last acquisition is over (ps)."""
        planned = self.start + self.number * self.duration if self.number else float("inf")
        return planned if self.stopped is None else min(planned, self.stopped)

    def finished(self, until: int) -> int:
        """Acquisitions that are over at a time (ps); one that was stopped is."""
        last = min(self.end(), until)
        whole = int((last - self.start) // self.duration)
        cut = self.end() <= until and (last - self.start) % self.duration > 0
        return max(0, whole) + cut


@dataclass
class RawChannel:
    """Sends every event of `stop`, as distance from the last event of `reference`."""

    stop: str
    reference: str = ""
    sending: bool = False
    errors: int = 0  # tags lost since they were cleared
