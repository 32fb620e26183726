"""Fewer points for the screen: each column of pixels keeps its lowest and its highest value."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Rows that are looked at in one piece: what is made anew for each frame must not grow with a run.
PIECE = 1 << 13


def rises(x: Floats) -> bool:
    """Whether no value is below the one before it, nor unknown."""
    ends = range(0, max(1, len(x) - 1), PIECE)
    return all((x[k + 1 : k + 1 + PIECE] >= x[k : k + PIECE][: len(x) - 1 - k]).all() for k in ends)


def any_finite(x: Floats, y: Floats) -> bool:
    """Whether any point has both; the last ones are looked at first."""
    ends = range(len(x), 0, -PIECE)
    return any(np.isfinite(x[max(0, k - PIECE) : k] + y[max(0, k - PIECE) : k]).any() for k in ends)


def visible(x: Floats, low: float, high: float) -> slice:
    """The part of rising `x` in [low, high], with one neighbour on each side."""
    first = int(np.searchsorted(x, low, side="left"))
    last = int(np.searchsorted(x, high, side="right"))
    return slice(max(0, first - 1), min(len(x), last + 1))


def envelope(x: Floats, y: Floats, buckets: int) -> tuple[Floats, Floats]:
    """At most `4 * buckets` points that, joined by lines, look like all of them.

    Consecutive points are cut into buckets; each gives its first and last point and those of its
    lowest and highest y, in their order, so no peak is lost. Only whole buckets of NaN are gaps.
    """
    count = len(y)
    if count <= 4 * buckets:
        return x, y
    size = -(-count // buckets)
    whole = count // size
    body = np.ascontiguousarray(y[: whole * size]).reshape(whole, size)
    low, high = _argext(body)
    starts = np.arange(whole) * size
    picked = np.stack([starts, starts + low, starts + high, starts + size - 1], axis=1)
    picked[:, 1:3].sort(axis=1)
    rows = picked.ravel()
    if whole * size < count:
        tail = y[whole * size :]
        low, high = _argext(tail[None, :])
        rest = np.sort(np.array([0, low[0], high[0], len(tail) - 1])) + whole * size
        rows = np.concatenate([rows, rest])
    return x[rows], y[rows]


def _argext(body: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Place of the lowest and the highest value of each row; NaN is neither."""
    if np.isnan(body.sum()):
        return (
            np.where(np.isnan(body), np.inf, body).argmin(axis=1),
            np.where(np.isnan(body), -np.inf, body).argmax(axis=1),
        )
    return body.argmin(axis=1), body.argmax(axis=1)
