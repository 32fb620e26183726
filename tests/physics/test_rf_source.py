"""Microwave source: resolution, settling, reference, level, phase noise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulated_instruments.physics.rf_source import RfSourceModel
from simulated_instruments.world import World


def source(seed=1, **settings):
    return RfSourceModel(World(seed).seed_of, "rf", **settings)


def test_frequency_is_the_set_point_times_the_error_of_the_reference():
    ideal = source(frequency_hz=25e9)
    ideal.external_reference = lambda t: 0.0 * t
    assert ideal.external
    assert ideal.frequency_hz(3.0) == 25e9
    errors = [source(seed, frequency_hz=25e9).frequency_hz(0.0) / 25e9 - 1 for seed in range(300)]
    assert np.std(errors) == pytest.approx(2e-8, rel=4 / math.sqrt(600))
    skewed = source(frequency_hz=25e9)
    skewed.external_reference = lambda t: 1e-9 + 0.0 * t
    assert skewed.frequency_hz(np.array([1.0, 2.0])) == pytest.approx([25e9 + 25.0] * 2, abs=1e-4)
    skewed.reference_auto = False
    assert not skewed.external


def test_one_millihertz_and_eleven_milliseconds():
    model = source(frequency_hz=24e9)
    model.external_reference = lambda t: 0.0 * t
    model.advance(2.0)
    model.frequency = 24_123_456_789.12345
    assert model.frequency == pytest.approx(24_123_456_789.123, abs=1e-5)
    assert model.settled_at == 2.011
    assert model.frequency_hz(2.0) == 24e9
    assert abs(model.frequency_hz(2.0005) - model.frequency) == pytest.approx(
        123_456_789.123 / math.e, rel=1e-6
    )
    assert model.frequency_hz(2.011) == pytest.approx(24_123_456_789.123, abs=0.05)


def test_power():
    model = source(frequency_hz=25e9, power_dbm=10.0)
    assert model.power_dbm(5.0) == -math.inf
    assert np.all(model.power_dbm(np.arange(3.0)) == -math.inf)
    model.output = True
    assert model.power_dbm(5.0) == pytest.approx(10.0, abs=1.2)
    assert np.ptp(model.power_dbm(np.arange(0.0, 600.0))) < 0.1
    ten = model.power_dbm(5.0)
    model.power = 20.0
    assert model.unleveled
    assert model.power_dbm(5.0) == pytest.approx(ten + 5.0)  # at 25 GHz 15 dBm is all there is
    model.frequency = 10e9
    assert model.power_dbm(5.0) == pytest.approx(ten + 8.0)
    model.output = False
    assert not model.unleveled


def test_phase_noise():
    """-60 dBc/Hz at 1 Hz of a 20 GHz carrier: L(f) = (sigma / 2 pi f)^2 of a random walk."""
    model = source(frequency_hz=20e9)
    steps = np.diff(model.phase_rad(np.arange(0.0, 2000.0)))
    sigma = 2 * math.pi * math.sqrt(1e-6)
    assert steps.std() == pytest.approx(sigma, rel=4 / math.sqrt(2 * steps.size))
    model.frequency = 10e9
    assert np.diff(model.phase_rad(np.arange(3.0))) == pytest.approx(steps[:2] / 2)
