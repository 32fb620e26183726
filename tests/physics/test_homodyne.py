"""Homodyne detection, comb and the interpolated ring."""

from __future__ import annotations

import numpy as np
import pytest

from simulated_instruments.physics.comb import Comb
from simulated_instruments.physics.homodyne import Detector, relative_variance
from simulated_instruments.physics.ring import ring_output
from simulated_instruments.physics.ring_table import LocalOscillator, Pumps, RingTable

GAMMA_HZ = 4.8354e6
HALF_MHZ = 0.5e6


def dbm(psd, rbw=100e3):
    return 10 * np.log10(psd * 1.0645 * rbw * 1e3)


def oscillator(**phases):
    """Equal powers on lines such as m16, p20 (minus 16, plus 20) with phases in rad."""
    weights = np.zeros(71, dtype=complex)
    for line, phase in phases.items():
        weights[35 + int(line[1:]) * (-1 if line[0] == "m" else 1)] = np.exp(1j * phase)
    return LocalOscillator(weights / np.linalg.norm(weights))


def arrays(*values):
    return [np.array([value], dtype=float) for value in values]


# --- detector -------------------------------------------------------------------------------


def test_published_pair_with_jitter():
    """-3.08 / +10.29 dB blurred by 0, 2 and 5 degrees."""
    squeezed, anti = 10**-0.308, 10**1.029
    number = (squeezed + anti - 2) / 4
    squeezing = (squeezed - anti) / 4
    for degrees, expected in ((0, -3.080), (2, -2.972), (5, -2.448)):
        v = relative_variance(number, squeezing, 1.0, 0.0, np.radians(degrees))
        assert 10 * np.log10(v) == pytest.approx(expected, abs=1e-3)


def test_jitter_is_the_mean_over_the_phase_and_a_quarter_turn_swaps():
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    s = 0.2
    swept = relative_variance(0.7, 1.0 + 0.2j, 0.6, 0.3 + s * nodes, 0.0)
    mean = swept @ (weights / weights.sum())
    assert relative_variance(0.7, 1.0 + 0.2j, 0.6, 0.3, s) == pytest.approx(mean)
    low = relative_variance(0.7, 1.0, 1.0, np.pi / 2, 0.0)
    assert low == pytest.approx(1 + 2 * (0.7 - 1.0))


def test_no_light_no_squeezing():
    assert relative_variance(3.0, 2.0, 0.0, 0.4, 0.1) == 1.0
    assert relative_variance(0.0, 0.0, 0.675, 0.4, 0.1) == 1.0


def test_levels_of_shot_and_dark_noise():
    detector = Detector()
    frequency = np.array([HALF_MHZ])
    assert dbm(detector.psd_w_per_hz(frequency, 0.0, 1.0)) == pytest.approx(-80, abs=0.02)
    both = detector.psd_w_per_hz(frequency, 1.0, 1.0)
    shot = both - detector.psd_w_per_hz(frequency, 0.0, 1.0)
    assert dbm(shot) == pytest.approx(-67, abs=0.001)
    twice = detector.psd_w_per_hz(frequency, 2.0, 0.5)
    assert twice == pytest.approx(both)  # two lines, half the noise of a coherent state


def test_dark_noise_rises_towards_zero_and_ends_with_the_band():
    detector = Detector()
    levels = detector.psd_w_per_hz(np.array([0.0, 1e3, 1e6, 1e9]), 0.0, 1.0)
    assert np.isfinite(levels).all()
    assert (np.diff(levels) < 0).all()
    assert levels[1] == pytest.approx(2 * levels[2], rel=1e-2)
    assert levels[3] == pytest.approx(levels[2] / 101, rel=1e-2)


# --- comb -----------------------------------------------------------------------------------


def test_comb_lines():
    comb = Comb()
    lines = comb.frequencies_thz(193.4e12)
    assert len(lines) == 71
    assert lines[35] == pytest.approx(193.4, abs=1e-9)
    np.testing.assert_allclose(np.diff(lines), 0.025, atol=1e-9)
    assert (comb.amplitudes() == 1).all()
    fallen = Comb(rolloff_db=3.0).amplitudes() ** 2
    assert fallen[35] == 1
    assert fallen[[0, 70]] == pytest.approx([10**-0.3] * 2)


# --- ring seen by a local oscillator ----------------------------------------------------------


def test_pumps_are_equal_when_the_setting_is():
    orders = np.arange(-35, 36)
    one = np.zeros(71, dtype=complex)
    one[35], one[34] = 0.5, 0.8j
    other = one + 1e-12
    assert Pumps.of(orders, one) == Pumps.of(orders, other)
    assert Pumps.of(orders, one).primary == -1
    assert Pumps.of(orders, 0 * one).primary == 0


def test_local_oscillator_phases_find_squeezing_and_antisqueezing():
    table = RingTable(0.001, GAMMA_HZ)
    pumps = Pumps(((0, 0.605**0.5),))
    levels = []
    for phase in np.arange(0, 2 * np.pi, np.pi / 18):
        lo = oscillator(m16=phase, p16=0.0)
        n, m = table.exact(pumps, lo, -0.128, 1.0, HALF_MHZ)
        levels.append(10 * np.log10(relative_variance(n, m, 0.675, 0.0, 0.1094)))
    assert min(levels) == pytest.approx(-3.0817, abs=1e-3)
    assert max(levels) == pytest.approx(10.2835, abs=1e-3)
    # <a_k a_l> = i |m|: the sum of the phases decides, -90 degrees squeeze
    lo = oscillator(m16=-np.pi / 4, p16=-np.pi / 4)
    n, m = table.exact(pumps, lo, -0.128, 1.0, HALF_MHZ)
    assert 10 * np.log10(relative_variance(n, m, 0.675, 0.0, 0.1094)) == pytest.approx(
        -3.0817, abs=2e-4
    )


