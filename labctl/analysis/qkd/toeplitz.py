"""Privacy amplification with Toeplitz matrices, multiplied by fast Fourier transform."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from labctl.analysis.arguments import shown
from labctl.analysis.qkd.checks import Bits
from labctl.analysis.qkd.checks import bits as checked_bits

#: Largest deviation from a whole number that still rounds safely.
SAFE_ROUNDING = 0.25


def toeplitz_hash(bits: ArrayLike, seed_bits: ArrayLike, length: int) -> Bits:
    """Hash n bits to `length` = m bits with T[i, j] = seed[i - j + n - 1], all modulo 2.

    Args:
        bits: the n bits to shorten.
        seed_bits: n + m - 1 random bits, public, used once; they define the matrix.
        length: m, from 0 to n.

    Raises:
        ValueError: an argument is no string of bits, or lengths do not fit.
    """
    key, seed = checked_bits(bits, "bits"), checked_bits(seed_bits, "seed_bits")
    if isinstance(length, bool) or not isinstance(length, int | np.integer) or length < 0:
        raise ValueError(f"length: must be a whole number from 0, got {shown(length)}")
    n, m = len(key), int(length)
    if m > n:
        raise ValueError(f"length: {m} bits cannot be made from {n}")
    if m == 0:
        return np.zeros(0, np.uint8)
    if len(seed) != n + m - 1:
        raise ValueError(f"seed_bits: must be {n + m - 1} bits (n + m - 1), got {len(seed)}")
    return _product(key, seed, m)


def _product(key: Bits, seed: Bits, m: int) -> Bits:
    """Rows n-1 to n+m-2 of the convolution; a circular one of length n+m-1 leaves them intact.

    Bits as -1/2 and 1/2 make sums of the order of sqrt(n), which single precision holds to 1e-3 at
    a million bits; what that takes away is whole numbers that are added again exactly.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    n = len(key)
    size = next_fast_len(n + m - 1, real=True)
    half = np.float32(0.5)
    product = rfft(seed.astype(np.float32) - half, size) * rfft(key.astype(np.float32) - half, size)
    sums = irfft(product, size)[n - 1 : n - 1 + m].astype(np.float64)
    running = np.concatenate([[0], np.cumsum(seed, dtype=np.int64)])
    counts = sums + 0.5 * (running[n : n + m] - running[:m]) + 0.5 * int(key.sum()) - n / 4
    whole = np.rint(counts)
    if n > 1 and np.abs(counts - whole).max() > SAFE_ROUNDING:
        middle = n // 2  # T = [T_left T_right]: two smaller products
        left = _product(key[:middle], seed[n - middle :], m)
        right = _product(key[middle:], seed[: n - middle + m - 1], m)
        return np.asarray(left ^ right, np.uint8)
    bits: Bits = (whole.astype(np.int64) & 1).astype(np.uint8)
    return bits
