"""What the functions on keys ask of their arguments; each error names the argument."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.analysis.arguments import Array, any_array, finite_array, within

Bits = NDArray[np.uint8]
#: f of error correction beyond this is a slip, not a code.
MOST_EFFICIENCY = 1e6


def real(value: ArrayLike, name: str, low: float, high: float = np.inf) -> Array:
    """Return finite real numbers from `low` to `high`, or say which argument is none."""
    array = finite_array(value, name)
    within(array, name, low, high)
    return array


def three(value: ArrayLike, name: str, low: float, high: float = np.inf) -> Array:
    """Return one number for each of the three intensities."""
    array = real(value, name, low, high)
    if array.shape != (3,):
        raise ValueError(f"{name}: must be three numbers, one per intensity, got {array.shape}")
    return array


def intensities(value: ArrayLike) -> tuple[float, float, float]:
    """Return mu > nu1 > nu2 >= 0 with nu1 + nu2 < mu, as the bounds require (Ma et al. 2005)."""
    mu, nu1, nu2 = three(value, "intensities", 0.0).tolist()
    if not mu > nu1 > nu2:
        raise ValueError(f"intensities: must descend strictly, got {mu:g}, {nu1:g}, {nu2:g}")
    if nu1 + nu2 >= mu:
        raise ValueError("intensities: the two decoys together must be weaker than the signal")
    return mu, nu1, nu2


def bits(value: ArrayLike, name: str) -> Bits:
    """Return a string of bits as uint8, or say which argument is none."""
    array = any_array(value, name)
    if array.shape == (0,):
        return np.zeros(0, np.uint8)  # an empty list is an array of floats
    if array.ndim != 1 or array.dtype.kind not in "biu" or not _binary(array):
        raise ValueError(f"{name}: must be a one-dimensional array of bits 0 and 1")
    return array.astype(np.uint8)


def _binary(array: NDArray[np.generic]) -> bool:
    return bool(((array == 0) | (array == 1)).all())