SETS = [
    (Pumps(((0, 0.605**0.5),)), -0.128),
    (Pumps(((-1, 0.121**0.5), (0, 0.605**0.5))), -2.45),
    (Pumps(((-1, 0.605**0.5), (0, 0.121**0.5), (1, 0.0968**0.5))), -3.28),
]


@pytest.mark.parametrize(("pumps", "detuning"), SETS)
def test_interpolation_error(pumps, detuning):
    """Below 1e-4 at 0.5 MHz; 2e-3 at frequencies beside the grid."""
    table = RingTable(0.001, GAMMA_HZ)
    rng = np.random.default_rng(2)
    lo = oscillator(m16=-1.0, p16=-0.5, m17=0.2, p15=2.0)
    detunings = detuning + rng.uniform(-0.02, 0.02, 12)
    powers = np.exp(rng.uniform(-0.02, 0.02, 12))
    frequencies = np.where(np.arange(12) < 6, HALF_MHZ, rng.uniform(0, 5e6, 12))
    n, m = table.drifting(pumps, lo, detunings, powers, frequencies)
    for i in range(12):
        exact_n, exact_m = table.exact(pumps, lo, detunings[i], powers[i], frequencies[i])
        for phase in np.linspace(0, np.pi, 7):
            found = relative_variance(n[i], m[i], 1.0, phase, 0.0)
            exact = relative_variance(exact_n, exact_m, 1.0, phase, 0.0)
            assert found == pytest.approx(float(exact), rel=1e-4 if i < 6 else 2e-3)


def test_exact_is_the_ring_scaled_in_power():
    table = RingTable(0.001, GAMMA_HZ)
    pumps, detuning = SETS[2]
    lo = oscillator(m16=-1.0, p16=-0.5, m17=0.2, p15=2.0)
    amplitudes = {line: 0.9**0.5 * a for line, a in pumps.lines}
    state = ring_output(amplitudes, detuning, 0.001, -1, 0.7e6 / GAMMA_HZ)
    padded = np.zeros(91, dtype=complex)
    padded[10:81] = lo.weights
    assert table.exact(pumps, lo, detuning, 0.9, 0.7e6) == pytest.approx(
        state.moments.collective(padded), rel=1e-12
    )


def test_grid_points_are_solved_exactly_and_few():
    table = RingTable(0.001, GAMMA_HZ)
    lo = oscillator(m16=0.0, p16=0.0)
    pumps = SETS[0][0]
    n, m = table.drifting(pumps, lo, *arrays(-0.12, 1.0, HALF_MHZ))
    assert len(lo.seen) == 1
    assert (n[0], m[0]) == table.exact(pumps, lo, -0.12, 1.0, HALF_MHZ)


def test_interpolation_does_not_depend_on_company():
    """One long call and many short ones give the same bits, also in a fresh table."""
    rng = np.random.default_rng(4)
    detuning, frequency = -0.128 + np.cumsum(rng.normal(0, 1e-3, 30)), np.linspace(0.1e6, 3e6, 30)
    power = np.exp(np.cumsum(rng.normal(0, 1e-3, 30)))
    pumps = SETS[0][0]
    n, m = RingTable(0.001, GAMMA_HZ).drifting(
        pumps, oscillator(m16=0.3, p16=0.0), detuning, power, frequency
    )
    table, lo = RingTable(0.001, GAMMA_HZ), oscillator(m16=0.3, p16=0.0)
    for i in reversed(range(30)):
        one = table.drifting(pumps, lo, *arrays(detuning[i], power[i], frequency[i]))
        assert (one[0][0], one[1][0]) == (n[i], m[i])


def test_frozen_point_over_frequency():
    table = RingTable(0.001, GAMMA_HZ)
    lo, pumps = oscillator(m16=0.3, p16=0.0), SETS[0][0]
    frequencies = np.array([HALF_MHZ, 0.05e6, 1.7e6, 30e6])
    n, m = table.frozen(pumps, lo, -0.1234, 0.95, frequencies)
    for i, f in enumerate(frequencies):
        exact_n, exact_m = table.exact(pumps, lo, -0.1234, 0.95, f)
        assert n[i] == pytest.approx(exact_n, abs=1e-9 if i == 0 else 1e-3)
        assert m[i] == pytest.approx(exact_m, abs=1e-9 if i == 0 else 1e-3)


def test_far_outside_the_linewidth_the_ring_adds_nothing():
    table = RingTable(0.001, GAMMA_HZ)
    lo = oscillator(m16=-np.pi / 2, p16=0.0)
    n, m = table.drifting(SETS[0][0], lo, *arrays(-0.12, 1.0, 99e6))
    assert abs(1 + 2 * n + 2 * m.real - 1) < 0.01
    n, m = table.drifting(SETS[0][0], lo, *arrays(-0.12, 1.0, 101e6))
    assert (n[0], m[0]) == (0, 0)
