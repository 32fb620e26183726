"""Slices of time tags from several taggers on one clock, cut to the time that counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from drivers._tags import TagBlock

#: Sorted times (ps) and detector numbers of one user.
Clicks = tuple[np.ndarray, np.ndarray]
NOTHING: Clicks = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int16))


class Stretch:
    """Slices without a gap, cut to the time in which all taggers were running."""

    def __init__(self, seconds: float) -> None:
        self._left = round(seconds * 1e12)  # ps
        self._begin: int | None = None
        self._end = 0
        self.complete = self._left <= 0

    @property
    def left(self) -> float:
        """Seconds that are still to count, and a little."""
        done = 0 if self._begin is None else max(self._end - self._begin, 0)
        return (self._left - done) * 1e-12 + 1e-3

    def take(self, clicks: Mapping[int, Clicks]) -> dict[int, Clicks]:
        """What counts of the next slice of each user."""
        seen = [times for times, _ in clicks.values() if times.size]
        if self._begin is None:
            if len(seen) < len(clicks):  # a tagger that has not begun, or darkness
                return {}
            self._begin = max(int(times[0]) for times in seen)
        self._end = max(self._end, min((int(times[-1]) for times in seen), default=0))
        stop = self._begin + self._left
        self.complete = self._end >= stop
        found = {}
        for user, (times, detector) in clicks.items():
            first, last = np.searchsorted(times, (self._begin, stop))
            found[user] = times[first:last], detector[first:last]
        return found

    def rest(self) -> Stretch:
        """What is left to count after a gap."""
        return Stretch(self.left - 1e-3)


def merged(block: TagBlock, inputs: Sequence[int]) -> Clicks:
    """A tagger's tags in one order, numbered by detector."""
    from labctl.analysis.timetags import merge_tags

    return merge_tags([block.tags[n] for n in inputs])


def joined(parts: Sequence[Clicks]) -> Clicks:
    """Slices one after the other."""
    if not parts:
        return NOTHING
    return np.concatenate([t for t, _ in parts]), np.concatenate([d for _, d in parts])


def in_order(tags: Mapping[str, np.ndarray]) -> Clicks:
    """Times and detectors as they were stored, sorted if they are not."""
    times, detector = tags["time (ps)"], tags["channel"]
    if times.size and (np.diff(times) < 0).any():
        order = np.argsort(times, kind="stable")
        times, detector = times[order], detector[order]
    return np.asarray(times), np.asarray(detector)
