"""Stochastic processes that are functions of time: the same answer in any order of asking.

A path is a dyadic tree. Every point g of its finest time grid owns one normal number, a hash of
(seed, g). The value at the middle of an interval is drawn given the values at its two ends
(Lévy's construction), so a value needs only the few dozen points above it, no past and no state.
All joint distributions are exact on the grid; between two grid points the path is linear.

The grid step is 2^-20 s (0.95 us), finer for an Ornstein-Uhlenbeck process with a correlation
time below 1 ms (a thousandth of it, rounded down to a power of two).

Source of the update formulae: exact discretisation of linear stochastic differential equations;
C. Van Loan, IEEE Trans. Automat. Contr. 23, 395 (1978) for matrices.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Latest time in s at which a process is defined (2^27 s = 4.25 years, beyond 1e8 s).
HORIZON = 2.0**27

MEMO = 16.0  # s, of the interval that a process remembers
SHARED = 4096  # times at most of which the way up a tree is kept for the next process

_GRID = -20  # binary logarithm of the standard grid step in s
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S12 = (np.uint64(n) for n in (30, 27, 31, 12))


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64: a bijection of 64-bit integers that looks random; in place."""
    z ^= z >> _S30
    z *= _MIX_1
    z ^= z >> _S27
    z *= _MIX_2
    z ^= z >> _S31
    return z


class HashedNormals:
    """Independent N(0, 1) numbers, one for each int64; a pure function of seed and integer."""

    def __init__(self, seed: int) -> None:
        self._key = _mix(np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64) + _GAMMA)

    def __call__(self, counters: Ints) -> Floats:
        z = counters.view(np.uint64) * _GAMMA
        z += self._key
        z = _mix(z)
        z ^= self._key
        z = _mix(z)
        z >>= _S12
        uniform = z.astype(np.float64)
        uniform += 0.5
        uniform *= 2.0**-52  # never 0, never 1
        normals: Floats = ndtri(uniform, out=uniform)
        return normals


class _Climb:
    """The way up a tree from some cells of its grid, until one interval holds them all.

    Args:
        cells: positions on the grid, in any order.
        levels: of the tree.
    """

    def __init__(self, cells: Ints, levels: int) -> None:
        nodes, self.back = np.unique(cells, return_inverse=True)
        tiers = [nodes]
        #: For each level from the grid up: the index of the interval above each, None if that is
        #: its own; and whether it is the upper half of it.
        self.parents: list[Ints | None] = []
        self.upper: list[NDArray[np.bool_]] = []
        while len(self.parents) < levels and nodes.size > 1:
            above = nodes >> 1
            first = np.concatenate(([True], above[1:] != above[:-1]))
            self.parents.append(None if first.all() else np.cumsum(first) - 1)
            self.upper.append((nodes & 1).astype(np.bool_))
            nodes = above[first]
            tiers.append(nodes)
        self.top = len(self.parents)
        self.nodes = nodes  # at the top
        #: Grid positions of the middles of all intervals, from the top down; how many per level.
        middles = [(tiers[n] << n) + (1 << (n - 1)) for n in range(self.top, 0, -1)]
        self.middles = np.concatenate([nodes[:0], *middles])
        self.counts = [len(positions) for positions in middles]


@lru_cache(maxsize=4)
def _climb(cells: bytes, levels: int) -> _Climb:
    """The way up from these cells: many processes are asked about the same times at once."""
    return _Climb(np.frombuffer(cells, dtype=np.int64), levels)


