"""Arrival times of photons at the detectors of several users, drawn block by block.

One Poisson process for all sources together: a gap, then which source it was. A source is a link
(a pair that reaches two users) or single photons that reach one user. Partners are apart by
a Laplace distribution of scale 1 / (2 pi linewidth), the correlation of two Lorentzian lines. Every
photon chooses a basis (one of two interferometers), a path and an outcome, hence a detector:
4 x user + 2 x basis + outcome. Outcomes of a pair on the same path follow `same`, see `franson`.

Photons that a delay takes across the end of a block come back at its begin (some 10 in a million
for blocks of 10 ms), so that a block is a pure function of its seed and its sources. Times are
int64 picoseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

DETECTORS = 4  # of each user


@dataclass(frozen=True)
class Link:
    """Pairs that arrive at two users (or twice at one)."""

    users: tuple[int, int]
    rate: float  # 1/s, both photons arrive
    same: tuple[float, float, float, float]  # equal outcomes: bases 00, 01, 10, 11
    delays: tuple[int, int] = (0, 0)  # ps, of both photons


@dataclass(frozen=True)
class Singles:
    """Photons whose partner does not arrive, or that have none."""

    user: int
    rate: float  # 1/s


def draw(
    seed: int,
    start_ps: int,
    length_ps: int,
    links: Sequence[Link],
    singles: Sequence[Singles],
    users: int,
    *,
    linewidth_hz: float,
    path_ps: int,
) -> list[Ints]:
    """Sorted arrival times (ps) at each detector in [start, start + length), a pure function."""
    from simulated_instruments.physics.pair_kernel import fill  # compiled

    rates = np.array([source.rate for source in (*links, *singles)])
    total = float(rates.sum())
    if not total > 0.0:
        return [np.empty(0, dtype=np.int64) for _ in range(DETECTORS * users)]
    share, alias = _alias(rates / total)
    first = [link.users[0] for link in links] + [one.user for one in singles]
    second = [link.users[1] for link in links] + [-1] * len(singles)
    delays = np.zeros((len(rates), 2), dtype=np.int64)
    same = np.zeros((len(rates), 4))
    for number, link in enumerate(links):
        delays[number], same[number] = link.delays, link.same
    # One detector may get all tags of a source: room for the mean of both photons and 8 sigma.
    mean = 2.0 * total * length_ps * 1e-12
    room = int(mean + 8.0 * mean**0.5) + 64
    times = np.empty((DETECTORS * users, room), dtype=np.int64)
    counts = np.zeros(DETECTORS * users, dtype=np.int64)
    fill(
        seeded(seed), start_ps, length_ps, 1e12 / total, share, alias,
        np.array(first), np.array(second), delays, same,
        1e12 / (2.0 * np.pi * linewidth_hz), path_ps, times, counts,
    )  # fmt: skip
    return [times[n, :count].copy() for n, count in enumerate(counts.tolist())]


def seeded(seed: int) -> NDArray[np.uint64]:
    """Four words of state for the generator (SplitMix64)."""
    state = []
    for n in range(1, 5):
        z = (seed + n * 0x9E3779B97F4A7C15) & (2**64 - 1)
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
        state.append(z ^ (z >> 31))
    return np.array(state, dtype=np.uint64)


def _alias(shares: Floats) -> tuple[Floats, Ints]:
    """Walker's alias table: one look-up picks a source with these probabilities."""
    size = len(shares)
    left, alias = shares * size, np.arange(size)
    small = [n for n in range(size) if left[n] < 1.0]
    large = [n for n in range(size) if left[n] >= 1.0]
    while small and large:
        low, high = small.pop(), large.pop()
        alias[low] = high
        left[high] -= 1.0 - left[low]
        (small if left[high] < 1.0 else large).append(high)
    for rest in (*small, *large):  # rounding left these next to 1
        left[rest] = 1.0
    return left, alias
