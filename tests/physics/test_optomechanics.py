"""Pulsed optomechanics against independent calculations and the reference numbers of its sheet."""

from __future__ import annotations

import hashlib
import itertools
import math

import numpy as np
import pytest
from scipy.linalg import expm

from labctl.analysis.phonon_pairs import fit_delays
from simulated_instruments.physics.optomechanics import (
    Cavity,
    Heating,
    Readout,
    pattern_probabilities,
    prepared,
)
from simulated_instruments.physics.optomechanics_pulses import (
    GRID,
    Envelope,
    modulated,
)
from simulated_instruments.physics.optomechanics_trials import (
    Chances,
    RandomClicks,
    TrialSource,
    pair_law,
)

BLUE, RATIO, COLD, ETA = 0.0517, 1.86, 0.014, 0.07
RED = BLUE * RATIO**2
AREA_2 = -math.log(1 - 0.244)
A1, B1, A2, B2 = 1, 2, 4, 8


def g2_of(n: float, m: float) -> float:
    return 2 + m**2 / n**2


def light_g2(state) -> float:
    return g2_of(state.photons, (state.light[0] - state.light[1]) / 4)


def readout(
    delay: float = 30.0, blue: float = BLUE, red: float = RED, n_th: float = COLD
) -> Readout:
    return Readout(prepared(blue, red, n_th), n_th, delay, AREA_2, Heating(), blue, red)


def gaussian(centre: float, fwhm: float, begin: float, end: float) -> Envelope:
    times = np.arange(begin, end + GRID / 2, GRID)
    return Envelope(times, np.exp(-4 * np.log(2) * ((times - centre) / fwhm) ** 2))


FIRST, SECOND = gaussian(36, 36, 0, 72), gaussian(102 + 47, 47, 102, 196)


def patterns(cov: np.ndarray, first: float = 2.93e-3, second: float = 2.0e-4, dark: float = 10.0):
    background = np.array(
        [ETA / 2 * first + dark * 72e-9] * 2 + [ETA / 2 * second + dark * 94e-9] * 2
    )
    return pattern_probabilities(cov, np.full(4, ETA / 2), background)


def clicking(p: np.ndarray, bits: int) -> float:
    return float(p[(np.arange(16) & bits) == bits].sum())


# --- the state --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "n_th", "g2"),
    [(1.86, 0.0, 5.4596), (1.86, 0.014, 5.23898), (1.0, 0.0, 3.0), (1.5, 0.05, 4.01457)],
)
@pytest.mark.parametrize("area", [0.003, 0.0517, 0.8])
def test_light_depends_on_the_ratio_of_tones_and_temperature_alone(ratio, n_th, g2, area):
    assert light_g2(prepared(area, area * ratio**2, n_th)) == pytest.approx(g2, rel=1e-5)


def test_state_after_both_tones():
    state = prepared(BLUE, RED, COLD)
    assert state.photons == pytest.approx(0.051579, rel=1e-4)
    assert state.phonons == pytest.approx(0.0608762, rel=1e-5)
    assert g2_of(state.phonons, state.anomalous) == pytest.approx(4.20025, rel=1e-5)


def test_single_tones():
    blue, red = prepared(BLUE, 0.0, COLD), prepared(0.0, RED, COLD)
    assert blue.photons == pytest.approx(0.0538026, rel=1e-5)
    assert red.photons == pytest.approx(0.00229289, rel=1e-5)
    assert light_g2(blue) == pytest.approx(2.0)
    assert light_g2(red) == pytest.approx(2.0)


def test_equal_tones_are_no_pole():
    near, at = prepared(0.05, 0.05 * (1 + 1e-9), COLD), prepared(0.05, 0.05, COLD)
    assert at.light == pytest.approx(near.light, rel=1e-7)
    assert at.motion == pytest.approx(near.motion, rel=1e-7)
    assert light_g2(at) == pytest.approx(
        2 + 1 / (1 + 0) ** 2 * (at.light[0] - at.light[1]) ** 2 / 16 / at.photons**2
    )


