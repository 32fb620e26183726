"""From sifted bits to a key: correct, verify, shorten."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

import numpy as np
from numpy.typing import ArrayLike

from labctl.analysis.arguments import scalar
from labctl.analysis.qkd.cascade import cascade
from labctl.analysis.qkd.checks import Bits
from labctl.analysis.qkd.checks import bits as checked_bits
from labctl.analysis.qkd.rates import binary_entropy
from labctl.analysis.qkd.toeplitz import toeplitz_hash

PRIME = 2**127 - 1
TAG_BITS = 127  #: of the hash that verifies the correction; it is disclosed
WORD_BYTES = 15
#: Shortening by this much more makes the key differ from a random one with probability 2^-32.
MARGIN_BITS = 64


@dataclass(frozen=True)
class Distilled:
    """A key, and what it cost."""

    alice: Bits
    bob: Bits
    verified: bool  #: whether the hashes agreed; there is no key if not
    error_rate: float  #: of the sifted bits, found by the correction
    leaked_bits: int  #: disclosed by correction and verification
    efficiency: float  #: f, parities disclosed relative to n H(error_rate)

    @property
    def length(self) -> int:
        """Secret bits."""
        return len(self.alice)


def distil(
    alice: ArrayLike,
    bob: ArrayLike,
    qber: float,
    seed: int,
    *,
    phase_error: float | None = None,
    unsafe_bits: float = 0.0,
    margin_bits: float = MARGIN_BITS,
) -> Distilled:
    """Correct, verify and shorten sifted bits: n [1 - H(e_p)] less all that was disclosed.

    Args:
        alice, bob: sifted bits of the same length n.
        qber: error rate to expect; it sets the blocks of the correction.
        seed: of the public random choices (shuffles and hash matrices).
        phase_error: error rate in the other basis; that found by the correction if not given.
        unsafe_bits: sifted bits that an eavesdropper knows anyway, such as multi-photon pulses;
            the phase error is that of the others.
        margin_bits: shortening beyond the entropy bound (leftover hash lemma).

    Returns:
        The two users' keys, equal if `verified`; of length 0 if nothing secret remains.
    """
    ours, theirs = checked_bits(alice, "alice"), checked_bits(bob, "bob")
    unsafe = scalar(unsafe_bits, "unsafe_bits", 0.0)
    margin = scalar(margin_bits, "margin_bits", 0.0)
    corrected, parities = cascade(ours, theirs, qber, seed)
    n = len(ours)
    rng = np.random.default_rng([seed, 1])  # not the numbers of the shuffles
    point = int.from_bytes(rng.bytes(16), "little") % PRIME
    verified = n > TAG_BITS and _fingerprint(ours, point) == _fingerprint(corrected, point)
    error = float(np.mean(corrected != theirs)) if n else 0.0
    entropy = n * float(binary_entropy(min(error, 0.5)))
    phase = min(error, 0.5) if phase_error is None else scalar(phase_error, "phase_error", 0, 0.5)
    leaked = parities + TAG_BITS
    length = 0
    if verified:
        secret = max(n - unsafe, 0.0) * (1 - float(binary_entropy(phase)))
        length = max(floor(secret - leaked - margin), 0)
    matrix = rng.integers(0, 2, max(n + length - 1, 0), dtype=np.uint8)
    key = toeplitz_hash(ours, matrix, length)
    same = np.array_equal(ours, corrected)  # saves the second product, not a check
    return Distilled(
        key,
        key if same else toeplitz_hash(corrected, matrix, length),
        verified,
        error,
        leaked,
        parities / entropy if entropy else float("nan"),
    )


def _fingerprint(bits: Bits, point: int) -> int:
    """The bits as coefficients of a polynomial, at a random point modulo a prime.

    Strings of n bits that differ agree with probability n / (120 * 2^127) (Carter and Wegman 1981).
    """
    packed = np.packbits(bits).tobytes()
    value = len(bits)
    for begin in range(0, len(packed), WORD_BYTES):
        word = int.from_bytes(packed[begin : begin + WORD_BYTES], "big")
        value = (value * point + word) % PRIME
    return value
