"""Keys of a block of detections: infinite and finite ones, equal on both sides."""

from __future__ import annotations

import numpy as np
import pytest

from procedures import decoy_rates
from procedures.decoy_keys import make_keys
from procedures.decoy_rates import LinkSettings

#: More decoys than the boards send usually: finite keys of small blocks.
LINK = LinkSettings((0.5, 0.1, 0.0), (2, 1, 1), 0.0, 1, 1.16, 1.0)
PULSES, ETA, ERROR, DARK = 50_000_000, 0.04, 0.01, 1e-5


def detections(seed):
    """Intensity, basis, bit; basis, bit as read, of a link without dead time."""
    rng = np.random.default_rng(seed)
    gains = DARK + 1 - np.exp(-ETA * np.array(LINK.intensities))
    number = rng.binomial((PULSES * LINK.shares).astype(int), gains)
    intensity = np.repeat([0, 1, 2], number)
    basis, bit, own = rng.integers(0, 2, (3, number.sum()))
    noise = rng.random(number.sum()) < (DARK / gains)[intensity]
    wrong = rng.random(number.sum()) < np.where(noise | (basis != own), 0.5, ERROR)
    return np.stack([intensity, basis, bit, own, bit ^ wrong]).astype(np.uint8)


def keys(finite, found):
    return make_keys(found, PULSES, LINK, finite=finite, seed=iter(range(1, 9)).__next__)


def test_finite_keys_are_what_the_bound_leaves():
    found = detections(1)
    infinite, finite = keys(False, found), keys(True, found)
    assert list(infinite.keys) == [""]
    assert list(finite.keys) == ["X", "Y"]
    assert sum(finite.sifted) == finite.counts[decoy_rates.SIFTED].sum()
    for key in (*infinite.keys.values(), *finite.keys.values()):
        assert key.verified
        assert key.length > 1000
        np.testing.assert_array_equal(key.alice, key.bob)
    # The estimate has f = 1.16, the correction discloses a little less.
    rate, needed = decoy_rates.finite(finite.counts, LINK)
    assert needed == 0
    assert finite.delivered_bits / (PULSES / 1e9) == pytest.approx(rate, rel=0.05)
    per_bit = finite.delivered_bits / sum(finite.sifted)
    assert per_bit < infinite.delivered_bits / infinite.sifted[0]


def test_a_block_too_small_gives_no_finite_key_and_says_how_large():
    found = detections(2)[:, ::40]
    made = make_keys(found, PULSES // 40, LINK, finite=True, seed=iter(range(9)).__next__)
    assert made.delivered_bits == 0
    rate, needed = decoy_rates.finite(made.counts, LINK)
    assert rate == 0
    assert needed > made.counts[decoy_rates.SIFTED].sum()
    grown = made.counts * needed * 1.02 / made.counts[decoy_rates.SIFTED].sum()
    assert decoy_rates.finite(grown, LINK)[0] > 0


@pytest.mark.parametrize("finite", [False, True])
def test_without_detections_there_is_no_key(finite):
    made = keys(finite, np.zeros((5, 0), np.uint8))
    assert made.delivered_bits == 0
    assert np.isnan(made.mean("error_rate"))
