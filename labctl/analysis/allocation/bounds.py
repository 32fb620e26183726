"""How few channels could possibly do, by counting ends of links.

A label has at most s partners, s being the number of sums of two pumps (3 for two pumps, 5 for
three at equal distances). A user with k labels therefore reaches at most s k others, and N users
need N (N - 1) ends of links in all. A finite set of labels cannot use all its s n ends, because
some of the partners lie outside: the least number of ends lost is known for equally spaced pumps.
"""

from __future__ import annotations

from itertools import pairwise

from labctl.analysis.allocation.correlations import Correlations

#: Ends that any set of two or more labels loses, by number of equally spaced pumps (found by
#: enumeration, which the tests repeat).
ENDS_LOST = {2: 3, 3: 8}


def fewest_channels(users: int, correlations: Correlations) -> int:
    """A number of channels below which no allocation exists."""
    reach = len(correlations.sums)
    others = users - 1
    by_user = users * -(-others // reach)
    pumps = correlations.pumps
    if len({b - a for a, b in pairwise(pumps)}) > 1:
        return max(by_user, users)
    by_ends = -(-(users * others + ENDS_LOST[len(pumps)]) // reach) if users > 2 else 2
    if len(pumps) == 2 and others % reach == 0 and users > 3:
        # With N q + 1 labels one user would hold q + 1 of them and have 3 ends to spare, all
        # others none. So that user would hold all labels that lose ends: exactly those of a block
        # of half-way labels, which loses only 3. But two of these are correlated with each other,
        # and a link from a user to himself wastes more.
        return users * (others // reach) + 2
    return max(by_user, by_ends, users)
