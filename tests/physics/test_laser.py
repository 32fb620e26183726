"""Laser model: closed forms, hysteresis, mode hops, and independence of the order of asking."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulated_instruments.physics.laser import CtlLaserModel
from simulated_instruments.physics.motion import Approach, Sweep
from simulated_instruments.toptica_dlcpro import SimTopticaDlcPro
from simulated_instruments.world import World

C = 299792458.0


def quiet(seed: int = 1, **values) -> CtlLaserModel:
    """A laser without noise, so that closed forms hold exactly."""
    still = {"drift_hz": 0.0, "thermal_hz": 0.0, "power_noise": 0.0, "hop_rate": 0.0}
    return CtlLaserModel(World(seed).seed_of, **(still | values))


def test_coarse_move_follows_lag_and_slew():
    """Against small Euler steps of dx/dt = clip(gap / 50 ms, +-10 nm/s)."""
    laser = quiet()
    laser.tune(1553.12, 0.0)
    x, dt = 1550.12, 1e-5
    for step in range(1, 60001):
        x += dt * min(max((1553.12 - x) / 0.05, -10.0), 10.0)
        if step % 10000 == 0:
            assert laser.coarse_nm(step * dt) == pytest.approx(x, abs=2e-4)
    assert laser.coarse_nm(0.1) == pytest.approx(1551.12)  # slewing at 10 nm/s
    assert not laser.moving(2.0)
    assert laser.moving(0.3)
    assert laser.frequency_hz(10.0) == pytest.approx(C / 1553.12e-9, abs=1.0)


@pytest.mark.parametrize("target", [1510.0, 1550.1, 1550.5, 1630.0])
def test_moves_compose(target):
    """Going on to the same target from any moment changes nothing."""
    whole = Approach(0.0, 1550.12, target, 0.05, 10.0)
    for cut in (0.01, 0.2, 1.0, 7.0):
        rest = Approach(cut, whole.at(cut), target, 0.05, 10.0)
        for t in np.linspace(cut, 9.0, 40):
            assert rest.at(float(t)) == pytest.approx(whole.at(float(t)), abs=1e-9)
    arrival = whole.reaches(1e-3)
    assert abs(whole.at(arrival) - target) == pytest.approx(1e-3, rel=1e-6)
    times = np.linspace(-1.0, 9.0, 101)
    assert np.array_equal(whole.at(times), [whole.at(float(t)) for t in times])


def test_sweep_repeats_and_ends():
    once = Sweep(1.0, (0.0, 2.0, 3.0), (0.0, 4.0, 0.0))
    assert [once.at(t) for t in (0.0, 2.0, 3.0, 3.5, 9.0)] == [0.0, 2.0, 4.0, 2.0, 0.0]
    assert once.ends == 4.0
    again = Sweep(1.0, (0.0, 2.0, 3.0), (0.0, 4.0, 0.0), repeat=True)
    assert again.at(2.0 + 3.0 * 7) == pytest.approx(2.0)
    assert again.ends == math.inf
    assert np.array_equal(again.at(np.array([2.0, 3.5])), [2.0, 2.0])


def test_piezo_gain_and_lag():
    laser = quiet()
    start = laser.frequency_hz(0.0)
    laser.set_piezo(70.1, 1.0)  # small steps: hysteresis is second order
    end = laser.frequency_hz(2.0) - start
    assert end == pytest.approx(0.2e9, rel=1e-3)
    for tau in (0.5, 1.0, 3.0):
        moved = laser.frequency_hz(1.0 + tau * 1e-3) - start
        assert moved / end == pytest.approx(1.0 - math.exp(-tau), rel=1e-5)


def displacement(laser: CtlLaserModel, volts: list[float], t: float) -> float:
    """Frequency (GHz) over the unhopped start, after a path of voltages without mode hops."""
    start = C / 1550.12e-9
    for step, voltage in enumerate(volts):
        laser.set_piezo(voltage, t + step)
        laser._piezo_hops.clear()
    return (laser.frequency_hz(t + len(volts)) - start) / 1e9


def test_piezo_hysteresis_closes_and_composes():
    rising = displacement(quiet(), [0.0, 140.0, 0.0, 70.0], 1.0)
    falling = displacement(quiet(), [140.0, 0.0, 140.0, 70.0], 1.0)
    assert rising == pytest.approx(-falling)
    # memory h: dh = b dV - |dV| h / L with b = 5 %, L = 70 V, settled at the turning points
    edge = 3.5 * math.tanh(1.0)  # periodic loop over 140 V
    expected = 2.0 * (3.5 * (1 - math.exp(-1)) - edge * math.exp(-1))
    path = [0.0, 140.0] * 6 + [0.0, 70.0]
    assert displacement(quiet(), path, 1.0) == pytest.approx(-expected, rel=1e-3)
    steps = [70.0 + 0.1 * i for i in range(1, 301)]
    assert displacement(quiet(), steps, 1.0) == pytest.approx(displacement(quiet(), [100.0], 1.0))


def test_slope_stays_within_five_percent():
    laser = quiet()
    rng = np.random.default_rng(3)
    old_v, old_f = 70.0, 0.0
    for step, volts in enumerate(rng.uniform(0.0, 140.0, 200)):
        f = displacement(laser, [float(volts)], 1.0 + 2 * step)
        if abs(volts - old_v) > 1e-3:
            assert 0.95 - 1e-9 <= (f - old_f) / (2.0 * (volts - old_v)) <= 1.05 + 1e-9
        old_v, old_f = volts, f


def test_hop_when_the_piezo_leaves_the_mode():
    laser = quiet()
    laser.current_enabled = True
    start = laser.frequency_hz(0.0)
    laser.set_piezo(76.0, 1.0)  # 12 GHz: still in the mode
    assert laser.frequency_hz(2.0) - start == pytest.approx(12e9, rel=0.06)
    laser.set_piezo(77.5, 3.0)
    unhopped = 2e9 * laser._piezo.target
    assert unhopped > 12.5e9
    assert laser.frequency_hz(4.0) - start == pytest.approx(unhopped - 5e9)
    # the hop happens where the offset passes 12.5 GHz, not before
    times = 3.0 + np.linspace(0.0, 5e-3, 50001)
    f = laser.frequency_hz(times) - start
    at = int(np.argmax(np.diff(f) < -4e9))
    assert f[at] == pytest.approx(12.5e9, abs=2e6)
    power = laser.power_mw(times)
    assert power[at] == 20.0
    assert power[at + 1] == 10.0
    assert np.count_nonzero(power == 10.0) == pytest.approx(10000, abs=2)
    # a new coarse point selects the mode afresh
    laser.tune(1550.12, 5.0)
    assert laser.frequency_hz(6.0) - start == pytest.approx(unhopped)


def test_scan_follows_the_waveform_and_folds_the_modes():
    laser = quiet()
    start = laser.frequency_hz(0.0)
    laser.set_scan(lambda t: 70.0 + 2.0 * np.sin(2 * math.pi * t), 0.0)
    assert laser.frequency_hz(0.251) - start == pytest.approx(4e9)  # 1 ms late
    laser.set_scan(lambda t: 70.0 + 8.0 * t, 0.0)
    assert laser.frequency_hz(1.001) - start == pytest.approx(16e9 - 5e9)
    times = np.linspace(0.0, 1.0, 11)
    assert np.allclose(laser.frequency_hz(times), [laser.frequency_hz(float(t)) for t in times])
    laser.set_scan(None, 2.0)
    assert laser.frequency_hz(3.0) - start == pytest.approx(0.0, abs=1.0)


def test_random_hops_are_a_function_of_the_seed():
    laser = quiet(hop_rate=1e-4)
    start = laser.frequency_hz(0.0)
    times = np.linspace(0.0, 1e5, 1001)
    f = laser.frequency_hz(times) - start
    assert set(np.rint(np.diff(f) / 5e9)) >= {-1.0, 0.0, 1.0}
    backwards = [laser.frequency_hz(float(t)) - start for t in times[::-1]]
    assert np.array_equal(f, backwards[::-1])
    assert not np.array_equal(f, quiet(2, hop_rate=1e-4).frequency_hz(times) - start)
    # count: Poisson with mean 10 in 1e5 s; over 1e7 s 1000 +- 4 sqrt(1000)
    count = len(laser._hops_between(0.0, 1e7))
    assert abs(count - 1000) < 4 * math.sqrt(1000)
    # a new coarse point forgets the hops before it
    laser.tune(1550.12, 5e4)
    assert laser.frequency_hz(5e4) == start


def test_noise_has_the_stated_size():
    """Drift: variance of increments over dt is (1 MHz)^2 dt; thermal: 20 MHz rms, 600 s."""
    seconds = 400.0
    changes, levels, powers = [], [], []
    for seed in range(150):
        laser = CtlLaserModel(World(seed).seed_of, thermal_hz=0.0, hop_rate=0.0)
        laser.current_enabled = True
        f = laser.frequency_hz(np.array([100.0, 100.0 + seconds]))
        changes.append(f[1] - f[0])
        powers.append(laser.power_mw(50.0) / 20.0 - 1.0)
        laser = CtlLaserModel(World(seed).seed_of, drift_hz=0.0, hop_rate=0.0)
        levels.append(laser.frequency_hz(77.0) - C / 1550.12e-9)
    tolerance = 4.0 / math.sqrt(2 * 150)  # four standard errors of a standard deviation
    assert np.std(changes) == pytest.approx(1e6 * math.sqrt(seconds), rel=tolerance)
    assert np.std(levels) == pytest.approx(20e6, rel=tolerance)
    assert np.std(powers) == pytest.approx(2e-3, rel=tolerance)


def test_order_of_asking_changes_nothing():
    times = np.linspace(0.0, 1000.0, 101)
    one = CtlLaserModel(World(5).seed_of)
    other = CtlLaserModel(World(5).seed_of)
    other.current_enabled = True
    for t in times[::-1]:
        other.power_mw(float(t))
    assert np.array_equal(
        one.frequency_hz(times), [other.frequency_hz(float(t)) for t in times[::-1]][::-1]
    )
    assert one.head_celsius(3.0) == other.head_celsius(3.0)


def test_power_needs_every_condition():
    laser = quiet()
    assert laser.power_mw(0.0) == 0.0
    laser.current_enabled = True
    assert laser.power_mw(0.0) == 20.0
    laser.current_ma = 180.0  # half way between threshold and nominal
    assert laser.power_mw(0.0) == pytest.approx(10.0)
    laser.current_ma = 60.0
    assert laser.power_mw(0.0) == 0.0
    laser.current_ma = 300.0
    for attribute, dark in (
        ("interlock_open", True),
        ("frontkey_locked", True),
        ("button_enabled", False),
        ("laser_enabled", False),
        ("current_enabled", False),
    ):
        setattr(laser, attribute, dark)
        assert not laser.emitting
        assert np.array_equal(laser.power_mw(np.zeros(3)), np.zeros(3))
        setattr(laser, attribute, not dark)
    assert laser.emitting


def test_two_lasers_of_a_world_differ_and_a_given_model_is_used():
    world = World(1)
    first, second = SimTopticaDlcPro(world, "first"), SimTopticaDlcPro(world, "second")
    assert first.model.frequency_hz(100.0) != second.model.frequency_hz(100.0)
    assert first.serial_number != second.serial_number
    world.parts["third"] = model = quiet()
    assert SimTopticaDlcPro(world, "third").model is model


@pytest.mark.parametrize(
    "order",
    [
        lambda laser: laser.tune(1550.2, 1.0),
        lambda laser: laser.set_piezo(71.0, 1.0),
        lambda laser: laser.set_scan(lambda t: 70.0 + t, 1.0),
        lambda laser: laser.sweep((0.0, 1.0), (1550.0, 1551.0), False, 1.0),
        lambda laser: setattr(laser, "current_ma", 200.0),
        lambda laser: setattr(laser, "interlock_open", True),
    ],
)
def test_settings_differ_after_any_order_that_changes_the_light(order):
    laser = quiet()
    laser.current_enabled = True
    before, light = laser.settings, (laser.frequency_hz(2.0), laser.power_mw(2.0))
    laser.advance(1.0)
    assert laser.settings == before
    order(laser)
    assert (laser.frequency_hz(2.0), laser.power_mw(2.0)) != light
    assert laser.settings != before


def test_thermal_wander_and_power_noise_have_their_times():
    """20 MHz with 600 s and 0.2 % with 300 s: mean squares of changes over 60 s."""
    times, changes = np.arange(0.0, 6e5, 60.0), []
    for seed in range(3):
        warm = quiet(seed, thermal_hz=20e6, power_noise=2e-3)
        warm.current_enabled = True
        changes.append(
            [np.diff(warm.frequency_hz(times)).std() / 20e6, np.diff(warm.power_mw(times)).std()]
        )
    frequency, power = np.sqrt(np.mean(np.square(changes), axis=0))
    assert frequency == pytest.approx(math.sqrt(2 * -math.expm1(-0.1)), rel=0.02)
    assert power / 20.0 / 2e-3 == pytest.approx(math.sqrt(2 * -math.expm1(-0.2)), rel=0.02)
