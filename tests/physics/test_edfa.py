"""Fibre amplifier: reference numbers, transients, interlock, any order of polling."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq

from simulated_instruments.physics.edfa import EdfaModel, current_for, steady_gain
from simulated_instruments.world import World


class Seed:
    """A laser that commands switch and attenuate."""

    def __init__(self, power=1.0):
        self.power = power

    def __call__(self, t):
        return self.power + 0.0 * t


def running(seed=None, current=500.0, at=10.0, **settings):
    """An amplifier whose pump has run for a while."""
    model = EdfaModel(World(1).seed_of, "edfa", seed or Seed())
    model.tell(0.0, current=current, **settings)
    model.set_channel(True, 0.0)
    model.activate(0.5)
    model.advance(at)
    return model


def test_reference_numbers():
    gain = steady_gain(500.0, 1.0)
    assert 10 * math.log10(gain) == pytest.approx(22.435, abs=5e-4)
    assert gain * 1.0 == pytest.approx(175.19, abs=5e-3)
    model = running()
    model._noise = type("Silent", (), {"at": staticmethod(lambda t: 0.0)})
    assert model.output_mw(10.0) == pytest.approx(175.19, abs=5e-3)
    assert model.ase_w_per_hz(10.0) * 12.5e9 == pytest.approx(0.8859e-6, rel=1e-4)
    assert model.total_mw(10.0) - model.output_mw(10.0) == pytest.approx(
        1e3 * 4e12 / 12.5e9 * 0.8859e-6, rel=1e-4
    )


@pytest.mark.parametrize("power", [1e-9, 1e-3, 0.1, 1.0, 10.0, 300.0])
@pytest.mark.parametrize("current", [80.0, 200.0, 350.0, 500.0])
def test_gain_solves_its_equation(power, current):
    s = (current - 50.0) / 450.0
    small = 10 ** (3.0 * s)

    def excess(gain):
        return math.log(gain / small) + (gain - 1.0) * power / (100.0 * s)

    expected = brentq(excess, min(1.0, small) * 0.999, small * 1.001, xtol=1e-13, rtol=1e-13)
    assert steady_gain(current, power) == pytest.approx(expected, rel=1e-8)


def test_limits_of_the_gain():
    assert steady_gain(500.0, 0.0) == pytest.approx(1000.0)
    assert steady_gain(50.0, 1.0) == pytest.approx(1.0)
    assert steady_gain(0.0, 1.0) == pytest.approx(1e-3)
    assert np.all(np.diff(steady_gain(np.linspace(0.0, 500.0, 200), 1.0)) > 0)


def test_constant_power():
    for power in (1.0, 20.0, 50.0):
        for seed in (0.1, 0.5, 1.0):
            current = current_for(power, seed)
            assert steady_gain(current, seed) * seed == pytest.approx(power, rel=1e-8)
    assert current_for(190.0, 1.0) == 500.0
    seed = Seed()
    model = running(seed, constant_power=True, power=100.0)
    assert model.output_mw(10.0) == pytest.approx(100.0, rel=5e-3)
    seed.power = 0.5
    assert model.output_mw(12.0) == pytest.approx(100.0, rel=5e-3)
    model.tell(12.0, power=50.0)
    assert model.output_mw(14.0) == pytest.approx(50.0, rel=5e-3)


def test_pump_follows_with_five_milliseconds():
    model = running()
    model.tell(10.0, current=200.0)
    for elapsed in (0.0, 1e-3, 5e-3, 20e-3):
        expected = 200.0 + 300.0 * math.exp(-elapsed / 5e-3)
        assert model.pump_ma(10.0 + elapsed) == pytest.approx(expected, rel=1e-9)
    model.tell(10.005, current=400.0)  # on the way
    before = 200.0 + 300.0 / math.e
    assert model.pump_ma(10.010) == pytest.approx(400.0 + (before - 400.0) / math.e, rel=1e-9)
    times = np.array([9.0, 10.0, 10.005, 10.5])
    assert model.pump_ma(times) == pytest.approx([500.0, 500.0, before, 400.0], rel=1e-9)


def test_input_is_followed_with_a_fifth_of_a_millisecond_and_a_surge():
    seed = Seed(0.1)
    model = running(seed)
    small = steady_gain(500.0, 0.1)
    seed.power = 1.0  # a command, right after the world was advanced
    assert model.gain(10.0) == pytest.approx(small, rel=1e-9)
    assert model.output_mw(10.0) == pytest.approx(small * 1.0, rel=1e-2)  # light passes at once
    seen = 1.0 - 0.9 / math.e
    assert model.gain(10.0 + 0.2e-3) == pytest.approx(steady_gain(500.0, seen), rel=1e-9)
    assert model.output_mw(10.1) == pytest.approx(175.19, rel=1e-2)


def test_noise_of_the_output():
    model = running()
    power = model.output_mw(np.arange(10.0, 4010.0, 2.0))
    assert power.std() / power.mean() == pytest.approx(1e-3, rel=4 * math.sqrt(0.5 / 1300))
    # over 0.1 s it changes as noise with a memory of 1 s does
    change = np.diff(model.output_mw(np.arange(10.0, 510.0, 0.1)))
    expected = 1e-3 * math.sqrt(2 * -math.expm1(-0.1))
    assert change.std() / power.mean() == pytest.approx(expected, rel=4 * math.sqrt(0.5 / 5000))


def test_pump_starts_half_a_second_after_activation():
    model = EdfaModel(World(1).seed_of)
    model.tell(0.0, current=500.0)
    model.activate(0.0)
    assert not model.active  # without channel
    model.set_channel(True, 1.0)
    model.activate(1.0)
    assert model.active
    assert not model.lit(1.4)
    assert model.output_mw(1.499) == pytest.approx(1e-3, rel=1e-2)
    assert model.lit(1.5)
    assert model.output_mw(1.6) == pytest.approx(175.19, rel=1e-2)
    model.set_channel(False, 2.0)
    assert not model.active
    assert model.output_mw(2.1) == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize(("power", "starts"), [(0.0, False), (0.0099, False), (0.0101, True)])
def test_no_pump_without_input(power, starts):
    """-20 dBm is 10 uW."""
    model = EdfaModel(World(1).seed_of, "edfa", Seed(power))
    model.set_channel(True, 0.0)
    model.activate(0.0)
    assert model.active is starts
    assert model.dark(0.0) is not starts


def test_loss_of_input_stops_the_pump_within_a_tenth_of_a_second():
    seed = Seed()
    model = running(seed, at=10.03)
    seed.power = 0.0
    assert model.lit(10.09)
    model.advance(10.2)
    assert model.tripped
    assert not model.active
    assert model.pump_ma(10.1) == 500.0
    assert model.pump_ma(10.15) == pytest.approx(500.0 * math.exp(-10), rel=1e-6)
    seed.power = 1.0
    model.activate(11.0)
    assert not model.active  # until the channel was off
    model.set_channel(False, 11.0)
    model.set_channel(True, 11.0)
    model.activate(11.0)
    assert model.active


def test_loss_of_input_before_the_pump_starts():
    seed = Seed()
    model = EdfaModel(World(1).seed_of, "edfa", seed)
    model.tell(0.0, current=500.0)
    model.set_channel(True, 0.0)
    model.activate(0.0)
    model.advance(0.15)
    seed.power = 0.0
    model.advance(1.0)
    assert model.tripped
    assert model.pump_ma(1.0) == 0.0


def test_what_the_input_was_before_the_activation_does_not_count():
    model = EdfaModel(World(1).seed_of, "edfa", lambda t: np.where(np.asarray(t) < 5.0, 0.0, 1.0))
    model.set_channel(True, 0.0)
    model.activate(1.0)
    assert not model.active
    model.activate(10.0)
    model.advance(20.0)
    assert model.lit(20.0)


def test_an_unwatched_input():
    seed = Seed()
    model = running(seed)
    model.watch_input = False
    seed.power = 0.0
    model.advance(20.0)
    assert model.lit(20.0)
    assert model.gain(20.0) == pytest.approx(1000.0)


def story(looks):
    """Commands at fixed times, each after an advance of the world, with looks in between."""
    seed = Seed()
    model = EdfaModel(World(2).seed_of, "edfa", seed)

    def dim(power):
        seed.power = power

    commands = [
        (1.0, lambda t: model.tell(t, current=450.0)),
        (1.0, lambda t: model.set_channel(True, t)),
        (1.25, model.activate),
        (2.0001, lambda t: dim(0.3)),
        (2.0004, lambda t: dim(0.8)),
        (2.5, lambda t: model.tell(t, constant_power=True, power=80.0)),
        (3.0, lambda t: dim(0.0)),
        (5.0, lambda t: dim(1.0)),
        (6.0, lambda t: model.set_channel(False, t)),
        (6.0, lambda t: model.set_channel(True, t)),
        (6.5, model.activate),
        (9.0, lambda t: model.tell(t, constant_power=False)),
    ]
    pending = sorted(looks)
    measured = []
    for when, command in [*commands, (12.0, lambda t: None)]:
        while pending and pending[0] < when:
            model.advance(pending[0])
            model.total_mw(pending.pop(0))
        model.advance(when)
        command(when)
    times = np.sort(np.random.default_rng(1).uniform(0.0, 12.0, 200))
    measured += [model.pump_ma(times), model.output_mw(times), model.gain(times)]
    return measured, model.tripped, model.active


def test_same_data_in_any_order_of_polling():
    unseen = story([])
    watched = story(np.arange(0.0, 12.0, 0.0137).tolist())
    for one, two in zip(unseen[0], watched[0], strict=True):
        assert np.array_equal(one, two)
    assert unseen[1:] == watched[1:] == (False, True)


@pytest.mark.parametrize("looks", [[20.0], [0.05, 3.0, 7.3, 11.9, 20.0]])
def test_left_on_it_waits_for_light_and_then_watches_it(looks):
    """Pumped in the dark from the day before; the first loss of light locks it, however polled."""
    model = EdfaModel(
        World(1).seed_of, "edfa", lambda t: np.where((t > 5.0) & (t < 12.0), 0.5, 0.0)
    )
    model.left_on(250.0)
    for when in looks:
        model.advance(when)
        assert model.tripped == (when > 12.1)
    assert not model.active
    assert model.pump_ma(20.0) < 1e-3
    assert model._pump.at(11.0) == pytest.approx(250.0)


def test_gain_as_told_is_the_gain_when_nothing_is_switched():
    model = running(current=250.0)
    assert model.gain_as_told(10.0) == pytest.approx(model.gain(10.0), rel=1e-6)
    before = model.switches
    model.tell(10.0, current=300.0)
    assert model.switches == before + 1
