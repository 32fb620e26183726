"""Reference numbers of the Kerr microcomb model, reached by the analysis library.

The covariance matrices come from a model written here from the equations of motion, so that no
formula is shared with the simulators. Tolerance, unless stated: relative or absolute 2e-4.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from labctl.analysis.gaussian import (
    align_phases,
    certify_inseparability,
    covariance_from_variances,
    displacement_qfi,
    is_physical,
    log_negativity,
    nearest_physical,
    nullifier_variance,
    ppt_values,
    quadrature_direction,
    reduced,
    symplectic_eigenvalues,
)

HALF_LINEWIDTH = 4.8354e6  # Hz, half of c / 1550 nm / 20e6
ANALYSIS = 0.5e6  # Hz
CUTOFF = 45  # modes kept on each side, 10 more than are measured
EFFICIENCY, JITTER = 0.675, 0.1094


def within(value: float) -> object:
    return pytest.approx(value, rel=2e-4, abs=2e-4)


def microcomb(
    pumps: dict[int, float], detuning: float, dispersion: float, primary: int
) -> tuple[np.ndarray, np.ndarray]:
    """Lossless output covariance, its mode numbers first; rates in half linewidths, vacuum 1."""
    k = np.arange(-CUTOFF, CUTOFF + 1)
    size = len(k)
    drift = -np.diag(1 + 1j * (detuning + dispersion * (k - primary) ** 2 / 2))
    pairing = np.zeros((size, size), complex)
    for n, a in pumps.items():
        for m, b in pumps.items():
            for row, mode in enumerate(k):
                if abs(n + m - mode) <= CUTOFF:
                    pairing[row, n + m - mode + CUTOFF] += 1j * a * b
                if n != m and abs(mode - n + m) <= CUTOFF:
                    drift[row, mode - n + m + CUTOFF] += 2j * a * b
    plus, minus = drift + pairing, drift - pairing
    matrix = np.block([[plus.real, -minus.imag], [plus.imag, minus.real]])
    assert np.linalg.eigvals(matrix).real.max() < 0
    one = np.eye(2 * size)
    transfer = 2 * np.linalg.inv(-1j * ANALYSIS / HALF_LINEWIDTH * one - matrix) - one
    return k, (transfer @ transfer.conj().T).real


def detected(cov: np.ndarray) -> np.ndarray:
    """Loss, then common phase jitter acting on <a a> only."""
    n = len(cov) // 2
    cov = EFFICIENCY * cov + (1 - EFFICIENCY) * np.eye(2 * n)
    xx, xp, pp = cov[:n, :n], cov[:n, n:], cov[n:, n:]
    pair = (xx - pp + 1j * (xp + xp.T)) / 4 * np.exp(-2 * JITTER**2)
    number = (xx + pp + 1j * (xp - xp.T)) / 4
    upper = 2 * (pair + number).imag
    return np.block([[2 * (pair + number).real, upper], [upper.T, 2 * (number - pair).real]])


def keep(k: np.ndarray, cov: np.ndarray, modes: list[int]) -> np.ndarray:
    return detected(reduced(cov, [int(np.flatnonzero(k == mode)[0]) for mode in modes]))


def chain_order(first: int) -> list[int]:
    return [sign * k for k in range(first, 36) for sign in (-1, 1)]


SETS = {  # pump power, detuning, dispersion
    "H1": (0.605, -2.45, 0.001),
    "L1": (0.11, -0.40, 0.002),
    "H2": (0.605, -3.28, 0.001),
    "L2": (0.11, -2.0, 0.002),
}


@cache
def aligned(name: str) -> tuple[list[int], np.ndarray]:
    """Mode numbers ascending, and the aligned covariance matrix of one parameter set."""
    power, detuning, dispersion = SETS[name]
    if name.endswith("1"):
        pumps, primary, first = {0: 1.0, -1: 0.2}, 0, 6
    else:
        pumps, primary, first = {-1: 1.0, 0: 0.2, 1: 0.16}, -1, 8
    amplitudes = {n: float(np.sqrt(power * share)) for n, share in pumps.items()}
    modes = sorted(chain_order(first))
    cov = keep(*microcomb(amplitudes, detuning, dispersion, primary), modes)
    turned, _ = align_phases(cov, pairs_of(name, modes))
    return modes, turned


def sums_of(name: str) -> tuple[int, ...]:
    return (-1, 0) if name.endswith("1") else (-2, -1, 0)


def pairs_of(name: str, modes: list[int]) -> list[tuple[int, int]]:
    return [
        (i, modes.index(total - k))
        for total in sums_of(name)
        for i, k in enumerate(modes)
        if total - k in modes and k < total - k
    ]


def in_chain_order(name: str) -> np.ndarray:
    modes, cov = aligned(name)
    order = chain_order(6 if name.endswith("1") else 8)
    return reduced(cov, [modes.index(k) for k in order])


def db(variance: float) -> float:
    return -10 * float(np.log10(variance))


def test_benchmark_pair() -> None:
    k, cov = microcomb({0: 0.605**0.5}, -0.256, 0.002, 0)
    values = np.linalg.eigvalsh(keep(k, cov, [-16, 16]))
    assert -10 * np.log10(values[0]) == within(3.0817)
    assert 10 * np.log10(values[-1]) == within(10.2835)


def test_vacuum_stays_vacuum_without_pump() -> None:
    _, cov = microcomb({}, -1.3, 0.002, 0)
    assert np.allclose(cov, np.eye(len(cov)), atol=1e-12)


def test_one_pump_on_resonance_has_the_closed_form() -> None:
    """S = 1 -+ 4 eta p / ((1 +- p)^2 + Omega^2), and phases that align exactly."""
    p, omega = 0.4, ANALYSIS / HALF_LINEWIDTH
    k, cov = microcomb({0: p**0.5}, 0.0, 0.0, 0)
    pair = keep(k, cov, [-9, 9])
    values = np.linalg.eigvalsh(pair)
    damping = np.exp(-2 * JITTER**2)
    low = 1 - 4 * EFFICIENCY * p / ((1 + p) ** 2 + omega**2)
    high = 1 + 4 * EFFICIENCY * p / ((1 - p) ** 2 + omega**2)
    middle, half = (low + high) / 2, damping * (high - low) / 2
    assert values[[0, -1]] == pytest.approx([middle - half, middle + half], rel=1e-10)
    assert pair[0, 3] == pytest.approx(half, rel=1e-10)  # real pumps: (x, p) positive
    turned, _ = align_phases(pair, [(0, 1)])
    assert turned[0, 3] == turned[2, 1] == pytest.approx(-half, rel=1e-10)
    assert np.allclose([turned[0, 1], turned[2, 3]], 0, atol=1e-12)


def test_matrix_elements_of_set_l1() -> None:
    modes, cov = aligned("L1")
    x20, n = modes.index(20), len(modes)
    assert cov[x20, x20] == within(1.12226)
    assert cov[n + x20, modes.index(-20)] == within(-0.30307)
    assert cov[n + x20, modes.index(-21)] == within(-0.28236)


@pytest.mark.parametrize(
    ("name", "weight", "best", "where", "two_mode"),
    [
        ("H1", 0.65, 1.2975, -35, 0.9067),
        ("L1", 0.65, 1.2985, 22, 0.8717),
        ("H2", 0.5, 0.7404, -35, 0.5497),
        ("L2", 0.5, 0.8230, -35, 0.4672),
    ],
)
def test_nullifiers_and_two_mode_squeezing(
    name: str, weight: float, best: float, where: int, two_mode: float
) -> None:
    modes, cov = aligned(name)
    partners = [
        [modes.index(total - k) for total in sums_of(name) if total - k in modes] for k in modes
    ]
    nullifiers = [db(nullifier_variance(cov, i, p, weight)) for i, p in enumerate(partners)]
    assert max(nullifiers) == within(best)
    assert modes[int(np.argmax(nullifiers))] == where
    pairs = [db(nullifier_variance(cov, i, [p], 1.0)) for i, ps in enumerate(partners) for p in ps]
    assert max(pairs) == within(two_mode)
    if name == "L1":
        assert nullifiers[modes.index(20)] == within(1.2937)
        assert nullifiers[modes.index(-20)] == within(1.2894)


@pytest.mark.parametrize(
    ("name", "starts", "per_set"),
    [
        ("H1", (0, 10, 19, 29, 38, 48), None),
        ("L1", (0, 10, 19, 29, 38, 48), (0.8328, 0.8244, 0.8282, 0.8200, 0.8186, 0.8501)),
    ],
)
def test_ppt_values_of_the_six_sets_of_twelve(
    name: str, starts: tuple[int, ...], per_set: tuple[float, ...] | None
) -> None:
    cov = in_chain_order(name)
    sets = [ppt_values(reduced(cov, range(start, start + 12))) for start in starts]
    assert sum(map(len, sets)) == 12282
    assert max(values.max() for values in sets) == within({"H1": 0.8866, "L1": 0.8501}[name])
    if per_set:
        assert [values.max() for values in sets] == [within(value) for value in per_set]


@pytest.mark.parametrize("name", ["H1", "L2"])
def test_ppt_values_agree_with_the_direct_definition(name: str) -> None:
    cov = reduced(in_chain_order(name), range(12))
    parties = np.random.default_rng(0).integers(0, 2, (100, 12)).astype(bool)
    omega = np.block([[np.zeros((12, 12)), np.eye(12)], [-np.eye(12), np.zeros((12, 12))]])
    slow = []
    for party in parties:
        flip = np.concatenate([np.ones(12), np.where(party, -1.0, 1.0)])
        slow.append(np.abs(np.linalg.eigvals(1j * omega @ (flip[:, None] * cov * flip))).min())
    assert np.abs(ppt_values(cov, parties) - slow).max() < 1e-10


@pytest.mark.parametrize(
    ("name", "expected"), [("H1", 0.9060), ("L1", 0.8676), ("L2", 0.9551), ("H2", 0.9380)]
)
def test_certificate_from_pairs(name: str, expected: float) -> None:
    modes, cov = aligned(name)
    found = certify_inseparability(cov)
    assert found.holds
    assert found.bottleneck == within(expected)
    assert len(found.subsets) == len(modes) - 1
    assert found.covered == 2 ** (len(modes) - 1) - 1


def test_certificate_from_chosen_subsets() -> None:
    chain = in_chain_order("H1")
    neighbours = [(k, k + 1) for k in range(59)]
    assert certify_inseparability(chain, subsets=neighbours).bottleneck == within(0.9060)
    triples = [(k, k + 1, k + 2) for k in range(58)]
    assert certify_inseparability(chain, subsets=triples).bottleneck == within(0.8949)
    modes, cov = aligned("H2")
    major = certify_inseparability(cov, subsets=pairs_of("H2", modes))
    assert major.holds
    assert major.bottleneck == within(0.9648)


@pytest.mark.parametrize(
    ("name", "optimum", "pattern", "bound"),
    [
        ("H1", 82.23, 80.351, 88.045),
        ("L1", 93.634, 93.320, 97.715),
        ("H2", 69.169, 67.328, 71.070),
        ("L2", 68.887, 68.759, 75.637),
    ],
)
def test_displacement_qfi(name: str, optimum: float, pattern: float, bound: float) -> None:
    modes, cov = aligned(name)
    value, limit = displacement_qfi(cov)
    assert value == pytest.approx(optimum, rel=1e-3)
    assert limit == within(bound)
    right = np.array(modes) > 0
    inverse = np.linalg.inv(cov)
    tried = []
    for x_side in (right, ~right):
        for sign in (1.0, -1.0):
            n = np.concatenate([np.where(x_side, 1.0, 0.0), np.where(x_side, 0.0, sign)])
            tried.append(n @ inverse @ n)
    assert max(tried) == within(pattern)
    assert max(tried) <= value * (1 + 1e-9)


@pytest.mark.parametrize(
    ("power", "detuning", "dispersion", "optimum"),
    [
        (0.1861, -1.951, 0.002, 76.6),
        (0.3576, -1.634, 0.0005, 84.1),
        (0.605, -2.15, 0.0005, 85.3),
        (0.1476, 0.7246, 0.0005, 98.3),
    ],
)
def test_fits_as_good_as_these_give_other_qfi(
    power: float, detuning: float, dispersion: float, optimum: float
) -> None:
    """Nullifier 1.28 to 1.30 dB and two modes .86 to .91 dB leave the QFI open."""
    modes = sorted(chain_order(6))
    amplitudes = {0: power**0.5, -1: (0.2 * power) ** 0.5}
    raw = keep(*microcomb(amplitudes, detuning, dispersion, 0), modes)
    cov, _ = align_phases(raw, pairs_of("H1", modes))
    partners = [[modes.index(s - k) for s in (-1, 0) if s - k in modes] for k in modes]
    best = max(db(nullifier_variance(cov, i, p, 0.65)) for i, p in enumerate(partners))
    pair = max(
        db(nullifier_variance(cov, i, [p], 1.0)) for i, ps in enumerate(partners) for p in ps
    )
    assert 1.274 <= best <= 1.305
    assert 0.855 <= pair <= 0.915
    assert displacement_qfi(cov)[0] == pytest.approx(optimum, rel=1e-3)


def test_two_mode_squeezed_vacuum_with_loss() -> None:
    c, s = np.cosh(1.0), np.sinh(1.0)
    pure = np.array([[c, 0, 0, -s], [0, c, -s, 0], [0, -s, c, 0], [-s, 0, 0, c]])
    cov = EFFICIENCY * pure + (1 - EFFICIENCY) * np.eye(4)
    assert log_negativity(cov, [0]) == within(0.5563)


@pytest.mark.parametrize("name", SETS)
def test_states_are_physical(name: str) -> None:
    _, cov = aligned(name)
    assert is_physical(cov)
    assert symplectic_eigenvalues(cov)[0] >= 1


def test_projections() -> None:
    assert np.allclose(nearest_physical(0.9 * np.eye(8)), np.eye(8), atol=1e-9)
    assert np.allclose(nearest_physical(np.diag([0.5, 1.2])), np.diag([0.7473, 1.3381]), atol=2e-4)


@pytest.mark.parametrize(("name", "count", "tolerance"), [("H1", 416, 0.004), ("H2", 492, 0.006)])
def test_selective_sweep_of_the_model(name: str, count: int, tolerance: float) -> None:
    """Only the major pairs are measured; setting the rest to zero must not fake entanglement."""
    modes, cov = aligned(name)
    n = len(modes)
    weights, angles = [], []
    for k in range(n):
        for angle in (0.0, np.pi / 2, np.pi / 4):
            weights.append(np.eye(n)[k])
            angles.append(angle * np.eye(n)[k])
    for i, j in pairs_of(name, modes):
        for a in (0.0, np.pi / 2):
            for b in (0.0, np.pi / 2):
                weights.append(np.eye(n)[i] + np.eye(n)[j])
                angles.append(a * np.eye(n)[i] + b * np.eye(n)[j])
    directions = quadrature_direction(np.array(weights), np.array(angles))
    assert len(directions) == count
    exact = np.einsum("si,ij,sj->s", directions, cov, directions)
    rng = np.random.default_rng(1)
    sigma = 0.002 * exact
    found = covariance_from_variances(directions, exact + sigma * rng.normal(size=count), sigma)
    pulls = ((found.covariance - cov) / found.error)[found.measured]
    assert np.sqrt(np.mean(pulls**2)) == pytest.approx(1, abs=0.1)
    certificate = certify_inseparability(found.covariance, found)
    assert certificate.holds
    assert certificate.comparisons == len(pairs_of(name, modes))
    state = nearest_physical(found.covariance)
    order = chain_order(6 if name.endswith("1") else 8)
    starts = (0, 10, 19, 29, 38, 48) if n == 60 else (0, 9, 18, 26, 35, 44)
    for start in starts:
        chosen = [modes.index(k) for k in order[start : start + 12]]
        assert ppt_values(reduced(state, chosen)).max() < 1
    assert abs(certificate.bottleneck - {"H1": 0.9060, "H2": 0.9648}[name]) < 4 * tolerance


def test_pairs_with_bragg_mediated_sums() -> None:
    """Sums 1, 0, -1, -2 of 60 modes: 116 pairs, 3 60 + 4 116 = 644 settings."""
    modes = chain_order(6)
    pairs = {(k, s - k) for s in (1, 0, -1, -2) for k in modes if s - k in modes and k < s - k}
    assert len(pairs) == 116
    assert 3 * len(modes) + 4 * len(pairs) == 644


@pytest.mark.parametrize(("angles", "error"), [(((0, 0),), 1.22), (((0, 0), (0, np.pi)), 0.71)])
def test_sums_and_differences_of_a_pair(angles: tuple[tuple[float, float], ...], error: float):
    """V_ij from a sum and both variances: 1.22 r; from sum and difference: 0.71 r."""
    alone = quadrature_direction(np.eye(2), np.zeros((2, 2)))
    both = quadrature_direction(np.ones((len(angles), 2)), np.array(angles, dtype=float))
    r = 0.01
    of_one = r if len(angles) == 1 else 1e6 * r  # the difference needs no variances alone
    errors = np.array([of_one] * 2 + [r] * len(angles))
    found = covariance_from_variances(
        np.concatenate((alone, both)), np.ones(2 + len(angles)), errors
    )
    assert found.error[0, 1] / r == pytest.approx(error, abs=0.005)
