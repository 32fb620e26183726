"""Sifting of energy-time entangled pairs: from tags of two users to two strings of bits.

Each user has two interferometers (bases 0 and 1) with two outputs (outcomes 0 and 1); detector
number = 2 x basis + outcome. Kept are detections in equal bases at the same time (central peak:
both photons took the short or both the long path). In basis 1 both users' phases add up to pi, so
outcomes are opposite there, and the second user's bit is flipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
Bits = NDArray[np.uint8]

OPPOSITE = 1  # the basis in which outcomes are opposite


@dataclass(frozen=True)
class Sifted:
    """Bits of both users, and the basis of each."""

    alice: Bits
    bob: Bits
    basis: Bits

    def __len__(self) -> int:
        return len(self.alice)

    @property
    def errors(self) -> int:
        """Bits that differ; users find this number by correcting, or by comparing a part."""
        return int(np.count_nonzero(self.alice != self.bob))


def joined(parts: Sequence[Sifted]) -> Sifted:
    """Several stretches of bits, one after the other."""
    none = np.empty(0, dtype=np.uint8)
    return Sifted(
        np.concatenate([none, *(part.alice for part in parts)]),
        np.concatenate([none, *(part.bob for part in parts)]),
        np.concatenate([none, *(part.basis for part in parts)]),
    )


def matched_pairs(start: Ints, stop: Ints, window: int, delay: int = 0) -> tuple[Ints, Ints]:
    """Indices of all pairs with -window <= 2 (stop - start - delay) < window.

    Args:
        start, stop: sorted times (ps).
        window, delay: ps.
    """
    if window < 1:
        raise ValueError(f"window must be at least 1 ps, got {window!r}")
    # whole picoseconds d with -window <= 2 (d - delay) < window
    low, high = delay - window // 2, delay + (window + 1) // 2
    begin = np.searchsorted(stop, start + low)
    found = np.searchsorted(stop, start + high) - begin
    rows = np.flatnonzero(found)
    several = found[rows]
    first = np.repeat(rows, several)
    ends = np.cumsum(several)
    within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - several, several)
    return first.astype(np.int64), (begin[first] + within).astype(np.int64)


def sift(
    start: Ints,
    start_detector: ArrayLike,
    stop: Ints,
    stop_detector: ArrayLike,
    window: int,
    delay: int = 0,
) -> Sifted:
    """Bits of two users from their sorted times (ps) and detector numbers (0 to 3)."""
    ours, theirs = np.asarray(start_detector), np.asarray(stop_detector)
    if ours.shape != start.shape or theirs.shape != stop.shape:
        raise ValueError("start_detector and stop_detector must be as long as start and stop")
    for name, detector in (("start_detector", ours), ("stop_detector", theirs)):
        if detector.size and (int(detector.min()) < 0 or int(detector.max()) > 3):
            raise ValueError(f"{name} must be 0 to 3: 2 x basis + outcome")
    i, j = matched_pairs(start, stop, window, delay)
    mine, other = ours[i], theirs[j]
    kept = mine >> 1 == other >> 1
    mine, other = mine[kept], other[kept]
    basis = (mine >> 1).astype(np.uint8)
    alice = (mine & 1).astype(np.uint8)
    bob = (other & 1).astype(np.uint8) ^ (basis == OPPOSITE)
    return Sifted(alice, bob.astype(np.uint8), basis)
