"""Compiled loops over time tags; imported only when there are enough tags to repay it.

Two sorted channels are compared by a walk of two indices. The decision which index to advance is
unpredictable, so it is made by arithmetic and not by a branch: every step writes a candidate and
counts it only if the delay lies in the window. Four independent parts of the first channel go
through the same loop, which hides the latency of each other's loads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

BLOCK = 4096


def compiled(function: Callable[..., Any]) -> Any:
    """Compile without the interpreter lock; kept on disk where some cache directory is writable."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # neither the installation nor the home directory can be written
        return numba.njit(nogil=True)(function)


@compiled
def _lower_bound(tags, value):  # type: ignore[no-untyped-def]
    """Index of the first tag that is not below `value`."""
    low, high = 0, tags.size
    while low < high:
        middle = (low + high) >> 1
        if tags[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _tally(start, stop, low, span, period, window, found_i, found_j, found, counts):  # type: ignore[no-untyped-def]
    """Count all delays of the starts that have at least one stop in the window."""
    size = stop.size
    narrow = span < (1 << 32)
    for c in range(found):
        origin = start[found_i[c]] + low
        for j in range(np.int64(found_j[c]), size):
            delay = stop[j] - origin
            if delay >= span:
                break
            # 32-bit division takes a third of the time of 64-bit division
            k = np.int64(np.uint32(delay) // np.uint32(period)) if narrow else delay // period
            if delay - k * period < window:
                counts[k] += 1


@compiled
def comb_counts(start, stop, low, span, period, window, counts):  # type: ignore[no-untyped-def]  # noqa: PLR0915 - four times the same
    """Add to counts[k] the pairs with 0 <= stop - start - low - k period < window, below span.

    A histogram is the comb without gaps (window = period), a coincidence count has one tooth.
    """
    size, stops = start.size, np.uint64(stop.size)
    if size == 0 or stop.size == 0:
        return
    reach = np.uint64(span)
    one = np.uint64(1)
    e0, e1 = np.uint64(size // 4), np.uint64(size // 2)
    e2, e3 = np.uint64(size - size // 4), np.uint64(size)
    i0, i1, i2, i3 = np.uint64(0), e0, e1, e2
    last = np.uint64(size - 1)  # fewer than four starts leave parts empty
    j0 = np.uint64(_lower_bound(stop, start[min(i0, last)] + low))
    j1 = np.uint64(_lower_bound(stop, start[min(i1, last)] + low))
    j2 = np.uint64(_lower_bound(stop, start[min(i2, last)] + low))
    j3 = np.uint64(_lower_bound(stop, start[min(i3, last)] + low))
    found_i = np.empty((4, BLOCK + 1), dtype=np.uint64)
    found_j = np.empty((4, BLOCK + 1), dtype=np.uint64)
    while True:
        # fmt: off
        steps = min(
            e0 - i0, e1 - i1, e2 - i2, e3 - i3, stops - j0, stops - j1, stops - j2, stops - j3
        )
        # fmt: on
        if steps < np.uint64(64):
            break
        n0 = n1 = n2 = n3 = np.uint64(0)
        for _ in range(min(steps, np.uint64(BLOCK))):
            d0 = stop[j0] - start[i0] - low
            d1 = stop[j1] - start[i1] - low
            d2 = stop[j2] - start[i2] - low
            d3 = stop[j3] - start[i3] - low
            found_i[0, n0] = i0
            found_j[0, n0] = j0
            found_i[1, n1] = i1
            found_j[1, n1] = j1
            found_i[2, n2] = i2
            found_j[2, n2] = j2
            found_i[3, n3] = i3
            found_j[3, n3] = j3
            n0 += np.uint64(np.uint64(d0) < reach)  # a negative delay is huge without its sign
            n1 += np.uint64(np.uint64(d1) < reach)
            n2 += np.uint64(np.uint64(d2) < reach)
            n3 += np.uint64(np.uint64(d3) < reach)
            a0 = np.uint64(d0 < 0)
            a1 = np.uint64(d1 < 0)
            a2 = np.uint64(d2 < 0)
            a3 = np.uint64(d3 < 0)
            j0 += a0
            i0 += one - a0
            j1 += a1
            i1 += one - a1
            j2 += a2
            i2 += one - a2
            j3 += a3
            i3 += one - a3
        _tally(start, stop, low, span, period, window, found_i[0], found_j[0], n0, counts)
        _tally(start, stop, low, span, period, window, found_i[1], found_j[1], n1, counts)
        _tally(start, stop, low, span, period, window, found_i[2], found_j[2], n2, counts)
        _tally(start, stop, low, span, period, window, found_i[3], found_j[3], n3, counts)
    for i, end, j in ((i0, e0, j0), (i1, e1, j1), (i2, e2, j2), (i3, e3, j3)):
        while i < end and j < stops:
            n = np.uint64(0)
            for _ in range(min(end - i, stops - j, np.uint64(BLOCK))):
                delay = stop[j] - start[i] - low
                found_i[0, n] = i
                found_j[0, n] = j
                n += np.uint64(np.uint64(delay) < reach)
                back = np.uint64(delay < 0)
                j += back
                i += one - back
            _tally(start, stop, low, span, period, window, found_i[0], found_j[0], n, counts)


@compiled
def dead_time(tags, dead, last, out):  # type: ignore[no-untyped-def]
    """Keep tags at least `dead` after the last one kept; returns how many are in `out`."""
    kept = 0
    for i in range(tags.size):
        time = tags[i]
        out[kept] = time
        alive = time - last >= dead
        kept += alive
        last = time if alive else last
    return kept


@compiled
def merge(times, channels, other_times, other_channels, out_times, out_channels):  # type: ignore[no-untyped-def]
    """Merge two sorted streams; at equal times those of the first come first."""
    i, j = np.uint64(0), np.uint64(0)
    first, second = np.uint64(times.size), np.uint64(other_times.size)
    one = np.uint64(1)
    place = np.uint64(0)
    while i < first and j < second:
        for _ in range(min(first - i, second - j)):
            a, b = times[i], other_times[j]
            late = b < a
            out_times[place] = b if late else a
            out_channels[place] = other_channels[j] if late else channels[i]
            step = np.uint64(late)
            j += step
            i += one - step
            place += one
    while i < first:
        out_times[place], out_channels[place] = times[i], channels[i]
        i += one
        place += one
    while j < second:
        out_times[place], out_channels[place] = other_times[j], other_channels[j]
        j += one
        place += one


@compiled
def nfold(times, begins, window, stop_time):  # type: ignore[no-untyped-def]
    """Tuples, one tag of each channel, within `window`, whose earliest is before `stop_time`.

    Channel c is times[begins[c]:begins[c + 1]]. Of equal tags that of the lowest channel counts
    as the earliest, so that every tuple is counted exactly once.
    """
    channels = begins.size - 1
    total = 0
    low = np.empty(channels, dtype=np.int64)
    for c in range(channels):
        for k in range(channels):
            low[k] = begins[k]
        for i in range(begins[c], begins[c + 1]):
            time = times[i]
            if time >= stop_time:
                break
            product = 1
            for k in range(channels):
                if k == c:
                    continue
                earliest = time + 1 if k < c else time
                j, end = low[k], begins[k + 1]
                while j < end and times[j] < earliest:
                    j += 1
                low[k] = j
                inside = 0
                while j < end and times[j] - time < window:
                    inside += 1
                    j += 1
                product *= inside
                if product == 0:
                    break
            total += product
    return total
