"""Sifting: pairs against brute force, bits of correlated and opposite bases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.analysis.sifting import matched_pairs, sift
from labctl.analysis.timetags import count_coincidences

times = st.lists(st.integers(0, 60), max_size=12).map(
    lambda values: np.array(sorted(values), dtype=np.int64)
)


@given(times, times, st.integers(1, 9), st.integers(-20, 20))
def test_pairs_are_those_of_brute_force(start, stop, window, delay):
    i, j = matched_pairs(start, stop, window, delay)
    expected = [
        (a, b)
        for a in range(len(start))
        for b in range(len(stop))
        if -window <= 2 * (stop[b] - start[a] - delay) < window
    ]
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == expected
    assert len(i) == count_coincidences(start, stop, window, delay)


def test_bits_of_equal_bases_at_equal_times():
    alice = np.array([100, 200, 300, 400, 500, 600])
    bob = np.array([110, 205, 310, 405, 530, 590])
    #                 basis 0: 0 and 0; 1 and 0 (error); basis 1: 0 and 1; 1 and 1 (error)
    found = sift(alice, [0, 1, 2, 3, 0, 2], bob, [0, 0, 3, 3, 0, 0], window=40)
    assert found.alice.tolist() == [0, 1, 0, 1]  # the fifth is too late, the sixth in other bases
    assert found.bob.tolist() == [0, 0, 0, 0]
    assert found.basis.tolist() == [0, 0, 1, 1]
    assert found.errors == 2
    assert len(found) == 4
    shifted = sift(alice, [0] * 6, bob + 1000, [0] * 6, window=40, delay=1000)
    assert len(shifted) == 5


def test_nothing_gives_nothing():
    none = np.empty(0, dtype=np.int64)
    assert len(sift(none, none, none, none, window=10)) == 0


def test_impossible_input_is_named():
    one = np.array([1])
    with pytest.raises(ValueError, match="window"):
        matched_pairs(one, one, 0)
    with pytest.raises(ValueError, match="stop_detector must be 0 to 3"):
        sift(one, [0], one, [4], window=10)
    with pytest.raises(ValueError, match="as long as"):
        sift(one, [0, 1], one, [0], window=10)
