"""Which channels are correlated by four-wave mixing with given pumps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from operator import index
from typing import Any

from labctl.analysis.arguments import shown


@dataclass(frozen=True)
class Correlations:
    """The graph of all labels: an edge joins two labels that share photon pairs."""

    pumps: tuple[int, ...]

    @classmethod
    def of(cls, pumps: Sequence[int]) -> Correlations:
        """Check the pumps: two or three different whole numbers."""
        if not isinstance(pumps, Iterable):
            raise ValueError(f"pumps: must be two or three labels, got {shown(pumps)}")
        labels = [_label(pump) for pump in pumps]
        if len(labels) not in (2, 3) or len(set(labels)) != len(labels):
            raise ValueError("pumps: must be two or three different labels, such as 0,10")
        return cls(tuple(sorted(labels)))

    @property
    def sums(self) -> tuple[int, ...]:
        """What the labels of a pair can add up to."""
        pairs = combinations_with_replacement(self.pumps, 2)
        return tuple(sorted({a + b for a, b in pairs}))

    @property
    def forbidden(self) -> frozenset[int]:
        """Pumps, and what they make by themselves: stimulated light at a + b - c."""
        return frozenset(total - c for total in self.sums for c in self.pumps)

    def partners(self, label: int) -> tuple[int, ...]:
        """The usable labels that share pairs with `label`, ascending."""
        partners = (total - label for total in reversed(self.sums))
        return tuple(p for p in partners if p != label and p not in self.forbidden)


def _label(pump: Any) -> int:
    """A whole number, also one of numpy's."""
    try:
        if isinstance(pump, bool):
            raise TypeError
        return index(pump)
    except TypeError:
        raise ValueError(f"pumps: must be whole channel labels, got {shown(pump)}") from None
