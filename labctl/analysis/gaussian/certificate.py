"""Proof that a state is inseparable across every bipartition, from small subsets of its modes.

Let T1..Tm be subsets such that every bipartition of each has a PPT value below 1, and let them
connect all N modes. Take any bipartition A|B of the whole: connectivity yields a subset with modes
on both sides. Tracing out the other modes is local to A and to B, so a state separable across A|B
would leave that subset separable, and its PPT value at 1 or above: a contradiction. The PPT value
of A|B is at most that of the subset, because its V + i Omega_P is a principal submatrix. Thus
N - 1 pairs stand for all 2^(N-1) - 1 bipartitions. What is proved is that no bipartition is
separable; mixtures of states separable across different bipartitions are not excluded.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.analysis.arguments import Array, float_array, scalar
from labctl.analysis.gaussian.checks import form, mode_list, state, symmetric
from labctl.analysis.gaussian.homodyne import Reconstruction
from labctl.analysis.gaussian.ppt import bipartitions
from labctl.analysis.gaussian.symplectic import nearest_physical

#: More subsets of one size than this are not tried.
MOST_SUBSETS = 50_000
CHUNK = 2048
#: The tail of the normal distribution beyond this is no number any more.
MOST_SIGMAS = 37.0
#: A PPT value this close to 1 may be rounding, and proves nothing.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Certificate:
    """What `certify_inseparability` found."""

    holds: bool  # no bipartition of the whole is separable
    bottleneck: float  # largest PPT value among `subsets`: an upper bound for every bipartition
    bottleneck_error: float  # its standard error, 0 for exact input
    subsets: tuple[tuple[int, ...], ...]  # connect all modes, strongest first
    values: tuple[float, ...]  # worst PPT value of each subset
    errors: tuple[float, ...]  # their standard errors
    modes: int
    comparisons: int  # PPT values looked at; the confidence is corrected for choosing among them
    margin: float  # standard errors that had to fit below 1 after this correction

    @property
    def covered(self) -> int:
        """How many bipartitions of all modes the subsets stand for."""
        return int(2 ** (self.modes - 1) - 1)


def certify_inseparability(
    cov: ArrayLike,
    cov_error: ArrayLike | Reconstruction | None = None,
    sigmas: float = 3.0,
    *,
    subsets: Iterable[Sequence[int]] | None = None,
    largest: int = 3,
) -> Certificate:
    """Certify that no bipartition of all N modes is separable, from connected small subsets.

    Takes the minimum spanning tree of all pairs by nu + margin * error; if that does not suffice,
    triples join in, up to `largest` modes. With errors each PPT value must lie `margin` standard
    errors below 1. The margin is `sigmas`, Bonferroni-corrected for every PPT value that the tree
    was chosen from; it is N - 1 values if exactly a tree is passed as `subsets`.

    Args:
        cov: covariance matrix, vacuum = 1; as measured if errors are given.
        cov_error: standard errors of the elements, NaN where an element was not measured (only
            completely measured subsets count), or the `Reconstruction` that knows how they
            correlate. None: `cov` is exact and must be physical.
        sigmas: one-sided confidence, in standard deviations of a normal distribution.
        subsets: the only subsets to consider, chosen before looking at the data.
        largest: number of modes of the largest subsets to try.
    """
    array = state(cov) if cov_error is None else symmetric(cov)
    modes = len(array) // 2
    if modes < 2:
        raise ValueError("cov: needs at least two modes")
    sigmas = scalar(sigmas, "sigmas", 0.0, MOST_SIGMAS)
    if largest < 2:
        raise ValueError(f"largest: must be at least 2, got {largest}")
    noise = _noise(cov_error, array)
    known = np.ones((modes, modes), dtype=bool) if noise is None else _known(noise)

    if subsets is not None:
        groups = [_checked(subsets, modes, known)]
    else:
        sizes = range(2, min(largest, modes) + 1)
        groups = [_connected(known, size) for size in sizes]

    tried: list[_Judged] = []
    best: Certificate | None = None
    for group in groups:
        tried.extend(_judge(array, group, noise))
        comparisons = sum(judged.comparisons for judged in tried)
        margin = _margin(sigmas, comparisons) if noise is not None else 0.0
        found = _span(modes, tried, comparisons, margin)
        if best is None or found.holds or found.bottleneck < best.bottleneck:
            best = found
        if best.holds:
            break
    assert best is not None
    return best


@dataclass(frozen=True)
class _Judged:
    """One subset: PPT values of all its bipartitions with standard errors."""

    modes: tuple[int, ...]
    values: Array
    errors: Array

    @property
    def comparisons(self) -> int:
        return len(self.values)

    def worst(self, margin: float) -> tuple[float, float, float]:
        """Upper limit, value and error of the bipartition that comes closest to separable."""
        limits = self.values + margin * self.errors
        place = int(np.argmax(limits))
        return float(limits[place]), float(self.values[place]), float(self.errors[place])


def _span(modes: int, tried: list[_Judged], comparisons: int, margin: float) -> Certificate:
    """Kruskal's minimum spanning tree, for edges that may join more than two modes."""
    root = list(range(modes))

    def find(mode: int) -> int:
        while root[mode] != mode:
            root[mode] = root[root[mode]]
            mode = root[mode]
        return mode

    ranked = sorted((*judged.worst(margin), judged.modes) for judged in tried)
    chosen: list[tuple[float, float, float, tuple[int, ...]]] = []
    parts = modes
    for entry in ranked:
        joined = {find(mode) for mode in entry[3]}
        if len(joined) > 1:
            target = min(joined)
            for part in joined:
                root[part] = target
            parts -= len(joined) - 1
            chosen.append(entry)
    connected = parts == 1
    worst = max(chosen, key=lambda entry: entry[1]) if connected else (math.inf, math.inf, 0.0, ())
    return Certificate(
        holds=connected and all(limit < 1.0 - ROUNDING for limit, *_ in chosen),
        bottleneck=worst[1],
        bottleneck_error=worst[2],
        subsets=tuple(entry[3] for entry in chosen),
        values=tuple(entry[1] for entry in chosen),
        errors=tuple(entry[2] for entry in chosen),
        modes=modes,
        comparisons=comparisons,
        margin=margin,
    )


