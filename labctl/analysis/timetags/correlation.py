"""Pairs of two channels by their delay: histograms, coincidences, Franson peaks.

delay = stop - start; every bin and window holds its left end and not its right end. Each pair is
counted once: a start with two stops in the window gives two counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.analysis.timetags.checks import TINY, Tags, integers, sorted_tags, whole

Counts = NDArray[np.int64]

#: More bins than these are a mistyped bin width, not a histogram.
MOST_BINS = 100_000_000
#: Pairs that the numpy path expands at once.
SLICE = 1_000_000


def correlation_histogram(
    start: ArrayLike, stop: ArrayLike, bin_width: int, max_delay: int
) -> tuple[Counts, Tags]:
    """Histogram of the delays stop - start in [-max_delay, max_delay), and its bin edges.

    Bin k is [edges[k], edges[k + 1]), counted from -max_delay upwards. If `bin_width` does not
    divide the window, the last bin ends with the window and is narrower.
    """
    histogram = CorrelationHistogram(bin_width, max_delay)
    histogram.teeth.count(sorted_tags(start, "start"), sorted_tags(stop, "stop"))
    return histogram.counts, histogram.edges


def count_coincidences(start: ArrayLike, stop: ArrayLike, window: int, delay: int = 0) -> int:
    """Number of pairs with -window <= 2 (stop - start - delay) < window."""
    counter = CoincidenceCounter(window, delay)
    counter.teeth.count(sorted_tags(start, "start"), sorted_tags(stop, "stop"))
    return counter.count


def franson_peaks(
    start: ArrayLike, stop: ArrayLike, path_delay: int, window: int
) -> tuple[int, int, int]:
    """Pairs in the three peaks of two unbalanced interferometers: early, central, late.

    They lie at delays -path_delay, 0 and path_delay; each takes -window <= 2 (d - peak) < window.
    """
    counter = FransonCounter(path_delay, window)
    counter.teeth.count(sorted_tags(start, "start"), sorted_tags(stop, "stop"))
    return counter.peaks


class Teeth:
    """Counts pairs in equal windows at equal distances; chunks may follow each other.

    Tooth k takes low + k period <= stop - start < low + k period + window, below low + span.
    """

    def __init__(self, low: int, span: int, period: int, window: int) -> None:
        self.low, self.span, self.period, self.window = low, span, period, window
        self.counts: Counts = np.zeros(-(-span // period), dtype=np.int64)
        self._starts = self._stops = np.empty(0, dtype=np.int64)
        self._last = [-(1 << 62), -(1 << 62)]  # nothing of start, stop can come before these

    def count(self, start: Tags, stop: Tags) -> None:
        """Add all pairs of two whole channels."""
        shape = self.low, self.span, self.period, self.window
        if start.size + stop.size > TINY or not self._by_numpy(start, stop):
            from labctl.analysis.timetags import kernels

            kernels.comb_counts(start, stop, *shape, self.counts)

    def _by_numpy(self, start: Tags, stop: Tags) -> bool:
        """Add the pairs without compiled code, unless there are too many of them."""
        first = np.searchsorted(stop, start + self.low)
        number = np.searchsorted(stop, start + (self.low + self.span)) - first
        pairs = int(number.sum())
        if pairs > SLICE:
            return False
        within = np.arange(pairs) - np.repeat(np.cumsum(number) - number, number)
        delay = stop[np.repeat(first, number) + within] - np.repeat(start, number) - self.low
        tooth = delay // self.period
        tooth = tooth[delay - tooth * self.period < self.window]
        self.counts += np.bincount(tooth, minlength=self.counts.size)
        return True

    def add(self, start: ArrayLike, stop: ArrayLike, until: int | None) -> None:
        """Add the pairs of the next chunk, among each other and with what came before."""
        new_start, new_stop = sorted_tags(start, "start"), sorted_tags(stop, "stop")
        last = [
            follows(new, before, name)
            for new, before, name in zip(
                (new_start, new_stop), self._last, ("start", "stop"), strict=True
            )
        ]
        if until is not None:
            limit = int(integers([until], "until")[0])
            if limit < max(
                (int(new[-1]) for new in (new_start, new_stop) if new.size), default=limit
            ):
                raise ValueError(f"until: {limit} is before the last tag of this chunk")
            last = [max(time, limit) for time in last]
        stops = np.concatenate((self._stops, new_stop)) if self._stops.size else new_stop
        self.count(new_start, stops)
        self.count(self._starts, new_stop)
        starts = np.concatenate((self._starts, new_start)) if self._starts.size else new_start
        # A later stop is at least last[1], a later start at least last[0]: keep what can pair.
        self._starts = starts[
            np.searchsorted(starts, last[1] - self.low - self.span, "right") :
        ].copy()
        self._stops = stops[np.searchsorted(stops, last[0] + self.low) :].copy()
        self._last = last


def follows(new: Tags, last: int, name: str) -> int:
    """Where the channel ends with this chunk, which must not begin before the end of the last."""
    if not new.size:
        return last
    if new[0] < last:
        raise ValueError(f"{name}: begins at {new[0]}, before the end of what came before ({last})")
    return int(new[-1])


class _Streamed:
    """Takes consecutive chunks of both channels; the result is that of the whole, exactly."""

    teeth: Teeth

    def add(self, start: ArrayLike, stop: ArrayLike, until: int | None = None) -> None:
        """Add the next tags of both channels; they need not end at the same time.

        Tags that may still find partners are kept. `until` says that all tags before it have been
        given, so that memory stays bounded even if one channel is silent for long.
        """
        self.teeth.add(start, stop, until)


class CorrelationHistogram(_Streamed):
    """`correlation_histogram` of any number of tags, chunk by chunk in bounded memory."""

    def __init__(self, bin_width: int, max_delay: int) -> None:
        width = whole(bin_width, "bin_width", 1)
        reach = whole(max_delay, "max_delay", 1)
        if 2 * reach // width >= MOST_BINS:
            raise ValueError(
                f"bin_width: {width} ps would make {2 * reach // width} bins of {2 * reach} ps; "
                f"at most {MOST_BINS} are possible"
            )
        self.teeth = Teeth(-reach, 2 * reach, width, width)
        self.edges: Tags = np.minimum(
            np.arange(self.teeth.counts.size + 1, dtype=np.int64) * width - reach, reach
        )

    @property
    def counts(self) -> Counts:
        """Pairs in each bin so far."""
        return self.teeth.counts


class CoincidenceCounter(_Streamed):
    """`count_coincidences` of any number of tags, chunk by chunk in bounded memory."""

    def __init__(self, window: int, delay: int = 0) -> None:
        width = whole(window, "window", 1)
        # -w <= 2x < w holds for the w integers from -(w // 2)
        low = whole(delay, "delay", -(1 << 60)) - width // 2
        self.teeth = Teeth(low, width, width, width)

    @property
    def count(self) -> int:
        """Pairs so far."""
        return int(self.teeth.counts[0])


class FransonCounter(_Streamed):
    """`franson_peaks` of any number of tags, chunk by chunk in bounded memory."""

    def __init__(self, path_delay: int, window: int) -> None:
        distance = whole(path_delay, "path_delay", 1)
        width = whole(window, "window", 1)
        if width > distance:
            raise ValueError(
                f"window: {width} ps is wider than path_delay, {distance} ps: peaks would overlap"
            )
        self.teeth = Teeth(-distance - width // 2, 2 * distance + width, distance, width)

    @property
    def peaks(self) -> tuple[int, int, int]:
        """Pairs so far in the early, central and late peak."""
        early, central, late = self.teeth.counts[:3].tolist()
        return early, central, late