@pytest.mark.parametrize(
    ("blue", "red"), [(0.0517, 0.1789), (0.3, 0.1), (0.05, 0.0), (0.0, 0.2), (0.2, 0.2)]
)
def test_pure_input_stays_pure(blue, red):
    # light and motion together come from vacuum by a symplectic map: symplectic eigenvalues are 1
    state = prepared(blue, red, 0.0)
    blocks = [
        np.array([[a, c], [c, m]])
        for a, m, c in zip(state.light, state.motion, state.cross, strict=True)
    ]
    eigenvalues = np.sqrt(np.linalg.eigvals(blocks[0] @ blocks[1]).real)
    assert eigenvalues == pytest.approx([1, 1], abs=1e-9)


def fock(modes_cut: int = 12):
    a = np.diag(np.sqrt(np.arange(1, modes_cut)), 1)
    one = np.eye(modes_cut)
    return np.kron(a, one), np.kron(one, a), modes_cut


def test_closed_evolution_in_number_states():
    """The exact two-mode evolution that the literature's second-order term approximates."""
    a, m, cut = fock()
    g_b = math.sqrt(BLUE)
    h = g_b * (RATIO * (a.T @ m) + a.T @ m.T)
    u = expm(-1j * (h + h.T))
    p = np.abs(u[:, 0].reshape(cut, cut)) ** 2
    number = np.arange(cut)
    assert p.sum(axis=1) @ number == pytest.approx(0.0495454, rel=1e-5)
    assert p[1, 1] == pytest.approx(0.03763, rel=1e-3)
    assert p[2, 0] == pytest.approx(0.00367, rel=2e-3)
    assert p[0, 2] == pytest.approx(0.00367, rel=2e-3)
    assert p[2, 2] == pytest.approx(0.001210, rel=1e-3)


def test_closed_evolution_of_a_thermal_start():
    a, m, cut = fock(14)
    g_b = math.sqrt(BLUE)
    h = g_b * (RATIO * (a.T @ m) + a.T @ m.T)
    u = expm(-1j * (h + h.T))
    weights = COLD ** np.arange(cut) / (1 + COLD) ** np.arange(1, cut + 1)
    p = sum(w * np.abs(u[:, k].reshape(cut, cut)) ** 2 for k, w in enumerate(weights[:6]))
    number = np.arange(cut)
    for axis, n, g2 in ((1, 0.0526387, 5.23898), (0, 0.0618393, 4.22077)):
        q = p.sum(axis=axis)
        assert q @ number == pytest.approx(n, rel=1e-4)
        assert q @ (number * (number - 1)) / (q @ number) ** 2 == pytest.approx(g2, rel=1e-3)


def test_a_cavity_that_does_not_follow_at_once_gives_the_same_correlation():
    """Finite kappa: two-time correlations of the outgoing light of a square pulse, with ring-down."""
    kappa, length = 2 * math.pi * 0.7, 36.0  # 1/ns, ns
    g_b = math.sqrt(BLUE * kappa / 4 / length)
    g_r = RATIO * g_b
    # quadratures (a_x, m_p) and (a_p, m_x) do not mix: d a = -kappa/2 a - i (g_r m + g_b m^)
    step, total = 0.1, 46.0
    count = int(total / step)
    n_out = np.zeros((2, count, count))
    for k, (forth, back) in enumerate(((g_r - g_b, -(g_r + g_b)), (-(g_r + g_b), g_r - g_b))):
        on = np.array([[-kappa / 2, forth], [back, 0.0]])
        off = np.array([[-kappa / 2, 0.0], [0.0, 0.0]])
        diffusion = np.diag([kappa, 0.0])
        v = np.diag([1.0, 2 * COLD + 1])
        pulses = [on if (i + 0.5) * step < length else off for i in range(count)]
        maps = {id(d): _exact_step(d, diffusion, step) for d in (on, off)}
        for i in range(count):
            # normally ordered: what exceeds the vacuum, carried on by the deterministic motion
            row = np.array([v[0, 0] - 1, v[1, 0]])
            for j in range(i, count):
                n_out[k, i, j] = n_out[k, j, i] = row[0] * kappa
                row = maps[id(pulses[j])][0] @ row
            phi, noise = maps[id(pulses[i])]
            v = phi @ v @ phi.T + noise
    number = (n_out[0] + n_out[1]) / 4
    anomalous = (n_out[0] - n_out[1]) / 4
    n = np.trace(number) * step
    g2 = 1 + (np.sum(number**2) + np.sum(anomalous**2)) * step**2 / n**2
    assert n == pytest.approx(0.05101, abs=2e-4)
    assert g2 == pytest.approx(5.2390, rel=2e-3)


