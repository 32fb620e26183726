"""Coincidences of any number of channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from labctl.analysis.arguments import shown
from labctl.analysis.timetags.checks import TINY, Tags, whole
from labctl.analysis.timetags.streams import next_chunks

_NEVER = 1 << 62


def nfold_coincidences(channels: Sequence[ArrayLike], window: int) -> int:
    """Number of tuples, one tag of each channel, with latest - earliest < window.

    No channel is special. Two channels: the pairs with a delay between -window and window, both
    excluded. A channel with two tags near the others gives two tuples.
    """
    if not isinstance(channels, Sequence | np.ndarray):
        raise ValueError(f"channels: must be a list of channels, got {shown(channels)}")
    return NfoldCounter(len(channels), window).add(channels).count


class NfoldCounter:
    """`nfold_coincidences` of any number of tags, chunk by chunk in bounded memory."""

    def __init__(self, channels: int, window: int) -> None:
        self._window = whole(window, "window", 1)
        number = whole(channels, "channels", 1)
        self._pending = [np.empty(0, dtype=np.int64) for _ in range(number)]
        self._last = [-_NEVER] * number
        self._settled = 0

    @property
    def count(self) -> int:
        """Tuples so far."""
        return self._settled + self._tuples(_NEVER)

    def add(self, channels: Sequence[ArrayLike], until: int | None = None) -> NfoldCounter:
        """Take the next tags of every channel; they need not end at the same time.

        `until` says that all tags before it have been given, so that memory stays bounded even
        if one channel is silent for long.
        """
        new, last = next_chunks(channels, self._last, until)
        self._last = last
        self._pending = [np.concatenate(pair) for pair in zip(self._pending, new, strict=True)]
        # A tuple that begins before this is complete: whatever comes is too late for it.
        settled = min(last) - self._window + 1
        self._settled += self._tuples(settled)
        self._pending = [tags[np.searchsorted(tags, settled) :].copy() for tags in self._pending]
        return self

    def _tuples(self, stop_time: int) -> int:
        """Tuples among the pending tags whose earliest is before `stop_time`."""
        if not all(tags.size for tags in self._pending):
            return 0
        if sum(tags.size for tags in self._pending) <= TINY:
            return self._by_numpy(stop_time)
        from labctl.analysis.timetags import kernels

        begins = np.cumsum([0, *(tags.size for tags in self._pending)])
        times = np.concatenate(self._pending)
        return int(kernels.nfold(times, begins, self._window, stop_time))

    def _by_numpy(self, stop_time: int) -> int:
        total = 0
        for number, first in enumerate(self._pending):
            early: Tags = first[: np.searchsorted(first, stop_time)]
            product = np.ones(early.size, dtype=np.int64)
            for other, tags in enumerate(self._pending):
                if other != number:
                    low = np.searchsorted(tags, early, "right" if other < number else "left")
                    high = np.searchsorted(tags, early + self._window, "left")
                    product *= np.maximum(high - low, 0)
            total += int(product.sum())
        return total
