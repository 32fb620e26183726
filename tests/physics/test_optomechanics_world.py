"""The phonon-pair world: what the uploaded pattern, powers and shutters do to the pulses."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from simulated_instruments.physics.delay_generator import INTERNAL
from simulated_instruments.physics.pulse_streamer import FULL, RISING, STEP, Level, Pattern
from simulated_instruments.worlds.optomechanics import OptomechanicsWorld
from simulated_instruments.worlds.optomechanics_settings import PS

AREA_2 = -math.log(1 - 0.244)


def square(*pulses: tuple[int, int, int, float]) -> Pattern:
    """A pattern of square pulses (output, start, width, volts) of 1000 ns."""
    edges = sorted({0, 1000, *(t for _, start, width, _ in pulses for t in (start, start + width))})
    steps = np.zeros(len(edges) - 1, STEP)
    steps["ns"] = np.diff(edges)
    for output, start, width, volts in pulses:
        inside = [start <= edge < start + width for edge in edges[:-1]]
        steps[f"a{output}"][inside] = round(FULL * volts)
    return Pattern(steps, runs=1)


BOTH = square((0, 100, 40, 1.0), (1, 200, 56, 1.0))


def bench(pattern: Pattern | None = BOTH, **values) -> OptomechanicsWorld:
    """A world at time 0.5 s, light on, all shutters open, triggered at 500 Hz."""
    quiet = {"laser_power_noise": 0.0, "laser_wander": 0.0}
    world = OptomechanicsWorld(seed=1, **{**quiet, **values})
    world.laser.target_nm = 1550.589
    world.laser._coarse = [type(world.laser._coarse[0])(0.0, 1550.589, 1550.589, 0.05, 10.0)]
    world.laser.current_enabled = True
    for line in (1, 2):
        world.radio.lines[line].dbm, world.radio.lines[line].on = 20.0, True
    for voa in world.attenuators:
        voa.attenuation_db = 10.0
        voa.open = True
    world.delays.set_rate(500.0)
    world.delays.set_source(INTERNAL)
    world.pulser.set_trigger(RISING, manual_rearm=False)
    if pattern is not None:
        world.pulser.stream(pattern)
    world.advance(0.5)
    return world


def seen(world: OptomechanicsWorld):
    return world.light.areas(world.now, world.history.at(world.now))


def chances(world: OptomechanicsWorld):
    return world.clicks.chances(world.now, world.history.at(world.now), (0.8838, 0.8838))


def test_areas_are_those_of_light_and_pattern():
    world, areas = bench(), None
    areas = seen(world)
    cavity = world.crystal.cavity
    power = 1e-2 * 10 ** (-2.34) * float(world.attenuators[0].transmission(0.5))
    photons = power * cavity.photons_per_watt()
    assert areas.blue == pytest.approx(cavity.rate_per_photon() * photons * 40e-9, rel=1e-6)
    longer = seen(bench(square((0, 100, 80, 1.0), (1, 240, 56, 1.0))))
    assert longer.blue == pytest.approx(2 * areas.blue, rel=1e-6)
    assert longer.readout == pytest.approx(areas.readout, rel=1e-6)


def test_half_the_voltage_diffracts_half_of_the_light():
    full, half = seen(bench()), seen(bench(square((0, 100, 40, 0.5), (1, 200, 56, 1.0))))
    assert half.blue == pytest.approx(full.blue / 2, rel=1e-4)


def test_radio_power_acts_like_the_voltage():
    world = bench()
    full = seen(world)
    world.radio.lines[1].dbm -= 20 * math.log10(2)
    world.advance(0.6)
    assert seen(world).blue == pytest.approx(full.blue / 2, rel=1e-3)
    world.radio.lines[2].on = False
    world.advance(0.7)
    assert seen(world).readout == 0.0


@pytest.mark.parametrize("shift", [0, 24, 160])
def test_the_gap_between_the_pulses_is_that_of_the_pattern(shift):
    world = bench(square((0, 100, 40, 1.0), (1, 200 + shift, 56, 1.0)))
    found = chances(world)
    distance = found.second.centre - found.first.centre
    assert distance == pytest.approx(108 + shift, abs=1e-6)
    assert found.first.fwhm == pytest.approx(40, abs=0.1)
    assert found.second.fwhm == pytest.approx(56, abs=0.1)


def test_light_between_the_pulses_heats():
    tight, loose = bench(aom_extinction=100.0), bench(aom_extinction=60.0)
    first = tight.clicks.chances(0.5, tight.history.at(0.5), (1.0, 1.0)).first
    # the energy of a rectangle of 40 ns, against 2 ms; the read-out tone leaks as well
    assert seen(tight).leak < 1e-4
    tones = loose.light.tones_w(0.5)
    share = 1e-6 * 2e-3 / (1e-9 * first.area) * sum(tones) / (tones[0] + tones[1])
    assert seen(loose).leak == pytest.approx(share, rel=1e-6)
    assert loose.crystal.phonons(0.01, seen(loose).leak) > tight.crystal.phonons(0.01, 0.0) + 0.01


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w.pulser.hold(Level()),
        lambda w: w.delays.set_source(5),
        lambda w: w.detectors.enable(False),
        lambda w: w.pulser.set_trigger(0, manual_rearm=False),
        lambda w: setattr(w.laser, "current_enabled", False),
    ],
    ids=["nothing played", "no triggers", "no bias", "starts by itself", "dark laser"],
)
def test_without_any_of_them_nothing_clicks_in_the_pulses(change):
    world = bench(stray_rate=0.0)
    change(world)
    world.advance(0.6)
    clicks = world.clicks.between(PS, 61 * PS)
    in_pulses = [t[(t % (2 * 10**9) > 3e5) & (t % (2 * 10**9) < 8e5)] for t in clicks]
    assert sum(t.size for t in in_pulses) <= 1  # a dark count may be there by chance


def test_closing_a_shutter_takes_its_tone():
    world = bench()
    world.attenuators[0].open = False
    world.advance(0.6)
    assert seen(world).blue < 1e-9 < seen(world).red


def test_a_detuned_laser_scatters_less():
    world = bench()
    on = chances(world).any
    shifted = bench(wavelength=1550.589 + 0.02)  # 2.5 GHz
    assert seen(shifted).resonance == pytest.approx(1 / (1 + (2 * 2.495e9 / 700e6) ** 2), rel=0.01)
    assert chances(shifted).any < on / 4


def test_a_warm_crystal_is_thermal():
    world = bench(base_temperature=1.0)
    assert world.crystal.phonons(1.0, 0.0) == pytest.approx(0.014 + 3.53, abs=0.02)
    p = chances(world).patterns
    assert p[1] > 2 * chances(bench()).patterns[1]


def test_who_looks_when_does_not_matter():
    stops = [0.5, 0.51, 3.0, 100.0, 100.0001, 511.9, 512.1, 700.0]
    whole = bench()
    together = whole.clicks.between(int(stops[0] * PS), int(stops[-1] * PS))
    pieces = bench()
    parts = []
    for a, b in itertools.pairwise(stops):
        pieces.advance(b)
        parts.append(pieces.clicks.between(int(a * PS), int(b * PS)))
    for n in range(4):
        np.testing.assert_array_equal(np.concatenate([part[n] for part in parts]), together[n])
    assert together[0].size > 1000
    assert (np.diff(together[0]) >= 40_000).all()  # dead time of the detectors


def test_power_meter_sees_the_mean_power():
    world = bench()
    world.pulser.hold(Level(a0=FULL))
    world.advance(0.6)
    blue, red, readout = world.light.tones_w(0.6)
    steady = float(world.tapped_w(np.array([0.6]))[0])
    assert steady == pytest.approx(0.5 * (blue + red), rel=1e-6)
    assert readout > 0


def test_power_meter_sees_the_mean_of_the_pulses():
    world = bench(aom_extinction=100.0)
    blue, red, readout = world.light.tones_w(0.5)
    mean = 500.0 * ((blue + red) * 40e-9 + readout * 56e-9)  # pulses of 40 and 56 ns at 500 Hz
    assert float(world.tapped_w(np.array([0.5]))[0]) == pytest.approx(0.5 * mean, rel=1e-3)


@pytest.mark.parametrize(("extinction", "leak"), [(60.0, 0.0522), (100.0, 5.2e-6)])
def test_light_between_the_pulses_against_pulses_of_36_ns(extinction, leak):
    """The sheet's 2 ms between pulses of Gaussian shape, whose area is 1.0645 widths of 36 ns."""
    width = round(36 * 1.0645)
    world = bench(square((0, 100, width, 1.0)), aom_extinction=extinction)
    for voa in world.attenuators[1:]:
        voa.open = False
    # the sheet prints two digits, a pattern has whole ns
    assert seen(world).leak == pytest.approx(leak, rel=0.015)


def test_missed_triggers_come_at_their_rate_and_stay():
    world = bench(trigger_loss=0.01)
    missed = world.tagger.reference.missed(1_000_000)
    assert missed.size == pytest.approx(10_000, abs=4 * 100)
    np.testing.assert_array_equal(world.tagger.reference.missed(500_000), missed[missed <= 500_000])
    first = world.delays.first * PS
    seen_before, last = world.tagger.edges_before(
        np.array([first + k * 2 * 10**9 + 5 for k in (missed[0] - 1, missed[0])], dtype=np.int64)
    )
    assert seen_before[1] == seen_before[0]
    assert last[0] == last[1] == first + (missed[0] - 1) * 2 * 10**9
