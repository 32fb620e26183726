"""The compiled loop of `pair_tags`; imported only when photons are drawn, because numba is slow."""

from __future__ import annotations

import numpy as np
from numba import njit

TO_UNIT = 2.0**-53


@njit(inline="always")  # type: ignore[untyped-decorator]
def number(state):  # type: ignore[no-untyped-def]
    """The next 64 random bits: xoshiro256++ (Blackman and Vigna)."""
    total = state[0] + state[3]
    result = ((total << np.uint64(23)) | (total >> np.uint64(41))) + state[0]
    shifted = state[1] << np.uint64(17)
    state[2] ^= state[0]
    state[3] ^= state[1]
    state[1] ^= state[2]
    state[0] ^= state[3]
    state[2] ^= shifted
    state[3] = (state[3] << np.uint64(45)) | (state[3] >> np.uint64(19))
    return result


@njit(inline="always")  # type: ignore[untyped-decorator]
def unit(bits):  # type: ignore[no-untyped-def]
    """A number above 0 and below 1."""
    return (np.float64(bits >> np.uint64(11)) + 0.5) * TO_UNIT


@njit(inline="always")  # type: ignore[untyped-decorator]
def bit(bits, place):  # type: ignore[no-untyped-def]
    return np.int64((bits >> np.uint64(place)) & np.uint64(1))


@njit(inline="always")  # type: ignore[untyped-decorator]
def insert(times, counts, detector, time):  # type: ignore[no-untyped-def]
    """Put a time into the nearly sorted list of a detector."""
    place = counts[detector]
    counts[detector] = place + 1
    while place > 0 and times[detector, place - 1] > time:
        times[detector, place] = times[detector, place - 1]
        place -= 1
    times[detector, place] = time


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def fill(
    state, start, length, mean_gap, share, alias, first, second, delays, same,
    coherence, path, times, counts,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Draw all photons of a block; arguments as in `pair_tags.draw`, sources as an alias table."""
    end = start + length
    clock = 0.0
    while True:
        clock -= mean_gap * np.log(unit(number(state)))
        if clock >= length:
            return
        place = unit(number(state)) * len(share)
        source = int(place)
        if place - source >= share[source]:
            source = alias[source]
        bits = number(state)
        basis, outcome = bit(bits, 0), bit(bits, 1)
        time = start + np.int64(clock) + delays[source, 0]
        if second[source] >= 0:
            other_basis, other_outcome = bit(bits, 2), bit(bits, 3)
            path_one, path_other = bit(bits, 4), bit(bits, 5)
            if path_one == path_other:
                equal = unit(number(state)) < same[source, 2 * basis + other_basis]
                other_outcome = outcome if equal else 1 - outcome
            apart = np.int64(coherence * np.log(unit(number(state))))
            other = start + np.int64(clock) + delays[source, 1] + path_other * path
            other += apart if bit(bits, 6) else -apart
            time += path_one * path
            if other >= end:
                other -= length
            elif other < start:
                other += length
            insert(times, counts, 4 * second[source] + 2 * other_basis + other_outcome, other)
        if time >= end:
            time -= length
        elif time < start:  # a negative delay
            time += length
        insert(times, counts, 4 * first[source] + 2 * basis + outcome, time)
