"""Counts of a decoy-state link: closed forms of the sheet, and blocks against single clicks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labctl.analysis.qkd import decoy_bounds, decoy_key_rate
from simulated_instruments.physics.decoy_bb84 import (
    CLOCK,
    Link,
    PulseTrain,
    draw_counts,
    settings_of,
)

TR1 = Link((0.50, 0.16, 0.008), eta=1.8033e-3, dark=1e-6)
TR2 = Link((0.60, 0.06, 0.008), eta=3.6065e-3, dark=2e-6, detectors=2)
FAR1 = Link((0.50, 0.16, 0.008), eta=5.7024e-4, dark=1e-6)
FAR2 = Link((0.60, 0.06, 0.008), eta=3.6065e-4, dark=2e-6, detectors=2)


@pytest.mark.parametrize(
    ("link", "gains", "errors", "y1", "e1", "clicks", "sifted", "rate"),
    [
        (TR1, (9.1495e-4, 3.0221e-4, 2.8160e-5), (2.671, 4.134, 25.4), 1.7173e-3, 0.02856,
         7.825e5, 3.821e5, 98.08e3),
        (TR2, (2.1936e-3, 2.4844e-4, 6.0933e-5), (2.653, 8.155, 27.2), 3.5445e-3, 0.02591,
         1.8226e6, 9.034e5, 212.16e3),
        (FAR1, (2.9012e-4, 9.6273e-5, 9.6005e-6), (2.784, 4.465, 27.2), 5.4370e-4, 0.02922,
         2.622e5, 1.280e5, 31.65e3),
        (FAR2, (2.2141e-4, 2.6677e-5, 7.9237e-6), (3.043, 11.03, 32.5), 3.5624e-4, 0.02844,
         2.005e5, 9.932e4, 20.16e3),
    ],
)  # fmt: skip
def test_links_of_the_sheet(link, gains, errors, y1, e1, clicks, sifted, rate):
    assert link.gains == pytest.approx(gains, rel=1e-3)
    assert 100 * link.errors == pytest.approx(errors, rel=3e-3)
    _, found_y1, found_e1 = decoy_bounds(link.levels, link.gains, link.errors)
    assert (found_y1, found_e1) == pytest.approx((y1, e1), rel=1e-3)
    per_second = CLOCK * link.live
    assert link.shares @ link.gains * per_second == pytest.approx(clicks, rel=1e-3)
    assert link.shares[0] * link.gains[0] / 2 * per_second == pytest.approx(sifted, rel=1e-3)
    per_pulse = decoy_key_rate(link.levels, link.gains, link.errors) * link.shares[0]
    assert per_pulse * per_second == pytest.approx(rate, rel=1e-3)


def net(link, change=1.0, efficiency=1.16):
    """Secret bits per second before the share of post-processing; eta times `change`."""
    changed = replace(link, eta=link.eta * change)
    per_pulse = decoy_key_rate(changed.levels, changed.gains, changed.errors, efficiency)
    return per_pulse * changed.shares[0] * CLOCK * changed.live


def decibel(loss):
    return 10 ** (-loss / 10)


def test_net_rates_and_their_ratio():
    assert 0.80 * net(TR1) == pytest.approx(78.47e3, rel=1e-3)
    assert 0.925 * net(TR2) == pytest.approx(196.24e3, rel=1e-3)
    assert 0.80 * net(TR1) == pytest.approx(78_764, rel=4.5e-3)  # published
    assert 0.925 * net(TR2) == pytest.approx(195_360, rel=4.6e-3)
    assert net(TR2) / net(TR1) == pytest.approx(2.16, abs=0.01)
    assert (195_360 / 78_764) / (net(TR2) / net(TR1)) == pytest.approx(1.15, abs=0.01)


@pytest.mark.parametrize(
    ("loss", "shares"),
    [(3, (0.41, 0.48)), (4, (0.50, 0.58)), (5, (0.62, 0.71)), (6, (0.76, 0.88)), (7, (0.95, 1.08))],
)
def test_the_rate_fixes_only_transmission_times_share(loss, shares):
    found = [rate / net(link, decibel(loss - 6.24)) for link, rate in
             ((TR1, 78_764), (TR2, 195_360))]  # fmt: skip
    assert found == pytest.approx(shares, abs=0.011)


@pytest.mark.parametrize(
    ("afterpulse", "qber", "rate"),
    [(0.0, 2.00, 118e3), (0.005, 2.23, 111e3), (0.015, 2.67, 98e3), (0.03, 3.34, 79e3)],
)
def test_the_error_rate_fixes_only_misalignment_and_noise(afterpulse, qber, rate):
    link = replace(TR1, afterpulse=afterpulse)
    assert 100 * link.errors[0] == pytest.approx(qber, abs=0.01)
    assert net(link) == pytest.approx(rate, abs=0.6e3)


def test_insertion_loss_moves_the_rate():
    assert net(TR1, decibel(4.70 - 4.95)) == pytest.approx(103.5e3, rel=2e-3)
    assert net(TR1, decibel(5.20 - 4.95)) == pytest.approx(92.9e3, rel=2e-3)


@pytest.mark.parametrize(("link", "distance"), [(TR1, 118.7), (TR2, 120.3)])
def test_where_keys_end(link, distance):
    assert net(link, decibel(0.2 * (distance - 0.1 - 25.0))) > 0
    assert net(link, decibel(0.2 * (distance + 0.1 - 25.0))) == 0


@pytest.mark.parametrize("link", [TR1, TR2])
def test_blocks_scatter_as_they_should(link):
    rng = np.random.default_rng(1)
    blocks = [draw_counts(link, CLOCK, rng) for _ in range(400)]
    wrong = np.array([b.wrong[0] / b.sifted[0] for b in blocks])
    expected = link.errors[0]
    sifted = np.mean([b.sifted[0] for b in blocks])
    sigma = np.sqrt(expected * (1 - expected) / sifted)
    assert wrong.mean() == pytest.approx(expected, abs=4 * sigma / 20)
    assert wrong.std() == pytest.approx(sigma, rel=0.15)  # 0.026 % for TR1
    for block in blocks[:20]:
        assert block.sent.sum() == CLOCK
        assert (block.clicks <= block.sent).all()
        assert (block.wrong <= block.sifted).all()


@pytest.mark.parametrize("link", [TR1, TR2])
def test_single_clicks_agree_with_blocks(link):
    """Every count of 0.2 s, pulse by pulse, within 4 sigma of the block's expectation."""
    pulses, stretches, seed = 10_000_000, 20, 77
    train = PulseTrain(seed, lambda n: np.random.default_rng([5, n]))
    sent = np.zeros(3)
    clicks, sifted, wrong = np.zeros(3), np.zeros(3), np.zeros(3)
    for number in range(stretches):
        first = number * pulses
        found = train.next(link, first, pulses)
        assert (np.diff(found.pulse) >= 0).all()
        what = settings_of(seed, (found.pulse + first).astype(np.uint64), link)
        same = what.basis == found.basis
        clicks += np.bincount(what.intensity, minlength=3)
        sifted += np.bincount(what.intensity[same], minlength=3)
        wrong += np.bincount(what.intensity[same & (what.bit != found.bit)], minlength=3)
    sent = link.shares * pulses * stretches
    expected = sent * link.gains * link.live
    for found, mean in (
        (clicks, expected),
        (sifted, expected / 2),
        (wrong, expected / 2 * link.errors),
    ):
        assert (np.abs(found - mean) < 4 * np.sqrt(mean) + 0.004 * mean).all()


