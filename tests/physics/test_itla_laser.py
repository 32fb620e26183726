"""Laser module: where its light is, when, and how steady."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulated_instruments.physics.itla_laser import ItlaModel
from simulated_instruments.world import World

CHANNEL = 193.5e12


def module(seed=1):
    return ItlaModel(World(seed).seed_of, "itla")


def lit(seed=1):
    model = module(seed)
    model.enable(0.0)
    return model


def test_dark_while_it_warms_up_and_tunes():
    model = module()
    assert model.enable(10.0) == 35.0
    assert model.power_mw(34.9) == 0.0
    assert model.power_mw(35.0) == pytest.approx(10.0, rel=2e-2)  # 10 dBm
    model.advance(34.0)
    assert not model.emitting
    model.advance(40.0)
    assert model.emitting
    assert model.tune(194.0e12, 40.0) == 48.0
    assert np.array_equal(model.power_mw(np.array([40.0, 47.9, 48.1])) > 0, [False, False, True])
    model.disable()
    assert model.power_mw(100.0) == 0.0
    assert np.all(model.power_mw(np.arange(3.0)) == 0.0)
    assert model.tune(195.0e12, 50.0) == 50.0


def test_power_follows_in_decibels():
    model = lit()
    model._power = type("Silent", (), {"at": staticmethod(lambda t: 0.0)})
    ends = model.set_power(13.0, 40.0)
    assert ends == pytest.approx(40.0 + 0.1 * math.log(3.0 / 0.05))
    assert model.power_mw(40.1) == pytest.approx(10 ** ((13.0 - 3.0 / math.e) / 10))
    assert model.power_mw(45.0) == pytest.approx(10**1.3)


def test_power_noise():
    power = lit().power_mw(np.arange(40.0, 60_000.0, 30.0))
    assert power.std() / power.mean() == pytest.approx(2e-3, rel=4 * math.sqrt(0.5 / 100))


def test_fine_tuning():
    model = lit()
    before = model._fine.at(40.0)
    ends = model.fine_tune(10e9, 40.0)
    assert before == 0.0
    assert model._fine.at(41.0) == pytest.approx(5e9)  # 5 GHz/s
    assert 41.5 < ends < 45.0
    assert model._fine.at(ends) == pytest.approx(10e9, abs=1.001e6)
    model.disable()
    assert model.fine_tune(-1e9, 50.0) == 50.0  # nothing moves in the dark


def test_etalon_wander_and_tone():
    errors = [module(seed).frequency_hz(0.0) - CHANNEL for seed in range(300)]
    assert np.std(errors) == pytest.approx(0.3e9, rel=4 / math.sqrt(600))
    model = module()
    fast = model.frequency_hz(100.0 + np.arange(0.0, 1.0 / 888, 1e-6))
    assert np.ptp(fast) == pytest.approx(80e6, rel=1e-3)
    times = np.arange(0.0, 600_000.0, 300.0)
    slow = model.frequency_hz(times) - CHANNEL - model._error - model._tone(times)
    assert slow.std() == pytest.approx(10e6, rel=4 * math.sqrt(0.5 / 900))


def test_whisper_mode_walks_away_and_dither_brings_it_back():
    model = lit()
    held = model.frequency_hz(100.0) - model._tone(100.0)
    model.set_whisper(True, 100.0)
    assert model.frequency_hz(100.0) == pytest.approx(held, abs=0.1)
    assert np.ptp(model.frequency_hz(100.0 + np.arange(0.0, 1e-3, 1e-6))) < 1e6  # no tone
    steps = np.diff(model.frequency_hz(np.arange(100.0, 2100.0)))
    assert steps.std() == pytest.approx(0.5e6, rel=4 / math.sqrt(2 * steps.size))
    away = model.frequency_hz(2100.0)
    model.set_whisper(False, 2100.0)
    assert model.frequency_hz(2100.0) - model._tone(2100.0) == pytest.approx(away, abs=0.1)
    assert model._deviation(2120.0) == pytest.approx(model._wander.at(2120.0), abs=0.01 * 30e6)


def test_free_running_begins_anew_with_each_channel():
    model = lit()
    model.set_whisper(True, 30.0)
    arrives = model.tune(194e12, 4000.0)
    assert model._deviation(arrives) == pytest.approx(model._wander.at(arrives))
    assert model._deviation(arrives - 0.01) != pytest.approx(model._wander.at(arrives - 0.01))


def test_a_channel_out_of_range():
    model = lit()
    model.tune(197e12, 30.0)
    assert model.out_of_reach
    assert model.target_hz == 196.25e12
    assert abs(model.frequency_hz(50.0) - 196.25e12) < 2e9


def test_same_data_in_any_order_of_polling():
    def story(looks):
        model = module(3)
        orders = [
            (1.0, model.enable), (40.0, lambda t: model.set_whisper(True, t)),
            (50.0, lambda t: model.fine_tune(3e9, t)), (60.0, lambda t: model.set_whisper(False, t)),
            (61.0, lambda t: model.tune(194e12, t)), (70.0, lambda t: model.set_whisper(True, t)),
        ]  # fmt: skip
        for when, order in orders:
            for look in looks:
                model.frequency_hz(look * when)
            model.advance(when)
            order(when)
        times = np.linspace(0.0, 100.0, 101)
        each = [model.frequency_hz(t) for t in times.tolist()]
        return model.frequency_hz(times), np.array(each), model.power_mw(times)

    for one, two in zip(story([]), story([0.1, 0.99, 1.0]), strict=True):
        assert np.array_equal(one, two)
    together, each, _ = story([])
    assert together == pytest.approx(each, abs=0.1)
