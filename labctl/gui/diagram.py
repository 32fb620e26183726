"""Where the parts of a bench stand in its diagram: in columns, along the way of the light."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.benchfile import Connection


def places(names: Sequence[str], connections: Sequence[Connection]) -> dict[str, tuple[int, int]]:
    """Column and row of every part; what feeds stands left of what is fed, loops apart.

    Args:
        names: instruments; those without a connection stand in a row below the others.
        connections: what is connected to what.
    """
    ends = dict.fromkeys(end for c in connections for end in (c.source, c.target))
    forward = _without_loops(connections)
    column = dict.fromkeys(ends, 0)
    for _ in ends:  # longest way from a source; as many rounds as a chain can be long
        for source, target in forward:
            column[target] = max(column[target], column[source] + 1)
    fed = {target for _, target in forward}
    for name in ends:  # what nothing feeds stands right before what it feeds first
        if name not in fed:
            column[name] = min(column[t] for s, t in forward if s == name) - 1
    rows: dict[int, list[str]] = {}
    for name in ends:
        rows.setdefault(column[name], []).append(name)
    order: dict[str, float] = {}
    for number in sorted(rows):  # next to what feeds them, so that few lines cross
        feeding = {
            name: [order[s] for s, t in forward if t == name and s in order]
            for name in rows[number]
        }
        rows[number].sort(key=lambda n: sum(feeding[n]) / len(feeding[n]) if feeding[n] else 0.0)
        order.update({name: float(row) for row, name in enumerate(rows[number])})
    found = {name: (number, row) for number in rows for row, name in enumerate(rows[number])}
    lonely = [name for name in names if name not in ends]
    below = max((row for _, row in found.values()), default=-1) + 1
    found.update({name: (i % 5, below + i // 5) for i, name in enumerate(lonely)})
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


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
