"""The Lugiato-Lefever equation against closed forms and converged reference values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import curve_fit

from simulated_instruments.physics.lle import (
    MODE_NUMBERS,
    Resonator,
    ansatz,
    background,
    comb_power,
    energy,
    lines,
)

PUMP, D2 = 20.0, 0.0047


def relaxed(zeta, places=(3.0,), dt=2e-3, modes=512):
    start = ansatz(PUMP, D2, zeta, np.array(places), modes)
    return Resonator(PUMP, D2, dt, modes=modes).relax(start, zeta, 30.0)


def width_of_envelope(psi):
    """Full width at half maximum, in lines, of a sech^2 fitted in dB; the pump line is left out."""
    modes = np.rint(np.fft.fftfreq(len(psi), 1 / len(psi)))
    chosen = (np.abs(modes) < 120) & (modes != 0)
    level = 10 * np.log10(lines(psi)[chosen])

    def envelope(mu, peak, scale):
        return peak - 20 * np.log10(np.cosh(mu / scale))

    (_, scale), _ = curve_fit(envelope, modes[chosen], level, p0=(level.max(), 36.0))
    return 2 * math.acosh(math.sqrt(2)) * abs(scale)


def test_one_soliton_at_the_working_point():
    psi = relaxed(15.0)
    assert energy(psi) == pytest.approx(0.2571, rel=0.01)
    assert comb_power(psi) == pytest.approx(0.1831, rel=0.01)
    assert np.max(np.abs(psi) ** 2) == pytest.approx(32.02, rel=0.01)
    width = width_of_envelope(psi)
    assert width == pytest.approx(65.34, rel=0.01)
    assert width * 49e-3 == pytest.approx(3.201, rel=0.01)  # THz
    power = np.where(MODE_NUMBERS == 0, 0.0, lines(psi))
    assert np.sum(power > power.max() / 100) == pytest.approx(220, abs=4)
    assert energy(psi) == pytest.approx(lines(psi).sum())


def test_one_soliton_nearer_to_resonance():
    psi = relaxed(10.0)
    found = energy(psi), comb_power(psi), width_of_envelope(psi)
    assert found == pytest.approx((0.3409, 0.1678, 55.01), rel=0.01)


@pytest.mark.parametrize(("dt", "width"), [(8e-3, 65.16), (4e-3, 65.30), (1e-3, 65.34)])
def test_steps_of_other_lengths(dt, width):
    assert width_of_envelope(relaxed(15.0, dt=dt)) == pytest.approx(width, rel=0.003)


def test_too_few_modes_show():
    assert width_of_envelope(relaxed(15.0, modes=256)) == pytest.approx(77, rel=0.01)


def test_more_modes_change_nothing():
    assert width_of_envelope(relaxed(15.0, modes=1024)) == pytest.approx(65.09, rel=0.01)


@pytest.mark.parametrize(("count", "power"), [(2, 0.361), (3, 0.534)])
def test_several_solitons(count, power):
    places = 0.5 + 2 * np.pi * np.arange(count) / count * 0.93
    assert comb_power(relaxed(15.0, places)) == pytest.approx(power, rel=0.01)


def test_beyond_the_limit_there_are_no_solitons():
    assert comb_power(relaxed(25.0)) < 1e-6  # pi^2 f^2 / 8 = 24.67
    assert comb_power(relaxed(24.0)) > 0.2


def test_widths_of_the_closed_form():
    """Full widths of sech^2(pi mu / 2k), in lines: 1.1222 k at -3 dB, 3.8113 k at -20 dB."""
    psi = ansatz(PUMP, D2, 15.0, np.array([0.0]))
    psi = psi - psi[256]  # without the background
    k = math.sqrt(15.0 / D2)
    level = 10 * np.log10(lines(psi)[:200] / lines(psi)[0])
    half_width = [np.interp(down, -level, np.arange(200)) for down in (10 * math.log10(2), 20.0)]
    assert 2 * half_width[0] / k == pytest.approx(1.1222, rel=2e-3)
    assert 2 * half_width[1] / k == pytest.approx(3.8113, rel=2e-3)
    assert half_width[1] / half_width[0] == pytest.approx(3.396, rel=2e-3)
    lines_in_20_db = 65.3 * half_width[1] / half_width[0]  # of an envelope of 3.2 THz
    assert lines_in_20_db == pytest.approx(221.8, abs=0.5)


@pytest.mark.parametrize(("zeta", "state"), [(5.0, "chaos"), (7.5, "breathes"), (10.0, "rests")])
def test_where_a_soliton_rests_breathes_and_dissolves(zeta, state):
    resonator = Resonator(PUMP, D2, 4e-3, np.random.default_rng(3))
    psi = resonator.relax(ansatz(PUMP, D2, zeta, np.array([3.0])), zeta, 15.0)
    seen = []
    for _ in range(24):
        psi = resonator.relax(psi, zeta, 0.25)
        seen.append(comb_power(psi))
    spread = np.std(seen) / np.mean(seen)
    if state == "chaos":
        assert np.mean(seen) > 1.5  # all of the ring, not one soliton
    elif state == "breathes":
        assert spread > 0.02
        assert np.mean(seen) < 0.3
    else:
        assert spread < 1e-3


def test_comb_power_grows_with_detuning():
    """+1.8 % per half linewidth near the working point, so 0.002 K (0.066) are 0.12 %."""
    low, high = comb_power(relaxed(14.0, dt=4e-3)), comb_power(relaxed(16.0, dt=4e-3))
    slope = (high - low) / (high + low)
    assert slope == pytest.approx(0.018, abs=0.0015)
    assert 0.066 * slope == pytest.approx(0.0012, abs=1e-4)


def solitons(psi):
    """How many there are: peaks of the power around the ring."""
    peaks = np.abs(psi) ** 2
    top = (peaks > 10) & (peaks > np.roll(peaks, 1)) & (peaks >= np.roll(peaks, -1))
    return int(np.sum(top))


def test_sweeps_without_heat_leave_9_to_15_solitons():
    found = []
    for seed in range(1, 5):
        resonator = Resonator(PUMP, D2, 4e-3, np.random.default_rng(seed))
        psi = resonator.run(np.full(512, 0.3 + 0j), np.linspace(-3.0, 15.0, 22_500))
        found.append(solitons(psi))
    assert np.mean(found) == pytest.approx(12, abs=2)
    assert all(7 <= count <= 17 for count in found)  # the range of 20 seeds is good to 2


def test_background_is_a_steady_state():
    psi = background(PUMP, 15.0)
    rest = -(1 + 15j) * psi + 1j * abs(psi) ** 2 * psi + math.sqrt(PUMP)
    assert abs(rest) < 1e-9
    flat = Resonator(PUMP, D2).relax(np.full(512, psi), 15.0, 5.0)
    assert np.allclose(flat, psi, atol=6e-3)  # a split step is off by the order of dt


def heated(seed, auxiliary, begin, end, units, dt=4e-3, chunk=25):
    """Sweep the laser while light heats the ring: tau 10, c 12; returns the field at the end."""
    resonator = Resonator(PUMP, D2, dt, np.random.default_rng(seed))
    psi, steps = np.full(512, 0.3 + 0j), round(units / dt)
    origin = theta = 12.0 * auxiliary / 1.25  # the auxiliary laser alone, half a half linewidth
    offset = theta - 0.5  # on the blue side
    for step in range(0, steps, chunk):
        laser = origin + begin + (end - begin) * step / steps
        psi = resonator.run(psi, np.full(chunk, laser - theta))
        heat = energy(psi) + auxiliary / (1 + (offset - theta) ** 2)
        theta += chunk * dt / 10.0 * (12.0 * heat - theta)
    return psi, origin + end - theta


@pytest.mark.parametrize("seed", [1, 2])
def test_heat_throws_the_ring_out_and_an_auxiliary_laser_holds_it(seed):
    alone, _ = heated(seed, 0.0, -3.0, 75.0, 350.0)
    assert comb_power(alone) < 1e-3
    held, _ = heated(seed, 18.3, -3.0, 15.0, 150.0)
    assert 7 <= solitons(held) <= 13  # eight seeds of the sheet leave 8 to 12
