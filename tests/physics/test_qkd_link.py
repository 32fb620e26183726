"""The demultiplexer and the grid of the soliton-qkd world: values of the sheet."""

from __future__ import annotations

import numpy as np
import pytest

from simulated_instruments.worlds.qkd_link import (
    CHANNELS,
    INSERTION,
    QkdLinkWorld,
    filter_transmission,
)


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


def test_efficiency_of_a_link_follows_losses_and_gate():
    """25 km at 0.2 dB/km, 6.24 dB of the receiver, 15 %: and e^-1 at 150 ps beside the gate."""
    world = QkdLinkWorld(1)
    for voa in world.attenuators:
        voa.attenuation_db = 0.0
    world.advance(10.0)
    receiver, sender = world.receivers[0], world.transmitters[0]
    receiver.gate_delay, receiver.detectors = 500.0, 2
    lost = 5.0 + 6.24 + INSERTION[sender.channel - 1]
    lost += float(world.attenuators[0].loss_db(10.0)) - 0.8
    at_best = world.link(0, 10.0).eta
    assert at_best == pytest.approx(0.15 * 10 ** (-lost / 10), rel=1e-9)
    for beside in (350.0, 650.0):
        receiver.gate_delay = beside
        assert world.link(0, 10.0).eta / at_best == pytest.approx(np.exp(-1), rel=1e-9)
    receiver.gate_delay, receiver.detectors = 500.0, 1
    assert world.link(0, 10.0).eta == pytest.approx(at_best / 2, rel=1e-9)
