"""Nanowire detectors against the reference numbers of the sheet."""

from __future__ import annotations

import numpy as np
import pytest

from simulated_instruments.physics.snspd import PS, SnspdModel, Wire
from simulated_instruments.world import World


def detectors(rate=0.0, **options):
    options.setdefault("bias_ua", 16.0)
    return SnspdModel(World(1).seed_of, "d", photon_rate=lambda i, t: rate, **options)


@pytest.mark.parametrize(("bias", "eta"), [(18.0, 0.897775), (12.0, 0.45), (16.0, 0.883812)])
def test_efficiency(bias, eta):
    assert detectors(bias_ua=bias).efficiency(0) == pytest.approx(eta, rel=1e-5)


@pytest.mark.parametrize(("bias", "dark"), [(18.0, 27.956), (16.0, 17.776)])
def test_dark_counts(bias, dark):
    assert detectors(bias_ua=bias).dark_rate(0) == pytest.approx(dark, rel=1e-4)


def test_counts_saturate_by_dead_time():
    # 1e7 /s at the wire: 7.14286e6 /s, Fano factor 0.5102
    model = detectors(1e7 / 0.883812)
    counts = np.array([model.counts(0, 0.0, 0.01, n) for n in range(2000)])
    rate = counts.mean() / 0.01
    assert rate == pytest.approx(7.14286e6, rel=4 * np.sqrt(0.5102 / 71428 / 2000) + 2e-5)
    fano = counts.var() / counts.mean()
    assert fano == pytest.approx(0.5102, rel=4 * np.sqrt(2 / 2000))


def test_weak_light_is_poissonian():
    model = detectors(1000.0)
    counts = np.array([model.counts(0, 0.0, 0.01, n) for n in range(4000)])
    mean = (1000 * 0.883812 + 17.776) * 0.01
    assert counts.mean() == pytest.approx(mean, abs=4 * np.sqrt(mean / 4000))
    assert counts.var() == pytest.approx(mean, rel=4 * np.sqrt((2 + 1 / mean) / 4000))


def test_clicks_have_efficiency_darks_dead_time_and_jitter():
    model = detectors()
    rng = np.random.default_rng(0)
    arrivals = np.arange(0, PS, 10**6, dtype=np.int64)  # 1e6 photons in 1 s
    clicks = model.detect(0, arrivals, 0, PS, rng)
    expected = 1e6 * 0.883812 + 17.8 * (1 - 0.04)
    assert len(clicks) == pytest.approx(expected, abs=4 * np.sqrt(1e6 * 0.8838 * 0.1162 + 18))
    assert np.all(np.diff(clicks) >= 0)
    error = (clicks + 5 * 10**5) % 10**6 - 5 * 10**5
    error = error[np.abs(error) < 1000]
    assert error.std() * 2.35482 == pytest.approx(70.0, rel=0.004)
    close = np.arange(0, PS // 1000, 10_000, dtype=np.int64)  # every 10 ns
    seen = model.detect(0, close, 0, PS // 1000, rng)
    assert np.diff(seen).min() > 40_000 - 10 * 30


def test_clicks_of_a_poisson_stream_with_dead_time():
    model, rng = detectors(), np.random.default_rng(1)
    arrivals = np.sort(rng.integers(0, PS // 10, size=rng.poisson(1e7 / 0.883812 / 10)))
    clicks = model.detect(0, arrivals, 0, PS // 10, rng)
    assert len(clicks) == pytest.approx(714286, abs=4 * np.sqrt(0.5102 * 714286))


def test_the_comparator_sees_pulses_between_noise_and_height():
    model = detectors()
    model.set_trigger(0, 80.0)  # 5 mV per uA: half of the pulses
    assert model.efficiency(0) == pytest.approx(0.883812 / 2, rel=1e-6)
    model.set_trigger(0, 120.0)
    assert model.efficiency(0) < 1e-12


def test_above_the_switching_current_it_latches_until_it_had_no_bias():
    model = detectors(1e5)
    model.set_bias(1, 20.5)
    assert model.latched(1)
    assert not model.latched(0)
    assert model.efficiency(1) == model.dark_rate(1) == 0.0
    assert model.counts(1, 0.0, 1.0, 0) == 0
    assert model.voltage(1) == pytest.approx(20.5 * 0.05)
    model.set_bias(1, 16.0)
    model.advance(10.0)
    assert model.latched(1)
    model.set_bias(1, 0.0)
    model.advance(10.005)
    assert model.latched(1)
    model.advance(10.011)
    model.set_bias(1, 16.0)
    assert not model.latched(1)
    assert model.efficiency(1) > 0.8


def test_too_short_a_pause_does_not_help():
    model = detectors()
    model.set_bias(0, 21.0)
    model.set_bias(0, 0.0)
    model.advance(0.005)
    model.set_bias(0, 16.0)
    model.advance(1.0)
    assert model.latched(0)


def test_switching_off_all_detectors_releases_them_too():
    model = detectors()
    model.set_bias(0, 21.0)
    model.enable(False)
    model.set_bias(0, 16.0)
    model.advance(0.02)
    model.enable(True)
    assert not model.latched(0)


@pytest.mark.parametrize(
    ("bias", "hazard", "time"),
    [(18.0, 0.897775e-9, 800.0), (18.5, 0.898649e-9 * np.exp(2.0), 100.0)],
)
def test_random_latching_follows_its_hazard(bias, hazard, time):
    # R = 1e6 /s: R / (1 + R t) clicks, each latches with hazard (1 + R t): R times that per second
    model = detectors(1e6, bias_ua=bias, channels=400)
    model.advance(time)
    latched = sum(model.latched(i) for i in range(400))
    share = 1 - np.exp(-1e6 * hazard * time)
    assert latched == pytest.approx(400 * share, abs=4 * np.sqrt(400 * share * (1 - share)))


@pytest.mark.parametrize(("bias", "free"), [(1.9, True), (2.1, False)])
def test_latching_ends_below_2_ua(bias, free):
    model = detectors()
    model.set_bias(0, 21.0)
    model.set_bias(0, bias)
    model.advance(0.011)
    model.set_bias(0, 16.0)
    assert model.latched(0) is not free


def test_latching_does_not_depend_on_who_looks():
    states = []
    for looks in ([1000.0], np.linspace(0, 1000, 311)):
        model = SnspdModel(
            World(3).seed_of, "d", photon_rate=lambda i, t: 2e5, bias_ua=18.3, channels=8
        )
        for now in looks:
            model.advance(float(now))
        states.append([model.latched(i) for i in range(8)])
    assert states[0] == states[1]
    assert any(states[0])
    assert not all(states[0])


def test_at_a_sensible_bias_it_holds_for_a_day():
    model = detectors(1e5)
    model.advance(86400.0)
    assert not any(model.latched(i) for i in range(4))


def test_detectors_differ_if_told():
    wires = (Wire(), Wire(eta_max=0.5))
    model = detectors(channels=2, wire=wires)
    assert model.efficiency(1) == pytest.approx(model.efficiency(0) * 5 / 9)
