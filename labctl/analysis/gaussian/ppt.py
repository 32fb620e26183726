"""Partial transposition: PPT values of many bipartitions, negativity, and the Duan sum."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.analysis.arguments import Array, any_array, shown
from labctl.analysis.gaussian.checks import form, mode_index, state, triangular_root

#: Bipartitions handled at once; keeps the work inside the cache.
CHUNK = 512
#: All bipartitions of more modes than this are too many to list; see `certify_inseparability`.
MOST_MODES = 22


def bipartitions(modes: int) -> NDArray[np.bool_]:
    """Return all 2^(N-1) - 1 bipartitions as rows of flags, mode 0 always False.

    Row m - 1 is the binary number m, mode 1 its least significant digit.
    """
    if not 2 <= modes <= MOST_MODES:
        raise ValueError(
            f"modes: all bipartitions can be listed for 2 to {MOST_MODES} modes, got {modes}; "
            "certify_inseparability covers larger states"
        )
    numbers = np.arange(1, 2 ** (modes - 1))
    flags = np.zeros((len(numbers), modes), dtype=bool)
    flags[:, 1:] = (numbers[:, None] >> np.arange(modes - 1)) & 1
    return flags


def ppt_values(cov: ArrayLike, parties: ArrayLike | None = None) -> Array:
    """Return the smallest symplectic eigenvalue of the partial transpose for each bipartition.

    Below 1 the bipartition is entangled. `parties` is (M, N) bool, True for the modes of one
    party; by default all 2^(N-1) - 1 bipartitions in the order of `bipartitions`, of which a single
    mode has none.
    """
    array = state(cov)
    modes = array.shape[-1] // 2
    if parties is not None:
        flags = _parties(parties, modes)
    elif modes == 1:
        return np.empty(0)
    elif modes > MOST_MODES:
        raise ValueError(
            f"parties: must be given for more than {MOST_MODES} modes, cov has {modes}; "
            "certify_inseparability covers all bipartitions"
        )
    else:
        flags = bipartitions(modes)
    root = triangular_root(array)
    signs = np.where(flags, -1.0, 1.0)
    chunks = [signs[start : start + CHUNK] for start in range(0, len(signs), CHUNK)]
    if len(chunks) < 2:
        return np.concatenate([_smallest(root, chunk) for chunk in chunks] or [np.empty(0)])
    with ThreadPoolExecutor(2) as pool:  # LAPACK runs outside the interpreter lock
        return np.concatenate(list(pool.map(lambda chunk: _smallest(root, chunk), chunks)))


def ppt_gradient(cov: ArrayLike, party: ArrayLike) -> Array:
    """Return d nu / d V_ij for the PPT value nu of one bipartition, a symmetric (2N, 2N) matrix.

    From i Omega_P V u = nu u with u^H V u = 1: d nu = nu u^H dV u. Elements ij and ji count
    separately: d nu = sum over all i, j of gradient_ij dV_ij.
    """
    array = state(cov)
    modes = array.shape[-1] // 2
    flags = _side(party, modes)
    root = triangular_root(array)
    values, vectors = np.linalg.eigh(1j * _kernels(root, np.where(flags, -1.0, 1.0)[None])[0])
    direction = np.linalg.solve(root.T, vectors[:, modes])
    return np.asarray(values[modes] * np.outer(direction, direction.conj()).real)


def log_negativity(cov: ArrayLike, party: ArrayLike) -> Array:
    """Return the logarithmic negativity (natural logarithm), one value per matrix of a stack.

    `party` names the modes of one side: N flags (bool, or 0 and 1), or mode numbers. The value is
    the sum of -ln nu over all symplectic eigenvalues nu of the partial transpose that are below 1.
    """
    array = state(cov, batched=True)
    modes = array.shape[-1] // 2
    signs = np.where(_side(party, modes), -1.0, 1.0)
    flip = np.concatenate([np.ones(modes), signs])
    root = triangular_root(array)
    kernel = np.swapaxes(root, -1, -2) @ (flip[:, None] * form(modes) * flip) @ root
    values = np.linalg.eigvalsh(1j * kernel)[..., modes:]
    return np.asarray(0.0 - np.log(np.minimum(values, 1.0)).sum(axis=-1))


def duan_sum(cov: ArrayLike, i: int = 0, j: int = 1) -> Array:
    """Return (Var(x_i + x_j) + Var(p_i - p_j)) / 2; separable states have at least 2."""
    array = state(cov, batched=True)
    modes = array.shape[-1] // 2
    i, j = mode_index(i, modes, "i"), mode_index(j, modes, "j")
    if i == j:
        raise ValueError(f"j: must be another mode than i, got {j}")

    def variance(a: int, b: int, sign: int) -> Array:
        return np.asarray(array[..., a, a] + array[..., b, b] + 2 * sign * array[..., a, b])

    return np.asarray(0.5 * (variance(i, j, 1) + variance(modes + i, modes + j, -1)))


def _parties(parties: ArrayLike, modes: int) -> NDArray[np.bool_]:
    flags = any_array(parties, "parties")
    if flags.ndim != 2 or flags.shape[1] != modes:
        raise ValueError(f"parties: must have shape (M, {modes}), got {flags.shape}")
    if flags.dtype != bool:
        if flags.dtype.kind not in "iuf" or not np.isin(flags, (0, 1)).all():
            raise ValueError("parties: must hold True and False only")
        flags = flags.astype(bool)
    return flags


def _side(party: ArrayLike, modes: int) -> NDArray[np.bool_]:
    given = np.atleast_1d(any_array(party, "party"))
    if given.ndim != 1 or not given.size:
        raise ValueError(f"party: must be one list of modes, got {shown(party)}")
    if given.dtype == bool:
        if given.shape != (modes,):
            raise ValueError(f"party: must have {modes} flags, got {len(given)}")
        return given
    if modes > 1 and given.shape == (modes,) and np.isin(given, (0, 1)).all():
        return given.astype(bool)  # as mode numbers they would repeat one, or name all modes
    flags = np.zeros(modes, dtype=bool)
    for mode in given.tolist():
        flags[mode_index(mode, modes, "party")] = True
    return flags


def _kernels(root: Array, signs: Array) -> Array:
    """L^T Omega_P L for each row of signs: real antisymmetric, singular values in equal pairs."""
    modes = signs.shape[-1]
    upper, lower = root[:modes], root[modes:]
    half = (upper.T * signs[:, None, :]) @ lower
    return np.asarray(half - np.swapaxes(half, -1, -2))


def _smallest(root: Array, signs: Array) -> Array:
    """Smallest singular value of each kernel; squared first, and exactly where squaring hurts."""
    kernels = _kernels(root, signs)
    squares = np.linalg.eigvalsh(kernels @ np.swapaxes(kernels, -1, -2))
    values = np.sqrt(np.maximum(squares[:, 0], 0.0))
    # Squaring costs about 1e-16 |A|^2 / nu of absolute accuracy.
    poor = squares[:, -1] > 1e3 * values
    if poor.any():
        modes = signs.shape[-1]
        values[poor] = np.linalg.eigvalsh(1j * kernels[poor])[:, modes]
    return np.asarray(values)
