"""Search for an allocation: simulated annealing on the number of user pairs without a link."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

UNUSED = -1


def anneal(
    neighbours: NDArray[np.int64],
    owners: NDArray[np.int64],
    users: int,
    steps: int,
    seed: int,
) -> NDArray[np.int64]:
    """Exchange owners of labels until every two users share a link, or `steps` are used up.

    Args:
        neighbours: (labels, degree) indices of correlated labels, -1 for none.
        owners: (labels,) user of each label at the start, -1 for labels left out.
        users: N.
        steps: exchanges to try.
        seed: of the search.

    Returns:
        Owners of the labels; every two users share a link if the search succeeded.
    """
    from labctl.analysis.allocation._anneal import anneal as compiled  # only when planning

    found, _ = compiled(neighbours, owners.copy(), users, steps, np.random.default_rng(seed))
    return np.asarray(found)


def missing(
    neighbours: NDArray[np.int64], owners: NDArray[np.int64], users: int
) -> list[tuple[int, int]]:
    """The pairs of users that share no link."""
    linked = set()
    for label, row in enumerate(neighbours.tolist()):
        for other in row:
            if other >= 0 and owners[label] >= 0 and owners[other] >= 0:
                linked.add((int(owners[label]), int(owners[other])))
    return [(a, b) for a in range(users) for b in range(a + 1, users) if (a, b) not in linked]
