"""Arrival times: rates, Franson peaks, correlations of outcomes; each within 4 sigma."""

import math

import numpy as np
import pytest

from simulated_instruments.physics.pair_tags import Link, Singles, draw

BLOCK = 10**10  # ps
LINEWIDTH, PATH = 200e6, 10_000
SECONDS = 10
ETA, PAIRS, BACKGROUND, WINDOW = 0.0918, 8.67e5, 59.5e3, 3200


def counted(start, stop, low, high):
    """Pairs with low <= stop - start < high, by another way than the analysis counts."""
    return int((np.searchsorted(stop, start + high) - np.searchsorted(stop, start + low)).sum())


def within(found, expected, sigmas=4.0, relative=0.0):
    assert abs(found - expected) <= sigmas * math.sqrt(expected) + relative * expected


@pytest.fixture(scope="module")
def detectors():
    """Ten seconds of one link with the phases of two bases: 0, and pi."""
    both = PAIRS * ETA**2
    links = [Link((0, 1), both, (0.995, 0.5, 0.5, 0.005))]
    singles = [Singles(user, PAIRS * ETA + BACKGROUND - both) for user in (0, 1)]
    blocks = [
        draw(n, n * BLOCK, BLOCK, links, singles, 2, linewidth_hz=LINEWIDTH, path_ps=PATH)
        for n in range(100 * SECONDS)
    ]
    return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]


def test_times_are_sorted_and_in_their_blocks(detectors):
    for times in detectors:
        assert (np.diff(times) >= 0).all()
        assert times[0] >= 0
        assert times[-1] < SECONDS * 100 * BLOCK


def test_every_detector_gets_a_quarter(detectors):
    for times in detectors:
        within(len(times), 139_091 * SECONDS / 4)


def test_three_peaks_of_unequal_paths(detectors):
    a, b = (np.sort(np.concatenate(detectors[4 * u : 4 * u + 4])) for u in (0, 1))
    for delay, expected in ((-PATH, 1644), (0, 3226), (PATH, 1644)):
        half = WINDOW // 2
        within(counted(a, b, delay - half, delay + half), expected * SECONDS)
    far = counted(a, b, 200_000, 200_000 + 10 * WINDOW)
    within(far, 10 * 139_091**2 * WINDOW * 1e-12 * SECONDS)


def test_sifted_bits_and_visibility(detectors):
    equal = opposite = 0
    for basis in (0, 1):
        for one in (0, 1):
            for other in (0, 1):
                found = counted(
                    detectors[2 * basis + one], detectors[4 + 2 * basis + other],
                    -WINDOW // 2, WINDOW // 2,
                )  # fmt: skip
                if one ^ other == basis:
                    equal += found
                else:
                    opposite += found
    within(equal + opposite, 1613.0 * SECONDS)
    visibility = (equal - opposite) / (equal + opposite)
    error = math.sqrt((1 - 0.971**2) / (1613.0 * SECONDS))
    assert abs(visibility - 0.9710) < 4 * error


def test_different_bases_are_not_correlated(detectors):
    found = {
        outcomes: counted(detectors[outcomes[0]], detectors[6 + outcomes[1]], -1600, 1600)
        for outcomes in ((0, 0), (0, 1), (1, 0), (1, 1))
    }
    mean = sum(found.values()) / 4
    for number in found.values():
        within(number, mean)


def test_partners_are_apart_as_lorentzian_lines_demand():
    blocks = [
        draw(n, n * BLOCK, BLOCK, [Link((0, 1), 1e5, (1.0,) * 4)], [], 2,
             linewidth_hz=LINEWIDTH, path_ps=0)
        for n in range(50)
    ]  # fmt: skip
    a = np.sort(np.concatenate([t for block in blocks for t in block[:4]]))
    b = np.sort(np.concatenate([t for block in blocks for t in block[4:]]))
    assert len(a) == len(b)
    for window in (800, 1600, 3200):
        share = 1 - math.exp(-math.pi * LINEWIDTH * window * 1e-12)
        accidental = 1e5 * window * 1e-12 * (1 - share)
        expected = len(a) * (share + accidental)
        assert counted(a, b, -window // 2, window // 2) == pytest.approx(
            expected, abs=4 * math.sqrt(len(a) * share * (1 - share))
        )


def test_a_seed_is_a_block():
    links, singles = [Link((0, 1), 5e4, (1.0,) * 4, (50_000, -70_000))], [Singles(1, 1e5)]

    def block(seed):
        return draw(seed, 0, BLOCK, links, singles, 2, linewidth_hz=LINEWIDTH, path_ps=PATH)

    first, again, other = block(1), block(1), block(2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    assert all(((t >= 0) & (t < BLOCK)).all() for t in first)


def test_darkness():
    assert [len(t) for t in draw(1, 0, BLOCK, [], [], 2, linewidth_hz=1e8, path_ps=0)] == [0] * 8
