"""Voltages that make Gaussian light pulses, against the simulated modulator that smooths them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.errors import RequestError
from procedures.phonon_pulses import LEVEL_TIME, Pulse, drive, lit, pulse_pair
from simulated_instruments.physics.optomechanics_pulses import modulated

RISE = 12.0


def light(pulse: Pulse, rise: float = RISE):
    """What a modulator makes of the levels, which have gaps of nothing between them."""
    edges, volts = [0], []
    for level in drive(pulse, rise):
        if level.start > edges[-1]:
            edges.append(level.start)
            volts.append(0.0)
        edges.append(level.start + level.width)
        volts.append(level.volts)
    return modulated(np.diff(edges), volts, rise)


@pytest.mark.parametrize("fwhm", [20.0, 36.0, 47.0, 300.0])
@pytest.mark.parametrize("shift", [0.0, 3.0, 5.5])
def test_light_is_the_pulse_asked_for(fwhm, shift):
    pulse = Pulse(400 + 2 * fwhm + shift, fwhm)
    found = light(pulse)
    assert found.fwhm == pytest.approx(fwhm, abs=1.5)
    assert found.centre == pytest.approx(pulse.middle, abs=0.3)
    inside = found.fraction(pulse.end) - found.fraction(pulse.begin)
    assert inside > 0.98
    times = np.linspace(pulse.begin, pulse.end, 200)
    wanted = np.exp(-4 * math.log(2) * ((times - pulse.middle) / fwhm) ** 2)
    assert found.peak == pytest.approx(0.9, abs=0.15 if fwhm < 30 else 0.05)
    shape = np.interp(times, found.times, found.transmission) / found.peak
    assert shape == pytest.approx(wanted, abs=0.07)


def test_area_is_known_without_the_modulator():
    first, second = pulse_pair(36.0, 47.0, 30.0)
    assert light(first).area == pytest.approx(lit(36.0, RISE), rel=1e-3)
    assert light(second).area == pytest.approx(lit(47.0, RISE), rel=1e-3)


def test_levels_keep_the_time_of_the_generator():
    for level in drive(Pulse(200.0, 47.0), RISE):
        assert level.start % LEVEL_TIME == 0
        assert level.width == LEVEL_TIME
        assert 0 < level.volts <= 1


def test_delay_counts_from_end_to_begin():
    first, second = pulse_pair(36.0, 47.0, 30.0)
    assert second.begin - first.end == pytest.approx(30.0)
    with pytest.raises(RequestError, match="begin before the preparation pulse has ended"):
        pulse_pair(36.0, 47.0, -1.0)
    with pytest.raises(RequestError, match="cannot be made by modulators with a rise time of 50"):
        drive(first, 50.0)