class _Tree:
    """A dyadic tree over time; sub-classes say how a middle value follows from two ends.

    An interval of level n is 2^n grid steps long. `weights[n]` multiplies the sum of its ends and
    `spreads[n]` the normal number of its middle.
    """

    def __init__(
        self, seed: int, step: float, weights: list[float], spreads: list[float], root_spread: float
    ) -> None:
        self._normals = HashedNormals(seed)
        self._rate = 1.0 / step
        self._weights = weights
        self._spreads = spreads
        self._levels = len(weights) - 1  # the level of a root interval
        self._root_spread = root_spread
        # grid offset of the middle of an interval of each level, from the root down
        self._halves = np.array([1 << (n - 1) for n in range(self._levels, 0, -1)], dtype=np.int64)
        self._masks = ~(2 * self._halves - 1)
        # ends of the interval of this level that was asked for last
        self._memo_level = max(0, min(self._levels, math.ceil(math.log2(MEMO / step))))
        self._memo_key: int | None = None
        self._memo = (0.0, 0.0)
        self._latest = (-1.0, 0.0)  # the time that was asked for last, and the value

    def _root(self, positions: Ints, normals: Floats) -> Floats:
        """Values at ends of root intervals: their grid positions and the numbers they own."""
        return self._root_spread * normals

    @overload
    def at(self, t: float) -> float: ...

    @overload
    def at(self, t: Floats) -> Floats: ...

    def at(self, t: float | Floats) -> float | Floats:
        """The value at time `t` (s, 0 to `HORIZON`), or the values at an array of times."""
        if isinstance(t, np.ndarray) and t.ndim:
            if t.size == 0:
                return np.empty(t.shape)
            self._check(float(t.min()), float(t.max()))
            return self._many(t.ravel()).reshape(t.shape)
        if t != self._latest[0]:  # several parts of a world ask about the same moment
            self._check(float(t), float(t))
            self._latest = float(t), self._one(float(t))
        return self._latest[1]

    def _check(self, first: float, last: float) -> None:
        if not (first >= 0.0 and last < HORIZON):
            raise ValueError(f"time must be from 0 to {HORIZON:g} s, got {first!r} to {last!r}")

    def _one(self, t: float) -> float:
        scaled = t * self._rate
        cell = int(scaled)
        fraction = scaled - cell
        if fraction == 0.0:  # an end of some interval above, which is found sooner
            level = min((cell & -cell).bit_length() - 1, self._memo_level) if cell else 0
            return self._ends(cell, level)[0]
        left, right = self._ends(cell, 0)
        return left + fraction * (right - left)

    def _ends(self, cell: int, level: int) -> tuple[float, float]:
        """Values at both ends of the interval of `level` in which grid position `cell` lies."""
        top = self._memo_level
        if level > top:
            return self._descend(cell, self._levels, level, self._roots(cell))
        if self._memo_key != cell >> top:  # the next question is mostly about a time close by
            self._memo = self._descend(cell, self._levels, top, self._roots(cell))
            self._memo_key = cell >> top
        return self._descend(cell, top, level, self._memo)

    def _roots(self, cell: int) -> tuple[float, float]:
        """Values at both ends of the root interval."""
        width = 1 << self._levels
        points = np.array([cell & -width, (cell & -width) + width], dtype=np.int64)
        left, right = self._root(points, self._normals(points)).tolist()
        return left, right

    def _descend(
        self, cell: int, top: int, level: int, ends: tuple[float, float]
    ) -> tuple[float, float]:
        """Values at the ends of an interval, from those of the one of level `top` around it."""
        if top == level:
            return ends
        here = slice(self._levels - top, self._levels - level)
        drawn = self._normals((self._masks[here] & cell) + self._halves[here]).tolist()
        left, right = ends
        weights, spreads = self._weights, self._spreads
        for n, normal in zip(range(top, level, -1), drawn, strict=True):
            middle = weights[n] * (left + right) + spreads[n] * normal
            if (cell >> (n - 1)) & 1:
                left = middle
            else:
                right = middle
        return left, right

    def _many(self, times: Floats) -> Floats:
        scaled = times * self._rate
        cells = scaled.astype(np.int64)
        if cells.size <= SHARED:
            way = _climb(cells.tobytes(), self._levels)
        else:
            way = _Climb(cells, self._levels)
        nodes, top = way.nodes, way.top
        if nodes.size == 1:
            ends = self._ends(int(nodes[0]) << top, top)
            left, right = np.array(ends[:1]), np.array(ends[1:])
        else:
            starts, stops = nodes << top, (nodes + 1) << top
            left = self._root(starts, self._normals(starts))
            right = self._root(stops, self._normals(stops))
        # down: middles of all intervals, then pick the half that is asked for
        normals = self._normals(way.middles)
        begin = 0
        for n, count in zip(range(top, 0, -1), way.counts, strict=True):
            end = begin + count
            middle = self._weights[n] * (left + right) + self._spreads[n] * normals[begin:end]
            begin = end
            parent, upper = way.parents[n - 1], way.upper[n - 1]
            if parent is not None:
                middle, left, right = middle[parent], left[parent], right[parent]
            left, right = np.where(upper, middle, left), np.where(upper, right, middle)
        ends_left = left[way.back]
        values: Floats = ends_left + (scaled - cells) * (right[way.back] - ends_left)
        return values


class Wiener(_Tree):
    """Brownian motion from 0 at time 0: variance `sigma`^2 t, `sigma` per square root of s."""

    def __init__(self, seed: int, sigma: float) -> None:
        levels = int(math.log2(HORIZON)) - _GRID
        step = 2.0**_GRID
        # an interval of length T: middle = mean of the ends + N(0, sigma^2 T / 4)
        spreads = [sigma * math.sqrt(step * 2.0**n) / 2 for n in range(levels + 1)]
        super().__init__(seed, step, [0.5] * (levels + 1), spreads, sigma * math.sqrt(HORIZON))

    def _root(self, positions: Ints, normals: Floats) -> Floats:
        return np.where(positions == 0, 0.0, self._root_spread * normals)


