"""The inner loop of the search, compiled."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

HOT, COLD = 0.7, 0.12  #: temperatures, in missing links


@numba.njit(cache=True, nogil=True)
def anneal(
    neighbours: Ints, owners: Ints, users: int, steps: int, rng: np.random.Generator
) -> tuple[Ints, int]:
    """Anneal `owners` in place; return them with the number of pairs of users left unlinked."""
    labels, degree = neighbours.shape
    links = np.zeros((users, users), np.int64)
    for a in range(labels):
        for d in range(degree):
            b = neighbours[a, d]
            if b > a and owners[a] >= 0 and owners[b] >= 0:
                links[owners[a], owners[b]] += 1
                links[owners[b], owners[a]] += 1
    unlinked = 0
    for u in range(users):
        for v in range(u):
            unlinked += links[u, v] == 0
    best, best_owners = unlinked, owners.copy()
    for step in range(steps):
        if best == 0:
            break
        temperature = HOT * (COLD / HOT) ** (step / steps)
        a, b = int(rng.random() * labels), int(rng.random() * labels)
        if owners[a] == owners[b]:
            continue
        before = unlinked
        for turn in range(2):
            sign = -1 if turn == 0 else 1
            if turn == 1:
                owners[a], owners[b] = owners[b], owners[a]
            unlinked += _count(neighbours, owners, links, a, b, sign)
        if unlinked <= before or rng.random() < math.exp((before - unlinked) / temperature):
            if unlinked < best:
                best = unlinked
                best_owners[:] = owners
        else:
            _count(neighbours, owners, links, a, b, -1)
            owners[a], owners[b] = owners[b], owners[a]
            _count(neighbours, owners, links, a, b, 1)
            unlinked = before
    return best_owners, best


@numba.njit(cache=True, nogil=True)
def _count(neighbours: Ints, owners: Ints, links: Ints, a: int, b: int, sign: int) -> int:
    """Add or remove the links of two labels; return by how much the number unlinked changed."""
    change = 0
    for end in range(2):
        label = a if end == 0 else b
        user = owners[label]
        if user < 0:
            continue
        for d in range(neighbours.shape[1]):
            other = neighbours[label, d]
            if other < 0 or (end == 1 and other == a):
                continue  # the link between the two is counted once
            partner = owners[other]
            if partner < 0 or partner == user:
                continue
            before = links[user, partner]
            links[user, partner] = before + sign
            links[partner, user] = before + sign
            if before == 0:
                change -= 1
            elif before + sign == 0:
                change += 1
    return change