def _exact_step(drift, diffusion, step):
    size = drift.shape[0]
    blocks = expm(np.block([[-drift, diffusion], [np.zeros_like(drift), drift.T]]) * step)
    phi = blocks[size:, size:].T
    return phi, phi @ blocks[:size, size:]


# --- the read-out -----------------------------------------------------------------------------


def test_occupation_and_gate_law():
    found = readout()
    assert found.phonons == pytest.approx(0.0709437, rel=1e-5)
    assert found.added == pytest.approx(0.011021, rel=1e-4)
    assert float(found.excess(39.0)) == pytest.approx(2.80, rel=1e-6)
    assert float(found.excess(48.0)) == pytest.approx(2.80 * math.exp(-9 / 15.3), rel=1e-6)


@pytest.mark.parametrize(("gate", "g2"), [(39.0, 4.6999), (48.0, 3.4893), (94.0, 2.0492)])
def test_g2_of_a_gate(gate, g2):
    found, share = readout(), float(SECOND.fraction(102 + gate))
    signal = ETA / 2 * found.conversion * found.phonons * share
    background = ETA / 2 * 2.0e-4 * share + 10e-9 * gate
    law = 1 + (1 + float(found.excess(gate))) * (signal / (signal + background)) ** 2
    assert law == pytest.approx(g2, rel=2e-4)


def test_delay_scan_of_the_sheet():
    """Coincidences within 48 ns of 1.4e8 trials at seven delays: 130 +- 40 ns."""
    delays = np.array([30.0, 60, 100, 150, 200, 300, 400])
    share, chance, together = float(SECOND.fraction(150.0)), [], []
    for delay in delays:
        found = readout(delay)
        signal = ETA / 2 * found.conversion * found.phonons * share
        background = ETA / 2 * 2.0e-4 * share + 10e-9 * 48
        chance.append(1.4e8 * (signal + background) ** 2)
        excess = 2.80 * math.exp(-9 / 15.3 - (delay - 30) / 132)  # the law of the sheet
        if delay < 365:  # then no more than 0.15 quanta of heating dilute the pairs
            assert float(found.excess(48.0)) == pytest.approx(excess, rel=1e-6)
        together.append(chance[-1] * (1 + (1 + excess) * (signal / (signal + background)) ** 2))
    assert together[0] == pytest.approx(49.8, rel=1e-3)
    rng = np.random.default_rng(6)
    drawn = [fit_delays(delays, rng.poisson(together), chance) for _ in range(60)]
    times = np.array([one.time for one in drawn])
    assert np.median(times) == pytest.approx(130, abs=4 * 1.25 * 40 / math.sqrt(60))
    middle = np.subtract(*np.percentile(times, [84, 16])) / 2
    assert middle == pytest.approx(40, rel=0.5)


def test_fractions_of_the_second_pulse():
    assert float(SECOND.fraction(102 + 39.0)) == pytest.approx(0.341336, rel=1e-4)
    assert float(SECOND.fraction(102 + 48.0)) == pytest.approx(0.520357, rel=1e-4)


