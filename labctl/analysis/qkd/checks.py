"""What the functions on keys ask of their arguments; each error names the argument."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Bits = NDArray[np.uint8]
Array = NDArray[np.float64]


def real(value: ArrayLike, name: str, low: float, high: float = np.inf) -> Array:
    """Return finite real numbers from `low` to `high`, or say which argument is none."""
    try:
        array = np.asarray(value)
        if np.iscomplexobj(array):
            raise TypeError
        array = array.astype(float)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: must be a number or an array of numbers") from None
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: contains values that are not finite")
    if ((array < low) | (array > high)).any():
        limits = f"from {low:g} to {high:g}" if np.isfinite(high) else f"at least {low:g}"
        raise ValueError(f"{name}: must be {limits}")
    return array


def scalar(value: float, name: str, low: float, high: float = np.inf) -> float:
    """Return one finite number from `low` to `high`."""
    array = real(value, name, low, high)
    if array.ndim:
        raise ValueError(f"{name}: must be one number, got shape {array.shape}")
    return float(array)


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
    array = np.asarray(value)
    if array.ndim != 1 or array.dtype.kind not in "biu" or (array.size and not _binary(array)):
        raise ValueError(f"{name}: must be a one-dimensional array of bits 0 and 1")
    return array.astype(np.uint8)


def _binary(array: NDArray[np.generic]) -> bool:
    return bool(((array == 0) | (array == 1)).all())
