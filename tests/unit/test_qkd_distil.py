"""Cascade, Toeplitz hashing and the whole way from sifted bits to a key."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.analysis.qkd import binary_entropy, cascade, distil, toeplitz_hash


def sifted(count, error, seed):
    rng = np.random.default_rng(seed)
    alice = rng.integers(0, 2, count, dtype=np.uint8)
    return alice, alice ^ (rng.random(count) < error)


def congruential(state, count):
    """The generator that the published test vector is made with."""
    found = []
    for _ in range(count):
        state = (1103515245 * state + 12345) % 2**31
        found.append((state >> 16) & 1)
    return np.array(found, np.uint8)


def by_definition(key, seed, m):
    n = len(key)
    rows = [[seed[i - j + n - 1] for j in range(n)] for i in range(m)]
    return (np.array(rows, int).reshape(m, n) @ key.astype(int) & 1).astype(np.uint8)


def test_toeplitz_vector_of_the_sheet():
    found = toeplitz_hash(congruential(1, 64), congruential(2, 79), 16)
    assert "".join(map(str, found)) == "1011011010001011"


@given(st.integers(1, 60), st.data())
def test_toeplitz_is_its_definition(n, data):
    m = data.draw(st.integers(1, n))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    key, seed = rng.integers(0, 2, n), rng.integers(0, 2, n + m - 1)
    np.testing.assert_array_equal(toeplitz_hash(key, seed, m), by_definition(key, seed, m))


def test_toeplitz_of_a_thousand_bits_and_in_two_halves(monkeypatch):
    rng = np.random.default_rng(4)
    key, seed = rng.integers(0, 2, 1001), rng.integers(0, 2, 1400)
    expected = by_definition(key, seed, 400)
    np.testing.assert_array_equal(toeplitz_hash(key, seed, 400), expected)
    monkeypatch.setattr("labctl.analysis.qkd.toeplitz.SAFE_ROUNDING", -1.0)  # never good enough
    np.testing.assert_array_equal(toeplitz_hash(key, seed, 400), expected)


def test_toeplitz_is_linear_at_a_million_bits():
    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 2, (2, 1_000_000), dtype=np.uint8)
    seed = rng.integers(0, 2, 1_300_000 - 1, dtype=np.uint8)
    of_sum = toeplitz_hash(a ^ b, seed, 300_000)
    np.testing.assert_array_equal(
        of_sum, toeplitz_hash(a, seed, 300_000) ^ toeplitz_hash(b, seed, 300_000)
    )
    row = 123_456  # one row by its definition
    window = seed[row : row + 1_000_000][::-1]
    assert of_sum[row] == int(window.astype(int) @ (a ^ b)) & 1


@pytest.mark.parametrize(
    ("error", "efficiency"), [(0.014, 1.13), (0.0267, 1.16), (0.05, 1.17), (0.078, 1.20)]
)
def test_cascade_corrects_everything_at_the_known_cost(error, efficiency):
    alice, bob = sifted(200_000, error, 7)
    corrected, leaked = cascade(alice, bob, error, seed=3)
    np.testing.assert_array_equal(corrected, alice)
    measured = np.mean(alice != bob)
    assert leaked / len(alice) / binary_entropy(measured) == pytest.approx(efficiency, abs=0.04)
    again = cascade(alice, bob, error, seed=3)
    np.testing.assert_array_equal(again[0], corrected)
    assert again[1] == leaked


@given(st.integers(0, 400), st.floats(0, 0.15), st.integers(0, 1000))
def test_cascade_never_tells_less_than_it_used(count, error, seed):
    """A correction that works must have disclosed the parities that single out the errors."""
    alice, bob = sifted(count, error, seed)
    corrected, leaked = cascade(alice, bob, max(error, 0.01), seed)
    assert corrected.shape == bob.shape
    errors = int(np.sum(alice != bob))
    if count and np.array_equal(corrected, alice) and errors:
        assert leaked >= np.log2(count)
    if not errors:
        np.testing.assert_array_equal(corrected, bob)


def test_cascade_does_not_look_at_alice_beyond_parities():
    """Two strings of Alice's with the same block parities and no errors cannot be told apart."""
    alice, _ = sifted(64, 0, 1)
    bob = alice.copy()
    bob[[0, 1]] ^= 1  # an even number of errors in every block of the only block there is
    corrected, leaked = cascade(alice, bob, 0.0, seed=2)
    np.testing.assert_array_equal(corrected, bob)
    assert leaked == 4


def test_distilled_keys_agree_and_are_as_long_as_the_entropy_leaves():
    alice, bob = sifted(100_000, 0.02, 11)
    key = distil(alice, bob, 0.02, seed=6)
    assert key.verified
    np.testing.assert_array_equal(key.alice, key.bob)
    assert key.error_rate == np.mean(alice != bob)
    expected = 100_000 * (1 - binary_entropy(key.error_rate)) - key.leaked_bits - 64
    assert key.length == pytest.approx(expected, abs=1)
    assert 0.45 < key.alice.mean() < 0.55
    less = distil(alice, bob, 0.02, seed=6, phase_error=0.05, unsafe_bits=1000)
    expected = 99_000 * (1 - binary_entropy(0.05)) - key.leaked_bits - 64
    assert less.length == pytest.approx(expected, abs=1)


def test_a_correction_that_failed_gives_no_key():
    alice, bob = sifted(2000, 0.05, 12)
    key = distil(alice, bob, 0.0, seed=1)  # blocks far too long for this error rate
    assert not key.verified
    assert key.length == 0


@pytest.mark.parametrize("count", [0, 1, 127, 128])
def test_too_few_bits_give_no_key(count):
    alice, bob = sifted(count, 0, 1)
    assert distil(alice, bob, 0.01, seed=1).length == 0


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: cascade([0, 1], [0], 0.1, 1), "bob"),
        (lambda: cascade([0, 2], [0, 1], 0.1, 1), "alice"),
        (lambda: cascade([0.0, 1.0], [0, 1], 0.1, 1), "alice"),
        (lambda: cascade([0, 1], [0, 1], 0.7, 1), "qber"),
        (lambda: toeplitz_hash([0, 1], [0, 1], 3), "length"),
        (lambda: toeplitz_hash([0, 1], [0, 1], 2), "seed_bits"),
        (lambda: toeplitz_hash([0, 1], [0, 1], True), "length"),
        (lambda: toeplitz_hash([[0, 1]], [0, 1], 1), "bits"),
        (lambda: distil([0, 1], [0, 1], 0.1, 1, phase_error=2), "phase_error"),
    ],
)
def test_wrong_arguments_are_named(call, argument):
    with pytest.raises(ValueError, match=f"^{argument}"):
        call()
