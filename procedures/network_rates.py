"""Key rates of the network's links: of counted bits, and of the published table's own columns."""

from __future__ import annotations

import math

import numpy as np

from labctl.analysis.qkd import bbm92_key_rate, binary_entropy
from procedures.network_plan import TABLE_2


def link_rates(sifted: int, errors: int, seconds: float, efficiency: float) -> np.ndarray:
    """Sifted rate, error rate, asymptotic key rate and visibility, each with its standard error.

    Right and wrong bits are counted independently, each with the error of a count.
    """
    right, wrong = sifted - errors, errors

    def secret(right: float, wrong: float) -> float:
        total = right + wrong
        rate = min(wrong / total, 0.5)
        return total * (1.0 - (1.0 + efficiency) * float(binary_entropy(rate))) / seconds

    if not sifted:
        return np.array([0.0, 0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 1.0])
    rate = wrong / sifted
    spread = math.sqrt(max(rate * (1.0 - rate), 1.0 / sifted) / sifted)
    steps = (math.sqrt(max(right, 1)), math.sqrt(max(wrong, 1)))
    here = secret(right, wrong)
    error = math.hypot(
        secret(right + steps[0], wrong) - here,
        (secret(right, wrong + steps[1]) - secret(right, max(wrong - steps[1], 0.0))) / 2.0,
    )
    return np.array([
        sifted / seconds, math.sqrt(sifted) / seconds, rate, spread,
        max(here, 0.0), error, 1.0 - 2.0 * rate, 2.0 * spread,
    ])  # fmt: skip


def recomputed_table(efficiency: float) -> np.ndarray:
    """Table 2 from its own columns, by link: error rate, key from the visibility, key from the
    printed error rate.
    """
    rows = []
    for sifted, visibility, printed, _ in TABLE_2.values():
        rate = (1.0 - visibility) / 2.0
        keys = (bbm92_key_rate(sifted, e, efficiency=efficiency) for e in (rate, printed))
        rows.append([rate, *(float(key) for key in keys)])
    return np.array(rows)
