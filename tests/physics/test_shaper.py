"""Filter model: set values, finite resolution, settling; against slow references."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulated_instruments.physics.shaper import ShaperModel

SIGMA = 0.010 / (2 * math.sqrt(2 * math.log(2)))  # THz, of 10 GHz full width at half maximum


def blocks(model: ShaperModel, lines, width=0.025):
    """Columns with a block of its own attenuation and phase around each line."""
    attenuation, phase = np.full(model.size, 60.0), np.zeros(model.size)
    port = np.zeros(model.size, dtype=int)
    for number, line in enumerate(lines):
        inside = (model.grid_thz >= line - width / 2 - 1e-9) & (
            model.grid_thz < line + width / 2 - 1e-9
        )
        attenuation[inside] = 0.5 * number
        phase[inside] = 0.7 * number
        port[inside] = 1 + number % 3
    return attenuation, phase, port


@pytest.mark.parametrize("fraction", [0.0, 0.0001, 0.0003, 0.0005, 0.0007, 0.00099])
def test_a_block_of_25_ghz_reads_its_set_value(fraction):
    model = ShaperModel()
    lines = 193.4 + fraction + 0.025 * np.arange(12)
    model.load(*blocks(model, lines), now=0.0)
    number = np.arange(12)
    expected = 10 ** (-0.5 * number / 20) * np.exp(0.7j * number)
    for port in (1, 2, 3, 4):
        routed = np.where(number % 3 == port - 1, expected, 0)
        assert np.abs(model.transfer(port, lines, 10.0) - routed).max() < 1e-3


def test_transfer_against_a_direct_convolution():
    model = ShaperModel()
    attenuation, phase, port = blocks(model, [193.40, 193.43, 193.441], width=0.012)
    model.load(attenuation, phase, port, now=0.0)
    amplitude = 10 ** (-attenuation / 20) * np.exp(1j * phase) * (attenuation < 60)
    f = 193.38 + 0.0007 * np.arange(120)
    for number in (1, 2, 3):
        weights = np.exp(-0.5 * ((f[:, None] - model.grid_thz) / SIGMA) ** 2)
        direct = weights @ (amplitude * (port == number)) / weights.sum(axis=1)
        # the kernel is cut at 12 GHz, which holds all but 0.5 % of the Gaussian
        assert np.abs(model.transfer(number, f, 10.0) - direct).max() < 6e-3


def test_resolution_is_10_ghz_in_amplitude():
    model = ShaperModel()
    columns = np.full(model.size, 60.0), np.zeros(model.size), np.zeros(model.size, dtype=int)
    columns[0][2000] = 0.0
    columns[2][2000] = 1
    model.load(*columns, now=0.0)
    line = model.grid_thz[2000]
    peak, half = np.abs(model.transfer(1, np.array([line, line + 0.005]), 10.0))
    assert half / peak == pytest.approx(0.5, rel=2e-3)


def test_settling_is_exponential_and_ends():
    model = ShaperModel()
    f = np.array([193.4])
    attenuation, phase, port = blocks(model, [193.4], width=0.1)
    model.load(attenuation, phase, port, now=5.0)
    assert model.settle_until == 6.0
    assert model.transfer(1, f, 4.0)[0] == model.transfer(1, f, 5.0)[0] == 0.0
    for dt in (0.01, 0.1, 0.5):
        assert model.transfer(1, f, 5.0 + dt)[0] == pytest.approx(1 - math.exp(-dt / 0.1))
    assert model.transfer(1, f, 6.0)[0] == 1.0
    # from 0 to pi the amplitude passes through zero, it does not turn
    model.load(attenuation, phase + math.pi, port, now=10.0)
    assert model.transfer(1, f, 10.0 + 0.1 * math.log(2))[0] == pytest.approx(0.0, abs=1e-12)


def test_loads_before_the_end_of_settling_compose():
    model = ShaperModel()
    f = np.array([193.4])
    on = blocks(model, [193.4], width=0.1)
    dark = np.full(model.size, 60.0), np.zeros(model.size), np.zeros(model.size, dtype=int)
    level, last = 0.0, 0.0
    for number, now in enumerate([1.0, 1.05, 1.12, 1.3, 1.31]):
        model.load(*(on if number % 2 == 0 else dark), now=now)
        target = 0.0 if number % 2 == 1 else 1.0
        if number:
            level = (1.0 - target) + (level - (1.0 - target)) * math.exp(-(now - last) / 0.1)
        last = now
        assert model.transfer(1, f, now)[0].real == pytest.approx(level)
    assert model.version == 5
    assert model.transfer(1, f, 9.0)[0] == 1.0


def test_outside_the_band_nothing_passes():
    model = ShaperModel()
    open_all = np.zeros(model.size), np.zeros(model.size), np.ones(model.size, dtype=int)
    model.load(*open_all, now=0.0)
    f = np.array([model.start_thz - 0.02, model.stop_thz + 0.02, 0.0, 1e6, 193.0])
    assert np.array_equal(model.transfer(1, f, 9.0), [0, 0, 0, 0, 1])
    edge = abs(model.transfer(1, np.array([model.start_thz]), 9.0)[0])
    assert 0.5 < edge < 0.56  # half of the kernel, and the point itself


def test_results_do_not_depend_on_what_was_asked_before():
    model, other = ShaperModel(), ShaperModel()
    lines = 193.4 + 0.025 * np.arange(5)
    columns = blocks(model, lines)
    for each in (model, other):
        each.load(*columns, now=0.0)
    for shift in range(100):  # more sets of lines than are remembered
        model.transfer(1, lines + 1e-5 * shift, 0.05)
    result = model.transfer(2, lines.reshape(5, 1), 0.3)
    assert result.shape == (5, 1)
    result[:] = 0.0  # belongs to the caller
    assert np.array_equal(model.transfer(2, lines, 0.3), other.transfer(2, lines, 0.3))
    assert abs(model.transfer(2, lines, 9.0)[1]) == pytest.approx(10 ** (-0.5 / 20))


def test_size_follows_the_band():
    assert ShaperModel().size == 5026
    wide = ShaperModel(187.275, 196.274, 2)
    assert wide.size == 9000  # rounding down would lose the end point
    assert wide.grid_thz[-1] == 196.274
