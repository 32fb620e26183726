"""The Kerr ring against closed forms, an exact angle-local solution and published numbers.

Reference numbers: mode chains, nullifiers and squeezing of the cluster-microcomb model, tolerance
2e-4 unless said otherwise. All expressions here are written anew on purpose.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.sparse.csgraph import minimum_spanning_tree

from simulated_instruments.physics.ring import (
    GUARD,
    LEAST_DAMPING,
    drift_matrix,
    output_covariance,
    ring_output,
    stability_margin,
)

GAMMA_HZ = 299792458.0 / 1550e-9 / 20e6 / 2
OMEGA = 0.5e6 / GAMMA_HZ
ETA, JITTER = 0.675, 0.1094


def close(value):
    return pytest.approx(value, rel=2e-4, abs=2e-4)


def quadratures(pumps, detuning, dispersion, primary=0, omega=OMEGA, guard=GUARD):
    return output_covariance(drift_matrix(pumps, detuning, dispersion, primary, guard), omega)


def symplectic(covariance):
    n = len(covariance) // 2
    omega = np.block([[np.zeros((n, n)), np.eye(n)], [-np.eye(n), np.zeros((n, n))]])
    return np.sort(np.abs(np.linalg.eigvals(1j * omega @ covariance)))[::2]


# --- one pump -------------------------------------------------------------------------------


def test_linewidth_and_analysis_frequency():
    assert pytest.approx(4.8354e6, rel=2e-5) == GAMMA_HZ
    assert pytest.approx(0.10340, abs=5e-6) == OMEGA


@pytest.mark.parametrize("power", [0.11, 0.605, 0.95])
@pytest.mark.parametrize("omega", [0.0, OMEGA, 2.0])
def test_one_pump_on_resonance_is_the_textbook_squeezer(power, omega):
    v = quadratures({0: power**0.5}, 0.0, 0.0, omega=omega)
    i, j, n = GUARD + 16, GUARD - 16, 2 * GUARD + 1
    # <a_k a_l> = i |m|: x_k goes with p_l
    least = (v[i, i] + v[n + j, n + j]) / 2 - v[i, n + j]
    most = (v[i, i] + v[n + j, n + j]) / 2 + v[i, n + j]
    assert least == pytest.approx(1 - 4 * power / ((1 + power) ** 2 + omega**2), rel=1e-10)
    assert most == pytest.approx(1 + 4 * power / ((1 - power) ** 2 + omega**2), rel=1e-10)


def pair_levels(power, detuning, dispersion, eta=ETA, jitter=JITTER):
    """Squeezing and antisqueezing (dB) of (-16, 16), best local-oscillator phases."""
    v = quadratures({0: power**0.5}, detuning, dispersion)
    n, i, j = 2 * GUARD + 1, GUARD + 16, GUARD - 16
    photons = (v[i, i] + v[n + i, n + i] + v[j, j] + v[n + j, n + j] - 4) / 4
    m = abs(v[i, j] - v[n + i, n + j] + 1j * (v[i, n + j] + v[n + i, j])) / 2
    blurred = m * np.exp(-2 * jitter**2)
    return (
        -10 * np.log10(1 + eta * (photons - blurred)),
        10 * np.log10(1 + eta * (photons + blurred)),
    )


def test_benchmark_pair():
    squeezed, anti = pair_levels(0.605, -0.256, 0.002)
    assert squeezed == close(3.0817)
    assert anti == close(10.2835)
    assert pair_levels(0.605, -0.128, 0.001) == close((squeezed, anti))  # the same resonance


@pytest.mark.parametrize(
    ("power", "eta", "jitter", "published"),
    [
        (0.6053, 0.675, 0.1094, (3.08, 10.29)),
        (0.6386, 0.536, 0.0, (3.08, 10.29)),
        (0.5998, 0.675, 0.1127, (3.04, 10.15)),
    ],
)
def test_readings_of_the_published_pairs(power, eta, jitter, published):
    assert pair_levels(power, 0.0, 0.0, eta, jitter)[1] == pytest.approx(published[1], abs=0.005)
    e16 = -0.001 * 256 / 2
    assert pair_levels(power, e16, 0.001, eta, jitter) == pytest.approx(published, abs=0.005)


def test_detuning_of_a_pair_cannot_be_told_from_its_levels():
    wanted = pair_levels(0.605, -0.128, 0.001)[1]
    low, high = 0.605, 0.8
    for _ in range(50):  # more pump makes up for a detuning
        middle = (low + high) / 2
        low, high = (middle, high) if pair_levels(middle, 0.0, 0.001)[1] < wanted else (low, middle)
    assert pair_levels(low, 0.0, 0.001)[0] == pytest.approx(3.0817, abs=0.01)


def test_efficiency_alone_would_give_more_squeezing():
    for power in np.linspace(0.5, 0.8, 61):
        squeezed, anti = pair_levels(power, -0.128, 0.001, jitter=0.0)
        if anti > 10.3:
            break
    assert squeezed == pytest.approx(4.3, abs=0.05)


# --- many pumps -----------------------------------------------------------------------------


def test_angle_local_solution():
    """Without dispersion every conjugate angle is a resonator of its own (2 x 2, closed form)."""
    alpha = {0: 0.11**0.5, -1: 0.022**0.5}
    e, guard, points = -0.4, 60, 512
    angle = 2 * np.pi * np.arange(points) / points
    field = sum(a * np.exp(1j * n * angle) for n, a in alpha.items())
    total = sum(abs(a) ** 2 for a in alpha.values())
    number, squeezing = np.empty(points), np.empty(points, dtype=complex)
    for index, f in enumerate(field):
        a = -(1 + 1j * e) + 2j * (abs(f) ** 2 - total)
        b = 1j * f**2
        m = np.array([[a, b], [np.conj(b), np.conj(a)]])
        number[index] = squeezing[index] = 0
        for omega in (OMEGA, -OMEGA):  # variances show the mean of both side bands
            t = 2 * np.linalg.inv(-1j * omega * np.eye(2) - m) - np.eye(2)
            number[index] += abs(t[0, 1]) ** 2 / 2
            squeezing[index] += t[0, 0] * np.conj(t[1, 0]) / 4 + t[0, 1] * np.conj(t[1, 1]) / 4
    v = quadratures(alpha, e, 0.0, guard=guard)
    n = 2 * guard + 1
    xx, xp, px, pp = v[:n, :n], v[:n, n:], v[n:, :n], v[n:, n:]
    ring_n = (xx + pp - 2 * np.eye(n) + 1j * (xp - px)) / 4
    ring_m = (xx - pp + 1j * (xp + px)) / 4
    k = guard + 5
    assert ring_n[k, k] == pytest.approx(number.mean(), rel=1e-12)
    assert ring_n[k, k].real == close(0.0582834)
    for s, magnitude in ((0, 0.1845471), (-1, 0.1648674), (-2, 0.0374629), (1, 0.0301267)):
        local = (squeezing * np.exp(-1j * s * angle)).mean()
        assert ring_m[k, 2 * guard + s - k] == pytest.approx(local, rel=1e-12)
        assert abs(local) == pytest.approx(magnitude, abs=1e-7)


def test_drift_entries_follow_the_equation():
    """Every coefficient from the sums as they are written, for arbitrary complex pumps."""
    pumps = {-2: 0.3 + 0.1j, 0: 0.2j, 1: -0.25, 3: 0.1 - 0.2j}
    guard, e, d2, primary = 5, -0.7, 0.03, -2
    size = 2 * guard + 1
    same, pair = np.zeros((size, size), complex), np.zeros((size, size), complex)
    for k in range(-guard, guard + 1):
        same[k + guard, k + guard] = -(1 + 1j * (e + d2 * (k - primary) ** 2 / 2))
        for (n, an), (m, am) in itertools.product(pumps.items(), repeat=2):
            if abs(n + m - k) <= guard:
                pair[k + guard, n + m - k + guard] += 1j * an * am
            if n != m and abs(k - n + m) <= guard:
                same[k + guard, k - n + m + guard] += 2j * an * np.conj(am)
    rng = np.random.default_rng(1)
    a = rng.normal(size=size) + 1j * rng.normal(size=size)
    slope = same @ a + pair @ a.conj()
    drift = drift_matrix(pumps, e, d2, primary, guard)
    np.testing.assert_allclose(
        drift @ np.concatenate([a.real, a.imag]), np.concatenate([slope.real, slope.imag])
    )


def test_output_covariance_is_the_real_part_of_the_transfer():
    drift = drift_matrix({0: 0.7, -1: 0.3j, 2: 0.1}, -1.0, 0.002, 0, 10)
    size = len(drift)
    transfer = 2 * np.linalg.inv(-1j * 0.3 * np.eye(size) - drift) - np.eye(size)
    np.testing.assert_allclose(
        output_covariance(drift, 0.3), (transfer @ transfer.conj().T).real, atol=1e-12
    )


@pytest.mark.parametrize("omega", [0.0, 0.1, 3.0])
@pytest.mark.parametrize("detuning", [-3.0, 0.0, 0.5])
def test_without_pumps_vacuum_stays_vacuum(omega, detuning):
    np.testing.assert_allclose(
        quadratures({}, detuning, 0.01, omega=omega), np.eye(2 * (2 * GUARD + 1)), atol=1e-12
    )


def test_pump_phases_turn_modes_and_change_nothing_else():
    pumps = {-1: 0.6, 0: 0.3, 1: 0.25}
    turned = {n: a * np.exp(1j * (0.4 + 0.9 * n)) for n, a in pumps.items()}
    kwargs = {"detuning": -1.5, "dispersion": 0.003, "primary": -1, "guard": 12}
    plain, other = drift_matrix(pumps, **kwargs), drift_matrix(turned, **kwargs)
    np.testing.assert_allclose(
        symplectic(output_covariance(plain, 0.1)), symplectic(output_covariance(other, 0.1))
    )
    # the two ways to the margin: half-size for real pumps, full size otherwise
    assert stability_margin(plain) == pytest.approx(stability_margin(other), abs=1e-6)


# --- stability ------------------------------------------------------------------------------


@pytest.mark.parametrize("detuning", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("power", [0.605, 1.0, 1.3])
def test_margin_of_one_pump(power, detuning):
    expected = np.sqrt(complex(power**2 - detuning**2)).real - 1
    assert stability_margin(drift_matrix({0: power**0.5}, detuning, 0.0, 0)) == pytest.approx(
        expected, abs=1e-6
    )


def test_margin_equals_the_full_eigenvalues():
    drift = drift_matrix({0: 0.8, -1: 0.4, 5: 0.2}, 0.1, 0.001, 0)
    assert stability_margin(drift) == pytest.approx(np.linalg.eigvals(drift).real.max(), abs=1e-9)


def test_above_threshold_the_state_is_loud_physical_and_flagged():
    state = ring_output({0: 1.2**0.5}, 0.0, 0.0, 0, OMEGA)
    assert state.oscillating
    assert state.margin == pytest.approx(0.2)
    v = state.moments.covariance()
    assert np.isfinite(v).all()
    assert symplectic(v).min() > 1 - 1e-9
    i, n = GUARD + 16, 2 * GUARD + 1
    assert 10 * np.log10(v[i, i]) > 20
    assert not ring_output({0: 0.9**0.5}, 0.0, 0.0, 0, OMEGA).oscillating
    assert v[n + i, n + i] == pytest.approx(v[i, i])


def test_noise_is_continuous_where_the_least_damping_sets_in():
    edge = 1 - LEAST_DAMPING
    below, above = (
        ring_output({0: (edge + step) ** 0.5}, 0.0, 0.0, 0, OMEGA).moments.covariance()
        for step in (-1e-7, 1e-7)
    )
    np.testing.assert_allclose(below, above, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["H1", "H2", "L1", "L2"])
def test_covariances_of_all_sets_are_physical(name):
    s = SETS[name]
    v = quadratures(s.pumps, s.detuning, s.dispersion, s.primary)
    assert symplectic(v).min() > 1 - 1e-9
    assert stability_margin(drift_matrix(s.pumps, s.detuning, s.dispersion, s.primary)) < 0


# --- the published one- and two-dimensional states --------------------------------------------


@dataclass(frozen=True)
class Set:
    power: float
    detuning: float
    dispersion: float
    flat: bool  # one-dimensional

    @property
    def pumps(self):
        root = self.power**0.5
        if self.flat:
            return {0: root, -1: 0.2**0.5 * root}
        return {-1: root, 0: 0.2**0.5 * root, 1: 0.16**0.5 * root}

    @property
    def primary(self):
        return 0 if self.flat else -1

    @property
    def sums(self):
        return (0, -1) if self.flat else (-2, -1, 0)

    @property
    def modes(self):
        if self.flat:
            return [k for i in range(6, 36) for k in (-i, i)]
        return [*range(-35, -7), *range(8, 36)]


SETS = {
    "H1": Set(0.605, -2.45, 0.001, True),
    "H2": Set(0.605, -3.28, 0.001, False),
    "L1": Set(0.11, -0.40, 0.002, True),
    "L2": Set(0.11, -2.0, 0.002, False),
}


class Measured:
    """The aligned covariance matrix of one set after loss and jitter."""

    def __init__(self, s, guard=GUARD):
        v = quadratures(s.pumps, s.detuning, s.dispersion, s.primary, guard=guard)
        n = 2 * guard + 1
        xx, xp, px, pp = v[:n, :n], v[:n, n:], v[n:, :n], v[n:, n:]
        pick = np.ix_([k + guard for k in s.modes], [k + guard for k in s.modes])
        number = ETA * (xx + pp - 2 * np.eye(n) + 1j * (xp - px))[pick] / 4
        squeezing = ETA * np.exp(-2 * JITTER**2) * (xx - pp + 1j * (xp + px))[pick] / 4
        self.at = {k: i for i, k in enumerate(s.modes)}
        phase = {s.modes[0]: 0.0}
        for k in (queue := [s.modes[0]]):  # spanning tree, breadth first
            for partner in (total - k for total in s.sums):
                if partner in self.at and partner not in phase:
                    link = np.angle(squeezing[self.at[k], self.at[partner]])
                    phase[partner] = -np.pi / 2 - link - phase[k]
                    queue.append(partner)
        turn = np.exp(1j * np.array([phase[k] for k in s.modes]))
        number = number * np.outer(turn.conj(), turn)
        squeezing = squeezing * np.outer(turn, turn)
        one = np.eye(len(s.modes))
        even, odd = number + squeezing, number - squeezing
        self.v = np.block(
            [[one + 2 * even.real, 2 * even.imag], [-2 * odd.imag, one + 2 * odd.real]]
        )
        self.s = s
        self.n = len(s.modes)

    def partners(self, k):
        return [total - k for total in self.s.sums if total - k in self.at]

    def nullifier(self, k, partners, weight):
        direction = np.zeros(2 * self.n)
        direction[self.n + self.at[k]] = 1
        direction[[self.at[partner] for partner in partners]] = weight
        return -10 * np.log10(direction @ self.v @ direction / (direction @ direction))

    def best(self, weight):
        values = {k: self.nullifier(k, self.partners(k), weight) for k in self.s.modes}
        best = max(values, key=values.get)
        return values[best], best

    def best_pair(self):
        return max(self.nullifier(k, [q], 1) for k in self.s.modes for q in self.partners(k))

    def ppt(self, modes):
        """The smallest eigenvalue for each bipartition of `modes`."""
        index = [self.at[k] for k in modes]
        rows = index + [self.n + i for i in index]
        root = np.linalg.cholesky(self.v[np.ix_(rows, rows)])
        x, p = root[: len(modes)], root[len(modes) :]
        signs = np.array(list(itertools.product((1, -1), repeat=len(modes) - 1)))[1:]
        signs = np.hstack([np.ones((len(signs), 1)), signs])
        half = (x.T[None] * signs[:, None, :]) @ p
        skew = half - half.transpose(0, 2, 1)
        return np.sqrt(np.linalg.eigvalsh(skew @ skew.transpose(0, 2, 1))[:, 0])


@pytest.fixture(scope="module")
def measured():
    return {name: Measured(s) for name, s in SETS.items()}


@pytest.mark.parametrize(
    ("name", "weight", "nullifier", "mode", "two_mode"),
    [
        ("H1", 0.65, 1.2975, -35, 0.9067),
        ("H2", 0.5, 0.7404, None, 0.5497),
        ("L1", 0.65, 1.2985, 22, 0.8717),
        ("L2", 0.5, 0.8230, None, 0.4672),
    ],
)
def test_nullifiers_and_pairs(measured, name, weight, nullifier, mode, two_mode):
    value, best = measured[name].best(weight)
    assert value == close(nullifier)
    assert mode is None or best == mode
    assert measured[name].best_pair() == close(two_mode)


def test_single_entries_of_set_l1(measured):
    m = measured["L1"]
    assert m.v[m.at[20], m.at[20]] == close(1.12226)
    assert m.v[m.n + m.at[20], m.at[-20]] == close(-0.30307)
    assert m.v[m.n + m.at[20], m.at[-21]] == close(-0.28236)
    assert m.nullifier(20, [-20, -21], 0.65) == close(1.2937)
    assert m.nullifier(-20, [20, 19], 0.65) == close(1.2894)
    weights = np.arange(0.60, 0.70, 0.005)
    assert max(weights, key=lambda w: m.best(w)[0]) == pytest.approx(0.645, abs=0.006)


def test_on_a_chain_all_edges_can_be_aligned(measured):
    m = measured["L1"]
    for k in m.s.modes:
        for q in m.partners(k):
            assert m.v[m.n + m.at[k], m.at[q]] < -0.1
            assert m.v[m.at[k], m.at[q]] == pytest.approx(0, abs=1e-12)


def test_too_few_guard_modes_overrate_the_edge():
    assert Measured(SETS["H1"], guard=35).best(0.65)[0] == pytest.approx(1.507, abs=5e-4)


@pytest.mark.parametrize(
    ("name", "pattern", "bound"),
    [
        ("H1", 80.351, 88.045),
        ("H2", 67.328, 71.070),
        ("L1", 93.320, 97.715),
        ("L2", 68.759, 75.637),
    ],
)
def test_displacement_sensing(measured, name, pattern, bound):
    m = measured[name]
    inverse = np.linalg.inv(m.v)
    values = []
    right = np.array([k > 0 for k in m.s.modes], float)
    left, none = 1 - right, 0 * right
    for first, second in (((right, none), (none, left)), ((none, right), (-left, none))):
        for sign in (1, -1):
            direction = np.hstack(first) + sign * np.hstack(second)
            values.append(direction @ inverse @ direction)
    assert max(values) == close(pattern)
    assert m.n / np.linalg.eigvalsh(m.v)[0] == close(bound)


@pytest.mark.parametrize("name", ["H1", "L1"])
def test_all_bipartitions_of_six_sets_of_twelve(measured, name):
    m = measured[name]
    worst = [m.ppt(m.s.modes[i : i + 12]).max() for i in (0, 10, 19, 29, 38, 48)]
    if name == "H1":
        assert max(worst) == close(0.8866)
    else:
        assert worst == close([0.8328, 0.8244, 0.8282, 0.8200, 0.8186, 0.8501])


def test_neighbours_in_the_chain_connect_everything(measured):
    m = measured["H1"]
    pairs = zip(m.s.modes, m.s.modes[1:], strict=False)
    assert max(m.ppt(pair)[0] for pair in pairs) == close(0.9060)


@pytest.mark.parametrize(("name", "bottleneck"), [("H2", 0.9380), ("L1", 0.8676), ("L2", 0.9551)])
def test_weakest_edge_of_the_tree_of_pairs(measured, name, bottleneck):
    m = measured[name]
    weights = np.zeros((m.n, m.n))
    for i, j in itertools.combinations(range(m.n), 2):
        weights[i, j] = m.ppt((m.s.modes[i], m.s.modes[j]))[0]
    tree = minimum_spanning_tree(weights).toarray()
    assert np.count_nonzero(tree) == m.n - 1
    assert tree.max() < 1
    assert tree.max() == close(bottleneck)


def test_major_pairs_alone_connect_the_lattice(measured):
    m = measured["H2"]
    weights = np.zeros((m.n, m.n))
    for k in m.s.modes:
        for q in m.partners(k):
            if k < q:
                weights[m.at[k], m.at[q]] = m.ppt((k, q))[0]
    assert minimum_spanning_tree(weights).toarray().max() == close(0.9648)


@pytest.mark.parametrize("mismatch", [0.004, 0.03])
def test_lines_off_the_modes_see_the_spectrum_elsewhere(mismatch):
    """With line k off its mode by m k, a pair's spectrum moves by m k: both sidebands are seen."""
    pumps, detuning, dispersion = {0: 0.605**0.5}, -0.128, 1e-3

    def pair(k, omega, off=0.0):
        moments = ring_output(pumps, detuning, dispersion, 0, omega, mismatch=off).moments
        return np.array([moments.number[GUARD + k, GUARD + k],
                         moments.squeezing[GUARD + k, GUARD - k]])  # fmt: skip

    for k in (5, 30):
        moved = (pair(k, abs(OMEGA - mismatch * k)) + pair(k, OMEGA + mismatch * k)) / 2
        np.testing.assert_allclose(pair(k, OMEGA, mismatch), moved, rtol=1e-6, atol=1e-9)
