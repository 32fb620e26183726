"""Compiled loops over TTTR records, one per layout; imported only for long files.

Each takes the records, the overflow so far in ticks and the most that it may become, ticks per
overflow, whether an overflow record counts and what it counts if it says 0, the arrays to fill
(times of T2 or ticks of T3, channels, dtimes of T3; then ticks and codes of special records), from
where on, and the whole ps per tick (T2). Each returns the numbers of tags and special records, the
overflow afterwards, the overflows and those that said 0, and the index of the first record that
means nothing or is too late, or -1.

Where rates are high, tags follow one another without an overflow. So a block is turned into tags as
if there was nothing else in it, by loops of fixed length that the compiler vectorises; what was
written for records that are no tags is written over. If overflows are few, the next block begins
right after the first. Where they are dense, at places that no processor can foresee, a loop without
branches takes the block as tags and overflows, and if there was anything else, a third loop does it
again, record by record.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from labctl.analysis.timetags.kernels import compiled

#: Records turned into tags together, and with how many overflows the next block begins after one.
_BLOCK, _FEW = 64, 6
#: The smallest words of special records and of overflows.
_SPECIAL, _OVERFLOW = np.uint32(0x80000000), np.uint32(0xFE000000)


@compiled
def paired_ps(ticks, dtimes, anchor, times):  # type: ignore[no-untyped-def]
    """Fill in the times of pulse numbers and dtimes, as `Clock.anchored` says."""
    first, whole, rest, unit, part, resolution = anchor
    for k in range(ticks.size):
        later = ticks[k] - first
        times[k] = (
            whole
            + later * unit
            + np.int64(math.floor(later * part + rest + dtimes[k] * resolution + 0.5))
        )


def _hydraharp(t3: bool) -> Any:  # noqa: PLR0915
    """Return the loop for HydraHarp and later, T2 or T3."""
    time_bits = np.uint32(0x3FF if t3 else 0x1FFFFFF)
    first_marker = 1 if t3 else 0  # or sync event, in T2

    @compiled
    def decode(words, base, limit, wrap, counted, zero, out, n, ps):  # type: ignore[no-untyped-def]  # noqa: PLR0915
        times, channels, dtimes, special_ticks, codes = out
        first, specials, overflows, zeros = n, 0, np.int64(0), 0
        i = 0
        while i < words.size:
            stop = min(i + _BLOCK, words.size)
            if stop - i == _BLOCK:
                block, to_times = words[i : i + _BLOCK], times[n : n + _BLOCK]
                to_channels = channels[n : n + _BLOCK]
                begin, many = base * ps, np.uint32(0)
                for k in range(_BLOCK):
                    many += block[k] >> np.uint32(31)
                    to_channels[k] = np.uint8(block[k] >> np.uint32(25))
                    to_times[k] = begin + np.int64(block[k] & time_bits) * ps
                if t3:
                    to_dtimes = dtimes[n : n + _BLOCK]
                    for k in range(_BLOCK):
                        to_dtimes[k] = np.uint16((block[k] >> np.uint32(10)) & np.uint32(0x7FFF))
                if many == 0:
                    n, i = n + _BLOCK, stop
                    continue
                if many <= _FEW:
                    tags = np.uint32(_BLOCK)  # before the first special record
                    for k in range(_BLOCK):
                        tags = min(tags, np.uint32(k if block[k] >= _SPECIAL else _BLOCK))
                    if block[tags] >= _OVERFLOW:
                        count = np.int64(block[tags] & time_bits) if counted else np.int64(1)
                        if count > 0 and base + count * wrap <= limit:
                            n, i = n + int(tags), i + int(tags) + 1
                            base, overflows = base + count * wrap, overflows + count
                            continue
            at, late, laps, odd = n, base, np.int64(0), np.int64(0)
            for k in range(i, stop):
                word = np.int64(words[k])
                time = word & time_bits
                special, overflow = word >> 31, np.int64(word >= _OVERFLOW)
                times[at] = (late + time) * ps
                channels[at] = word >> 25
                if t3:
                    dtimes[at] = (word >> 10) & 0x7FFF
                at += 1 - special
                count = overflow * (time if counted else np.int64(1))
                laps += count
                late += count * wrap
                odd |= special - (count > 0)
            if odd == 0 and late <= limit:
                n, base, overflows, i = at, late, overflows + laps, stop
                continue
            for k in range(i, stop):
                word = np.int64(words[k])
                time = word & time_bits
                channel = (word >> 25) & 63
                if word < _SPECIAL:
                    times[n] = (base + time) * ps
                    channels[n] = channel
                    if t3:
                        dtimes[n] = (word >> 10) & 0x7FFF
                    n += 1
                elif channel == 63:
                    count = time if counted else np.int64(1)
                    if count == 0:
                        count = np.int64(zero)
                        zeros += 1
                    base += count * wrap
                    overflows += count
                    if base > limit:
                        return n - first, specials, base, overflows, zeros, k
                elif first_marker <= channel < 16:
                    special_ticks[specials] = base + time
                    codes[specials] = channel
                    specials += 1
                else:
                    return n - first, specials, base, overflows, zeros, k
            i = stop
        return n - first, specials, base, overflows, zeros, -1

    return decode


def _picoharp(t3: bool) -> Any:
    """Return the loop for the PicoHarp 300, T2 or T3.

    The code of a marker stands in the last four bits of its time, T3: in place of its dtime.
    """
    time_bits = 0xFFFF if t3 else 0xFFFFFFF
    first_channel = 1 if t3 else 0

    @compiled
    def decode(words, base, limit, wrap, counted, zero, out, n, ps):  # type: ignore[no-untyped-def]
        times, channels, dtimes, special_ticks, codes = out
        first, specials, overflows = n, 0, 0
        for i in range(words.size):
            word = np.int64(words[i])
            channel, time, dtime = word >> 28, word & time_bits, (word >> 16) & 0xFFF
            code = dtime if t3 else time & 15
            if first_channel <= channel <= 4:
                times[n] = (base + time) * ps
                channels[n] = channel
                if t3:
                    dtimes[n] = dtime
                n += 1
            elif channel != 15 or code > 15:
                return n - first, specials, base, overflows, 0, i
            elif code == 0:
                base += wrap
                overflows += 1
                if base > limit:
                    return n - first, specials, base, overflows, 0, i
            else:
                special_ticks[specials] = base + (time if t3 else time - code)
                codes[specials] = code
                specials += 1
        return n - first, specials, base, overflows, 0, -1

    return decode


#: By whether it is a PicoHarp 300, and mode.
LOOPS = {
    (picoharp, mode): (_picoharp if picoharp else _hydraharp)(mode == "T3")
    for picoharp in (False, True)
    for mode in ("T2", "T3")
}
