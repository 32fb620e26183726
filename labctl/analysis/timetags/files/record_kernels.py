"""Compiled loops over TTTR records, one per layout; imported only for long files.

Each takes the records, the overflow so far in ticks and the most that it may become, ticks per
overflow, whether an overflow record counts and what it counts if it says 0, the arrays to fill
(T2: times, channels; T3: ticks, channels, dtimes; then ticks and codes of special records), and
from where on; T2 also the whole ps per tick. Each returns the numbers of tags and special records,
the overflow afterwards, the overflows and those that said 0, and the index of the first record that
means nothing or is too late, or -1.

Where rates are high, tags follow one another without an overflow. Such runs are found block by
block and turned into tags by loops that the compiler vectorises, together with the block behind
them; if one overflow is all that it holds besides, the next run begins right after that. Where
overflows are dense, at places that no processor can foresee, a loop without branches tries a block
as tags and overflows, and if there was anything else, a third loop does it again, record by record.
What was written for records that are no tags is written over.
"""

from __future__ import annotations

import math

import numpy as np

from labctl.analysis.timetags.kernels import compiled

#: Records looked at together; fewer make runs between overflows longer, and rare tags slower.
_BLOCK = 8


@compiled
def run_end(words, i):  # type: ignore[no-untyped-def]
    """Return the index behind the whole blocks of tags that begin at `i`."""
    while i + _BLOCK <= words.size:
        special = np.uint32(0)
        for k in range(_BLOCK):
            special |= words[i + k]
        if special >= np.uint32(0x80000000):
            break
        i += _BLOCK
    return i


@compiled
def specials_in(words, begin, stop):  # type: ignore[no-untyped-def]
    """Return how many special records there are, and the index of the last."""
    many, last = np.int64(0), begin
    for i in range(begin, stop):
        special = np.int64(words[i] >> np.uint32(31))
        many += special
        last = i if special else last
    return many, last


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


@compiled
def t2(words, base, limit, wrap, counted, zero, out, n, ps):  # type: ignore[no-untyped-def]  # noqa: PLR0915
    """HydraHarp and later, T2."""
    times, channels, special_ticks, codes = out
    first, specials, overflows, zeros = n, 0, np.int64(0), 0
    i = 0
    while i < words.size:
        end = run_end(words, i)
        stop = min(end + _BLOCK, words.size)
        run, ahead = words[i:stop], stop - i
        run_times, run_channels = times[n : n + ahead], channels[n : n + ahead]
        for k in range(ahead):
            run_times[k] = (base + np.int64(run[k] & np.uint32(0x1FFFFFF))) * ps
            run_channels[k] = np.uint8(run[k] >> np.uint32(25))
        many, last = specials_in(words, end, stop)
        if many == 0:
            n, i = n + ahead, stop
            continue
        n += end - i
        if many == 1 and words[last] >= np.uint32(0xFE000000):
            count = np.int64(words[last] & np.uint32(0x1FFFFFF)) if counted else np.int64(1)
            if count > 0 and base + count * wrap <= limit:
                n, i = n + last - end, last + 1
                base, overflows = base + count * wrap, overflows + count
                continue
        at, late, laps, odd = n, base, np.int64(0), np.int64(0)
        for i in range(end, stop):
            word = np.int64(words[i])
            time = word & 0x1FFFFFF
            special, overflow = word >> 31, np.int64(word >= 0xFE000000)
            times[at] = (late + time) * ps
            channels[at] = word >> 25
            at += 1 - special
            count = overflow * (time if counted else np.int64(1))
            laps += count
            late += count * wrap
            odd |= special - (count > 0)
        if odd == 0 and late <= limit:
            n, base, overflows, i = at, late, overflows + laps, stop
            continue
        for i in range(end, stop):
            word = np.int64(words[i])
            time = word & 0x1FFFFFF
            channel = (word >> 25) & 63
            if word < 0x80000000:
                times[n] = (base + time) * ps
                channels[n] = channel
                n += 1
            elif channel == 63:
                count = time if counted else np.int64(1)
                if count == 0:
                    count = np.int64(zero)
                    zeros += 1
                base += count * wrap
                overflows += count
                if base > limit:
                    return n - first, specials, base, overflows, zeros, i
            elif channel < 16:
                special_ticks[specials] = base + time
                codes[specials] = channel
                specials += 1
            else:
                return n - first, specials, base, overflows, zeros, i
        i = stop
    return n - first, specials, base, overflows, zeros, -1


