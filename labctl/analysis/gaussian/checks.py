"""What every function on Gaussian states asks of its arguments; each error names the argument."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from labctl.analysis.arguments import Array, finite_array, shown

#: Largest asymmetry, relative to the largest element, that counts as rounding.
ASYMMETRY = 1e-8
#: How far below zero an eigenvalue of V + i Omega may lie in a matrix that calls itself a state.
#: Wide enough for matrices printed with six digits, narrow enough to catch vacuum = 1/2.
UNPHYSICAL = 1e-5


def symmetric(cov: ArrayLike, name: str = "cov", *, batched: bool = False) -> Array:
    """Return a symmetric (2N, 2N) matrix (or a stack of them), exactly symmetric."""
    array = finite_array(cov, name)
    square = array.ndim >= 2 and array.shape[-1] == array.shape[-2]
    if not square or array.shape[-1] == 0 or array.shape[-1] % 2:
        raise ValueError(f"{name}: must have shape (2N, 2N), got {array.shape}")
    if array.ndim > 2 and not batched:
        raise ValueError(f"{name}: must be one matrix of shape (2N, 2N), got {array.shape}")
    transposed = np.swapaxes(array, -1, -2)
    uneven, largest = (np.abs(a).max(axis=(-1, -2)) for a in (array - transposed, array))
    if (uneven > ASYMMETRY * largest).any():
        raise ValueError(f"{name}: must be symmetric")
    return 0.5 * (array + transposed)


def form(modes: int) -> Array:
    """The symplectic form for `modes` modes, [r_i, r_j] = i Omega_ij up to normalisation."""
    omega = np.zeros((2 * modes, 2 * modes))
    index = np.arange(modes)
    omega[index, index + modes] = 1.0
    omega[index + modes, index] = -1.0
    return omega


def state(cov: ArrayLike, name: str = "cov", *, batched: bool = False) -> Array:
    """Return a covariance matrix that a quantum state can have (vacuum variance 1)."""
    array = symmetric(cov, name, batched=batched)
    if array.size:
        lowest = np.linalg.eigvalsh(array + 1j * form(array.shape[-1] // 2))[..., 0].min()
        if lowest < -UNPHYSICAL * max(1.0, float(np.abs(array).max())):
            raise ValueError(
                f"{name}: no physical state (V + i Omega has eigenvalue {lowest:.3g}, vacuum "
                "variance is 1); project measured matrices with nearest_physical first"
            )
    return array


def triangular_root(array: Array, name: str = "cov") -> Array:
    """Cholesky factor of a positive definite matrix or stack."""
    try:
        return np.asarray(np.linalg.cholesky(array))
    except np.linalg.LinAlgError:
        raise ValueError(f"{name}: must be positive definite") from None


def mode_index(value: Any, modes: int, name: str) -> int:
    """Return a mode number that lies in 0..modes-1."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise ValueError(f"{name}: must be a mode number, got {shown(value)}")
    if not 0 <= value < modes:
        raise ValueError(f"{name}: must be from 0 to {modes - 1}, got {value}")
    return int(value)


def mode_list(values: Any, modes: int, name: str) -> list[int]:
    """Return different mode numbers that lie in 0..modes-1."""
    if not isinstance(values, Iterable):
        raise ValueError(f"{name}: must be a list of mode numbers, got {shown(values)}")
    chosen = [mode_index(value, modes, name) for value in values]
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"{name}: must name each mode at most once, got {chosen}")
    return chosen
