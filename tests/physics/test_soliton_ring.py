"""Switching of the heated ring: the published ladder, heat, and the tables against the equation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulated_instruments.physics import soliton
from simulated_instruments.physics.lle import Resonator, ansatz, comb_power, energy
from simulated_instruments.physics.soliton import CHAOS, DARK, SOLITONS, Drive, SolitonRing

PUMP, AUXILIARY = 20.0, 18.3


def ring(seed=0, **options):
    return SolitonRing(lambda n: np.random.default_rng([seed, n]), **options)


def test_backward_tuning_follows_the_ladder():
    """zeta_laser(N -> N-1) = zeta_b + c [N (2/pi) sqrt(zeta_b d2) + rho(zeta_b)], c = 4."""
    model = ring(heating=4.0, edge_spread=0.0)
    model.state.kind, model.state.edges, model.state.places = SOLITONS, [7.5] * 12, [0.0] * 12
    model.state.theta = 8.0
    lost, count = {}, 12
    for zeta in np.arange(17.0, 9.0, -5e-4):
        model.settle(Drive(PUMP, float(zeta)))
        if model.state.solitons != count:
            assert model.state.solitons == count - 1
            lost[count] = zeta
            count -= 1
    assert (lost[12], lost[7], lost[2]) == pytest.approx((14.788, 12.398, 10.007), abs=1e-3)
    assert lost[1] == pytest.approx(9.529, abs=1e-3)
    steps = -np.diff([lost[n] for n in range(12, 0, -1)])
    np.testing.assert_allclose(steps, 0.4780, atol=1.1e-3)
    assert model.state.kind == DARK


def sweep(model, auxiliary, seed=0):
    """Tune in the auxiliary laser, then the pump from the blue; returns the drive at the end."""
    offset, zeta_a = -25.0, -25.0
    while auxiliary and offset < -0.7:
        zeta_a += 0.25
        model.settle(Drive(PUMP, -60.0, auxiliary, zeta_a))
        offset = zeta_a - model.state.theta
    zeta = model.state.theta - 20.0
    while True:
        drive = Drive(PUMP, zeta, auxiliary, zeta_a)
        model.settle(drive)
        if model.state.kind != CHAOS or zeta > 400:
            return drive
        zeta += 0.25


@pytest.mark.parametrize("seed", range(8))
def test_without_the_auxiliary_laser_all_solitons_are_lost(seed):
    model = ring(seed)
    sweep(model, 0.0)
    assert model.state.kind == DARK


@pytest.mark.parametrize("seed", range(8))
def test_with_it_they_stay_and_can_be_taken_away_one_by_one(seed):
    model = ring(seed)
    drive = sweep(model, AUXILIARY)
    assert 6 <= model.state.solitons <= 12
    assert model.state.breathing
    zeta, counts = drive.detuning + 6.0, [model.state.solitons]
    model.settle(Drive(PUMP, zeta, AUXILIARY, drive.auxiliary_detuning))
    assert not model.state.breathing
    while counts[-1]:
        zeta -= 0.002
        model.settle(Drive(PUMP, zeta, AUXILIARY, drive.auxiliary_detuning))
        if model.state.solitons != counts[-1]:
            counts.append(model.state.solitons)
    assert counts == list(range(counts[0], -1, -1))


def test_solitons_go_when_tuned_too_far_and_chaos_comes_back_from_the_dark():
    model = ring(3)
    drive = sweep(model, AUXILIARY)
    zeta_a = drive.auxiliary_detuning
    model.settle(Drive(PUMP, drive.detuning + 25.0, AUXILIARY, zeta_a))
    assert model.state.kind == DARK
    model.settle(Drive(PUMP, drive.detuning - 5.0, AUXILIARY, zeta_a))
    assert model.state.kind == CHAOS


def test_breathers_fall_back_into_chaos():
    model = ring(4)
    drive = sweep(model, AUXILIARY)
    model.settle(Drive(PUMP, drive.detuning - 1.5, AUXILIARY, drive.auxiliary_detuning))
    assert model.state.kind == CHAOS


def test_a_weak_pump_makes_no_solitons_and_none_makes_no_light():
    model = ring(1)
    model.settle(Drive(4.0, 30.0))
    assert model.state.solitons == 0
    model.settle(Drive(0.0, 5.0))
    assert model.comb_power(Drive(0.0, 5.0)) == 0.0


@pytest.mark.parametrize("zeta", [10.0, 16.0, 24.0])
def test_energies_are_those_of_the_equation(zeta):
    field = Resonator(PUMP).relax(ansatz(PUMP, 0.0047, zeta, np.array([3.0])), zeta, 25.0)
    model = ring()
    model.state.kind, model.state.edges, model.state.theta = SOLITONS, [7.5], 0.0
    drive = Drive(PUMP, zeta)
    assert model.energy(drive, zeta) == pytest.approx(energy(field), rel=0.015)
    assert model.comb_power(drive) == pytest.approx(comb_power(field), rel=0.005)


def test_chaos_has_the_energy_of_the_equation():
    rng = np.random.default_rng(2)
    resonator = Resonator(PUMP, dt=4e-3, rng=rng)
    psi = np.full(512, 0.5 + 0j) + 1e-3 * rng.standard_normal(512)
    psi = resonator.run(psi, np.linspace(0.0, 3.0, 2500))
    seen = []
    for _ in range(20):
        psi = resonator.relax(psi, 3.0, 1.0)
        seen.append((energy(psi), comb_power(psi)))
    model = ring()
    assert model.energy(Drive(PUMP, 3.0), 3.0) == pytest.approx(np.mean(seen, axis=0)[0], rel=0.06)
    assert model.comb_power(Drive(PUMP, 3.0)) == pytest.approx(np.mean(seen, axis=0)[1], rel=0.12)


@pytest.mark.parametrize("zeta", [-40.0, -3.0, 0.5, 5.0, 6.0, 15.0])
@pytest.mark.parametrize("pump", [0.01, 5.0, 20.0])
def test_the_lower_branch_solves_its_cubic(pump, zeta):
    rho = soliton.lower_branch(pump, zeta)
    assert rho * (1 + (zeta - rho) ** 2) == pytest.approx(pump, rel=1e-6)
    roots = np.roots([1.0, -2 * zeta, 1 + zeta**2, -pump])
    assert rho == pytest.approx(min(r.real for r in roots if abs(r.imag) < 1e-7), rel=1e-6)
    assert soliton.lower_branch_begins(pump) == pytest.approx(1 + math.sqrt(max(pump - 1, 0)))
