"""Single streams of tags: dead time, and several channels merged into one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.analysis.timetags.checks import TINY, Tags, sorted_tags, whole
from labctl.analysis.timetags.correlation import follows

Channels = NDArray[np.int16]


def apply_dead_time(tags: ArrayLike, dead_time: int) -> Tags:
    """Tags that a detector records which is blind for `dead_time` after each recorded one.

    Non-paralysable: tags that fall into the dead time do not prolong it. A tag exactly
    `dead_time` after the last recorded one is recorded.
    """
    return DeadTimeFilter(dead_time).add(tags)


class DeadTimeFilter:
    """`apply_dead_time` chunk by chunk."""

    def __init__(self, dead_time: int) -> None:
        self._dead = whole(dead_time, "dead_time", 0)
        self._last = -(1 << 62)  # the end of what came before, recorded or not
        self._recorded = -(1 << 62)

    def add(self, tags: ArrayLike) -> Tags:
        """The recorded ones among the next tags."""
        new = sorted_tags(tags, "tags")
        self._last = follows(new, self._last, "tags")
        kept = self._few(new) if new.size <= TINY else self._many(new)
        if kept.size:
            self._recorded = int(kept[-1])
        return kept

    def _few(self, tags: Tags) -> Tags:
        kept, last = [], self._recorded
        for time in tags.tolist():
            if time - last >= self._dead:
                kept.append(time)
                last = time
        return np.array(kept, dtype=np.int64)

    def _many(self, tags: Tags) -> Tags:
        from labctl.analysis.timetags import kernels

        out = np.empty(tags.size + 1, dtype=np.int64)
        return out[: kernels.dead_time(tags, self._dead, self._recorded, out)].copy()


def merge_tags(channels: Sequence[ArrayLike]) -> tuple[Tags, Channels]:
    """All tags in one ascending stream, and for each the number of its channel.

    At equal times the lower channel comes first.
    """
    return _merge([sorted_tags(tags, f"channels[{n}]") for n, tags in enumerate(channels)])


def _merge(channels: Sequence[Tags]) -> tuple[Tags, Channels]:
    if len(channels) > np.iinfo(np.int16).max:
        raise ValueError(f"channels: {len(channels)} are too many")
    labels = [np.full(tags.size, n, dtype=np.int16) for n, tags in enumerate(channels)]
    if sum(tags.size for tags in channels) <= TINY:
        times = np.concatenate([np.empty(0, dtype=np.int64), *channels])
        order = np.argsort(times, kind="stable")
        return times[order], np.concatenate([np.empty(0, dtype=np.int16), *labels])[order]
    from labctl.analysis.timetags import kernels

    streams = list(zip(channels, labels, strict=True))
    while len(streams) > 1:  # neighbours first: that keeps the order of channels at equal times
        merged = []
        for (times, label), (others, other_label) in zip(streams[::2], streams[1::2], strict=False):
            out = np.empty(times.size + others.size, dtype=np.int64)
            out_label = np.empty(out.size, dtype=np.int16)
            kernels.merge(times, label, others, other_label, out, out_label)
            merged.append((out, out_label))
        streams = merged + streams[len(merged) * 2 :]
    return streams[0]


def next_chunks(
    channels: Sequence[ArrayLike], ends: Sequence[int], until: int | None
) -> tuple[list[Tags], list[int]]:
    """The next tags of channels that ended at `ends` so far, checked, and where they end now.

    `until` says that all tags before it have been given.
    """
    if len(channels) != len(ends):
        raise ValueError(f"channels: must be {len(ends)}, got {len(channels)}")
    names = [f"channels[{n}]" for n in range(len(channels))]
    new = [sorted_tags(tags, name) for tags, name in zip(channels, names, strict=True)]
    last = [follows(*each) for each in zip(new, ends, names, strict=True)]
    return new, last if until is None else [max(end, until) for end in last]


class TagMerger:
    """`merge_tags` chunk by chunk: tags come out as soon as nothing earlier can follow."""

    def __init__(self, channels: int) -> None:
        count = whole(channels, "channels", 1)
        self._pending = [np.empty(0, dtype=np.int64) for _ in range(count)]
        self._last = [-(1 << 62)] * count

    def add(self, channels: Sequence[ArrayLike], until: int | None = None) -> tuple[Tags, Channels]:
        """Take the next tags of every channel; return those before which nothing can come any more.

        That is settled by the channel that is furthest behind, or by `until`: all tags before it
        have been given.
        """
        new, last = next_chunks(channels, self._last, until)
        self._last = last
        pending = [np.concatenate(pair) for pair in zip(self._pending, new, strict=True)]
        horizon = min(last)
        ends = [int(np.searchsorted(tags, horizon)) for tags in pending]
        self._pending = [tags[end:] for tags, end in zip(pending, ends, strict=True)]
        return _merge([tags[:end] for tags, end in zip(pending, ends, strict=True)])

    def finish(self) -> tuple[Tags, Channels]:
        """What is left, when no more tags will come."""
        rest = _merge(self._pending)
        self._pending = [tags[:0] for tags in self._pending]
        return rest
