"""The world of the entanglement network: what lasers, ring, phases and detectors do to the data."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.analysis.sifting import sift
from procedures.network_rates import link_rates
from simulated_instruments.physics.franson import CONTRAST, DIODE_MA, InterferometerModel
from simulated_instruments.worlds.entanglement_network import (
    CHANNELS,
    USERS,
    EntanglementNetworkWorld,
)

SECOND = 10**12  # ps
ROUTES = {1: (38,), 2: (42,), 3: (54, 50), 4: (30, 26)}
QUIET = {
    "laser_drift": 0.0, "laser_wander": 0.0, "laser_power_noise": 0.0, "laser_hop_rate": 0.0,
    "phase_drift": 0.0, "phase_acoustic": 0.0, "phase_kicks": 0.0,
}  # fmt: skip


def world(seed: int = 1, held: bool = True, power: float = 0.4, **values: float):
    """A world that runs: ring warm, lasers on, shutters open, channels routed, detectors biased."""
    made = EntanglementNetworkWorld(seed, **(QUIET | values))
    made.tec.tell(0.0, regulating=True, target=30.0)
    made.advance(400.0)
    for n, laser in enumerate(made.lasers):
        laser.current_enabled = True
        # what an attenuator repeats to is not known beforehand; tried until it fits
        wanted = power / 2.0
        setting = 10 * math.log10(laser.power_mw(400.0) * 0.9 / wanted) - 0.8
        for _ in range(200):
            made.attenuators[n].attenuation_db = setting
            made.attenuators[n].open = True
            if abs(made.pump_mw(n, 500.0) / wanted - 1) < 1e-3:
                break
    grid = made.router.grid_thz
    port = np.zeros(grid.size, dtype=np.int64)
    for user, channels in ROUTES.items():
        for channel in channels:
            port[np.abs(grid - (190.0 + 0.1 * channel)) < 0.05] = user
    loss = np.where(port > 0, 0.0, 60.0)
    made.router.load(loss, np.zeros(grid.size), port, 400.0)
    for detectors in made.detectors:
        for n in range(4):
            detectors.set_bias(n, 16.0)
    if held:
        for number, one in enumerate(made.interferometers):
            one._begin = 0.0 if number % 2 == 0 else math.pi / 2
    made.advance(500.0)
    return made


def emitted(made) -> np.ndarray:
    return made.look(np.array([made.now])).pairs[0]


def test_rates_at_the_operating_point():
    made = world()
    assert emitted(made) == pytest.approx([0.867e6, 0.2945 * 0.867e6, 0.2945 * 0.867e6], rel=0.01)
    assert made.photon_rate(0, 0, made.now) * 4 * 0.883812 == pytest.approx(139.1e3, rel=0.01)
    made.attenuators[0].open = False
    made.attenuators[1].open = False
    made.advance(501.0)
    assert made.photon_rate(0, 0, made.now) == 0.0
    assert emitted(made).max() < 1.0


def test_a_laser_off_resonance_makes_fewer_pairs_and_more_light_behind_the_ring():
    made = world()
    before, behind = emitted(made), float(made.passed_w(np.array([500.0]))[0])
    made.lasers[1].set_piezo(70.05, 500.0)  # 100 MHz: half a linewidth
    made.advance(501.0)
    after = emitted(made)
    assert after[0] / before[0] == pytest.approx(0.5 / 1.25, rel=0.05)
    assert after[1] == pytest.approx(before[1], rel=1e-3)
    assert after[2] / before[2] == pytest.approx(0.25 / 2, rel=0.1)
    assert float(made.passed_w(np.array([501.0]))[0]) > 10 * behind


def test_a_ring_that_is_not_at_its_temperature_makes_no_pairs():
    made = world()
    made.tec.tell(500.0, target=30.5)
    made.advance(700.0)
    assert emitted(made).max() < 1e3


def test_pumps_that_drift_apart_turn_the_phase_of_pairs_with_pump_2():
    made = world()
    made.lasers[1].set_piezo(70.0125, 500.0)  # 25 MHz: a quarter of a turn in 10 ns
    made.advance(501.0)
    turned = made.look(np.array([501.0])).pump_phases[0]
    assert turned[1] == 0.0  # pump 1 alone: its light is the reference
    assert turned[0] == pytest.approx(math.pi / 2, rel=0.1)
    assert turned[2] == pytest.approx(2 * turned[0])


def sifted(made, link, seconds: int = 2):
    """Bits of two users, drawn from the photons of whole blocks."""
    (one, channel), (other, partner) = link
    delay = {54: 50_000}
    start = int(made.now) * SECOND
    clicks = []
    for user in (one, other):
        by_detector = made.clicks(user, start, start + seconds * SECOND)
        times = np.concatenate(by_detector)
        labels = np.repeat(np.arange(4), [len(t) for t in by_detector])
        order = np.argsort(times)
        clicks += [times[order], labels[order]]
    late = delay.get(partner, 0) - delay.get(channel, 0)
    return sift(*clicks, window=3200, delay=late)


AB = ((0, 38), (1, 42))


def test_unlocked_interferometers_give_no_key():
    held, free = world(3), world(3, held=False)
    good, bad = sifted(held, AB), sifted(free, AB)
    assert good.errors / len(good) == pytest.approx(0.0145, abs=0.01)
    phases = free.look(np.array([500.0])).phases[0, :2]
    mean = np.mean(np.cos(phases[0] + phases[1]) * [1, -1])
    assert bad.errors / len(bad) == pytest.approx((1 - 0.971 * mean) / 2, abs=0.04)
    assert bad.errors / len(bad) > 0.1
    assert len(bad) == pytest.approx(len(good), rel=0.06)


@pytest.mark.parametrize(("link", "expected"), [(AB, 0.971), (((1, 42), (3, 26)), 0.8448)])
def test_errors_cover_the_scatter_over_seeds(link, expected):
    pulls = []
    for seed in range(8):
        bits = sifted(world(seed), link, 1)
        row = link_rates(len(bits), bits.errors, 1.0, 1.2)
        pulls.append((row[6] - expected) / row[7])
    assert abs(np.mean(pulls)) < 4 / math.sqrt(8)
    assert 0.4 < np.std(pulls, ddof=1) < 1.9


def test_clicks_do_not_depend_on_who_looks_when():
    one, other = world(5), world(5)
    begin = 500 * SECOND + 1234
    whole = one.clicks(2, begin, begin + 40_000_000_000)
    pieces = []
    for step in range(4):
        other.photon_rate(0, 1, 500.0 + step)
        other.clicks(1, begin, begin + 7_000_000_000)
        pieces.append(other.clicks(2, begin + step * 10**10, begin + (step + 1) * 10**10))
    for number in range(4):
        assert np.array_equal(whole[number], np.concatenate([piece[number] for piece in pieces]))


def test_a_latched_detector_is_silent():
    made = world(2)
    made.detectors[1].set_bias(2, 25.0)
    counts = [len(t) for t in made.clicks(1, 500 * SECOND, 501 * SECOND)]
    assert counts[2] == 0
    assert min(counts[0], counts[1], counts[3]) > 30_000


def test_reference_light_tells_the_phase():
    one = InterferometerModel(lambda name: 7, "x", lambda t: 1.0 + 0.0 * t, drift=0.0, acoustic=0.0)
    phase = float(one.phase(3.0))
    middle = [one.diode_ma(n, 3.0) / DIODE_MA - 1.0 for n in (0, 1)]
    assert middle == pytest.approx([CONTRAST * math.cos(phase), CONTRAST * math.sin(phase)])
    assert one.diode_ma(0, 3.0, 0.0) == 0.0
    kicked = InterferometerModel(lambda name: 7, "x", lambda t: 0.0 * t, drift=0.0, acoustic=0.0,
                                 kicks=0.1)  # fmt: skip
    phases = kicked.phase(np.linspace(0.0, 100.0, 1001))
    assert 2 < np.count_nonzero(np.diff(phases)) < 25


def test_what_the_router_may_send():
    assert set(CHANNELS) == set(range(12, 61, 2)) - {34, 46, 22, 58}
    assert len(USERS) == 4