def test_settings_have_the_right_shares_and_are_functions_of_the_number():
    numbers = np.arange(10**6, dtype=np.uint64) + np.uint64(2**40)
    what = settings_of(3, numbers, TR1)
    share = np.bincount(what.intensity, minlength=3) / len(numbers)
    assert share == pytest.approx(TR1.shares, abs=2e-3)
    assert what.basis.mean() == pytest.approx(0.5, abs=2e-3)
    assert what.bit.mean() == pytest.approx(0.5, abs=2e-3)
    again = settings_of(3, numbers[::-1], TR1)
    np.testing.assert_array_equal(again.bit[::-1], what.bit)
    assert abs(np.corrcoef(what.bit, what.basis)[0, 1]) < 4e-3
    other = settings_of(4, numbers, TR1)
    assert abs(np.corrcoef(what.bit, other.bit)[0, 1]) < 4e-3


def test_dead_detectors_do_not_click():
    bright = Link((0.5, 0.16, 0.008), eta=0.5, dark=0.0, afterpulse=0.0, dead_time=100e-9)
    train = PulseTrain(1, np.random.default_rng)
    pulse = np.concatenate(
        [train.next(bright, n * 100_000, 100_000).pulse + n * 100_000 for n in range(5)]
    )
    assert np.diff(pulse).min() >= 100
    assert len(pulse) > 4000


def test_without_light_there_is_only_noise():
    dark = Link((0.0, 0.0, 0.0), dark=1e-4, afterpulse=0.0, dead_time=0.0)
    found = PulseTrain(1, np.random.default_rng).next(dark, 0, 10**7)
    assert len(found.pulse) == pytest.approx(1000, abs=130)
    assert found.bit.mean() == pytest.approx(0.5, abs=0.07)