class OrnsteinUhlenbeck(_Tree):
    """Stationary noise: standard deviation `std`, autocorrelation exp(-dt / `tau`), `tau` in s."""

    def __init__(self, seed: int, std: float, tau: float, mean: float = 0.0) -> None:
        if not tau > 0:
            raise ValueError(f"a correlation time must be positive, got {tau!r} s")
        self._mean = mean
        grid = min(_GRID, math.floor(math.log2(tau / 1000)))
        # Ends of an interval of 64 tau or more are independent to 1e-28: no tree above is needed.
        levels = max(1, math.ceil(math.log2(64 * tau)) - grid)
        weights, spreads = [], []
        for n in range(levels + 1):
            # bridge over T: middle = (sum of ends) / (2 cosh u) + N(0, std^2 tanh u), u = T/(2 tau)
            u = 2.0 ** (grid + n) / (2 * tau)
            weights.append(0.5 / math.cosh(u))
            spreads.append(std * math.sqrt(math.tanh(u)))
        super().__init__(seed, 2.0**grid, weights, spreads, std)

    @overload
    def at(self, t: float) -> float: ...

    @overload
    def at(self, t: Floats) -> Floats: ...

    def at(self, t: float | Floats) -> float | Floats:
        """The value at time `t` (s, 0 to `HORIZON`), or the values at an array of times."""
        return self._mean + super().at(t)


class White:
    """Independent normal numbers, one for each `tick` (s): fast noise as a slow reader sees it."""

    def __init__(self, seed: int, std: float, tick: float) -> None:
        self._normals = HashedNormals(seed)
        self._std = std
        self._rate = 1.0 / tick

    @overload
    def at(self, t: float) -> float: ...

    @overload
    def at(self, t: Floats) -> Floats: ...

    def at(self, t: float | Floats) -> float | Floats:
        """The value at time `t` (s), or the values at an array of times."""
        ticks = (np.atleast_1d(np.asarray(t, dtype=np.float64)) * self._rate).astype(np.int64)
        values = self._std * self._normals(ticks)
        return values if np.ndim(t) else float(values[0])


def lag(value: float, target: float, dt: float, tau: float) -> float:
    """First-order lag towards a constant `target` after `dt` (s) with time constant `tau` (s)."""
    return target + (value - target) * math.exp(-dt / tau)


def lag_mean(value: float, target: float, dt: float, tau: float) -> float:
    """Time average of the same lag over `dt`."""
    u = dt / tau
    return target + (value - target) * (-math.expm1(-u) / u if u > 0 else 1.0)


def slew(value: float, target: float, dt: float, speed: float) -> float:
    """Move towards `target` for `dt` (s) at no more than `speed` (per s)."""
    reach = speed * dt
    return value + max(-reach, min(reach, target - value))


class LinearSystem:
    """Exact steps of dx = (A x + B u) dt + dW with cov(dW) = L dt; matrices are kept per step.

    Van Loan: the exponential of [[-A, L], [0, A^T]] dt holds both Phi = exp(A dt) and the
    covariance Qd that the noise adds in one step.
    """

    def __init__(self, drift: ArrayLike, diffusion: ArrayLike, inputs: ArrayLike = ()) -> None:
        self.drift: Floats = np.asarray(drift, dtype=np.float64)
        self.diffusion: Floats = np.asarray(diffusion, dtype=np.float64)
        size = self.drift.shape[0]
        self.inputs: Floats = np.asarray(inputs, dtype=np.float64).reshape(size, -1)
        self.step = lru_cache(maxsize=64)(self._step)

    def _step(self, dt: float) -> tuple[Floats, Floats, Floats]:
        """(Phi, Gamma, Qd) of a step of `dt` s: x becomes Phi x + Gamma u + N(0, Qd)."""
        from scipy.linalg import expm

        a, size = self.drift, self.drift.shape[0]
        # A long step is doubled from short ones, because exp(-A dt) of a stable A overflows.
        halvings = max(0, math.ceil(math.log2(max(float(np.linalg.norm(a, 2)) * dt, 1e-300))))
        h = dt / 2**halvings
        blocks = expm(np.block([[-a, self.diffusion], [np.zeros_like(a), a.T]]) * h)
        phi = blocks[size:, size:].T
        qd = phi @ blocks[:size, size:]
        columns = self.inputs.shape[1]
        forced = np.block([[a, self.inputs], [np.zeros((columns, size + columns))]])
        gamma = expm(forced * h)[:size, size:]
        for _ in range(halvings):
            qd = phi @ qd @ phi.T + qd
            gamma = phi @ gamma + gamma
            phi = phi @ phi
        return phi, gamma, (qd + qd.T) / 2

    def noise_root(self, dt: float) -> Floats:
        """A matrix R with R R^T = Qd; negative eigenvalues from rounding are clipped to 0."""
        values, vectors = np.linalg.eigh(self.step(dt)[2])
        root: Floats = vectors * np.sqrt(np.maximum(values, 0.0))
        return root

    def stationary(self) -> Floats:
        """The covariance V of the steady state: A V + V A^T + L = 0."""
        from scipy.linalg import solve_continuous_lyapunov

        covariance = solve_continuous_lyapunov(self.drift, -self.diffusion)
        return np.asarray(covariance, dtype=np.float64)
