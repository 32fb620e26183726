"""Where the parts of a bench stand in its diagram: in columns, along the way of the light.

The layers of Sugiyama, Tagawa and Toda (1981): what feeds stands left of what is fed, a connection
over several columns has an empty cell in each of them, and cells stand near what they are
connected to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from labctl.benchfile import Connection

#: Height of an empty cell, through which a connection runs, in rows.
EMPTY = 0.6
#: Rounds of ordering and of placing; further ones change nothing that is seen.
ROUNDS = 6
#: Parts without a connection that stand side by side.
ACROSS = 5


@dataclass(frozen=True)
class Way:
    """How a connection runs: from the left one of its parts through empty cells to the right."""

    connection: Connection
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Column and row of every part and every empty cell, and what runs between them."""

    cells: dict[str, tuple[int, float]]
    parts: tuple[str, ...]
    ways: tuple[Way, ...]


def plan(names: Sequence[str], connections: Sequence[Connection]) -> Plan:
    """Lay out a bench.

    Args:
        names: instruments; those without a connection stand below the others.
        connections: what is connected to what.
    """
    column = _columns(connections)
    rows: dict[int, list[str]] = {}
    for name in column:
        rows.setdefault(column[name], []).append(name)
    ways = []
    for number, c in enumerate(connections):
        left, right = sorted((c.source, c.target), key=lambda end: column[end])
        empty = {f"→ {number}, {k}": k for k in range(column[left] + 1, column[right])}
        for cell, k in empty.items():
            rows[k].append(cell)
        ways.append(Way(c, (left, *empty, right)))
    left_of, right_of = _neighbours(ways)
    order = [rows[k] for k in sorted(rows)]
    order = _few_crossings(order, left_of, right_of, ways)
    height = _heights(order, column, left_of, right_of)
    found = {name: (k, height[name]) for k, cells in enumerate(order) for name in cells}
    below = max((row for _, row in found.values()), default=-1.0) + 1.0
    lonely = [name for name in names if name not in column]
    found.update({name: (i % ACROSS, below + i // ACROSS) for i, name in enumerate(lonely)})
    return Plan(found, (*column, *lonely), tuple(ways))


def _columns(connections: Sequence[Connection]) -> dict[str, int]:
    """The longest way from a source; what nothing feeds stands right before what it feeds first."""
    ends = dict.fromkeys(end for c in connections for end in (c.source, c.target))
    forward = _without_loops(connections)
    column = dict.fromkeys(ends, 0)
    for _ in ends:  # as many rounds as a chain can be long
        for source, target in forward:
            column[target] = max(column[target], column[source] + 1)
    fed = {target for _, target in forward}
    for name in ends:
        targets = [column[t] for s, t in forward if s == name]
        if name not in fed and targets:
            column[name] = min(targets) - 1
    return column


def _neighbours(ways: Iterable[Way]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    left_of: dict[str, list[str]] = {}
    right_of: dict[str, list[str]] = {}
    for way in ways:
        for left, right in pairwise(way.cells):
            if left != right:
                left_of.setdefault(right, []).append(left)
                right_of.setdefault(left, []).append(right)
    return left_of, right_of


def _few_crossings(
    order: list[list[str]], left_of: Mapping[str, list[str]], right_of: Mapping[str, list[str]],
    ways: Sequence[Way],
) -> list[list[str]]:  # fmt: skip
    """Order each column by where its neighbours stand, from both sides in turn; keep the best."""
    best, fewest = order, _crossings(order, ways)
    for turn in range(2 * ROUNDS):
        near = right_of if turn % 2 else left_of
        order = [list(cells) for cells in order]
        for cells in reversed(order) if turn % 2 else order:
            place = {name: i / len(column) for column in order for i, name in enumerate(column)}
            cells.sort(
                key=lambda n, place=place: fmean(place[m] for m in near[n])  # type: ignore[misc]
                if near.get(n) else place[n]
            )  # fmt: skip
        if (found := _crossings(order, ways)) < fewest:
            best, fewest = order, found
    return best


def _crossings(order: Sequence[Sequence[str]], ways: Sequence[Way]) -> int:
    place = {name: (k, i) for k, cells in enumerate(order) for i, name in enumerate(cells)}
    gaps: dict[int, list[tuple[int, int]]] = {}
    for way in ways:
        for left, right in pairwise(way.cells):
            gaps.setdefault(place[left][0], []).append((place[left][1], place[right][1]))
    return sum(
        (a[0] - b[0]) * (a[1] - b[1]) < 0
        for lines in gaps.values() for i, a in enumerate(lines) for b in lines[:i]
    )  # fmt: skip


def _heights(
    order: Sequence[Sequence[str]], parts: Mapping[str, int],
    left_of: Mapping[str, list[str]], right_of: Mapping[str, list[str]],
) -> dict[str, float]:  # fmt: skip
    """The row of each cell: near its neighbours, in order and apart."""
    height = {name: float(i) for cells in order for i, name in enumerate(cells)}
    size = {name: 1.0 if name in parts else EMPTY for name in height}
    for turn in range(2 * ROUNDS):
        near = right_of if turn % 2 else left_of
        for cells in reversed(order) if turn % 2 else order:
            wanted = [
                fmean(height[m] for m in near[n]) if near.get(n) else height[n] for n in cells
            ]
            height.update(zip(cells, _apart(wanted, [size[n] for n in cells]), strict=True))
    top = min(height.values(), default=0.0)
    return {name: row - top for name, row in height.items()}


def _apart(wanted: Sequence[float], sizes: Sequence[float]) -> list[float]:
    """Places in this order that overlap nowhere and lie nearest to those wanted (least squares)."""
    offsets = [0.0]
    for one, other in pairwise(sizes):
        offsets.append(offsets[-1] + (one + other) / 2)
    blocks: list[tuple[float, int]] = []  # mean and length: pool adjacent violators
    for place, offset in zip(wanted, offsets, strict=False):
        mean, count = place - offset, 1
        while blocks and blocks[-1][0] > mean:
            before, many = blocks.pop()
            mean, count = (mean * count + before * many) / (count + many), count + many
        blocks.append((mean, count))
    means = [mean for mean, count in blocks for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=False)]


def _without_loops(connections: Sequence[Connection]) -> list[tuple[str, str]]:
    """The connections in order, without those that would close a loop."""
    kept: list[tuple[str, str]] = []
    for c in connections:
        if not _reaches(kept, c.target, c.source):
            kept.append((c.source, c.target))
    return kept


def _reaches(edges: Sequence[tuple[str, str]], start: str, goal: str) -> bool:
    seen, open_ = {start}, [start]
    while open_:
        here = open_.pop()
        if here == goal:
            return True
        following = [t for s, t in edges if s == here and t not in seen]
        seen.update(following)
        open_ += following
    return False
