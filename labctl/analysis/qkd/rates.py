"""Secret fractions of ideal, infinitely long keys."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from labctl.analysis.arguments import Array, scalar
from labctl.analysis.qkd.checks import MOST_EFFICIENCY, real


def binary_entropy(p: ArrayLike) -> Array | float:
    """Shannon entropy in bits of a coin with probability `p`; 0 at 0 and 1. Any shape."""
    from scipy.special import xlog1py, xlogy

    p = real(p, "p", 0.0, 1.0)
    entropy = np.maximum(-(xlogy(p, p) + xlog1py(1 - p, -p)) / np.log(2), 0.0)
    return float(entropy) if entropy.ndim == 0 else entropy


def bbm92_key_rate(
    sifted_rate: ArrayLike,
    bit_error: ArrayLike,
    phase_error: ArrayLike | None = None,
    efficiency: float = 1.2,
) -> Array | float:
    """Secret rate of entangled pairs, N [1 - f H(e_b) - H(e_p)], 0 where that is negative.

    Args:
        sifted_rate: sifted bits per second (or per anything else: the result has its unit).
        bit_error: error rate of the key basis, 0 to 0.5.
        phase_error: error rate of the other basis; that of the key basis if not given.
        efficiency: f, bits disclosed by error correction relative to H(e_b), at least 1.

    Source: M. Koashi and J. Preskill, PRL 90, 057902 (2003), with real error correction.
    """
    sifted = real(sifted_rate, "sifted_rate", 0.0)
    bit = real(bit_error, "bit_error", 0.0, 0.5)
    phase = bit if phase_error is None else real(phase_error, "phase_error", 0.0, 0.5)
    f = scalar(efficiency, "efficiency", 1.0, MOST_EFFICIENCY)
    try:
        fraction = 1 - f * np.asarray(binary_entropy(bit)) - np.asarray(binary_entropy(phase))
        rate = np.maximum(sifted * fraction, 0.0)
    except ValueError:
        raise ValueError("sifted_rate, bit_error, phase_error: shapes do not fit") from None
    return float(rate) if rate.ndim == 0 else rate


def max_qber(efficiency: float = 1.2) -> float:
    """Largest error rate, the same in both bases, that leaves a key: 0.0955 for f = 1.2."""
    f = scalar(efficiency, "efficiency", 1.0, MOST_EFFICIENCY)
    return float(brentq(lambda e: 1 - (1 + f) * float(binary_entropy(e)), 1e-12, 0.5, xtol=1e-15))


def minimum_visibility(efficiency: float = 1.2) -> float:
    """Smallest interference visibility that leaves a key, 1 - 2 `max_qber`: 0.8090 for f = 1.2."""
    return 1 - 2 * max_qber(efficiency)
