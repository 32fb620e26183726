"""Readings of the power meter against the numbers of the physics sheet."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulated_instruments.physics.power_meter import (
    FULL_SCALES,
    RANGE_STEP,
    SAMPLE,
    PowerMeterModel,
    responsivity,
)
from simulated_instruments.world import World


def meter(power_w=0.0, seed=0, **settings) -> PowerMeterModel:
    source = power_w if callable(power_w) else lambda times: power_w
    model = PowerMeterModel(World(seed).seed_of, "meter", source)
    for name, value in settings.items():
        setattr(model, name, value)
    return model


def read(model: PowerMeterModel, start: float = 0.0) -> tuple[float, float]:
    """A reading in W (inf: over range) and when it was ready (s)."""
    model.advance(start)
    model.initiate()
    while model.busy_until:
        end = model.busy_until
        model.advance(end)
    return model.current_a * model.watt_per_ampere, end


def scatter(power_w: float, count: int, readings: int = 1500) -> float:
    model, time, values = meter(power_w, count=count), 0.0, []
    for _ in range(readings):
        value, time = read(model, time)
        values.append(value)
    return float(np.std(values))


def test_reference_of_the_sheet():
    """1 uW averaged for 1 s scatters by 20.0 pW."""
    assert scatter(1e-6, 333) == pytest.approx(20.0e-12, rel=4 / math.sqrt(2 * 1500) + 0.002)


@pytest.mark.parametrize(("power", "count"), [(0.0, 1), (0.0, 100), (1e-3, 10)])
def test_noise_floor_and_averaging(power, count):
    expected = math.hypot(10e-12, 2e-4 * power) / math.sqrt(count * SAMPLE / 10e-3)
    assert scatter(power, count) == pytest.approx(expected, rel=4 / math.sqrt(2 * 1500))


def test_calibration_is_off_by_a_tenth_of_a_percent_among_devices_and_fixed_for_each():
    errors = np.array([read(meter(1e-3, seed, count=300))[0] / 1e-3 - 1 for seed in range(400)])
    assert errors.std() == pytest.approx(1e-3, rel=4 / math.sqrt(800))
    assert abs(errors.mean()) < 4e-3 / math.sqrt(400)
    model = meter(1e-3, count=3000)
    first, second = read(model)[0], read(model, 100.0)[0]
    assert first == pytest.approx(second, rel=4e-5)


def test_wrong_wavelength_reads_wrong_by_the_ratio_of_responsivities():
    model = meter(1e-3, count=100)
    right, _ = read(model)
    model.wavelength_nm = 1310.0
    assert read(model, 9.0)[0] / right == pytest.approx(1.0 / responsivity(1310.0), rel=1e-4)
    model.light_nm = 1310.0
    assert read(model, 99.0)[0] == pytest.approx(right, rel=1e-4)


def test_attenuation_in_front_is_calculated_back():
    plain, weakened = (read(meter(1e-4, count=100, attenuation_db=db))[0] for db in (0.0, 10.0))
    assert weakened / plain == pytest.approx(10.0)


def test_each_change_of_range_takes_20_ms():
    model = meter(1.5e-3, count=10)  # from the smallest range, 200 nW, to 2 mW
    assert read(model)[1] == pytest.approx(4 * RANGE_STEP + 10 * SAMPLE)
    assert model.range_w == pytest.approx(2e-3)
    assert read(model, 1.0)[1] == pytest.approx(1.0 + 10 * SAMPLE)
    model.power_w = lambda times: 1e-9
    assert read(model, 2.0)[1] == pytest.approx(2.0 + 4 * RANGE_STEP + 10 * SAMPLE)


def test_range_does_not_flutter_at_its_limit():
    model = meter(2.001e-6)
    read(model)
    wide = model.range_w
    model.power_w = lambda times: 1.9e-6
    read(model, 1.0)
    assert model.range_w == wide == pytest.approx(20e-6)


def test_light_that_grows_during_a_reading_is_read_again_in_a_wider_range():
    model = meter(lambda times: np.where(times < 0.1, 1e-7, 5e-6), count=100)
    value, end = read(model)
    assert end == pytest.approx(2 * 0.3 + 2 * RANGE_STEP)
    assert value == pytest.approx(5e-6, rel=5e-3)


def test_light_is_seen_from_its_moment_on():
    model = meter(1e-6, count=100, auto_range=False, range_w=1e-5)
    model.initiate()
    model.advance(0.15)
    model.power_w = lambda times: 3e-6
    model.advance(1.0)
    assert model.current_a == pytest.approx(2e-6, rel=5e-3)


@pytest.mark.parametrize(("power", "over"), [(19e-3, False), (21e-3, True), (10.0, True)])
def test_more_than_13_dbm_is_over_range(power, over):
    model = meter(power)
    read(model)
    assert model.over_range is over


def test_a_range_that_is_set_stays():
    model = meter(1e-3)
    model.range_w = 3e-6
    assert model.range_w == pytest.approx(20e-6)
    assert read(model)[0] == math.inf
    model.range_w = 2e-3
    assert model.range_w == pytest.approx(2e-3)
    assert read(model, 1.0)[0] == pytest.approx(1e-3, rel=5e-3)
    model.range_w = 1.0
    assert model.range_w == pytest.approx(FULL_SCALES[0])


def test_a_flash_beyond_the_range_spoils_the_reading_although_its_mean_fits():
    flash = meter(lambda times: np.where(np.abs(times - 0.1) < 0.01, 3e-3, 1e-6), count=100)
    flash.range_w = 2e-3
    assert read(flash)[0] == math.inf
    assert read(flash, 1.0)[0] < 2e-6


def test_zero_takes_off_what_is_there_and_leaves_small_values_of_both_signs():
    model = meter(5e-9, count=10)
    model.zero()
    assert model.zeroing
    model.advance(2.0)
    assert not model.zeroing
    assert model.zero_a == pytest.approx(5e-9, rel=0.02)
    time, values = 2.0, []
    for _ in range(200):
        value, time = read(model, time)
        values.append(value)
    assert min(values) < 0 < max(values)
    assert abs(np.mean(values)) < 4 * np.std(values) / math.sqrt(200) + 1e-12


def test_same_seed_same_readings_however_often_one_looks():
    results = []
    for polls in (1, 17):
        model, time = meter(lambda times: 1e-6 * (1 + np.sin(times)), count=100), 0.0
        for _ in range(5):
            model.advance(time)
            model.initiate()
            for step in range(polls):
                model.advance(time + 0.6 * (step + 1) / polls)
            time += 0.6
            results.append(model.current_a)
    assert results[:5] == pytest.approx(results[5:], rel=1e-12)
    assert len(set(results[:5])) == 5
