"""Clicks of 1e8 trials of which almost all are empty: only the others are ever looked at.

Every trial has a number u, uniform in [0, 1): it clicks if u is below the probability of any
click, and u also says with which pattern. Numbers above that probability are never needed, so
they are not drawn: trials with u in one layer after another (below 1/128, below 1/8, the rest) are
picked at random, as many layers as the probability reaches. What a trial gives therefore
depends on its own number and on the settings at its time alone, not on when anybody asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulated_instruments.physics.optomechanics_pulses import Envelope

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
Seeds = Callable[[str], int]

BLOCK = 1 << 18  # trials that are drawn together
LAYERS = (0.0, 1 / 128, 1 / 8, 1.0)
#: Bits of a pattern.
A1, B1, A2, B2 = 1, 2, 4, 8

#: Rates (1/s) that bound the layers of a random stream of clicks, and its block (s).
RATES = (0.0, 16.0, 64.0, 512.0, 8192.0, 1e6)
SPAN = 256.0


@dataclass(frozen=True)
class Chances:
    """What one trial may give; times in ns from its trigger."""

    patterns: Floats  # probability of each of the 16
    first: Envelope | None
    second: Envelope | None
    pair_law: Floats  # over the grid of `second`: share of pairs whose later photon came by then
    delay: float  # from the pattern to the detector, ns

    @property
    def any(self) -> float:
        """Probability of at least one click."""
        return float(self.patterns[1:].sum())


def pair_law(second: Envelope, excess: Floats) -> Floats:
    """Share of pairs that are complete at each time of the pulse: (2 + q) F^2, normalised.

    It makes g2 of any gate from the beginning follow 2 + q, whatever F is.
    """
    law = np.maximum.accumulate((2 + excess) * second.cumulative**2)
    return np.asarray(law / law[-1])


@dataclass(frozen=True)
class _Candidates:
    trial: Times
    u: Floats
    uniform: Floats  # (n, 5)
    normal: Floats  # (n, 4)


class TrialSource:
    """The clicking trials of one train of triggers."""

    def __init__(self, seed_of: Seeds, name: str) -> None:
        self._seed_of = seed_of
        self._name = name
        self._kept: dict[tuple[int, int], _Candidates] = {}

    def clicks(
        self, begin: int, end: int, chances: Chances, jitter_ps: float
    ) -> list[tuple[Times, Floats]]:
        """Clicks of A and of B in trials [begin, end): trial number, and time (ps) in the trial."""
        total, found = chances.any, []
        layers = sum(edge < total for edge in LAYERS[:-1])
        for block in range(begin // BLOCK, -(-end // BLOCK)):
            for layer in range(layers):
                drawn = self._candidates(block, layer)
                inside = (drawn.u < total) & (drawn.trial >= begin) & (drawn.trial < end)
                found.append(_placed(drawn, inside, chances, jitter_ps))
        merged = []
        for detector in range(2):
            trial = np.concatenate([each[detector][0] for each in found] or [np.empty(0, np.int64)])
            time = np.concatenate([each[detector][1] for each in found] or [np.empty(0)])
            order = np.lexsort((time, trial))
            merged.append((trial[order], time[order]))
        return merged

    def _candidates(self, block: int, layer: int) -> _Candidates:
        """All trials of a block whose u lies in this layer."""
        if (block, layer) not in self._kept:
            rng = self._rng(block, layer)
            low, high = LAYERS[layer], LAYERS[layer + 1]
            number = rng.binomial(BLOCK, (high - low) / (1 - low))
            trial = np.sort(rng.choice(BLOCK, number, replace=False, shuffle=False))
            u = rng.uniform(low, high, number)
            uniform, normal = rng.random((number, 5)), rng.standard_normal((number, 4))
            trial = trial.astype(np.int64) + block * BLOCK
            lower = [self._candidates(block, below).trial for below in range(layer)]
            free = ~np.isin(trial, np.concatenate(lower)) if lower else np.ones(number, np.bool_)
            if len(self._kept) >= 8:
                self._kept.clear()
            self._kept[block, layer] = _Candidates(
                trial[free], u[free], uniform[free], normal[free]
            )
        return self._kept[block, layer]

    def _rng(self, block: int, layer: int) -> np.random.Generator:
        seed = self._seed_of(f"{self._name}.{block}.{layer}")
        return np.random.Generator(np.random.PCG64(seed))


def _placed(
    drawn: _Candidates, inside: NDArray[np.bool_], chances: Chances, jitter_ps: float
) -> list[tuple[Times, Floats]]:
    """Clicks of A and B of the chosen candidates."""
    trial, uniform, normal = drawn.trial[inside], drawn.uniform[inside], drawn.normal[inside]
    ends = np.cumsum(chances.patterns[1:])
    pattern = 1 + np.minimum(np.searchsorted(ends, drawn.u[inside], "right"), 14)
    times = np.zeros((trial.size, 4))  # ns
    if chances.first is not None:
        times[:, :2] = chances.first.quantile(uniform[:, :2])
    if chances.second is not None:
        second = chances.second
        both = (pattern & (A2 | B2)) == (A2 | B2)
        times[:, 2:] = second.quantile(uniform[:, 2:3])
        late = np.interp(uniform[both, 2], chances.pair_law, second.times)
        early = second.quantile(uniform[both, 3] * second.fraction(late))
        first = uniform[both, 4] < 0.5
        times[both, 2] = np.where(first, early, late)
        times[both, 3] = np.where(first, late, early)
    picoseconds = 1e3 * (times + chances.delay) + jitter_ps * normal
    out = []
    for bits in ((0, 2), (1, 3)):  # A, then B
        hit = [(pattern >> bit & 1).astype(np.bool_) for bit in bits]
        out.append(
            (
                np.concatenate([trial[h] for h in hit]),
                np.concatenate([picoseconds[h, bit] for h, bit in zip(hit, bits, strict=True)]),
            )
        )
    return out


class RandomClicks:
    """Clicks at a constant or slowly changing rate, as a function of time like the trials."""

    def __init__(self, seed_of: Seeds, name: str) -> None:
        self._seed_of = seed_of
        self._name = name
        self._kept: dict[tuple[int, int], tuple[Times, Floats]] = {}

    def between(self, begin_ps: int, end_ps: int, rate: float) -> Times:
        """Times (ps) in [begin, end) of clicks at `rate` (1/s)."""
        span = int(SPAN * 1e12)
        layers = sum(edge < rate for edge in RATES[:-1])
        found = []
        for block in range(begin_ps // span, -(-end_ps // span)):
            for layer in range(layers):
                times, height = self._candidates(block, layer)
                low, high = np.searchsorted(times, (begin_ps, end_ps))
                found.append(times[low:high][height[low:high] < rate])
        return np.sort(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)

    def _candidates(self, block: int, layer: int) -> tuple[Times, Floats]:
        if (block, layer) not in self._kept:
            seed = self._seed_of(f"{self._name}.{block}.{layer}")
            rng = np.random.Generator(np.random.PCG64(seed))
            low, high = RATES[layer], RATES[layer + 1]
            number = rng.poisson((high - low) * SPAN)
            times = np.sort(rng.integers(0, int(SPAN * 1e12), number)) + block * int(SPAN * 1e12)
            if len(self._kept) >= 8:
                self._kept.clear()
            self._kept[block, layer] = times, rng.uniform(low, high, number)
        return self._kept[block, layer]


class MissedTriggers:
    """Triggers of a train that the tagger does not see, each with the same probability."""

    def __init__(self, seed_of: Seeds, name: str, probability: float) -> None:
        self._seed_of, self._name, self._probability = seed_of, name, probability
        self._known = np.empty(0, dtype=np.int64)
        self._blocks = 0

    def up_to(self, last: int) -> Times:
        """Their numbers, ascending, at least up to `last`."""
        while self._probability > 0 and self._blocks * BLOCK <= last:
            seed = self._seed_of(f"{self._name}.missed.{self._blocks}")
            rng = np.random.Generator(np.random.PCG64(seed))
            number = rng.binomial(BLOCK, self._probability)
            found = np.sort(rng.choice(BLOCK, number, replace=False, shuffle=False))
            self._known = np.concatenate((self._known, found + self._blocks * BLOCK))
            self._blocks += 1
        return self._known[: np.searchsorted(self._known, last, side="right")]