def test_red_tone_alone():
    found = readout(blue=0.0, red=0.0)
    share = float(SECOND.fraction(150.0))
    signal = ETA / 2 * found.conversion * found.phonons * share
    background = ETA / 2 * 2.0e-4 * share + 10e-9 * 48
    assert 1 + (signal / (signal + background)) ** 2 == pytest.approx(1.9133, rel=2e-4)


@pytest.mark.parametrize(
    ("time", "phonons"), [(0.0, 0.064), (333.2, 0.08836), (1000.0, 0.06882), (5000.0, 0.01758)]
)
def test_phonons_after_a_blue_pump(time, phonons):
    area = math.log(1 + 0.05 / (1 + COLD))  # excites 0.05 phonons
    assert readout(delay=time, blue=area, red=0.0).phonons == pytest.approx(phonons, rel=1e-3)


# --- clicks -----------------------------------------------------------------------------------


def test_probabilities_of_clicks():
    p = patterns(readout().covariance(94.0))
    one, two = clicking(p, A1), clicking(p, A2)
    assert p.sum() == pytest.approx(1)
    assert one == pytest.approx(1.89984e-3, rel=1e-4)
    assert clicking(p, A1 | B1) == pytest.approx(1.72473e-5, rel=1e-4)
    assert clicking(p, A1 | B1) / one**2 == pytest.approx(4.7784, rel=1e-4)
    assert 1 - p[0] == pytest.approx(4.95285e-3, rel=1e-4)
    assert two == pytest.approx(6.13414e-4, rel=1e-4)
    assert clicking(p, A1 | A2) == pytest.approx(1.39802e-5, rel=1e-4)
    assert clicking(p, A1 | A2) / one / two == pytest.approx(11.996, rel=1e-4)
    assert p[15] == pytest.approx(8.716e-10, rel=1e-3)
    assert 1.4e8 * p[A1 | B1] == pytest.approx(2384, rel=1e-3)
    assert 1.4e8 * p[A2 | B2] == pytest.approx(99.0, rel=1e-3)
    assert 1.4e8 * 2 * (one + two) == pytest.approx(7.037e5, rel=1e-3)
    assert 1.4e8 * p[15] == pytest.approx(0.122, abs=5e-4)
    assert math.exp(-1.4e8 * p[15]) == pytest.approx(0.885, rel=1e-3)


@pytest.mark.parametrize(
    ("blue", "red", "background", "g2"), [(BLUE, 0.0, 2.8e-3, 1.8993), (0.0, RED, 1.3e-4, 1.8804)]
)
def test_clicks_of_single_tones(blue, red, background, g2):
    cov = np.eye(4)
    cov[0, 0], cov[1, 1] = prepared(blue, red, COLD).light
    p = patterns(cov, background)
    assert clicking(p, A1 | B1) / clicking(p, A1) ** 2 == pytest.approx(g2, rel=1e-4)


def test_a_thermal_mode_in_one_detector():
    cov = np.diag([2 * 0.3 + 1, 2 * 0.3 + 1, 1, 1])
    p = pattern_probabilities(cov, np.array([0.5, 0, 0, 0]), np.zeros(4))
    assert p[0] == pytest.approx(1 / (1 + 0.5 * 0.3))


@pytest.mark.parametrize("delay", [30.0, 200.0])
def test_patterns_against_torontonians(delay):
    """Both pulses on a lossy beam splitter each, four threshold detectors, no backgrounds."""
    walrus = pytest.importorskip("thewalrus")
    from thewalrus.quantum import is_valid_cov

    cov = readout(delay).covariance(94.0)
    efficiencies = np.array([0.3, 0.2, 0.4, 0.15])
    found = pattern_probabilities(cov, efficiencies, np.zeros(4))
    # (x1, p1, x2, p2) to detectors A1, B1, A2, B2 with their shares of the light; vacuum elsewhere
    shares = np.zeros((4, 2))
    shares[[0, 1, 2, 3], [0, 0, 1, 1]] = np.sqrt(efficiencies)
    lossy = np.zeros((8, 8))
    for a in (0, 1):
        for b in (0, 1):
            lossy[4 * a : 4 * a + 4, 4 * b : 4 * b + 4] = (
                shares @ (cov - np.eye(4))[a::2, b::2] @ shares.T
            )
    lossy += np.eye(8)
    assert is_valid_cov(lossy, hbar=2)
    for bits in range(16):
        pattern = [bits >> k & 1 for k in range(4)]
        exact = float(np.real(walrus.threshold_detection_prob(np.zeros(8), lossy, pattern, hbar=2)))
        assert found[bits] == pytest.approx(exact, rel=1e-6, abs=1e-13)


