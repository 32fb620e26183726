"""What every function on time tags asks of its arguments; each error names the argument."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.analysis.arguments import any_array, shown

Tags = NDArray[np.int64]

#: Fewer tags than these are worked on with numpy: compiled kernels cost 0.5 s to load.
TINY = 50_000
#: Tags that are looked at together where that takes memory.
PART = 1_000_000
#: Times and delays (ps) stay below these, so that no sum of two and a delay overflows.
LARGEST_TIME = 1 << 61
LARGEST_DELAY = 1 << 60


def integers(value: ArrayLike, name: str) -> Tags:
    """Return a one-dimensional int64 array, or say which argument is none."""
    array = any_array(value, name)
    if array.ndim != 1:
        raise ValueError(f"{name}: must be a one-dimensional array, got shape {array.shape}")
    if not array.size:
        return np.empty(0, dtype=np.int64)
    if array.dtype.kind not in "iu":
        raise ValueError(
            f"{name}: must be integers (int64 picoseconds), got {array.dtype}; "
            "floating-point times lose picoseconds"
        )
    if array.dtype == np.uint64 and int(array.max()) >= LARGEST_TIME:
        raise ValueError(f"{name}: contains times beyond 2^61")
    return np.ascontiguousarray(array, dtype=np.int64)


def sorted_tags(value: ArrayLike, name: str) -> Tags:
    """Return ascending tags as int64, or say which argument is unsorted, and where."""
    array = integers(value, name)
    for begin in range(0, array.size - 1, PART):
        part = array[begin : begin + PART + 1]
        falling = part[1:] < part[:-1]
        if falling.any():
            place = begin + int(np.argmax(falling)) + 1
            raise ValueError(
                f"{name}: must be sorted, but element {place} ({array[place]}) is below the one "
                f"before it ({array[place - 1]})"
            )
    if array.size and max(-int(array[0]), int(array[-1])) >= LARGEST_TIME:
        raise ValueError(f"{name}: contains times beyond 2^61")
    return array


def whole(value: Any, name: str, minimum: int) -> int:
    """Return a whole number (2000.0 counts as one) between `minimum` and 2^60."""
    try:
        number = int(value)
        exact = not isinstance(value, bool | np.bool_) and bool(number == value)
    except (TypeError, ValueError, OverflowError):
        exact = False
    if not exact:
        raise ValueError(f"{name}: must be a whole number, got {shown(value)}")
    if not minimum <= number <= LARGEST_DELAY:
        raise ValueError(f"{name}: must be from {minimum} to 2^60, got {number}")
    return number
