"""Output states from records: loads, pump-off subtraction, errors, and what they say inside."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.analysis.heterodyne import (
    Loads,
    Moments,
    estimate,
    load_variance,
    moments,
    records_needed,
    triangle,
    wishart,
)
from labctl.analysis.inference import infer
from labctl.analysis.magnomechanics import (
    Device,
    duan,
    entanglement,
    negativity_spread,
    output_covariance,
    scattering,
    signed_negativity,
)
from labctl.analysis.mode_fit import (
    CAVITIES,
    MODES,
    best_start,
    fit_modes,
    resonance_guess,
)

LOADS = Loads(9991.0, 20.0, 4000.0, 20.0, 0.005, 0.003, 0.005)
MIXERS = np.zeros((4, 4))
MIXERS[:2, :2] = [[0.9, 0.0], [0.03, 1.1]]
MIXERS[2:, 2:] = [[2.0, 0.0], [-0.1, 1.8]]
V = output_covariance(Device(), 0.5)


def sampled(cov: np.ndarray, count: int, rng: np.random.Generator | None) -> Moments:
    """Moments of `count` records: the exact ones, or a draw of a Wishart matrix (Bartlett)."""
    if rng is None:
        return Moments(cov, count)
    low = np.tril(rng.normal(size=(4, 4)), -1)
    low += np.diag(np.sqrt(rng.chisquare(count - np.arange(4))))
    root = np.linalg.cholesky(cov) @ low
    return Moments(root @ root.T / count, count)


def measured(count: int, rng: np.random.Generator | None, added: float = 5.0):
    hot, cold = (load_variance(9991.0, t) for t in (4000.0, 20.0))
    states = (V, cold * np.eye(4), hot * np.eye(4), cold * np.eye(4))
    sets = [
        sampled(MIXERS @ (state + added * np.eye(4)) @ MIXERS.T, count, rng) for state in states
    ]
    return estimate(*sets, LOADS)


def test_without_noise_everything_comes_back():
    found = measured(1000, None)
    assert found.covariance == pytest.approx(V, abs=1e-9)
    assert found.added_noise == pytest.approx([5.0, 5.0])
    assert found.gain == pytest.approx([0.99, 3.6])


@pytest.mark.parametrize(("added", "count"), [(0.5, 10**5), (5.0, 4 * 10**5), (20.0, 10**7)])
def test_spread_against_records(added, count):
    """With gain and added noise known, 200 repeats scatter as predicted, within 15 %."""
    rng = np.random.default_rng(7)
    noisy = V + added * np.eye(4)
    found = [
        float(signed_negativity(sampled(noisy, count, rng).covariance - added * np.eye(4)))
        for _ in range(200)
    ]
    predicted = negativity_spread(V, added) / np.sqrt(count)
    assert np.std(found, ddof=1) == pytest.approx(predicted, rel=0.15)
    assert np.mean(found) == pytest.approx(0.4643, abs=0.15 * predicted + 0.006)


def test_the_sheets_monte_carlo():
    """(10, -10), 0.5 MHz, 5 quanta, 1e5 records, 200 repeats: 0.471 on average, 0.0515 spread."""
    rng = np.random.default_rng(11)
    found = [
        float(
            signed_negativity(sampled(V + 5 * np.eye(4), 100_000, rng).covariance - 5 * np.eye(4))
        )
        for _ in range(200)
    ]
    assert np.std(found, ddof=1) == pytest.approx(0.0535, rel=0.15)
    assert np.mean(found) == pytest.approx(0.471, abs=0.012)


def test_errors_of_the_whole_chain_are_honest():
    """Over many repeats each element, E_N, gain and added noise scatter by their errors."""
    rng = np.random.default_rng(3)
    truth = float(signed_negativity(V))
    pulls, others, elements = [], [], []
    for _ in range(120):
        found = measured(300_000, rng)
        value, error, shared = found.propagate(signed_negativity)
        pulls.append((value - truth) / error)
        others.append(((found.added_noise - 5.0) / found.added_error)[0])
        scatter = np.sqrt(np.diag(found.statistical))
        elements.append((found.covariance - V)[np.triu_indices(4)] / scatter)
        assert 0 < shared < error
    assert 0.8 < np.std(pulls) < 1.25
    assert 0.6 < np.std(others) < 1.1  # the thermometer's share did not scatter here
    assert 0.9 < np.std(elements) < 1.1


def test_shared_errors_come_from_the_thermometers():
    cold = measured(10**12, None)
    value, statistical, shared = cold.propagate(signed_negativity)
    # 0.3 % of the load's temperature is 0.3 % of the gain, and dE_N / d ln g is 0.591
    assert shared == pytest.approx(0.591 * 0.003, rel=0.1)
    assert statistical < 0.1 * shared
    assert value == pytest.approx(0.4643, abs=2e-4)


def test_records_that_remember_count_less():
    rng = np.random.default_rng(1)
    count, rho = 200_000, 0.5
    x = rng.normal(size=(count, 4))
    for n in range(1, count):
        x[n] = rho * x[n - 1] + np.sqrt(1 - rho**2) * x[n]
    found = moments(x.sum(axis=0), x.T @ x, x[:-1].T @ x[1:], count)
    assert found.discount == pytest.approx((1 + rho**2) / (1 - rho**2), rel=0.03)
    fresh = rng.normal(size=(count, 4))
    lagged = fresh[:-1].T @ fresh[1:]
    assert moments(fresh.sum(axis=0), fresh.T @ fresh, lagged, count).discount < 1.001


def test_records_needed_to_see_a_hundredth_of_a_quantum():
    """14 quanta with 3 sigma: 1.76e7 samples, twice as many with a reference; 1e6 know 0.1 %."""
    assert records_needed(14.0, 0.01 / 3) == pytest.approx(1.764e7, rel=1e-6)
    assert records_needed(14.0 * np.sqrt(2), 0.01 / 3) == pytest.approx(3.528e7, rel=1e-6)
    errors = np.diag(wishart(14.0 * np.eye(4), 1e6))  # of I I, I Q, ...: both quadratures of one
    assert np.sqrt(errors[0] + errors[4]) / 28.0 == pytest.approx(1e-3, rel=1e-9)


def test_wishart_and_triangle():
    rng = np.random.default_rng(2)
    draws = np.array([sampled(V, 50, rng).covariance[np.triu_indices(4)] for _ in range(4000)])
    assert np.cov(draws.T) == pytest.approx(wishart(V, 50), abs=0.01)
    assert triangle(V[np.triu_indices(4)]) == pytest.approx(V)


def test_wrong_input_is_named():
    sets = [sampled(np.eye(4), 1000, None)] * 4
    with pytest.raises(ValueError, match=r"loads: 20 mK and 20 mK differ by 0 quanta"):
        estimate(*sets, Loads(9991.0, 20.0, 20.0, 20.0, 0.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="the hot load is not noisier"):
        estimate(*sets, LOADS)
    with pytest.raises(ValueError, match="3 records are too few"):
        moments(np.zeros(4), np.zeros((4, 4)), np.zeros((4, 4)), 3)
    with pytest.raises(ValueError, match="error: must be positive"):
        records_needed(10.0, 0.0)
    assert records_needed(16.91, 0.01) == 2859481


def test_inference_finds_the_device_and_the_inside():
    """Outputs of a device that spectroscopy got slightly wrong bring it back."""
    true = Device(detuning_1=10.1, coupling=4.6, detuning_m=8.9)
    v = output_covariance(true, 0.5)
    cold = load_variance(9991.0, 20.0) * np.eye(4)
    hot = load_variance(9991.0, 4000.0) * np.eye(4)
    five = 5.0 * np.eye(4)
    sets = [Moments(MIXERS @ (s + five) @ MIXERS.T, 1e12) for s in (v, cold, hot, cold)]
    exact = Loads(9991.0, 20.0, 4000.0, 20.0, 1e-9, 1e-9, 1e-9)
    errors = {"detuning_1": 0.3, "coupling": 0.3, "detuning_m": 0.3}
    found = infer(estimate(*sets, exact), Device(), errors, 0.5, 10.0)
    assert found.device.coupling == pytest.approx(4.6, abs=1e-3)
    assert found.device.detuning_1 == pytest.approx(10.1, abs=2e-3)
    assert found.log_negativity == pytest.approx(float(entanglement(true)), abs=1e-4)
    assert found.phases == pytest.approx((0.0, 0.0), abs=1e-3)
    assert found.error < 1e-3


def test_inference_follows_the_oscillators_phases():
    turn = np.eye(4)
    for place, angle in ((0, 0.05), (2, 0.08)):
        c, s = np.cos(angle), np.sin(angle)
        turn[place : place + 2, place : place + 2] = [[c, s], [-s, c]]
    cold = load_variance(9991.0, 20.0) * np.eye(4)
    hot = load_variance(9991.0, 4000.0) * np.eye(4)
    sets = [Moments(s + 5 * np.eye(4), 1e10) for s in (turn @ V @ turn.T, cold, hot, cold)]
    found = infer(estimate(*sets, LOADS), Device(), {"coupling": 1e-3}, 0.5, 10.0, phase_error=1.0)
    assert sum(found.phases) == pytest.approx(0.13, abs=5e-3)
    assert found.log_negativity == pytest.approx(0.0981, abs=5e-4)
    assert found.duan == pytest.approx(float(duan(np.eye(4) * 0 + _inside())), abs=5e-3)
    with pytest.raises(ValueError, match="unstable"):
        infer(estimate(*sets, LOADS), Device(coupling=12.0), {"coupling": 0.01}, 0.5, 10.0)


def _inside() -> np.ndarray:
    from labctl.analysis.magnomechanics import covariance

    return covariance(Device())[:4, :4]


def test_mode_fit_recovers_a_device_with_honest_errors():
    probe = np.linspace(-32, 32, 321)
    true = Device(detuning_1=9.5, detuning_2=-10.2, detuning_m=7.7, kappa_2=0.6, g_2=3.1)
    clean = scattering(true, probe)
    factor = np.array([[1.01 + 0.01j, 0.99], [1.02j**4, 0.98 - 0.01j]])
    rng = np.random.default_rng(4)
    pulls = []
    for _ in range(20):
        noise = rng.normal(size=clean.shape) + 1j * rng.normal(size=clean.shape)
        s = factor * clean + 1e-3 / np.sqrt(2) * noise
        start = best_start(probe, s, Device(kappa_2=0.6), {"coupling": (3.0, 4.0, 5.0)})
        fit = fit_modes(probe, s, start, (*MODES, "coupling"))
        truth = np.array([float(getattr(true, name)) for name in fit.names])
        pulls.append((fit.values - truth) / np.sqrt(np.diag(fit.covariance)))
        assert fit.misfit == pytest.approx(1e-3, rel=0.1)
    assert 0.8 < np.std(pulls) < 1.2
    assert abs(np.mean(pulls)) < 0.3


def test_cavities_far_from_the_magnon():
    probe = np.linspace(-42, 48, 901)
    s = scattering(Device(coupling=0, detuning_1=-25.0, detuning_2=-24.7, detuning_m=-500), probe)
    start = Device(coupling=0, detuning_1=resonance_guess(probe, s[:, 0, 0]),
                   detuning_2=resonance_guess(probe, s[:, 1, 1]), detuning_m=-500)  # fmt: skip
    fit = fit_modes(probe, s, start, CAVITIES)
    assert fit.values == pytest.approx([-25.0, -24.7, 1.0, 1.0], abs=1e-4)
    with pytest.raises(ValueError, match=r"s: must have shape \(901, 2, 2\)"):
        fit_modes(probe, s[:, 0, 0], start)
    with pytest.raises(ValueError, match="2 points do not determine"):
        fit_modes(probe[:2], s[:2], start)
    with pytest.raises(ValueError, match="reflection"):
        resonance_guess(probe, s[:3, 0, 0])
