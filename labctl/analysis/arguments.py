"""Arguments that any caller may get wrong: each error names the argument, in one line."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

#: An argument is quoted with so many characters.
QUOTED = 60


def shown(value: Any) -> str:
    """What a caller gave, short enough for a message, in one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= QUOTED else f"{text[: QUOTED - 3]}..."


def any_array(value: ArrayLike, name: str) -> NDArray[Any]:
    """Return `value` as an array of any kind, or say which argument has no shape."""
    try:
        return np.asarray(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: must be an array, got {shown(value)}") from None


def float_array(value: ArrayLike, name: str) -> Array:
    """Return `value` as floats, or say which argument holds something else than real numbers."""
    array = any_array(value, name)
    try:
        if np.iscomplexobj(array):
            raise TypeError
        return array.astype(float)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}: must be real numbers, got {shown(value)}") from None


def finite_array(value: ArrayLike, name: str) -> Array:
    """Return `value` as floats, or say which argument is not an array of finite real numbers."""
    array = float_array(value, name)
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: contains values that are not finite")
    return array


def scalar(value: Any, name: str, low: float = -np.inf, high: float = np.inf) -> float:
    """Return one finite number from `low` to `high`, or say which argument is none."""
    array = finite_array(value, name)
    if array.ndim:
        raise ValueError(f"{name}: must be one number, got shape {array.shape}")
    within(array, name, low, high)
    return float(array)


def within(array: Array, name: str, low: float, high: float = np.inf) -> None:
    """Raise if a number lies outside `low` to `high`."""
    if ((array < low) | (array > high)).any():
        limits = f"from {low:g} to {high:g}" if np.isfinite(high) else f"at least {low:g}"
        raise ValueError(f"{name}: must be {limits}")
