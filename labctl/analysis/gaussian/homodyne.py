"""From homodyne variances to a covariance matrix, with errors that follow every result."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.analysis.arguments import Array, finite_array
from labctl.analysis.gaussian.checks import mode_index, symmetric

#: A product of two components of a unit direction below this is rounding, not a measurement.
NEGLIGIBLE = 1e-12
#: Smallest pivot, relative to the largest, of normal equations that determine every element.
SINGULAR = 1e-12
CHUNK = 256


class Reconstruction:
    """A covariance matrix measured element by element; unpacks into (covariance, error).

    Attributes:
        covariance: (2N, 2N), vacuum = 1; elements no setting depends on are 0.
        measured: which elements were measured.
        error: standard errors of the elements, NaN where nothing was measured.
    """

    def __init__(self, covariance: Array, index: NDArray[np.int64], solver: Any) -> None:
        self.covariance = covariance
        self.measured: NDArray[np.bool_] = index >= 0
        self._index = index
        self._solver = solver

    @cached_property
    def error(self) -> Array:
        return np.where(self.measured, self._solver.errors()[self._index], np.nan)

    def __iter__(self) -> Iterator[Array]:
        return iter((self.covariance, self.error))

    def drawn(self, draws: int, seed: int = 0) -> Array:
        """Return (draws, 2N, 2N) matrices, scattered around this one as new measurements would."""
        if draws < 1:
            raise ValueError(f"draws: must be at least 1, got {draws}")
        elements = self._solver.drawn(np.random.default_rng(seed), draws)
        change = np.where(self.measured, elements[:, np.maximum(self._index, 0)], 0.0)
        return np.asarray(self.covariance + change)

    def uncertainty(self, gradient: ArrayLike, modes: Sequence[int] | None = None) -> Array:
        """Return the standard error of quantities from their derivatives dF/dV.

        `gradient` is (..., 2M, 2M), ij and ji counted separately, for the given modes (default
        all). Unlike the element errors alone, this knows that elements share measured variances.
        """
        given = finite_array(gradient, "gradient")
        total = len(self.covariance) // 2
        chosen = range(total) if modes is None else modes
        rows = np.array([mode_index(mode, total, "modes") for mode in chosen], dtype=int)
        rows = np.concatenate([rows, rows + total])
        if given.shape[-2:] != (len(rows), len(rows)):
            raise ValueError(
                f"gradient: must have shape (..., {len(rows)}, {len(rows)}), got {given.shape}"
            )
        index = self._index[rows[:, None], rows[None, :]]
        known = index >= 0
        flat = given.reshape((-1, *given.shape[-2:]))[:, known]
        out = np.empty(len(flat))
        for start in range(0, len(flat), CHUNK):
            part = flat[start : start + CHUNK]
            columns = np.zeros((self._solver.shape[0], len(part)))
            np.add.at(columns, index[known], part.T)
            out[start : start + CHUNK] = np.einsum("ij,ij->j", columns, self._solver.solve(columns))
        return np.asarray(np.sqrt(np.maximum(out, 0.0)).reshape(given.shape[:-2]))


def quadrature_direction(weights: ArrayLike, angles: ArrayLike) -> Array:
    """Return the unit direction(s) (..., 2N) a local oscillator selects.

    Line k has amplitude `weights[k]` and selects x_k cos(angle) + p_k sin(angle).
    """
    amplitude = finite_array(weights, "weights")
    angle = finite_array(angles, "angles")
    if amplitude.shape != angle.shape or amplitude.ndim < 1:
        raise ValueError(f"angles: must have shape {amplitude.shape}, got {angle.shape}")
    direction = np.concatenate([amplitude * np.cos(angle), amplitude * np.sin(angle)], axis=-1)
    length = np.linalg.norm(direction, axis=-1, keepdims=True)
    if not (length > 0).all():
        raise ValueError("weights: at least one line of each setting must have a weight")
    return np.asarray(direction / length)


def covariance_from_variances(
    directions: ArrayLike, variances: ArrayLike, errors: ArrayLike
) -> Reconstruction:
    """Reconstruct a covariance matrix from homodyne variances by weighted least squares.

    Setting s measured Var(d_s . r) = d_s^T V d_s relative to shot noise. The unknowns are the
    elements V_ij that any setting depends on; all others stay 0 and unmeasured.

    Args:
        directions: (S, 2N), see `quadrature_direction`; scaled to unit length here.
        variances: (S,) measured variances, shot noise = 1.
        errors: their standard errors, (S,) or one number; independent of each other.

    Raises:
        ValueError: an argument is malformed, or the settings leave a touched element open.
    """
    from scipy.sparse import csc_matrix

    rows = finite_array(directions, "directions")
    if rows.ndim != 2 or not rows.size or rows.shape[1] % 2:
        raise ValueError(f"directions: must have shape (S, 2N), got {rows.shape}")
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (length > 0).all():
        raise ValueError("directions: one of them is zero")
    rows = rows / length
    values = finite_array(variances, "variances")
    if values.shape != (len(rows),):
        raise ValueError(f"variances: must have shape ({len(rows)},), got {values.shape}")
    sigma = finite_array(errors, "errors")
    if sigma.shape not in ((), values.shape):
        raise ValueError(f"errors: must have shape ({len(rows)},), got {sigma.shape}")
    sigma = np.broadcast_to(sigma, values.shape)
    if not (sigma > 0).all():
        raise ValueError("errors: must be positive")

    size = rows.shape[1]
    setting, first, second, factor = _products(rows)
    code, column = np.unique(first * size + second, return_inverse=True)
    # Rows of unit weight on average keep the pivots comparable with each other.
    scale = float(np.median(sigma))
    design = csc_matrix(
        (factor / sigma[setting] * scale, (setting, column)), (len(rows), len(code))
    )
    solver = _Normal(design, scale, [divmod(int(c), size) for c in code])
    elements = solver.solve(np.asarray(design.T @ (values / sigma / scale)))

    index = np.full((size, size), -1, dtype=np.int64)
    index[code // size, code % size] = np.arange(len(code))
    index = np.maximum(index, index.T)
    covariance = np.where(index >= 0, elements[index], 0.0)
    return Reconstruction(covariance, index, solver)


def align_phases(
    cov: ArrayLike, pairs: Sequence[tuple[int, int]] | None = None
) -> tuple[Array, Array]:
    """Rotate each mode so that correlated pairs correlate x with p, negatively.

    Returns the rotated matrix and the N angles phi of a_k -> e^{i phi_k} a_k that make
    arg<a_k a_l> = -pi/2 on a spanning tree, hence C(p_k, x_l) = C(x_k, p_l) = -2|<a_k a_l>|. The
    tree is grown breadth first from the lowest mode number, trying `pairs` in the order given
    (default: every pair, strongest first); modes out of reach start a tree of their own.

    Turning the modes at even distance from a tree's root by any angle and the others back by it
    keeps the tree aligned. Of these solutions the one is taken that turns the modes least.
    """
    array = symmetric(cov)
    modes = len(array) // 2
    xx, xp, pp = array[:modes, :modes], array[:modes, modes:], array[modes:, modes:]
    product = 0.25 * (xx - pp + 1j * (xp + xp.T))
    if pairs is None:
        first, second = np.triu_indices(modes, 1)
        strength = np.abs(product[first, second])
        chosen = np.argsort(-strength, kind="stable")
        keep = chosen[strength[chosen] > NEGLIGIBLE]
        pairs = list(zip(first[keep].tolist(), second[keep].tolist(), strict=True))
    neighbours: list[list[int]] = [[] for _ in range(modes)]
    for i, j in pairs:
        i, j = mode_index(i, modes, "pairs"), mode_index(j, modes, "pairs")
        if i == j:
            raise ValueError(f"pairs: mode {i} is paired with itself")
        neighbours[i].append(j)
        neighbours[j].append(i)
    angles = np.full(modes, np.nan)
    for root in range(modes):
        if not np.isnan(angles[root]):
            continue
        angles[root] = 0.0
        side = {root: 1.0}
        queue = deque([root])
        while queue:
            near = queue.popleft()
            for far in neighbours[near]:
                if np.isnan(angles[far]):
                    angles[far] = -np.pi / 2 - np.angle(product[near, far]) - angles[near]
                    side[far] = -side[near]
                    queue.append(far)
        tree, sign = list(side), np.array(list(side.values()))
        angles[tree] -= sign * np.angle(np.mean(np.exp(1j * sign * angles[tree])))
    angles = np.mod(angles + np.pi, 2 * np.pi) - np.pi
    return rotate_phases(array, angles), angles


def rotate_phases(rows: Array, angles: Array) -> Array:
    """Apply a_k -> e^{i phi_k} a_k to a (2N, 2N) covariance matrix."""
    cos, sin = np.diag(np.cos(angles)), np.diag(np.sin(angles))
    rotation = np.block([[cos, -sin], [sin, cos]])
    return np.asarray(rotation @ rows @ rotation.T)


def _products(rows: Array) -> tuple[NDArray[np.int64], ...]:
    """All (setting, i, j, coefficient of V_ij in the variance) with i <= j."""
    setting: list[Any] = []
    first: list[Any] = []
    second: list[Any] = []
    factor: list[Any] = []
    for number, row in enumerate(rows):
        used = np.flatnonzero(np.abs(row) > NEGLIGIBLE)
        i, j = np.triu_indices(len(used))
        i, j = used[i], used[j]
        setting.append(np.full(len(i), number))
        first.append(i)
        second.append(j)
        factor.append(row[i] * row[j] * np.where(i == j, 1.0, 2.0))
    return tuple(np.concatenate(part) for part in (setting, first, second, factor))


class _Normal:
    """Factorised normal equations of the least squares problem."""

    def __init__(self, design: Any, scale: float, names: list[tuple[int, int]]) -> None:
        from scipy.sparse.linalg import splu

        self.shape: tuple[int, int] = (design.shape[1], design.shape[1])
        self._scale = scale
        self._design = design
        try:
            # Symmetric and positive: without row pivoting the factors stay sparse.
            self._factor = splu(
                (design.T @ design).tocsc(),
                permc_spec="MMD_AT_PLUS_A",
                diag_pivot_thresh=0.0,
                options={"SymmetricMode": True},
            )
            pivots = np.abs(self._factor.U.diagonal())
        except RuntimeError:  # exactly singular
            pivots = np.zeros(1)
        if pivots.min() <= SINGULAR * pivots.max():
            open_ones = _undetermined(design, names)
            raise ValueError(f"directions: the settings do not determine element(s) {open_ones}")

    def solve(self, right: Array) -> Array:
        return np.asarray(self._scale**2 * self._factor.solve(right))

    def drawn(self, rng: np.random.Generator, draws: int) -> Array:
        """What random errors of the variances make of the elements, (draws, elements)."""
        noise = rng.standard_normal((self._design.shape[0], draws)) / self._scale
        return np.asarray(self.solve(self._design.T @ noise).T)

    def errors(self) -> Array:
        count = self.shape[0]
        out = np.empty(count)
        for start in range(0, count, CHUNK):
            stop = min(count, start + CHUNK)
            columns = np.zeros((count, stop - start))
            columns[np.arange(start, stop), np.arange(stop - start)] = 1.0
            out[start:stop] = self.solve(columns)[np.arange(start, stop), np.arange(stop - start)]
        return np.sqrt(out)


def _undetermined(design: Any, names: list[tuple[int, int]]) -> str:
    """Name the elements with a part in the null space of the design matrix (first few)."""
    _, values, vectors = np.linalg.svd(design.toarray(), full_matrices=True)
    values = np.concatenate([values, np.zeros(design.shape[1] - len(values))])
    null = vectors[values <= 1e-7 * max(values.max(), 1e-300)]
    weak = [
        f"V[{i}, {j}]"
        for (i, j), part in zip(names, null.T, strict=True)
        if np.abs(part).max() > 1e-6
    ]
    return ", ".join(weak[:4]) + (", ..." if len(weak) > 4 else "")
