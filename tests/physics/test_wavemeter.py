"""Wavelength meter: errors of readings, turns of the switch, and how a regulated laser behaves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulated_instruments.physics import wavemeter
from simulated_instruments.physics.noise import Wiener
from simulated_instruments.physics.wavemeter import Light, WavemeterModel
from simulated_instruments.world import World


def steady(hertz):
    return lambda t: hertz + 0.0 * np.asarray(t)


def meter(lights, seed=1, used=(1,), **options):
    model = WavemeterModel(World(seed).seed_of, "meter", lights, **options)
    for number in model.channels:
        model.change(used=(number, number in used))
    model.change(measuring=True)
    return model


def readings(model, channel, times):
    values = []
    for t in times:
        model.advance(t)
        values.append(model.reading(channel)[1])
    return np.array(values)


def test_readings_scatter_by_a_third_of_a_megahertz():
    model = meter({1: Light(steady(193.4e12))})
    times = 0.01 * np.arange(1, 4001) + 1e-3
    values = readings(model, 1, times)
    quiet = values - model._offset.at(0.01 * np.arange(1, 4001))
    assert quiet.std() == pytest.approx(0.3e6, rel=4 / math.sqrt(2 * 4000))
    assert quiet.mean() == pytest.approx(193.4e12, abs=4 * 0.3e6 / math.sqrt(4000))


def test_offset_is_that_of_the_sheet():
    offsets = [
        meter({1: Light(steady(1e14))}, seed=seed)._offset.at(np.array([0.0, 3600.0]))
        for seed in range(300)
    ]
    first, later = np.array(offsets).T
    assert first.std() == pytest.approx(2e6, rel=4 / math.sqrt(600))
    assert np.corrcoef(first, later)[0, 1] == pytest.approx(math.exp(-1), abs=0.2)


def test_the_switch_gives_each_channel_its_turn():
    model = meter({1: Light(steady(1e14)), 4: Light(steady(2e14))}, used=(1, 4))
    numbers = {1: [], 4: []}
    for t in 0.01 * np.arange(1, 101) + 1e-3:
        model.advance(t)
        for channel, seen in numbers.items():
            seen.append(model.reading(channel)[0])
    assert len(set(numbers[1]) - {0}) == len(set(numbers[4]) - {0}) == 50
    assert not set(numbers[1]) & set(numbers[4]) - {0}
    model.change(measuring=False)
    last = model.reading(1)
    model.advance(50.0)
    assert model.reading(1) == last


def test_without_enough_light_there_is_no_value():
    model = meter(
        {
            1: Light(steady(1e14), power_uw=steady(0.99)),
            2: Light(steady(1e14), power_uw=steady(1.1)),
            3: Light(steady(1e14), power_uw=steady(5000.0)),
        },
        used=(1, 2, 3, 4),
    )
    model.advance(1.0)
    assert model.reading(1)[1] == -1
    assert model.reading(2)[1] > 0
    assert model.exposure_ms(2) == pytest.approx(606, abs=1)
    assert model.reading(3)[1] == -4
    assert model.reading(4)[1] == -1
    model.channels[2].automatic = False
    model.channels[2].exposure_ms = 10
    model.advance(1.1)
    assert model.reading(2)[1] == -3


def test_triggers_fail_as_often_as_asked():
    model = meter({1: Light(steady(1e14))}, missed=0.1)
    values = readings(model, 1, 0.01 * np.arange(1, 3001) + 1e-3)
    assert (values == -1).mean() == pytest.approx(0.1, abs=4 * math.sqrt(0.09 / 3000))


def regulated(seed, gain, drift=1e6, **options):
    """A laser that walks 0.1 MHz between two readings, held with a gain."""
    world = World(seed)
    walk = Wiener(world.seed_of("laser"), drift)
    model = meter({1: Light(lambda t: 193.4e12 + walk.at(t), hz_per_v=2e9)}, seed, **options)
    channel = model.channels[1]
    channel.course, channel.i, channel.sensitivity = 193.4, gain / 0.01, 2e-3
    model.regulate(True)
    return model


@pytest.mark.parametrize(("gain", "rms"), [(0.05, 0.3238), (0.2, 0.1944), (1.0, 0.3162)])
def test_residual_of_a_sampled_integrator(gain, rms):
    """Shared instrument dynamics, section 4: s_w 0.1 MHz, s_n 0.3 MHz."""
    model = regulated(5, gain)
    model.advance(400.0)
    times = 0.01 * np.arange(1000, 40_000)
    seen = model.frequency_hz(1, times) - 193.4e12 + model._offset.at(times)
    correlated = 400.0 / 0.01 * gain * (2 - gain) / 2
    assert seen.std() * 1e-6 == pytest.approx(rms, rel=4 / math.sqrt(2 * correlated))


def test_regulation_does_not_depend_on_who_looks_when():
    one, two = regulated(7, 0.2), regulated(7, 0.2)
    one.advance(3.0)
    for t in np.linspace(0.0, 3.0, 97)[1:]:
        two.advance(float(t))
    times = np.linspace(0.1, 3.0, 500)
    np.testing.assert_array_equal(one.frequency_hz(1, times), two.frequency_hz(1, times))
    three = regulated(7, 0.2)
    assert three.frequency_hz(1, 3.0) == one.frequency_hz(1, 3.0)  # whoever asks first


@pytest.fixture
def exact(monkeypatch):
    """A meter without errors."""
    monkeypatch.setattr(wavemeter, "NOISE", 0.0)
    monkeypatch.setattr(wavemeter, "OFFSET", 0.0)


def held(free, **settings):
    """A laser that is held at 193.4 THz with these settings, for a second; its deviations in Hz."""
    model = meter({1: Light(lambda t: 193.4e12 + free(np.asarray(t)), hz_per_v=2e9)})
    channel = model.channels[1]
    channel.course, channel.sensitivity = 193.4, 2e-3
    for name, value in settings.items():
        setattr(channel, name, value)
    model.regulate(True)
    return model.frequency_hz(1, 0.01 * np.arange(1, 101)) - 193.4e12


def test_each_part_of_the_regulation_does_what_it_is_called(exact):
    constant = held(lambda t: 10e6 + 0.0 * t, p=0.5)
    assert constant[-1] == pytest.approx(10e6 / 1.5, rel=1e-3)
    ramp = held(lambda t: 1e9 * t, d=4e-3)
    assert ramp[-1] == pytest.approx(1e9 * (1.0 - 4e-3), rel=1e-6)
    summed = held(lambda t: 10e6 + 0.0 * t, i=10.0)
    assert summed[10] == pytest.approx(10e6 * 0.9**10, rel=0.12)  # the first has no time before it
    fixed = held(lambda t: 10e6 + 0.0 * t, i=2.0, constant_dt=True, dt=0.05)
    np.testing.assert_allclose(fixed[:11], 10e6 * 0.9 ** np.arange(11), rtol=1e-4)
    wrong = held(lambda t: 10e6 + 0.0 * t, i=10.0, polarity=-1)
    assert wrong[10] > 20e6


def test_output_stops_at_its_limits_and_comes_back():
    jump = Light(lambda t: 193.4e12 + np.where((t > 1.0) & (t < 3.0), 5e9, 0.0), hz_per_v=2e9)
    model = meter({1: jump})
    channel = model.channels[1]
    channel.course, channel.i, channel.sensitivity = 193.4, 20.0, 2e-3
    channel.bounds = (-1000.0, 1000.0)
    model.regulate(True)
    model.advance(2.9)
    assert channel.output == -1000.0
    assert model.frequency_hz(1, 2.9) == pytest.approx(193.403e12, abs=1e4)
    model.advance(3.5)  # no integral has run away meanwhile
    assert model.frequency_hz(1, 3.5) == pytest.approx(193.4e12, abs=2e7)


def test_dark_lasers_and_a_stopped_regulation_leave_the_output_where_it_is():
    light = Light(
        lambda t: 193.4e12 + 1e6 * t, power_uw=lambda t: np.where(t < 2.0, 100.0, 0.0), hz_per_v=2e9
    )
    model = meter({1: light})
    channel = model.channels[1]
    channel.course, channel.i, channel.sensitivity = 193.4, 20.0, 2e-3
    model.regulate(True)
    model.advance(10.0)
    assert model.output_mv(1, 2.0) == model.output_mv(1, 10.0)
    assert model.output_mv(1, np.array([0.0, 0.005])).tolist() == [0.0, 0.0]
    model.set_output(1, 500.0)
    model.advance(11.0)
    assert model.frequency_hz(1, 11.0) == pytest.approx(193.401e12 + 11e6, abs=1.0)


def test_long_runs_forget_old_outputs_only(monkeypatch):
    monkeypatch.setattr("simulated_instruments.physics.steps.REMEMBERED", 200)
    model, whole = regulated(9, 0.2), regulated(9, 0.2)
    for t in np.arange(1.0, 41.0):
        model.advance(float(t))
    monkeypatch.undo()
    whole.advance(40.0)
    times = np.linspace(39.0, 40.0, 100)
    np.testing.assert_array_equal(model.frequency_hz(1, times), whole.frequency_hz(1, times))
    assert model.channels[1].outputs._times.size < 2000