def test_patterns_against_sampled_phase_space():
    # classical Gaussian light (V > 1): average the Poisson probabilities over its intensity
    cov = np.diag([3.0, 1.5, 2.0, 1.0]) + 0.0
    cov[0, 2] = cov[2, 0] = 0.9
    mu, dark = np.array([0.3, 0.2, 0.4, 0.1]), np.array([0.01, 0.02, 0.0, 0.03])
    rng = np.random.default_rng(3)
    z = rng.multivariate_normal(np.zeros(4), (cov - np.eye(4)) / 4 + 1e-12 * np.eye(4), 400_000)
    energy = np.stack([z[:, 0] ** 2 + z[:, 1] ** 2] * 2 + [z[:, 2] ** 2 + z[:, 3] ** 2] * 2, axis=1)
    silent = np.exp(-mu * energy - dark)
    p = pattern_probabilities(cov, mu, dark)
    for bits in range(16):
        factors = [1 - silent[:, k] if bits >> k & 1 else silent[:, k] for k in range(4)]
        sampled = np.prod(factors, axis=0)
        assert p[bits] == pytest.approx(sampled.mean(), abs=5 * sampled.std() / np.sqrt(len(z)))


# --- pulses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "rise", "fwhm"), [(36.0, 15.0, 36.031), (20.0, 25.0, 27.249)])
def test_the_modulator_widens_short_pulses(length, rise, fwhm):
    pulse = modulated([100.0, length, 50.0], [0.0, 0.1, 0.0], rise)
    assert pulse.fwhm == pytest.approx(fwhm, abs=0.02)
    assert pulse.centre == pytest.approx(100 + length / 2)


def test_full_amplitude_diffracts_all_light():
    pulse = modulated([200.0], [1.0], 15.0)
    assert pulse.peak == pytest.approx(1.0)
    assert pulse.area == pytest.approx(200.0, rel=1e-6)
    half = modulated([200.0], [0.5], 15.0)
    assert half.peak == pytest.approx(0.5)
    assert modulated([10.0, 20.0], [0.0, 0.0], 15.0) is None


def test_photons_in_the_cavity():
    cavity = Cavity(
        1550.589e-9, 2 * math.pi * 700e6, math.pi * 700e6, 2 * math.pi * 5.2e9, 2 * math.pi * 800e3
    )
    assert cavity.rate_per_photon() == pytest.approx(2.298e4, rel=1e-3)
    n_b = BLUE / cavity.rate_per_photon() / (36e-9 * 1.06447)
    n_m = AREA_2 / cavity.rate_per_photon() / (47e-9 * 1.06447)
    assert n_b == pytest.approx(58.7, rel=1e-3)
    assert n_m == pytest.approx(243, rel=2e-3)
    assert n_b * 1.86**2 == pytest.approx(203, rel=2e-3)  # of the red tone
    assert n_b / cavity.photons_per_watt() == pytest.approx(3.67e-6, rel=2e-3)
    assert n_m / cavity.photons_per_watt() == pytest.approx(15.2e-6, rel=2e-3)
    assert cavity.rate_per_photon(350e6) == pytest.approx(cavity.rate_per_photon() / 2)


# --- sampling ---------------------------------------------------------------------------------

TRIALS = 140_000_000