def _margin(sigmas: float, comparisons: int) -> float:
    """The one-sided quantile whose tail is that of `sigmas`, shared by all comparisons."""
    from scipy.special import ndtr, ndtri

    return float(-ndtri(ndtr(-sigmas) / max(1, comparisons)))


def _noise(cov_error: ArrayLike | Reconstruction | None, array: Array) -> _Noise | None:
    if cov_error is None:
        return None
    if isinstance(cov_error, Reconstruction):
        if cov_error.covariance.shape != array.shape:
            raise ValueError(f"cov_error: must belong to a matrix of shape {array.shape}")
        return cov_error
    error = float_array(cov_error, "cov_error")
    if error.shape != array.shape:
        raise ValueError(f"cov_error: must have shape {array.shape}, got {error.shape}")
    if np.isinf(error).any() or (error < 0).any():
        raise ValueError("cov_error: must hold standard errors (NaN where nothing was measured)")
    return error


_Noise = Array | Reconstruction


def _known(noise: _Noise) -> NDArray[np.bool_]:
    """Which pairs of modes were measured completely (the diagonal: single modes)."""
    measured = noise.measured if isinstance(noise, Reconstruction) else ~np.isnan(noise)
    modes = len(measured) // 2
    blocks = measured.reshape(2, modes, 2, modes).all(axis=(0, 2))
    single = np.diag(blocks)
    return np.asarray(blocks & blocks.T & single[:, None] & single[None, :])


