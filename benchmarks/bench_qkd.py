"""Keys: Cascade, Toeplitz against a zero-padded transform in double precision, and whole runs."""

from __future__ import annotations

import tempfile
import time
from statistics import median

import numpy as np


def timed(action, repeats=5):
    """Median seconds of `repeats` calls."""
    taken = []
    for _ in range(repeats):
        begun = time.perf_counter()
        action()
        taken.append(time.perf_counter() - begun)
    return median(taken)


def padded(key, seed, m):
    """The same product the plain way: zero-padded, double precision."""
    n = len(key)
    size = 1 << (2 * n + m - 2).bit_length()
    sums = np.fft.irfft(np.fft.rfft(seed, size) * np.fft.rfft(key, size), size)
    return np.rint(sums[n - 1 : n - 1 + m]).astype(np.int64) & 1


def kernels():
    from labctl.analysis.qkd import binary_entropy, cascade, toeplitz_hash

    rng = np.random.default_rng(0)
    alice = rng.integers(0, 2, 1_000_000, dtype=np.uint8)
    bob = alice ^ (rng.random(alice.size) < 0.027)
    taken = timed(lambda: cascade(alice, bob, 0.027, 1), 3)
    corrected, leaked = cascade(alice, bob, 0.027, 1)
    rate = float(np.mean(alice != bob))
    print(
        f"Cascade, 2.7 %: {1 / taken:.2f} Mbit/s, {int(np.sum(corrected != alice))} errors left, "
        f"f = {leaked / alice.size / binary_entropy(rate):.3f}"
    )
    m = 500_000
    seed = rng.integers(0, 2, alice.size + m - 1, dtype=np.uint8)
    ours = timed(lambda: toeplitz_hash(alice, seed, m))
    plain = timed(lambda: padded(alice, seed, m), 3)
    assert np.array_equal(toeplitz_hash(alice, seed, m), padded(alice, seed, m))
    print(f"Toeplitz, 1e6 bits in: {1 / ours:.1f} Mbit/s, {plain / ours:.1f} x zero-padded numpy")


def runs():
    from labctl.run.request import Request
    from labctl.run.runner import start

    jobs = {
        "soliton search": ("soliton-generation", {"hold": "0", "verify": "false"}),
        "an hour of both links": ("decoy-bb84", {"link": "both", "duration": "3600"}),
        "ten seconds of both links distilled": (
            "decoy-bb84", {"link": "both", "duration": "10", "keys": "distil"},
        ),
    }  # fmt: skip
    for what, (procedure, parameters) in jobs.items():
        with tempfile.TemporaryDirectory() as folder:
            request = Request(procedure=procedure, bench="soliton-qkd", parameters=parameters)
            begun = time.perf_counter()
            cpu = time.process_time()
            start(request, folder)
            print(
                f"{what}: {time.perf_counter() - begun:.1f} s "
                f"({time.process_time() - cpu:.1f} s of processor)"
            )


if __name__ == "__main__":
    kernels()
    runs()