def seeds(seed: int):
    return lambda name: (
        int.from_bytes(hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest(), "little")
        >> 1
    )


def chances(scale: float = 1.0) -> Chances:
    found = readout()
    # darks are clicks of their own, at any time
    p = patterns(found.covariance(94.0), dark=0.0) * scale
    p[0] = 1 - p[1:].sum()
    return Chances(p, FIRST, SECOND, pair_law(SECOND, found.excess(SECOND.times - 102)), 0.0)


def gated(clicks, begin: float, end: float) -> set[int]:
    trial, time = clicks
    return set(trial[(time >= 1e3 * begin) & (time < 1e3 * end)].tolist())


def test_counts_over_twenty_seeds():
    expected = {(0, 72): 2414.6, (102, 150): 49.8, (102, 141): 28.9}
    table = np.empty((20, len(expected)))
    for seed in range(20):
        a, b = TrialSource(seeds(seed), "trials").clicks(0, TRIALS, chances(), 0.0)
        assert a[0].size + b[0].size == pytest.approx(7.037e5 - 0.005e5, rel=0.01)
        for column, gate in enumerate(expected):
            table[seed, column] = len(gated(a, *gate) & gated(b, *gate))
    for column, mean in enumerate(expected.values()):
        assert abs(table[:, column] - mean).max() < 4 * math.sqrt(mean) + 1
        assert table[:, column].mean() == pytest.approx(mean, abs=4 * math.sqrt(mean / 20))


def test_pairs_of_the_second_pulse_inside_48_ns():
    law = pair_law(SECOND, readout().excess(SECOND.times - 102))
    assert np.interp(150.0, SECOND.times, law) == pytest.approx(0.4635, abs=5e-4)
    assert (np.diff(law) >= 0).all()


@pytest.mark.parametrize("scale", [1.0, 8.0, 120.0])
def test_asking_in_pieces_changes_nothing(scale):
    cuts = [0, 1, 70_000, 262_144, 262_145, 600_000, 900_000]
    whole = TrialSource(seeds(1), "trials").clicks(0, cuts[-1], chances(scale), 30.0)
    source = TrialSource(seeds(1), "trials")
    pieces = [source.clicks(a, b, chances(scale), 30.0) for a, b in itertools.pairwise(cuts)]
    for detector in range(2):
        for part in range(2):
            joined = np.concatenate([piece[detector][part] for piece in pieces])
            np.testing.assert_array_equal(joined, whole[detector][part])


@pytest.mark.parametrize("scale", [1.0, 8.0, 120.0])
def test_every_layer_has_its_share(scale):
    wanted, number = chances(scale), 2_000_000
    a, b = TrialSource(seeds(2), "trials").clicks(0, number, wanted, 0.0)
    clicked = np.union1d(a[0], b[0]).size
    p = wanted.any
    assert clicked == pytest.approx(number * p, abs=4 * math.sqrt(number * p * (1 - p)))


def test_random_clicks_are_a_function_of_time_and_rate():
    source = RandomClicks(seeds(3), "dark")
    span = 2000 * 10**12
    whole = source.between(0, span, 28.0)
    assert whole.size == pytest.approx(28 * 2000, abs=4 * math.sqrt(28 * 2000))
    cuts = [0, 5 * 10**11, 3 * 10**14, 10**15, span]
    fresh = RandomClicks(seeds(3), "dark")
    pieces = [fresh.between(a, b, 28.0) for a, b in itertools.pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    fewer = source.between(0, span, 10.0)
    assert set(fewer.tolist()) <= set(whole.tolist())
    assert source.between(0, span, 0.0).size == 0


@pytest.mark.parametrize("width", [36.0, 47.0])
def test_width_of_a_gaussian_that_is_cut_one_width_from_its_middle(width):
    pulse = gaussian(0.0, width, -width, width)
    assert pulse.gaussian_fwhm == pytest.approx(width, rel=2e-3)
    assert pulse.fwhm == pytest.approx(width, rel=1e-3)
