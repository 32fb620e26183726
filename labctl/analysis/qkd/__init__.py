"""Quantum keys: rates and bounds, error correction, privacy amplification.

Rates are per pulse unless a name says otherwise. Bit strings are uint8 arrays of 0 and 1.
"""

from labctl.analysis.qkd.cascade import cascade
from labctl.analysis.qkd.decoy import decoy_bounds, decoy_key_rate
from labctl.analysis.qkd.distil import Distilled, distil
from labctl.analysis.qkd.finite import FiniteKey, finite_key, finite_key_length
from labctl.analysis.qkd.rates import bbm92_key_rate, binary_entropy, max_qber, minimum_visibility
from labctl.analysis.qkd.toeplitz import toeplitz_hash

__all__ = [
    "Distilled",
    "FiniteKey",
    "bbm92_key_rate",
    "binary_entropy",
    "cascade",
    "decoy_bounds",
    "decoy_key_rate",
    "distil",
    "finite_key",
    "finite_key_length",
    "max_qber",
    "minimum_visibility",
    "toeplitz_hash",
]
