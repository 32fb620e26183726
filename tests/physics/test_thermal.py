"""Chip on a Peltier element: the reference numbers of the model, limits, ramps, any order."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from simulated_instruments.physics.thermal import Control, Plant, TecModel
from simulated_instruments.physics.thermistor import celsius, ohms
from simulated_instruments.world import World

QUIET = Plant(ambient_std=1e-12, reading_rms=1e-12)


def regulated(plant=None, seed=1, **control):
    model = TecModel(World(seed).seed_of, "tec", plant)
    model.tell(0.0, regulating=True, **control)
    return model


def test_thermistor():
    assert [ohms(t) for t in (20.0, 25.0, 30.0)] == pytest.approx(
        [12493.1, 9999.85, 8055.94], rel=1e-5
    )
    assert celsius(10_000.0) == pytest.approx(24.9997, abs=5e-5)
    for temperature in (-40.0, 0.0, 25.0, 80.0, 150.0):
        assert celsius(ohms(temperature)) == pytest.approx(temperature, abs=1e-9)


def test_step_of_one_kelvin():
    model = regulated(QUIET)
    model.tell(100.0, target=26.0)
    assert model.temperature(105.0) - 25.0 == pytest.approx(1.07884, abs=1e-5)
    assert model.temperature(120.0) - 25.0 == pytest.approx(1.02592, abs=1e-5)
    elapsed = np.arange(0.0, 100.0, 0.05)
    rise = model.temperature(100.0 + elapsed) - 25.0
    assert rise.max() == pytest.approx(1.1126, abs=2e-4)
    assert elapsed[np.abs(rise - 1.0) > 2e-3][-1] == pytest.approx(40.8, abs=0.1)


def test_poles_and_update_of_ten_seconds():
    model = regulated()
    system_drift = model._drift(model.control, 0, 0.0)[:4, :4]
    poles = np.sort_complex(np.linalg.eigvals(system_drift))
    assert poles[:3] == pytest.approx([-0.5835 - 0.2569j, -0.5835 + 0.2569j, -0.1230], abs=1e-4)
    from simulated_instruments.physics.noise import LinearSystem

    seen = np.array([20.0 * 0.5 / 25.0, 0.0, 1.0, 0.0])
    diffusion = 2e-4**2 / 10.0 * np.outer(seen, seen)
    diffusion[3, 3] = 2 * 0.1**2 / 1800.0
    phi, _, added = LinearSystem(system_drift, diffusion).step(10.0)
    assert phi[0, 0] == pytest.approx(-0.14465, abs=1e-5)
    assert added[0, 0] == pytest.approx(0.4538e-6, rel=1e-3)


def test_steady_fluctuations():
    """0.745 mK rms; the chip follows 2.5 GHz/K."""
    model = regulated(seed=5)
    times = np.arange(300.0, 40_300.0, 10.0)
    temperature = model.temperature(times)
    spread = 4.0 * math.sqrt(0.5 / (times.size / 3.0))  # samples are correlated
    assert temperature.std() == pytest.approx(0.745e-3, rel=spread)
    assert temperature.mean() == pytest.approx(25.0, abs=2e-4)
    assert model.shift_hz(500.0) == pytest.approx(-2.5e9 * (model.temperature(500.0) - 25.0))


def test_what_the_sensor_does_to_the_chip():
    """0.035 mK rms, the ambient aside: the controller follows the noise of its sensor."""
    model = regulated(Plant(ambient_std=1e-12), seed=6)
    temperature = model.temperature(np.arange(100.0, 24_100.0, 6.0))
    assert temperature.std() == pytest.approx(0.035e-3, rel=0.05)


def test_derivative_action_damps():
    """The same quiet loop by a general integrator."""
    model = regulated(QUIET, kp=1.5, td=0.6)
    model.tell(50.0, target=25.5)

    def rates(t, x):
        chip, sensor, total = x
        speed = (chip - sensor) / 0.8
        current = 1.5 * (25.5 - sensor) + 0.05 * total - 1.5 * 0.6 * speed
        return [(25.0 - chip + 20.0 * current) / 25.0, speed, 25.5 - sensor]

    times = np.array([51.0, 52.0, 55.0, 70.0])
    expected = solve_ivp(rates, (50.0, 70.0), [25.0, 25.0, 0.0], t_eval=times, rtol=1e-9, atol=1e-9)
    assert model.temperature(times) == pytest.approx(expected.y[0], abs=1e-6)


def test_regulation_begins_where_the_chip_is():
    model = TecModel(World(1).seed_of, "tec", QUIET)
    model.tell(0.0, current=0.5)
    model.tell(1000.0, regulating=True, current=0.0, ramp=0.1)
    assert model.nominal(1000.0) == pytest.approx(35.0, abs=1e-6)
    assert model.nominal(1050.0) == pytest.approx(30.0, abs=1e-6)


def test_readings_have_their_own_noise():
    model = regulated(QUIET)
    assert model.reading(50.0) == pytest.approx(25.0, abs=1e-9)
    model = regulated(seed=2)
    times = np.arange(100.0, 300.0, 0.1) + 0.05
    noise = [model.reading(t) - model._state(t, 1) for t in times.tolist()]
    assert np.std(noise) == pytest.approx(2e-4, rel=4 / math.sqrt(2 * times.size))
    assert model.reading(100.01) - model.reading(100.02) == pytest.approx(0.0, abs=2e-5)


def test_unregulated_chip_follows_the_room():
    model = TecModel(World(3).seed_of)
    times = np.arange(0.0, 400_000.0, 400.0)
    gap = model.temperature(times) - model.ambient(times)
    assert model.ambient(times).std() == pytest.approx(0.1, rel=4 * math.sqrt(0.5 / 110))
    assert gap.std() < 0.02
    assert np.abs(gap).max() > 1e-3


def brute_force(model, t0, t1, target, limit):
    """The same quiet system by a general integrator, with the limit written as code."""
    state = [model._state(t0, place) for place in range(3)]

    def rates(t, x):
        chip, sensor, total = x
        wish = 0.5 * (target - sensor) + 0.05 * total
        current = min(max(wish, -limit), limit)
        rest = 0.0 if abs(wish) > limit else target - sensor
        return [(25.0 - chip + 20.0 * current) / 25.0, (chip - sensor) / 0.8, rest]

    return solve_ivp(rates, (t0, t1), state, rtol=1e-9, atol=1e-9, max_step=0.01).y[0, -1]


@pytest.mark.parametrize("target", [30.0, 15.0, 45.0])
def test_limit_of_the_current(target):
    model = regulated(QUIET)
    model.tell(10.0, target=target)
    assert abs(model.current(10.1)) == 1.5
    for t in (15.0, 30.0, 60.0):
        expected = brute_force(model, 10.0, t, target, 1.5)
        assert model.temperature(t) == pytest.approx(expected, abs=0.02)
    assert model.temperature(300.0) == pytest.approx(target, abs=1e-6)
    assert abs(model.current(300.0)) == pytest.approx(abs(target - 25.0) / 20.0, abs=1e-6)


def test_beyond_reach_it_stays_at_the_limit():
    model = regulated(QUIET)
    model.tell(0.0, target=80.0)
    assert model.temperature(5000.0) == pytest.approx(55.0, abs=1e-6)
    assert model.current(5000.0) == 1.5
    assert not model.stable(5000.0, 0.1, 10.0)


def test_ramp():
    model = regulated(QUIET, ramp=0.1)
    model.tell(10.0, target=27.0)
    assert model.nominal(20.0) == pytest.approx(26.0, abs=1e-9)
    assert model.nominal(30.0) == pytest.approx(27.0, abs=1e-9)
    assert model.nominal(31.0) == 27.0
    overshoot = model.temperature(np.arange(10.0, 100.0, 0.1)).max() - 27.0
    assert 0.0 < overshoot < 0.12 * 2.0  # less than that of the step
    assert model.temperature(200.0) == pytest.approx(27.0, abs=1e-6)
    assert model.stable(200.0, 0.01, 10.0)
    assert not model.stable(31.0, 0.01, 10.0)


def test_an_unstable_loop_swings_between_the_limits():
    model = regulated(QUIET, kp=50.0, ki=100.0)
    model.tell(5.0, target=26.0)
    currents = [model.current(t) for t in np.arange(100.0, 140.0, 0.1)]
    assert max(currents) == 1.5
    assert min(currents) == -1.5


def test_heat_is_taken_up():
    model = regulated(QUIET)
    model.set_heat(2.0, 50.0)
    assert model.temperature(53.0) > 25.02
    assert model.temperature(300.0) == pytest.approx(25.0, abs=1e-6)
    assert model.current(300.0) == pytest.approx(-0.1, abs=1e-6)


def test_static_current_and_off():
    model = TecModel(World(1).seed_of, "tec", QUIET)
    model.tell(0.0, current=0.5)
    assert model.temperature(1000.0) == pytest.approx(35.0, abs=1e-6)
    assert model.current(1000.0) == 0.5
    model.tell(1000.0, current=0.0)
    assert model.temperature(1025.0) == pytest.approx(25.0 + 10.0 * math.exp(-1), rel=1e-6)


def history(model, looks):
    """The same orders, with other looks in between; then what can be seen at fixed times."""
    orders = [
        (0.0, {"regulating": True}), (40.0, {"target": 33.0}), (55.5, {"target": 24.0}),
        (90.0, {"kp": 0.8}), (91.0, {"ramp": 0.2}), (120.0, {"target": 28.0}),
        (200.0, {"regulating": False}), (260.0, {"regulating": True}),
    ]  # fmt: skip
    for (begin, order), (end, _) in itertools.pairwise([*orders, (400.0, {})]):
        model.tell(begin, **order)
        for t in looks:
            if begin <= t < end:
                model.reading(t)
                model.current(t)
                model.stable(t, 0.01, 5.0)
    times = np.linspace(0.0, 700.0, 141)
    return [model.temperature(times), *([read(t) for t in times.tolist()] for read in
            (model.temperature, model.reading, model.current, model.nominal))]  # fmt: skip


def test_same_data_in_any_order_of_polling():
    unseen = history(TecModel(World(4).seed_of), [])
    watched = history(TecModel(World(4).seed_of), np.arange(0.0, 400.0, 0.7).tolist())
    backwards = history(TecModel(World(4).seed_of), np.arange(399.0, 0.0, -3.1).tolist())
    for one, two, three in zip(unseen, watched, backwards, strict=True):
        assert np.array_equal(one, two)
        assert np.array_equal(one, three)
    assert np.array_equal(unseen[0], unseen[1])  # arrays and single times


def test_pieces_join_without_a_jump():
    model = TecModel(World(4).seed_of)
    history(model, [])
    for begin in (40.0, 55.5, 90.0, 120.0, 200.0, 260.0):
        before, after = model.temperature(begin - 1e-7), model.temperature(begin)
        assert after == pytest.approx(before, abs=1e-6)


def test_what_was_regulated_before_time_zero_is_settled():
    """No transient: 3 K above ambient from the start, with the current that this takes."""
    plant = Plant(ambient=22.0, ambient_std=1e-12, reading_rms=1e-12)
    control = Control(regulating=True, target=25.0)
    model = TecModel(World(1).seed_of, "tec", plant, control=control)
    times = np.array([0.0, 1.0, 10.0, 500.0])
    assert model.temperature(times) == pytest.approx(np.full(4, 25.0), abs=1e-9)
    assert model.current(10.0) == pytest.approx(3.0 / 20.0, abs=1e-9)
