"""Allocation of channels to users, with a proof of optimality where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.allocation.bounds import fewest_channels
from labctl.analysis.allocation.correlations import Correlations
from labctl.analysis.allocation.search import UNUSED, anneal, missing
from labctl.analysis.arguments import shown

MOST_USERS = 30
STEPS = 3_000_000  #: exchanges tried in one search, at most
STEPS_PER_SQUARE = 2000  #: the same for few channels, times the square of their number
TRIES = 6  #: searches, each with other random numbers, before a channel is added
STARTS = 12  #: labels from which pools are grown; far fewer classes of labels differ
SPARE = 2  #: labels that a search may leave out, so that it chooses which


@dataclass(frozen=True)
class Plan:
    """Who gets which channels."""

    pumps: tuple[int, ...]
    labels: tuple[tuple[int, ...], ...]  #: channel labels of each user, ascending
    links: tuple[tuple[int, int, int, int], ...]  #: user, user, their labels: every correlated pair
    lower_bound: int  #: no allocation has fewer channels

    @property
    def users(self) -> int:
        """Number of users."""
        return len(self.labels)

    @property
    def channels(self) -> int:
        """Number of channels that are used."""
        return sum(map(len, self.labels))

    @property
    def proved_optimal(self) -> bool:
        """Whether no allocation with fewer channels exists."""
        return self.channels == self.lower_bound

    def linked(self) -> bool:
        """Whether every two users share a link."""
        pairs = {(a, b) for a, b, _, _ in self.links}
        return all((a, b) in pairs for a in range(self.users) for b in range(a + 1, self.users))


def plan_channels(users: int, pumps: Sequence[int] = (0, 10)) -> Plan:
    """Find an allocation with as few channels as possible that connects all users.

    Args:
        users: N, 2 to 30.
        pumps: labels of two or three pump lasers.

    Returns:
        The best plan found; `proved_optimal` says whether it is the best there is.

    Raises:
        ValueError: names the argument; or these pumps leave no usable channels.
    """
    if isinstance(users, bool) or not isinstance(users, int | np.integer):
        raise ValueError(f"users: must be a whole number, got {shown(users)}")
    if not 2 <= users <= MOST_USERS:
        raise ValueError(f"users: must be from 2 to {MOST_USERS}, got {users}")
    correlations = Correlations.of(pumps)
    bound = fewest_channels(int(users), correlations)
    for channels in range(bound, users * users + 1):
        for pool in _pools(correlations, channels):
            plan = _allocate(correlations, pool, channels, int(users), bound)
            if plan is not None:
                return plan
    raise ValueError(f"pumps: no allocation was found for pumps {correlations.pumps}")


def _pools(correlations: Correlations, channels: int) -> list[tuple[int, ...]]:
    """Well-connected sets of labels to choose `channels` from, one grown from each start."""
    low, high = correlations.pumps[0], correlations.pumps[-1]
    middle = sum(correlations.pumps) // len(correlations.pumps)
    starts = {*range(low, min(low + STARTS, high + 1)), (low + high) // 2, middle}
    pools: dict[tuple[int, ...], None] = {}
    for spare in (0, SPARE):
        for start in sorted(starts):
            pool = _grow(correlations, start, channels + spare)
            if pool is not None:
                pools.setdefault(pool)
    shapes: dict[tuple[object, ...], tuple[int, ...]] = {}
    for pool in pools:  # most starts give the same graph: one of each is enough
        neighbours = _neighbours(correlations, pool)
        degrees = sorted((neighbours >= 0).sum(axis=1).tolist())
        shapes.setdefault((len(pool), *degrees), pool)
    return sorted(shapes.values(), key=lambda p: (-_edges(correlations, p), len(p)))


def _grow(correlations: Correlations, start: int, size: int) -> tuple[int, ...] | None:
    """Add to `start`, one by one, the label with most partners in the set, the innermost first."""
    if start in correlations.forbidden:
        return None
    middle = sum(correlations.sums) / len(correlations.sums) / 2
    inside = {start}
    while len(inside) < size:
        near: dict[int, int] = {}
        for label in inside:
            for partner in correlations.partners(label):
                if partner not in inside:
                    near[partner] = near.get(partner, 0) + 1
        if not near:
            return None
        inside.add(min(near, key=lambda p: (-near[p], abs(p - middle), p)))
    return tuple(sorted(inside))


def _neighbours(correlations: Correlations, pool: tuple[int, ...]) -> NDArray[np.int64]:
    """Indices within the pool of the partners of each label, -1 for none."""
    place = {label: index for index, label in enumerate(pool)}
    table = np.full((len(pool), len(correlations.sums)), -1, np.int64)
    for row, label in zip(table, pool, strict=True):
        for column, partner in enumerate(correlations.partners(label)):
            row[column] = place.get(partner, -1)
    return table


def _edges(correlations: Correlations, pool: tuple[int, ...]) -> int:
    return int((_neighbours(correlations, pool) >= 0).sum()) // 2


def _allocate(
    correlations: Correlations, pool: tuple[int, ...], channels: int, users: int, bound: int
) -> Plan | None:
    """Search for an allocation of `channels` labels of the pool."""
    neighbours = _neighbours(correlations, pool)
    if 2 * _edges(correlations, pool) < users * (users - 1):
        return None
    shares = np.arange(channels) % users
    steps = min(STEPS, STEPS_PER_SQUARE * channels**2)
    for attempt in range(TRIES):
        start = np.full(len(pool), UNUSED, np.int64)
        order = np.random.default_rng([attempt, users]).permutation(len(pool))[:channels]
        start[order] = shares
        owners = anneal(neighbours, start, users, steps, attempt)
        if not missing(neighbours, owners, users):
            return _plan(correlations, pool, owners, users, bound)
    return None


def _plan(
    correlations: Correlations,
    pool: tuple[int, ...],
    owners: NDArray[np.int64],
    users: int,
    bound: int,
) -> Plan:
    owner = {label: int(user) for label, user in zip(pool, owners, strict=True) if user >= 0}
    labels = [tuple(sorted(x for x in owner if owner[x] == user)) for user in range(users)]
    links = []
    for label in sorted(owner):
        for partner in correlations.partners(label):
            if partner in owner and owner[label] < owner[partner]:
                links.append((owner[label], owner[partner], label, partner))
    return Plan(correlations.pumps, tuple(labels), tuple(sorted(links)), bound)
