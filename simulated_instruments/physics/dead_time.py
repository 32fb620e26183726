"""Hard dead time: what comes too early after the last event that was seen is not seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def alive(times: Ints, dead: int, last: int) -> Ints:
    """The sorted times that are not within `dead` after the one before that was kept."""
    if not len(times) or dead <= 0:
        return times
    late = times[0] - last >= dead
    early = (times[1:] - times[:-1] < dead).nonzero()[0] + 1
    if not late:
        early = np.concatenate(([0], early))
    elif not len(early):
        return times
    kept = np.ones(len(times), dtype=bool)
    previous = last
    for n in early.tolist():
        if n and kept[n - 1]:
            previous = int(times[n - 1])
        kept[n] = int(times[n]) - previous >= dead
    return times[kept]
