"""The blocks inside a time controller: delays, combiners, counters, histograms, raw channels.

Each block has inputs that are linked to outputs of others by name ("INPU1", "DELA6", "TSCO3",
"STAR", "REC"). Blocks look at intervals of time that follow one another, so nothing depends on how
often anybody asks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from simulated_instruments.idq_id900_parts import (
    Acquisition,
    Combiner,
    Counter,
    Delay,
    Histogram,
    RawChannel,
)
from simulated_instruments.physics.tagger import Ints, TaggerModel

#: How long (ps) a window of a combiner stays open if nothing ends it.
LONGEST_WINDOW = 10**9
INPUTS, DELAYS, COMBINERS, CHANNELS = 4, 8, 24, 4
OPERATIONS = ("ONLYFIR", "ONLYSEC", "OR", "MUTE")


#: deliver(channel, tags, reference indices, acquisitions that are over, time of the last in ps)
Deliver = Callable[[int, Ints, Ints, int, int], None]


class Blocks:
    """All blocks of one instrument, behind the inputs of its model."""

    def __init__(self, model: TaggerModel, deliver: Deliver) -> None:
        self._model = model
        self._deliver = deliver
        self._seen = 0  # ps
        self.delays = {n: Delay(f"INPU{(n - 1) % INPUTS + 1}") for n in range(1, DELAYS + 1)}
        self.combiners = {n: Combiner() for n in range(1, COMBINERS + 1)}
        self.histograms = {n: Histogram() for n in range(1, CHANNELS + 1)}
        self.raw = {n: RawChannel(f"DELA{n}") for n in range(1, CHANNELS + 1)}
        names = ["STAR", *(f"INPU{n}" for n in range(1, INPUTS + 1))]
        names += [f"TSCO{n}" for n in range(1, COMBINERS + 1)]
        self.counters = {name: Counter() for name in names}
        self.acquisition: Acquisition | None = None
        self.preset_histograms()
        model.wanted = self.busy
        model.listeners.append(self.look)

    # ------------------------------------------------- presets of the maker

    def preset_histograms(self) -> None:
        """HISTO: inputs go through delays and combiners to histograms."""
        for n in range(1, CHANNELS + 1):
            self.combiners[n + 4] = Combiner(first=f"DELA{n}")
            self.histograms[n].reference, self.histograms[n].stop = "STAR", f"TSCO{n + 4}"

    def preset_coincidences(self) -> None:
        """COUNT: windows around inputs; second delays put the partner into their middle."""
        pairs = {6: ("1", "6"), 7: ("1", "7"), 8: ("1", "8"), 3: ("2", "7"), 4: ("2", "8")}
        for n, (opener, partner) in {**pairs, 5: ("3", "8")}.items():
            self._coincidence(n, f"DELA{opener}", f"DELA{partner}")
        for n, opener, partner in ((13, 6, 7), (14, 6, 8), (15, 7, 8), (16, 3, 4), (24, 6, 16)):
            self._coincidence(n, f"TSCO{opener}", f"TSCO{partner}")

    def _coincidence(self, number: int, opener: str, partner: str) -> None:
        self.combiners[number] = Combiner(
            first=partner, window=True, begin=opener, end=opener, outside="MUTE"
        )

    # ------------------------------------------------- what happens

    def busy(self) -> bool:
        """Whether anybody needs events now."""
        acquisition = self.acquisition
        playing = acquisition is not None and acquisition.end() > self._seen
        return playing or any(counter.accumulates for counter in self.counters.values())

    def look(self, known: int) -> None:
        """Take all events before `known` (ps) into account."""
        shifts = [delay.value for delay in self.delays.values()]
        spread = max(0, *shifts) - min(0, *shifts)
        self._model.keep_ps = 2 * (spread + LONGEST_WINDOW)
        start, end = self._seen, known + min(0, *shifts)
        if end <= start:
            return
        self._seen = end
        for name, counter in self.counters.items():
            counter.count(partial(self._number, name), start, end)
        if self.acquisition is not None:
            self._acquire(self.acquisition, start, end)

    def _acquire(self, acquisition: Acquisition, start: int, end: int) -> None:
        low = max(start, acquisition.start)
        high = int(min(end, acquisition.end()))
        while low < high:
            number = (low - acquisition.start) // acquisition.duration
            begin = acquisition.start + number * acquisition.duration
            until = min(high, begin + acquisition.duration)
            self._fill(begin, low, until)
            self._send(begin, low, until, acquisition.finished(until))
            low = until
        if start < acquisition.end() <= end:
            for n in self.raw:
                nothing = np.empty(0, dtype=np.int64)
                over = int(acquisition.end())
                self._deliver(n, nothing, nothing, acquisition.finished(end), over)

    def _number(self, name: str, start: int, end: int) -> int:
        """Number of events of a block in [start, end) ps."""
        if name == "STAR":
            count, _ = self._model.edges_before(np.array([start - 1, end - 1]))
            return int(count[1] - count[0])
        return len(self.events(name, start, end))

    def _fill(self, begin: int, low: int, high: int) -> None:
        for histogram in self.histograms.values():
            first = begin + histogram.minimum
            a, b = low, high
            if histogram.reference == "STAR" and not self._number("STAR", begin, high):
                a = max(low, first)  # all distances are from the begin: few of them are in range
                b = min(high, first + histogram.width * histogram.bins)
            times = self.events(histogram.stop, a, b)
            own = histogram.reference == histogram.stop  # then the event before it counts
            last, _ = self._last(histogram.reference, times - own, begin)
            histogram.add(times - np.where(last < 0, begin, last))

    def _send(self, begin: int, low: int, high: int, finished: int) -> None:
        senders = [n for n, raw in self.raw.items() if raw.sending]
        times = [self.events(self.raw[n].stop, low, high) for n in senders]
        masks = self._model.buffer.passes(times, high)
        zero = begin if self._model.zero_ps is None else self._model.zero_ps
        for n, tags, mask in zip(senders, times, masks, strict=True):
            if mask is not None:
                self.raw[n].errors += int(len(tags) - mask.sum())
                tags = tags[mask]
            last, index = self._last(self.raw[n].reference, tags, begin)
            values = tags - np.where(last < 0, zero, last)
            whole = values >= 0
            last_of_all = int(tags[-1]) if len(tags) else high
            self._deliver(n, values[whole], index[whole], finished, last_of_all)

    def _last(self, name: str, times: Ints, begin: int) -> tuple[Ints, Ints]:
        """For each time: the last event of a block since `begin` (or -1), and how many."""
        if name == "STAR":
            bounds, _ = self._model.edges_before(np.array([begin - 1]))
            count, last = self._model.edges_before(times)
            return np.where(last < begin, -1, last), np.maximum(count - bounds[0], 0)
        if not name or not len(times):
            return np.full(len(times), -1, dtype=np.int64), np.zeros(len(times), dtype=np.int64)
        known = self.events(name, max(begin, int(times[0]) - LONGEST_WINDOW), int(times[-1]) + 1)
        place = np.searchsorted(known, times, side="right")
        last = np.concatenate((np.array([-1], dtype=np.int64), known))[place]
        return last, place.astype(np.int64)

    # ------------------------------------------------- outputs of blocks

    def feeds(self, name: str, block: str) -> bool:
        """Whether the output of `name` is in what `block` gets, however far back."""
        waiting, seen = [block], set()
        while waiting:
            one = waiting.pop()
            if one == name:
                return True
            if one in seen:
                continue
            seen.add(one)
            number = int(one[4:] or 0)
            if one.startswith("DELA"):
                waiting.append(self.delays[number].link)
            elif one.startswith("TSCO"):
                part = self.combiners[number]
                waiting += [part.first, part.second, part.begin, part.end]
        return False

    def events(self, name: str, start: int, end: int) -> Ints:
        """Sorted events of a block's output in [start, end) ps."""
        kind, number = name[:4], int(name[4:] or 0)
        if end <= start or not name:
            return np.empty(0, dtype=np.int64)
        if kind == "INPU":
            return self._model.events(number - 1, start, end)
        if kind == "DELA":
            delay = self.delays[number]
            times = self.events(delay.link, start - delay.value, end - delay.value)
            return times + delay.value if delay.value else times
        if kind == "TSCO":
            return self._combined(self.combiners[number], start, end)
        if kind == "STAR":
            return self._model.edges(start, end)
        acquisition = self.acquisition
        begin = -1 if acquisition is None else acquisition.start
        return np.array([begin] if start <= begin < end else [], dtype=np.int64)

    def _combined(self, block: Combiner, start: int, end: int) -> Ints:
        if not block.window or block.inside == block.outside:
            return self._passed(block, block.inside, start, end)
        inside = self._passed(block, block.inside, start, end)
        inside = inside[self._is_open(block, inside, start)]
        outside = self._passed(block, block.outside, start, end)
        outside = outside[~self._is_open(block, outside, start)]
        if not len(outside) or not len(inside):
            return inside if len(inside) else outside
        return np.sort(np.concatenate((inside, outside)))

    def _passed(self, block: Combiner, operation: str, start: int, end: int) -> Ints:
        if operation == "ONLYFIR":
            return self.events(block.first, start, end)
        if operation == "ONLYSEC":
            return self.events(block.second, start, end)
        if operation == "MUTE":
            return np.empty(0, dtype=np.int64)
        both = (self.events(block.first, start, end), self.events(block.second, start, end))
        return np.sort(np.concatenate(both))

    def _is_open(self, block: Combiner, times: Ints, start: int) -> np.ndarray:
        """At which of the times the window is open: it began after it ended last."""
        if not len(times):
            return np.zeros(0, dtype=bool)
        until = int(times[-1]) + 1
        latest = []
        for link, delay in ((block.begin, block.begin_delay), (block.end, block.end_delay)):
            marks = self.events(link, start - LONGEST_WINDOW - delay, until - delay) + delay
            place = np.searchsorted(marks, times, side="right")
            latest.append(np.concatenate((np.array([-(1 << 62)]), marks))[place])
        return np.asarray(latest[0] > latest[1])
