"""Stochastic processes as functions of time: statistics, order independence, exact steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from simulated_instruments.physics.noise import (
    HORIZON,
    LinearSystem,
    OrnsteinUhlenbeck,
    White,
    Wiener,
    lag,
    lag_mean,
    slew,
)

PROCESSES = [
    Wiener(11, 0.7),
    OrnsteinUhlenbeck(12, 1.3, 5e-3, mean=2.0),
    OrnsteinUhlenbeck(13, 0.2, 600.0),
    OrnsteinUhlenbeck(14, 1.0, 2e-7),
    White(15, 0.5, 8e-9),
]
times_of_day = st.floats(0.0, 1e8, allow_nan=False) | st.floats(0.0, 1e-3, allow_nan=False)


def within(sample_variance: float, expected: float, n: float) -> bool:
    """Monte Carlo acceptance of the reference: 4 sqrt(2 / n)."""
    return abs(sample_variance / expected - 1) < 4 * math.sqrt(2 / n)


@settings(max_examples=60, deadline=None)
@given(st.lists(times_of_day, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_a_value_depends_on_its_time_only(times, random):
    shuffled = times[:]
    random.shuffle(shuffled)
    for process in PROCESSES:
        alone = {t: process.at(t) for t in shuffled}
        together = process.at(np.array(times))
        assert [alone[t] for t in times] == together.tolist()


@pytest.mark.parametrize("process", PROCESSES)
def test_a_dense_grid_agrees_with_single_questions_bit_for_bit(process):
    times = 3600.0 + np.arange(3000) * 1.7e-4
    together = process.at(times)
    assert together[::97].tolist() == [process.at(float(t)) for t in times[::97]]
    assert process.at(times.reshape(30, 100)).tolist() == together.reshape(30, 100).tolist()
    assert type(process.at(1.5)) is float


def test_same_seed_same_path_and_other_seed_another_path():
    t = np.arange(4000) * 0.05
    a, b, c = (OrnsteinUhlenbeck(seed, 1.0, 5e-3).at(t) for seed in (1, 1, 2))
    assert a.tolist() == b.tolist()
    assert abs(np.corrcoef(a, c)[0, 1]) < 4 / math.sqrt(t.size)
    # neighbouring seeds and shifted times must not be the same numbers either
    w = [Wiener(seed, 1.0).at(np.arange(4001) * 2.0**-10) for seed in (3, 4)]
    for shift in range(1, 6):
        r = np.corrcoef(np.diff(w[0])[shift:], np.diff(w[1])[:-shift])[0, 1]
        assert abs(r) < 4 / math.sqrt(4000)


@pytest.mark.parametrize("process", PROCESSES[:4])
@pytest.mark.parametrize("t", [-1e-9, HORIZON, math.nan])
def test_time_outside_the_tree_is_refused_in_one_line(process, t):
    with pytest.raises(ValueError, match="time must be from 0"):
        process.at(t)
    with pytest.raises(ValueError, match="time must be from 0"):
        process.at(np.array([0.0, t]))


def test_wiener_starts_at_zero_and_no_times_give_no_values():
    assert Wiener(5, 3.0).at(0.0) == 0.0
    assert Wiener(5, 3.0).at(np.array([])).shape == (0,)


@pytest.mark.parametrize("dt", [2.0**-20, 1e-4, 0.013, 1.0, 777.0])
@pytest.mark.parametrize("start", [0.0, 1e5])
def test_wiener_increments_are_normal_and_independent(dt, start):
    n = 8000
    steps = np.diff(Wiener(21, 0.3).at(start + np.arange(n + 1) * dt))
    assert within(float(np.mean(steps**2)), 0.09 * dt, n)
    assert stats.kstest(steps / (0.3 * math.sqrt(dt)), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(steps[1:], steps[:-1])[0, 1]) < 4 / math.sqrt(n)


def test_wiener_variance_grows_from_zero_over_many_seeds():
    t = np.array([1e-3, 0.5, 86_400.0, 1e8])
    paths = np.array([Wiener(seed, 2.0).at(t) for seed in range(1500)])
    for column, when in zip(paths.T, t, strict=True):
        assert within(float(np.mean(column**2)), 4.0 * when, 1500)
    # cov(W(s), W(t)) = sigma^2 min(s, t): the later increment does not know the earlier value
    r = np.corrcoef(paths[:, 2], paths[:, 3] - paths[:, 2])[0, 1]
    assert abs(r) < 4 / math.sqrt(1500)


def test_brownian_bridge_between_any_two_points():
    # given both ends of an interval that is not dyadic, the inside is a bridge
    n, length, where = 6000, 0.37, 0.3
    starts = np.arange(n) * 1.1
    w = Wiener(31, 1.0)
    left, middle, right = w.at(starts), w.at(starts + where * length), w.at(starts + length)
    rest = middle - ((1 - where) * left + where * right)
    assert within(float(np.mean(rest**2)), where * (1 - where) * length, n)
    assert abs(np.corrcoef(rest, right - left)[0, 1]) < 4 / math.sqrt(n)


@pytest.mark.parametrize(("tau", "std"), [(5e-3, 0.05), (600.0, 20.0), (1.0, 1.0), (3e-7, 2.0)])
def test_ou_is_stationary_with_exponential_autocovariance(tau, std):
    n = 6000
    process = OrnsteinUhlenbeck(41, std, tau, mean=-3.0)
    starts = np.arange(n) * 7.3 * tau + 0.5
    x = process.at(starts) + 3.0
    assert abs(x.mean()) < 4 * std / math.sqrt(n) * 1.01
    assert within(float(np.mean(x**2)), std**2, n)
    assert stats.kstest(x / std, "norm").pvalue > 1e-3
    for u in (0.01, 0.3, 1.0, 3.0):
        step = process.at(starts + u * tau) + 3.0 - math.exp(-u) * x
        # the innovation has the exact variance and knows nothing of the present
        assert within(float(np.mean(step**2)), -math.expm1(-2 * u) * std**2, n)
        assert abs(np.corrcoef(step, x)[0, 1]) < 4 / math.sqrt(n)


def test_ou_needs_a_positive_correlation_time():
    with pytest.raises(ValueError, match="positive"):
        OrnsteinUhlenbeck(1, 1.0, 0.0)


def test_time_averages_of_the_reference_table():
    n, dt, inside = 2500, 0.25, 128
    offsets = (np.arange(inside) + 0.5) / inside * dt
    starts = np.arange(n) * 0.8
    w = Wiener(51, 1.0)
    ends = w.at(starts), w.at(starts + dt)
    mean = w.at((starts[:, None] + offsets).ravel()).reshape(n, inside).mean(axis=1)
    assert within(float(np.var(mean - (ends[0] + ends[1]) / 2)), dt / 12, n)
    assert within(float(np.var(mean - ends[0])), dt / 3, n)
    covariance = np.mean((mean - ends[0]) * (ends[1] - ends[0]))
    assert covariance == pytest.approx(dt / 2, rel=4 * math.sqrt(2 / n) * 1.3)

    tau = 0.1
    u = dt / tau
    ou = OrnsteinUhlenbeck(52, 1.0, tau)
    starts = np.arange(n) * 1.5
    mean = ou.at((starts[:, None] + offsets).ravel()).reshape(n, inside).mean(axis=1)
    assert within(float(np.var(mean)), 2 / u**2 * (u - 1 + math.exp(-u)), n)


def test_white_noise_is_one_number_per_tick():
    noise = White(61, 2.0, 1e-6)
    t = np.arange(20_000) * 1e-6 + 0.5e-6
    x = noise.at(t)
    assert noise.at(t + 0.3e-6).tolist() == x.tolist()
    assert within(float(np.mean(x**2)), 4.0, x.size)
    assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < 4 / math.sqrt(x.size)


def test_lag_and_slew_compose_and_average():
    half = lag(lag(1.0, 3.0, 0.35, 0.5), 3.0, 0.35, 0.5)
    assert half == pytest.approx(lag(1.0, 3.0, 0.7, 0.5), rel=1e-14)
    t = (np.arange(20_000) + 0.5) / 20_000 * 0.7
    slow = np.mean([lag(1.0, 3.0, x, 0.5) for x in t])
    assert lag_mean(1.0, 3.0, 0.7, 0.5) == pytest.approx(slow, rel=1e-8)
    assert lag_mean(1.0, 3.0, 0.0, 0.5) == 1.0
    assert slew(slew(0.0, 5.0, 0.2, 10.0), 5.0, 0.1, 10.0) == slew(0.0, 5.0, 0.3, 10.0) == 3.0
    assert slew(0.0, -5.0, 1.0, 10.0) == -5.0


def thermal() -> LinearSystem:
    """The temperature controller of section 3 of the reference."""
    tau, k, tau_s, kp, ki, sigma, tau_a = 25.0, 20.0, 0.8, 0.5, 0.05, 0.1, 1800.0
    noise = 0.2e-3**2 / 10.0
    drift = [
        [-1 / tau, -k * kp / tau, k * ki / tau, 1 / tau],
        [1 / tau_s, -1 / tau_s, 0, 0],
        [0, -1, 0, 0],
        [0, 0, 0, -1 / tau_a],
    ]
    b = np.array([k * kp / tau, 0, 1, 0])
    diffusion = noise * np.outer(b, b) + np.diag([0, 0, 0, 2 * sigma**2 / tau_a])
    return LinearSystem(drift, diffusion, [[k * kp / tau], [0], [1], [0]])


def test_exact_step_of_the_temperature_controller():
    system = thermal()
    poles = np.sort_complex(np.linalg.eigvals(system.drift))
    assert poles[0] == pytest.approx(-0.5835 - 0.2569j, abs=1e-4)
    assert poles[2] == pytest.approx(-0.1230, abs=1e-4)
    phi, _, qd = system.step(10.0)
    assert phi[0, 0] == pytest.approx(-0.14465, rel=1e-4)
    assert qd[0, 0] == pytest.approx(0.4538e-6, rel=2e-4)
    root = system.noise_root(10.0)
    assert root @ root.T == pytest.approx(qd, abs=1e-18)
    assert math.sqrt(system.stationary()[0, 0]) == pytest.approx(0.745e-3, rel=1e-3)
    # a set-point step of 1 K without noise: states T, T_s, z, T_a as deviations from the start
    assert system.step(5.0)[1][0, 0] == pytest.approx(1.07884, rel=1e-4)
    assert system.step(20.0)[1][0, 0] == pytest.approx(1.02592, rel=1e-4)
    assert system.step(10.0)[0] is phi


@pytest.mark.parametrize("dt", [1e-3, 0.5, 10.0, 300.0])
def test_one_step_equals_two_half_steps_and_keeps_the_steady_state(dt):
    system = thermal()
    phi, gamma, qd = system.step(dt)
    half_phi, half_gamma, half_qd = system.step(dt / 2)
    assert half_phi @ half_phi == pytest.approx(phi, abs=1e-13)
    assert half_phi @ half_qd @ half_phi.T + half_qd == pytest.approx(qd, rel=1e-10, abs=1e-17)
    assert half_phi @ half_gamma + half_gamma == pytest.approx(gamma, abs=1e-12)
    steady = system.stationary()
    assert phi @ steady @ phi.T + qd == pytest.approx(steady, abs=1e-14)