@compiled
def t3(words, base, limit, wrap, counted, zero, out, n):  # type: ignore[no-untyped-def]  # noqa: PLR0915
    """HydraHarp and later, T3."""
    ticks, channels, dtimes, special_ticks, codes = out
    first, specials, overflows, zeros = n, 0, np.int64(0), 0
    i = 0
    while i < words.size:
        end = run_end(words, i)
        stop = min(end + _BLOCK, words.size)
        run, ahead = words[i:stop], stop - i
        run_ticks, run_channels = ticks[n : n + ahead], channels[n : n + ahead]
        run_dtimes = dtimes[n : n + ahead]
        for k in range(ahead):
            run_channels[k] = np.uint8(run[k] >> np.uint32(25))
            run_dtimes[k] = np.uint16((run[k] >> np.uint32(10)) & np.uint32(0x7FFF))
            run_ticks[k] = base + np.int64(run[k] & np.uint32(0x3FF))
        many, last = specials_in(words, end, stop)
        if many == 0:
            n, i = n + ahead, stop
            continue
        n += end - i
        if many == 1 and words[last] >= np.uint32(0xFE000000):
            count = np.int64(words[last] & np.uint32(0x3FF)) if counted else np.int64(1)
            if count > 0 and base + count * wrap <= limit:
                n, i = n + last - end, last + 1
                base, overflows = base + count * wrap, overflows + count
                continue
        at, late, laps, odd = n, base, np.int64(0), np.int64(0)
        for i in range(end, stop):
            word = np.int64(words[i])
            pulse = word & 0x3FF
            special, overflow = word >> 31, np.int64(word >= 0xFE000000)
            ticks[at] = late + pulse
            channels[at] = word >> 25
            dtimes[at] = (word >> 10) & 0x7FFF
            at += 1 - special
            count = overflow * (pulse if counted else np.int64(1))
            laps += count
            late += count * wrap
            odd |= special - (count > 0)
        if odd == 0 and late <= limit:
            n, base, overflows, i = at, late, overflows + laps, stop
            continue
        for i in range(end, stop):
            word = np.int64(words[i])
            pulse = word & 0x3FF
            channel = (word >> 25) & 63
            if word < 0x80000000:
                ticks[n] = base + pulse
                channels[n] = channel
                dtimes[n] = (word >> 10) & 0x7FFF
                n += 1
            elif channel == 63:
                count = pulse if counted else np.int64(1)
                if count == 0:
                    count = np.int64(zero)
                    zeros += 1
                base += count * wrap
                overflows += count
                if base > limit:
                    return n - first, specials, base, overflows, zeros, i
            elif 0 < channel < 16:
                special_ticks[specials] = base + pulse
                codes[specials] = channel
                specials += 1
            else:
                return n - first, specials, base, overflows, zeros, i
        i = stop
    return n - first, specials, base, overflows, zeros, -1


@compiled
def picoharp_t2(words, base, limit, wrap, counted, zero, out, n, ps):  # type: ignore[no-untyped-def]
    """PicoHarp 300, T2; a marker's code stands in the last four bits of its time."""
    times, channels, special_ticks, codes = out
    first, specials, overflows = n, 0, 0
    for i in range(words.size):
        word = np.int64(words[i])
        channel = word >> 28
        time = word & 0xFFFFFFF
        if channel <= 4:
            times[n] = (base + time) * ps
            channels[n] = channel
            n += 1
        elif channel != 15:
            return n - first, specials, base, overflows, 0, i
        elif time & 15 == 0:
            base += wrap
            overflows += 1
            if base > limit:
                return n - first, specials, base, overflows, 0, i
        else:
            special_ticks[specials] = base + (time & 0xFFFFFF0)
            codes[specials] = time & 15
            specials += 1
    return n - first, specials, base, overflows, 0, -1


@compiled
def picoharp_t3(words, base, limit, wrap, counted, zero, out, n):  # type: ignore[no-untyped-def]
    """PicoHarp 300, T3; a marker's code stands in place of the dtime."""
    ticks, channels, dtimes, special_ticks, codes = out
    first, specials, overflows = n, 0, 0
    for i in range(words.size):
        word = np.int64(words[i])
        channel = word >> 28
        dtime = (word >> 16) & 0xFFF
        pulse = word & 0xFFFF
        if 1 <= channel <= 4:
            ticks[n] = base + pulse
            channels[n] = channel
            dtimes[n] = dtime
            n += 1
        elif channel != 15 or dtime > 15:
            return n - first, specials, base, overflows, 0, i
        elif dtime == 0:
            base += wrap
            overflows += 1
            if base > limit:
                return n - first, specials, base, overflows, 0, i
        else:
            special_ticks[specials] = base + pulse
            codes[specials] = dtime
            specials += 1
    return n - first, specials, base, overflows, 0, -1
