"""The magnet: exact ramps in any steps, the persistent switch, quenches."""

from __future__ import annotations

import pytest

from simulated_instruments.physics.magnet import (
    AT_ZERO,
    HEATING,
    HOLDING,
    PAUSED,
    QUENCH,
    RAMPING,
    ZEROING,
    MagnetModel,
)
from simulated_instruments.world import World


def magnet(**options: float) -> MagnetModel:
    return MagnetModel(World(1).seed_of, "magnet", **options)


def test_ramps_are_linear_however_often_they_are_looked_at():
    one, other = magnet(), magnet()
    for model in (one, other):
        model.set_rate(0.5)
        model.go(30.0, RAMPING)
    for n in range(40):
        other.advance(0.5 * n)
        other.set_rate(0.5)
    assert other.supply_current(20.0) == pytest.approx(one.supply_current(20.0)) == 10.0
    assert one.state(20.0) == RAMPING
    assert one.state(61.0) == HOLDING
    assert one.field(61.0) == pytest.approx(3.0, rel=1e-5)


def test_pause_and_zero():
    model = magnet()
    model.set_rate(1.0)
    model.go(30.0, RAMPING)
    model.advance(10.0)
    model.pause()
    assert model.supply_current(100.0) == pytest.approx(10.0)
    assert model.state(100.0) == PAUSED
    model.advance(100.0)
    model.go(0.0, ZEROING)
    assert model.state(105.0) == ZEROING
    assert model.state(111.0) == AT_ZERO


def test_a_quench_empties_the_coil_and_must_be_reset():
    model = magnet(quench_current=20.0)
    model.set_rate(1.0)
    model.go(30.0, RAMPING)
    assert model.state(19.9) == RAMPING
    assert model.state(20.1) == QUENCH
    assert model.supply_current(40.0) < 0.01
    model.advance(40.0)
    model.go(5.0, RAMPING)
    assert model.state(60.0) == QUENCH
    model.advance(60.0)
    model.reset_quench()
    model.go(5.0, RAMPING)
    assert model.state(66.0) == HOLDING


def test_ramping_much_too_fast_quenches():
    model = magnet(rate_limit=0.1)
    model.set_rate(1.0)
    model.go(10.0, RAMPING)
    assert model.state(0.1) == QUENCH


def test_a_cold_switch_keeps_the_field():
    model = magnet()
    model.set_rate(1.0)
    model.go(10.0, RAMPING)
    model.advance(20.0)
    model.heat_switch(False)
    model.advance(50.0)
    model.go(0.0, ZEROING)
    assert model.field(100.0) == pytest.approx(1.0, rel=1e-5)
    assert model.supply_current(100.0) == 0.0
    model.advance(100.0)
    model.heat_switch(True)
    assert model.state(101.0) == HEATING
