"""The microring as part of a world: independent of who looks when, spectra of the equation."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from simulated_instruments.physics import lle
from simulated_instruments.physics.microring_source import TICK, Lasers, MicroringSource
from simulated_instruments.physics.soliton import CHAOS, SOLITONS, SolitonRing

HALF = 113.33e6 / 2
PUMP_RESONANCE, AUXILIARY_RESONANCE = 192.65766e12, 193.0e12


def seed_of(name):
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=7).digest(), "little")


def source(pump_zeta, auxiliary_zeta, pump_mw=3500.0, auxiliary_mw=3200.0, seed=0):
    """A ring whose lasers follow given detunings (functions of time) from cold resonances."""
    lasers = Lasers(
        lambda t: PUMP_RESONANCE - HALF * pump_zeta(np.asarray(t)),
        lambda t: pump_mw + 0.0 * np.asarray(t),
        lambda t: AUXILIARY_RESONANCE - HALF * auxiliary_zeta(np.asarray(t)),
        lambda t: auxiliary_mw + 0.0 * np.asarray(t),
    )
    return MicroringSource(
        seed_of,
        lasers,
        lambda t: PUMP_RESONANCE + 0.0 * np.asarray(t),
        lambda t: AUXILIARY_RESONANCE + 0.0 * np.asarray(t),
        SolitonRing(lambda n: np.random.default_rng([seed, n])),
    )


def generation(seed=0):
    """The auxiliary laser comes in over 90 s, then the pump sweeps until solitons are there."""

    def auxiliary(t):
        return np.interp(t, [0.0, 90.0], [-25.0, 183.0])

    def pump(t):
        return np.interp(t, [0.0, 90.0, 100.0, 160.0], [-60.0, -60.0, 165.0, 197.0])

    return source(pump, auxiliary, seed=seed)


def test_solitons_are_generated_and_nobody_depends_on_who_looks():
    one, other = generation(), generation()
    one.advance(160.0)
    assert one.ring.state.kind == SOLITONS
    for now in np.sort(np.random.default_rng(1).uniform(0, 160, 300)):
        other.advance(float(now))
    other.advance(160.0)
    times = np.arange(60.0, 160.0, 0.37)
    np.testing.assert_array_equal(one.comb_power(times), other.comb_power(times))
    np.testing.assert_array_equal(one.lines()[1], other.lines()[1])
    assert one.ring.state == other.ring.state


def test_the_comb_shows_the_step_and_the_auxiliary_laser_its_resonance():
    ring = generation()
    ring.advance(160.0)
    times = np.arange(0.0, 160.0, TICK)
    comb = ring.comb_power(times)
    assert comb[times < 90].max() == 0.0
    peak = comb.max()
    assert peak == pytest.approx(2.98, abs=0.05)
    after = comb[-1]
    assert 0.3 * peak < after < 0.75 * peak  # 8 to 12 solitons
    through = ring.auxiliary_mw(times)
    assert through[0] == pytest.approx(3200, rel=0.01)
    assert through.min() < 0.6 * 3200


def test_spectrum_of_one_soliton_is_that_of_the_equation():
    ring = source(lambda t: 15.0 + 0.0 * t, lambda t: 0.0 * t, auxiliary_mw=0.0)
    ring.advance(0.0)
    state = ring.ring.state
    state.kind, state.edges, state.places, state.breathing = SOLITONS, [7.5], [2.0], False
    state.theta = 0.0
    orders, power = ring.lines()
    reference = lle.lines(
        lle.Resonator().relax(lle.ansatz(20, 0.0047, 15.0, np.array([1.0])), 15.0, 30.0)
    )
    outer = (np.abs(orders) > 0) & (np.abs(orders) < 110)
    np.testing.assert_allclose(
        10 * np.log10(power[outer]), 10 * np.log10(reference[outer]), atol=0.15
    )
    state.edges, state.places = [7.5, 7.5], [2.0, 2.0 + np.pi]
    _, two = ring.lines()
    odd = outer & (orders % 2 == 1)
    assert (two[odd] < 1e-3 * power[odd]).all()  # opposite solitons cancel every other line


def test_chaos_has_a_spectrum_and_the_dark_has_none():
    ring = source(lambda t: 30.0 + 0.0 * t, lambda t: 0.0 * t, auxiliary_mw=0.0)
    ring.advance(1.0)
    assert ring.ring.state.kind == CHAOS
    orders, power = ring.lines()
    total = power[orders != 0].sum()
    assert total == pytest.approx(ring.comb_power(1.0), rel=0.25)
    off = source(lambda t: 30.0 + 0.0 * t, lambda t: 0.0 * t, pump_mw=0.0, auxiliary_mw=0.0)
    off.advance(1.0)
    assert off.lines()[1].sum() == 0.0
    assert off.comb_power(1.0) == 0.0


def test_hours_are_quick_and_old_times_give_the_oldest_value():
    ring = generation()
    ring.advance(160.0)
    ring.advance(1000.0)
    assert np.isfinite(ring.comb_power(np.array([0.0, 999.0]))).all()
