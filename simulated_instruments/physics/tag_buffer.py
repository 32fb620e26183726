"""The buffer of a time tagger, a leaky bucket: which tags get through, and which are lost.

It decides for whole milliseconds, so that nothing depends on the intervals in which it is fed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

PS = 10**12  # ps in a second
BUCKET = 10**9  # ps, grain of the level


class Buffer:
    """Leaky bucket: which of the tags on their way to the computer get through.

    Args:
        max_rate: tags per second that leave it.
        size: tags that it holds.
    """

    def __init__(self, max_rate: float, size: float) -> None:
        self._per_bin = max_rate * BUCKET / PS
        self._size = size
        self._level = 0.0
        self._bin = 0  # the one that is being filled
        self._in_bin = 0
        self.dropping = False

    def passes(self, times: Sequence[Ints], until: int) -> list[NDArray[np.bool_] | None]:
        """For each channel which of its sorted times get through; None stands for all of them.

        All times up to `until` (ps) must be among those given so far.
        """
        bins = _bins([t for t in times if len(t)])
        places = [np.searchsorted(t, np.append(bins, bins[-1:] + 1) * BUCKET) for t in times]
        counts = sum((np.diff(place) for place in places), np.zeros(len(bins), dtype=np.int64))
        if not self.dropping and self._level + self._in_bin + int(counts.sum()) <= self._size:
            lost: list[int] = []
            self._fill(bins, counts)
        else:
            lost = [n for n, b in enumerate(bins.tolist()) if not self._admit(b, int(counts[n]))]
        self._leak(until // BUCKET)
        if not lost:
            return [None] * len(times)
        masks: list[NDArray[np.bool_] | None] = []
        for channel, place in zip(times, places, strict=True):
            mask = np.ones(len(channel), dtype=bool)
            for n in lost:
                mask[place[n] : place[n + 1]] = False
            masks.append(mask)
        return masks

    def _fill(self, bins: Ints, counts: Ints) -> None:
        """Levels after bins that cannot make it overflow (Lindley's recursion, closed form)."""
        if not len(bins):
            return
        self._leak(int(bins[0]))
        arrived = np.cumsum(counts) - counts  # before each bin
        drained = (bins - bins[0]) * self._per_bin
        level = self._level + self._in_bin
        free = np.minimum.accumulate(np.minimum(level + arrived - drained, 0.0))
        # Level at the begin of the last bin: what came, less what left while there was something.
        self._level = float(level + arrived[-1] - drained[-1] - min(free[-1], 0.0))
        self._bin, self._in_bin = int(bins[-1]), int(counts[-1])

    def _admit(self, number: int, count: int) -> bool:
        self._leak(number)
        if not self.dropping:
            self._in_bin += count
        return not self.dropping

    def _leak(self, number: int) -> None:
        """Let the level fall to what it is at the begin of bin `number`."""
        if number <= self._bin:
            return
        level = self._level + self._in_bin
        if level > self._size:
            level, self.dropping = self._size, True
        level = max(0.0, level - self._per_bin * (number - self._bin))
        if level < self._size / 2:
            self.dropping = False
        self._level, self._bin, self._in_bin = level, number, 0


def _bins(times: Sequence[Ints]) -> Ints:
    """Numbers of the bins that may hold any of the times."""
    if not times:
        return np.empty(0, dtype=np.int64)
    first = min(int(t[0]) for t in times) // BUCKET
    last = max(int(t[-1]) for t in times) // BUCKET
    if last - first < sum(len(t) for t in times):
        return np.arange(first, last + 1)
    found = np.sort(np.concatenate([t // BUCKET for t in times]), kind="stable")  # sorted runs
    return found[np.diff(found, prepend=-1) > 0]