def _checked(
    subsets: Iterable[Sequence[int]], modes: int, known: NDArray[np.bool_]
) -> list[tuple[int, ...]]:
    out = []
    for subset in subsets:
        members = tuple(sorted(mode_list(subset, modes, "subsets")))
        if len(members) < 2:
            raise ValueError(f"subsets: {members} does not name two or more different modes")
        if not known[np.ix_(members, members)].all():
            raise ValueError(f"subsets: {tuple(subset)} was not measured completely")
        out.append(members)
    return out


def _connected(known: NDArray[np.bool_], size: int) -> list[tuple[int, ...]]:
    """All completely measured subsets of this size, or none if they are too many."""
    subsets: list[tuple[int, ...]] = [(mode,) for mode in range(len(known)) if known[mode, mode]]
    for _ in range(size - 1):
        if len(subsets) * len(known) > 40 * MOST_SUBSETS:
            return []
        subsets = [
            (*subset, int(mode))
            for subset in subsets
            for mode in np.flatnonzero(known[list(subset)].all(axis=0))
            if mode > subset[-1]
        ]
    return subsets if len(subsets) <= MOST_SUBSETS else []


def _judge(array: Array, subsets: list[tuple[int, ...]], noise: _Noise | None) -> list[_Judged]:
    """PPT values and errors of all bipartitions of every subset."""
    out: list[_Judged] = []
    for _size, same in itertools.groupby(subsets, key=len):
        group = list(same)
        for start in range(0, len(group), CHUNK):
            part = group[start : start + CHUNK]
            values, gradients, rows = _ppt_with_gradients(array, np.array(part), noise is not None)
            for number, members in enumerate(part):
                errors = np.zeros(len(values[number]))
                if isinstance(noise, Reconstruction):
                    errors = noise.uncertainty(gradients[number], members)
                elif noise is not None:
                    sigma = noise[np.ix_(rows[number], rows[number])]
                    errors = _independent(gradients[number], sigma)
                out.append(_Judged(members, values[number], errors))
    return out


def _independent(gradients: Array, sigma: Array) -> Array:
    """Standard error if all elements on and above the diagonal are independent."""
    twice = np.triu(gradients + np.swapaxes(gradients, -1, -2), 1)
    own = np.einsum("...ii->...i", gradients) * np.diag(sigma)
    variance = np.sum((twice * sigma) ** 2, axis=(-1, -2)) + np.sum(own**2, axis=-1)
    return np.asarray(np.sqrt(variance))


def _ppt_with_gradients(
    array: Array, subsets: NDArray[np.int64], derive: bool
) -> tuple[Array, Array, NDArray[np.int64]]:
    """PPT values (P, B) of all B bipartitions of P subsets, and d nu/dV (P, B, 2m, 2m)."""
    size = subsets.shape[1]
    rows = np.concatenate([subsets, subsets + len(array) // 2], axis=1)
    blocks = array[rows[:, :, None], rows[:, None, :]]
    omega = form(size)
    lowest = np.linalg.eigvalsh(blocks + 1j * omega)[:, 0]
    for number in np.flatnonzero(lowest < 0):  # noise, or rounding of a pure state
        blocks[number] = nearest_physical(blocks[number])
    flips = np.concatenate(
        [np.ones((2 ** (size - 1) - 1, size)), np.where(bipartitions(size), -1.0, 1.0)], axis=1
    )
    root = np.linalg.cholesky(blocks)[:, None]
    kernels = np.swapaxes(root, -1, -2) @ (flips[:, :, None] * omega * flips[:, None, :]) @ root
    if not derive:
        return np.linalg.eigvalsh(1j * kernels)[..., size], np.empty(0), rows
    values, vectors = np.linalg.eigh(1j * kernels)
    upper = np.broadcast_to(np.swapaxes(root, -1, -2), kernels.shape)
    direction = np.linalg.solve(upper, vectors[..., size, None])[..., 0]
    outer = (direction[..., :, None] * direction[..., None, :].conj()).real
    nu = values[..., size]
    return nu, nu[..., None, None] * outer, rows
