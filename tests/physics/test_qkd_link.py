"""The demultiplexer and the grid of the soliton-qkd world: values of the sheet."""

from __future__ import annotations

import numpy as np
import pytest

from simulated_instruments.worlds.qkd_link import CHANNELS, INSERTION, filter_transmission


@pytest.mark.parametrize(
    ("itu", "order", "offset"), [(27, 1, 6.531), (30, 7, 0.531), (34, 15, -7.469)]
)
def test_lines_slip_against_the_grid(itu, order, offset):
    """Lines 49 GHz apart from 1556.09 nm on, channels 100 GHz apart: 2 GHz per channel."""
    lines = 299_792_458 / 1556.09e-9 + 49e9 * np.arange(-40, 41)
    centre = 190e12 + 0.1e12 * itu
    nearest = int(np.argmin(np.abs(lines - centre)))
    assert nearest - 40 == order
    assert (lines[nearest] - centre) * 1e-9 == pytest.approx(offset, abs=0.005)


@pytest.mark.parametrize(
    ("ghz", "loss"),
    [(0, 4.95), (30, 5.68), (38, 7.96), (49, 18.79), (100, 27.95), (149, 27.95), (200, 47.95)],
)
def test_filter_of_a_channel(ghz, loss):
    for side in (-1e9, 1e9):
        passing = filter_transmission(np.array([CHANNELS[0] + side * ghz]), 1)
        assert -10 * np.log10(passing[0]) == pytest.approx(loss, abs=0.01)


def test_insertion_losses_are_within_what_is_published():
    found = [
        -10 * np.log10(filter_transmission(np.array([centre]), n + 1)[0])
        for n, centre in enumerate(CHANNELS)
    ]
    assert found == pytest.approx(INSERTION)
    assert (min(found), max(found)) == pytest.approx((4.7, 5.2))
