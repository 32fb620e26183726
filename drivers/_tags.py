"""What every time tagger hands over, whoever made it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TagBlock:
    """Tags of some channels since the block before."""

    #: Sorted times in ps by channel; with `indices`, times since the reference pulse before each.
    tags: dict[int, Ints]
    #: Number of that reference pulse since the recording began; empty if it was not asked for.
    indices: dict[int, Ints] = field(default_factory=dict)
    #: Tags that the tagger lost since the recording began, by channel.
    lost: dict[int, int] = field(default_factory=dict)

    @property
    def overflow_count(self) -> int:
        """Tags lost since the recording began, of all channels."""
        return sum(self.lost.values())

    def __len__(self) -> int:
        return sum(len(tags) for tags in self.tags.values())


def cut(times: Ints, indices: Ints | None, before: tuple[int, int]) -> int:
    """How many sorted events are before (index, time); without indices only the time counts."""
    index, time = before
    if indices is None:
        return int(np.searchsorted(times, time))
    start, end = np.searchsorted(indices, (index, index + 1))
    return int(start + np.searchsorted(times[start:end], time))
