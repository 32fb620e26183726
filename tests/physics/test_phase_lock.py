"""Phase loop: reference numbers of its theory, and a model whose events ignore polling."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_banded

from simulated_instruments.physics.interferometer import Controller
from simulated_instruments.physics.loop_noise import (
    limit_cycle,
    residual_variance,
    slip_time,
)
from simulated_instruments.physics.phase_lock import PhaseLoop
from simulated_instruments.world import World

GAIN, AMPLITUDE = 20.0, 0.4  # rad/V and V of the default loop


def loop(seed: int = 0, **changes) -> PhaseLoop:
    return PhaseLoop(World(seed).seed_of, **changes)


def holding(bandwidth: float = 1000.0, angle: float = 0.0, **changes) -> Controller:
    """A controller for the default loop with a unity-gain frequency (Hz) at an angle (rad)."""
    integral = -bandwidth / (GAIN * AMPLITUDE * math.cos(angle))
    return Controller(integral, setpoint=2e-3 + AMPLITUDE * math.sin(angle), **changes)


# ---------------------------------------------------------------- theory


@pytest.mark.parametrize(
    ("rate", "delay", "sensor", "rms_mrad"),
    [
        (1e3, 0.0, 1e-8, 22.47),
        (1e4, 0.0, 1e-8, 10.00),
        (1e5, 0.0, 1e-8, 22.47),
        (1e4, 20e-6, 0.0, 7.820),
        (36954.0, 20e-6, 0.0, 5.535),
    ],
)
def test_residual_noise_of_the_reference(rate, delay, sensor, rms_mrad):
    variance = residual_variance(rate, drift=1.0, sensor=sensor, delay=delay)
    assert 1e3 * math.sqrt(variance) == pytest.approx(rms_mrad, rel=2e-4, abs=5e-3)


def test_best_gains_of_the_reference():
    rates = np.geomspace(1e3, 7e4, 4001)
    noisy = residual_variance(rates, drift=1.0, sensor=1e-8)
    assert rates[np.argmin(noisy)] == pytest.approx(1.0 / math.sqrt(1e-8), rel=2e-3)
    assert noisy.min() == pytest.approx(math.sqrt(1e-8), rel=1e-5)
    late = residual_variance(rates, drift=1.0, delay=20e-6)
    assert rates[np.argmin(late)] * 20e-6 == pytest.approx(0.739085, rel=2e-3)
    assert math.sqrt(late.min()) == pytest.approx(1.2377 * math.sqrt(20e-6), rel=1e-4)
    assert residual_variance(math.pi / 2 / 20e-6, drift=1.0, delay=20e-6) == math.inf


@pytest.mark.parametrize(
    ("k_delay", "proportional", "tolerance"),
    [(0.0, 0.0, 2e-3), (0.05, 0.0, 0.01), (0.6, 0.0, 0.05), (1.2, 0.0, 0.05), (0.3, 0.3, 0.15)],
)
def test_residual_noise_against_the_integral_over_frequency(k_delay, proportional, tolerance):
    rate, tau, std, sigma, sensor = 6000.0, 5e-3, 0.15, 0.1, 1e-9
    delay = k_delay / rate
    w = np.geomspace(1e-3, 1e9, 2_000_001)
    if proportional:
        w = w[w < math.pi / (2 * delay)]  # the sensor noise of a proportional path is cut there
    gain = (proportional + rate / (1j * w)) * np.exp(-1j * w * delay)
    free = sigma**2 / w**2 + 2 * std**2 * tau / (1 + (w * tau) ** 2)
    psd = np.abs(1 / (1 + gain)) ** 2 * free + np.abs(gain / (1 + gain)) ** 2 * sensor
    expected = np.trapezoid(psd * w, np.log(w)) / math.pi
    found = residual_variance(
        rate,
        drift=sigma,
        sensor=sensor,
        delay=delay,
        acoustic_rms=std,
        acoustic_time=tau,
        proportional=proportional,
    )
    assert float(found) == pytest.approx(expected, rel=tolerance)


def test_proportional_gain_calms_until_the_delay_makes_it_unstable():
    def variance(p: float) -> float:
        return float(residual_variance(3000.0, drift=1.0, delay=2e-5, sensor=1e-12, proportional=p))

    assert variance(0.3) < variance(0.0) < variance(-0.3)
    assert variance(1.2) == math.inf
    without_delay = residual_variance(3000.0, drift=1.0, proportional=1.0)
    assert float(without_delay) == pytest.approx(1.0 / (2 * 3000 * 2))


def test_slip_time_of_the_reference_and_from_the_backward_equation():
    assert slip_time(9.0, 4.5) == pytest.approx(22.79, abs=0.01)
    # D T'' - k sin(x) T' = -1 between absorbing ends at +-2 pi, solved on a grid
    k, d, n = 9.0, 4.5, 20001
    x = np.linspace(-2 * math.pi, 2 * math.pi, n)
    h = x[1] - x[0]
    bands = np.zeros((3, n))
    bands[0, 2:] = d / h**2 - k * np.sin(x[1:-1]) / (2 * h)
    bands[1, 1:-1] = -2 * d / h**2
    bands[2, :-2] = d / h**2 + k * np.sin(x[1:-1]) / (2 * h)
    bands[1, [0, -1]] = 1.0
    right = np.full(n, -1.0)
    right[[0, -1]] = 0.0
    exit_time = solve_banded((1, 1), bands, right)[n // 2]
    assert slip_time(k, d) == pytest.approx(exit_time, rel=1e-4)
    assert slip_time(1e4, 1.0) == slip_time(1.0, 0.0) == math.inf


@pytest.mark.parametrize("lag", [1.65, 1.8, 2.2])
def test_amplitude_of_the_oscillation_against_a_slow_simulation(lag):
    steps = 200  # per delay
    psi = np.zeros(400 * steps)
    psi[: steps + 1] = 0.1
    for n in range(steps, psi.size - 1):
        psi[n + 1] = psi[n] - lag / steps * math.sin(psi[n - steps])
    assert limit_cycle(lag) == pytest.approx(np.ptp(psi[-20 * steps :]) / 2, rel=0.08)
    assert limit_cycle(1.57) == 0.0


# ---------------------------------------------------------------- squeezing


def squeezing_db(jitter: float, ideal_db: float, anti_db: float) -> float:
    """Positive below shot noise; written here so as not to borrow a formula under test."""
    low, high, keep = 10 ** (-ideal_db / 10), 10 ** (anti_db / 10), math.exp(-2 * jitter**2)
    return -10 * math.log10(low * (1 + keep) / 2 + high * (1 - keep) / 2)


def test_jitter_costs_squeezing_as_in_the_reference():
    assert squeezing_db(0.0, 3.08, 10.29) == pytest.approx(3.080, abs=1e-3)
    assert squeezing_db(math.radians(2), 3.08, 10.29) == pytest.approx(2.972, abs=1e-3)
    assert squeezing_db(math.radians(5), 3.08, 10.29) == pytest.approx(2.448, abs=1e-3)
    assert squeezing_db(0.05, 3.0, 10.0) == pytest.approx(2.799, abs=1e-3)
    assert squeezing_db(0.10, 3.0, 10.0) == pytest.approx(2.253, abs=1e-3)


def test_default_loop_explains_the_published_squeezing_and_other_gains_are_worse():
    # eta 0.675, p 0.6053, analysis frequency 0.1034: what the benchmark pair would show at rest
    eta, p, w = 0.675, 0.6053, 0.1034
    best = -10 * math.log10(1 - 4 * eta * p / ((1 + p) ** 2 + w**2))
    anti = 10 * math.log10(1 + 4 * eta * p / ((1 - p) ** 2 + w**2))

    def seen(bandwidth: float) -> tuple[float, float]:
        lock = loop()
        lock.advance(1.0)
        lock.set_controller(1.0, holding(bandwidth))
        lock.advance(2.0)
        jitter = float(lock.jitter_rms(2.0))
        return jitter, squeezing_db(jitter, best, anti)

    jitter, squeezing = seen(1000.0)
    assert jitter == pytest.approx(0.1094, abs=2e-4)
    assert squeezing == pytest.approx(3.08, abs=0.02)
    jitter, squeezing = seen(100.0)
    assert jitter == pytest.approx(0.128, abs=1e-3)
    assert squeezing < 2.75
    jitter, squeezing = seen(10_000.0)
    assert jitter > 1.0
    assert squeezing < 0.0


# ---------------------------------------------------------------- model


def test_free_phase_drifts_and_trembles():
    times = np.arange(4000) * 0.5
    lock = loop(drift=1.0)
    steps = np.diff(lock.phase(times))
    assert np.var(steps) == pytest.approx(0.5 + 2 * 0.15**2, rel=4 * math.sqrt(2 / 4000))
    assert lock.jitter_rms(5.0) == lock.arms.fast_rms
    starts = [float(loop(seed).phase(0.0)) for seed in range(200)]
    assert np.std(starts) == pytest.approx(math.pi / math.sqrt(3), rel=0.15)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("angle", [0.0, 0.6, -1.0])
@pytest.mark.parametrize("sign", [-1, 1])
def test_capture_of_the_nearest_stable_fringe_within_a_few_time_constants(seed, angle, sign):
    lock = loop(seed)
    lock.advance(3.0)
    before = float(lock.phase(3.0))
    controller = holding(angle=angle)
    lock.set_controller(3.0, replace(controller, integral=sign * controller.integral))
    lock.advance(3.1)
    assert lock.locked(3.05)
    stable = angle if sign > 0 else math.pi - angle
    after = float(lock.phase(3.1))
    assert math.remainder(after - stable, 2 * math.pi) == pytest.approx(0.0, abs=1e-9)
    assert abs(after - before) <= math.pi + 1e-9
    assert float(lock.phase(3.0)) == pytest.approx(before, abs=1e-9)
    rate = 2 * math.pi * 1000
    distance = np.abs(lock.phase(3.0 + np.arange(5) / rate) - after)
    assert np.all(np.diff(distance) <= 1e-12)
    # the lock follows dpsi = -k sin(psi) dt
    slope = np.tan(distance / 2)
    assert slope[1:] / slope[:-1] == pytest.approx(math.exp(-1), rel=1e-6)


def test_locked_error_signal_stays_at_the_setpoint_with_the_expected_scatter():
    lock = loop(5)
    lock.advance(1.0)
    lock.set_controller(1.0, holding(angle=0.4))
    lock.advance(61.0)
    error = lock.error(1.1 + np.arange(4000) * 0.0137) - (2e-3 + AMPLITUDE * math.sin(0.4))
    slope = AMPLITUDE * math.cos(0.4)
    sensor = math.sqrt(2 * 1e6 * 4.5e-10) / math.cos(0.4)
    residual = math.sqrt(lock.jitter_rms(2.0) ** 2 - lock.arms.fast_rms**2)
    assert np.std(error) / slope == pytest.approx(math.hypot(sensor, residual), rel=0.06)
    assert abs(np.mean(error)) / slope < 0.01
    # the output takes the drift: modulator and free phase together stay where they are
    t = np.arange(1.1, 61.0, 0.5)
    free = loop(5).phase(t)
    assert GAIN * lock.output(t) + free == pytest.approx(lock.phase(t), abs=1e-9)


def test_a_paused_integrator_holds_its_output_and_the_phase_wanders():
    lock = loop(3)
    lock.set_controller(0.0, holding())
    lock.advance(10.0)
    held = lock.integral(10.0)
    lock.set_controller(10.0, replace(holding(), integral=0.0))
    lock.advance(20.0)
    assert lock.output(np.array([10.0, 15.0, 20.0])).tolist() == [held] * 3
    assert abs(float(lock.phase(20.0)) - float(lock.phase(10.0))) > 0.01
    assert lock.jitter_rms(15.0) == lock.arms.fast_rms
    lock.set_controller(20.0, holding())
    lock.advance(20.1)
    assert math.remainder(float(lock.phase(20.1)), 2 * math.pi) == pytest.approx(0.0, abs=1e-9)
    # what was is still known
    assert lock.phase(9.9) == pytest.approx(lock.phase(9.8), abs=1e-12)
    assert not lock.locked(15.0)
    assert lock.locked(9.0)


def switched(off: float, on: float):
    """Amplitude of a fringe that is blocked and opened again, each in about 0.1 s."""

    def amplitude(t):
        fall = np.exp(-np.maximum(t - off, 0.0) / 0.1)
        rise = 1 - np.exp(-np.maximum(t - on, 0.0) / 0.1)
        return AMPLITUDE * np.where(np.asarray(t) < on, fall, rise)

    return amplitude


def test_without_light_a_running_integrator_runs_away_and_captures_again():
    lock = loop(4, error_amplitude=switched(5.0, 12.0))
    lock.set_controller(0.0, holding())
    lock.advance(4.9)
    lock.advance(11.9)
    assert lock.locked(5.2)
    assert not lock.locked(6.0)
    # with the setpoint at the offset only noise is integrated: a random walk of the output
    walk = 2 * math.pi * 125 * AMPLITUDE * math.sqrt(4.5e-10)
    assert 0 < abs(lock.output(11.0) - lock.output(6.0)) < 5 * walk * math.sqrt(5)
    lock.advance(13.5)
    assert lock.locked(13.4)
    assert math.remainder(float(lock.phase(13.4)), 2 * math.pi) == pytest.approx(0.0, abs=0.02)

    wrong = loop(4, error_amplitude=switched(5.0, 1e9))
    wrong.set_controller(0.0, replace(holding(), setpoint=4e-3))
    wrong.advance(4.9)
    wrong.advance(30.0)
    assert wrong.saturated(30.0)
    ramp = 2 * math.pi * 125 * 2e-3  # V/s
    gone = next(t for t in np.arange(5.0, 7.0, 0.01) if not wrong.locked(t))
    assert gone == pytest.approx(5.0 + 0.1 * math.log(100), abs=0.011)  # 1 % of the light
    moved = wrong.output(gone + 0.1) - wrong.output(gone)
    assert moved == pytest.approx(0.1 * ramp, rel=0.05)


def test_the_end_of_the_range_is_the_first_crossing_and_needs_a_command():
    lock = loop(7, drift=3.0)
    limits = holding(low=-0.5, high=0.5)
    lock.set_controller(0.0, limits)
    lock.advance(400.0)
    assert lock.saturated(400.0)
    times = np.arange(0.0, 400.0, 2.0**-6)
    held = np.array([lock.locked(t) for t in times[::64]])
    end = float(times[::64][np.flatnonzero(~held)[0]])
    output = lock.output(times)
    assert np.all(np.abs(output[times < end - 1.0]) < 0.5)
    assert set(np.abs(output[times >= end])) == {0.5}
    needed = (lock.phase(0.5) - loop(7, drift=3.0).phase(times)) / GAIN
    first = float(times[np.flatnonzero(np.abs(needed) > 0.5)[0]])
    assert first == pytest.approx(end, abs=1.2)
    lock.set_integral(400.0, 0.0)
    lock.advance(400.1)
    assert lock.locked(400.1)
    assert abs(lock.output(400.1)) < 0.5


def test_slips_are_as_frequent_as_theory_says_and_invisible_in_the_error_signal():
    lock = PhaseLoop(
        World(9).seed_of,
        drift=3.0,
        sensor_noise=0.0,
        volts_per_rad=1e-6,
        delay=0.0,
        acoustic_rms=0.0,
        offset=0.0,
    )
    lock.set_controller(0.0, Controller(-9.0 / (2 * math.pi * 1e6 * AMPLITUDE)))
    lock.advance(3000.0)
    psi = lock.phase(np.arange(10.0, 3000.0, 0.5))
    jumps = np.round(np.diff(psi) / (2 * math.pi))
    expected = 3000 / 22.79
    assert abs(np.abs(jumps).sum() - expected) < 4 * math.sqrt(expected)
    assert abs(jumps.sum()) < 4 * math.sqrt(expected)
    assert np.diff(psi) == pytest.approx(2 * math.pi * jumps, abs=1e-9)


def test_too_much_gain_oscillates_and_does_not_capture():
    lock = loop(2)
    lock.set_controller(0.0, holding(3000.0))
    lock.advance(1.0)
    assert not lock.locked(1.0)
    error = lock.error(0.5 + np.arange(2000) * 1.37e-5)
    assert np.std(error) > 0.3 * AMPLITUDE
    assert lock.jitter_rms(1.0) > 0.5


def play(seed: int, polls: list[float]) -> list:
    """A fixed history of commands, watched at other times each time."""
    lock = loop(seed, drift=0.8, error_amplitude=switched(20.0, 27.0))
    commands = [
        (1.0, lambda t: lock.set_controller(t, holding(300.0, low=-0.25, high=0.25))),
        (9.0, lambda t: lock.set_integral(t, 0.0)),
        (15.0, lambda t: lock.set_controller(t, holding(1000.0, angle=0.5))),
        (20.0, lambda t: None),  # the light is blocked
        (27.0, lambda t: None),  # and comes back
        (33.0, lambda t: lock.set_controller(t, replace(holding(), integral=0.0))),
    ]
    for when in sorted({*polls, *(t for t, _ in commands), 40.0}):
        lock.advance(when)
        if when in polls:
            lock.phase(when), lock.error(np.array([when])), lock.saturated(when)
        for t, command in commands:
            if t == when:
                command(t)
    times = np.arange(0.0, 40.0, 0.02)
    return [lock.phase(times).tolist(), lock.output(times).tolist(), lock.error(39.0)]


@settings(max_examples=12, deadline=None)
@given(st.lists(st.floats(0.0, 40.0), max_size=25), st.integers(0, 3))
def test_polling_changes_nothing(polls, seed):
    assert play(seed, polls) == play(seed, [])


def test_batches_and_single_questions_agree_bit_for_bit():
    lock = loop(6, error_amplitude=switched(3.0, 4.0))
    for when, command in ((0.5, holding()), (2.0, holding(angle=0.7)), (5.0, Controller())):
        lock.advance(when)
        lock.set_controller(when, command)
    lock.advance(8.0)
    times = np.linspace(0.01, 7.99, 1201)
    for function in (lock.phase, lock.output, lock.error, lock.jitter_rms):
        whole = function(times)
        parts = np.concatenate([function(times[:7]), function(times[7:600]), function(times[600:])])
        assert whole.tolist() == parts.tolist()
        assert whole[::60].tolist() == [float(function(float(t))) for t in times[::60]]
        assert function(np.array([])).size == 0
