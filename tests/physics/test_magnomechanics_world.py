"""The simulated sphere, its cavities and the digitiser's records, against theory and each other."""

from __future__ import annotations

import time

import numpy as np
import pytest

from labctl.analysis import magnomechanics as theory
from simulated_instruments.physics.magnomechanics import (
    Point,
    driven,
    load_outputs,
    outputs,
    quanta,
    reflection,
    saturated,
)
from simulated_instruments.physics.noise import LinearSystem
from simulated_instruments.physics.record_chain import RecordChain
from simulated_instruments.worlds.magnomechanics import MagnomechanicsWorld

STILL = Point(10, -10, 9 + 4.5**2 / 20, 1, 1, 1, 3.8, 3.8, 10, 1e-4, 0.02, 9.991e9)
DRIVEN = driven(STILL, 6.43677, 0.3, 125e-6)


def system(point: Point, bandwidth: float = 0.5, added: float = 5.0) -> LinearSystem:
    seen = outputs(point, bandwidth, 10.0, (added, added))
    return LinearSystem(seen.drift, seen.diffusion)


def test_power_gives_the_coupling_and_shifts_the_magnon():
    assert DRIVEN.coupling == pytest.approx(4.5, abs=1e-4)
    assert DRIVEN.detuning_m == pytest.approx(9.0, abs=1e-4)
    one_hertz = driven(STILL, 0.57931, 1.0, 125e-6)
    assert one_hertz.coupling == pytest.approx(4.5, abs=1e-3)
    assert driven(STILL, 0.0, 0.3, 125e-6) is STILL


def test_outputs_are_those_of_the_theory():
    """Two derivations: mode amplitudes and noise channels here, real drift matrices there."""
    for bandwidth in (0.01, 0.5, 5.0):
        mine = system(DRIVEN, bandwidth).stationary()[-4:, -4:] - 5.0 * np.eye(4)
        wanted = theory.output_covariance(theory.Device(), bandwidth)
        assert mine == pytest.approx(wanted, rel=2e-4, abs=2e-4)
    w = np.linspace(-30, 30, 61)
    assert reflection(DRIVEN, w) == pytest.approx(theory.scattering(theory.Device(), w), abs=1e-4)


def test_without_drive_the_outputs_are_thermal():
    for kelvin in (0.02, 0.3):
        point = Point(**{**vars(STILL), "kelvin": kelvin})
        noise = system(point).stationary()[-4:, -4:]
        assert noise == pytest.approx((quanta(9.991e9, kelvin) + 5.5) * np.eye(4), abs=1e-3)


def test_steps_compose():
    """Two steps of half the length are one step, in mean and covariance."""
    s = system(DRIVEN)
    half, _, half_noise = s.step(0.4)
    whole, _, noise = s.step(0.8)
    assert half @ half == pytest.approx(whole, abs=1e-12)
    assert half @ half_noise @ half.T + half_noise == pytest.approx(noise, abs=1e-10)
    c = s.stationary()
    assert whole @ c @ whole.T + noise == pytest.approx(c, abs=1e-9)


@pytest.mark.parametrize(
    ("dt", "wanted"), [(0.5, 0.650), (1.0, 0.400), (2.0, 0.148), (5.0, 0.0075)]
)
def test_records_are_correlated_as_the_physics_says(dt, wanted):
    """|R(dt)| / |V| of successive outputs at 0.5 MHz, without the amplifiers."""
    s = system(DRIVEN, added=0.0)
    c = s.stationary()
    lagged = (s.step(dt)[0] @ c)[-4:, -4:]
    assert np.linalg.norm(lagged) / np.linalg.norm(c[-4:, -4:]) == pytest.approx(wanted, rel=0.02)
    records = RecordChain(s, dt, 4).draw(1 << 17, np.random.default_rng(8)).astype(float)
    found = records[1:].T @ records[:-1] / len(records)
    assert found == pytest.approx(lagged, abs=0.04)


def test_a_chain_has_the_right_covariance_from_its_first_sample_on():
    s = system(DRIVEN)
    chain = RecordChain(s, 8.192, 4)
    rng = np.random.default_rng(9)
    wanted = s.stationary()[-4:, -4:]
    x = np.concatenate([chain.draw(1 << 14, rng) for _ in range(16)]).astype(float)
    spread = 6.4 * np.sqrt(2 / len(x))
    assert x.T @ x / len(x) == pytest.approx(wanted, abs=4.5 * spread)
    dense = RecordChain(s, 0.5, 4)  # us: samples remember each other
    first = np.array([dense.draw(2, rng) for _ in range(20000)]).astype(float)
    for n in range(2):
        here = first[:, n].T @ first[:, n] / len(first)
        assert here == pytest.approx(wanted, abs=4.5 * 6.4 * np.sqrt(2 / len(first)))


def test_records_are_drawn_fast():
    """5e6 pairs of quadratures per second are asked for; 1.5e7 where nothing else runs."""
    chain = RecordChain(system(DRIVEN), 8.192, 4)
    rng = np.random.default_rng(1)
    chain.draw(1 << 14, rng)
    best = 0.0
    for _ in range(8):
        began = time.perf_counter()
        chain.draw(1 << 14, rng)
        best = max(best, 2 * (1 << 14) / (time.perf_counter() - began))
    assert best > 1.5e6  # a busy machine may have a third of its speed


def test_an_unstable_device_is_loud_and_finite():
    point = Point(**{**vars(DRIVEN), "coupling": 12.0})
    assert saturated(point).coupling == pytest.approx(9.583, abs=2e-3)
    assert saturated(DRIVEN) is DRIVEN
    noise = np.diag(system(point).stationary())[-4:]
    assert np.isfinite(noise).all()
    assert noise.max() > 100


def test_loads():
    seen = load_outputs(0.5, (0.5, 8.8), (5.0, 6.0))
    noise = LinearSystem(seen.drift, seen.diffusion).stationary()
    assert noise == pytest.approx(np.diag([5.5, 5.5, 14.8, 14.8]))


# ---------------------------------------------------------------- world


@pytest.fixture
def world():
    w = MagnomechanicsWorld(4)
    w.drive.frequency, w.drive.power, w.drive.output = 9.991e9, -4.9, True
    w.sideband.frequency, w.sideband.output = 10e6, True
    for axis, volts in enumerate((53.9, 40.8, 60.0, 60.0)):
        w.piezos.set(axis, volts=volts, mode="inp")
    w.magnet.target = 35.0
    w.magnet.rate = 1.0
    w.magnet.go(35.66, 1)
    w.digitiser.outputs[0] = 0.6 * np.log10(50)
    w.cryostat.tell(0.0, 0, mode=5, setpoint_k=0.02, enabled=True)
    w.advance(200.0)
    return w


def test_settings_move_the_working_point(world):
    here = world.point(200.0)
    assert here.coupling == 0.0  # the pump switch is open
    assert here.kelvin == pytest.approx(0.02, rel=0.02)
    assert (here.kappa_2, here.g_2) == pytest.approx((1.0, 3.8))
    field = 1e-6 * 28e9 * (3.566 * 0.1 + 2.1e-4) - 9991.0
    assert here.detuning_m == pytest.approx(field, abs=0.02)
    world.digitiser.pins["DIO2_P"] = True
    on = world.point(200.0)
    assert 3.0 < on.coupling < 6.0
    assert on.detuning_m == pytest.approx(here.detuning_m - on.coupling**2 / 20, abs=1e-6)
    world.piezos.set(2, volts=0.0)
    world.piezos.set(3, volts=30.0)
    moved = world.point(210.0)
    assert (moved.kappa_2, moved.g_2) == pytest.approx((0.1, 1.9))


def volts(world, position: int = 0, buffers: int = 4) -> np.ndarray:
    world.digitiser.pins.update(DIO0_P=bool(position & 1), DIO1_P=bool(position & 2))
    rng = np.random.default_rng(6)
    return np.concatenate(
        [world.records(world.now + n, 8.192e-6, 1 << 14, rng) for n in range(buffers)]
    ).astype(float)


def test_the_switch_chooses_what_is_seen(world):
    cold = np.mean(volts(world, 1) ** 2)
    assert cold == pytest.approx(5.5e-3, rel=0.02)
    world.cryostat.tell(200.0, 1, mode=5, setpoint_k=4.0, enabled=True)
    world.advance(300.0)
    hot = np.mean(volts(world, 2) ** 2)
    assert hot == pytest.approx((5.0 + quanta(9.991e9, 4.0) + 0.5) * 1e-3, rel=0.02)
    assert np.mean(volts(world, 0) ** 2) == pytest.approx(cold, rel=0.02)


def test_mixers_are_imperfect_as_stated(world):
    x = volts(world, 1, buffers=16)
    i, q = np.mean(x[:, 0] ** 2), np.mean(x[:, 1] ** 2)
    assert i / q == pytest.approx(1.02, abs=0.012)
    assert np.mean(x[:, 0] * x[:, 1]) / np.sqrt(i * q) == pytest.approx(np.sin(np.radians(1)),
                                                                          abs=0.008)  # fmt: skip


def test_without_local_oscillators_there_is_hardly_any_signal(world):
    world.sideband.output = False
    assert np.std(volts(world)) < 2e-4


def test_same_seed_same_records_in_any_order_of_looking():
    def run(peek: bool) -> np.ndarray:
        w = MagnomechanicsWorld(12)
        w.drive.frequency, w.drive.output = 9.991e9, True
        w.sideband.frequency, w.sideband.output = 10e6, True
        w.digitiser.decimation, w.digitiser.averaging = 1024, False
        w.digitiser.delay = 8192
        w.advance(1.0)
        if peek:
            w.point(0.5)
            w.vna.sweep(0.7)
            w.cryostat.reading_k(0.9, 6)
        w.digitiser.start()
        w.digitiser.trigger()
        if peek:
            w.advance(1.05)
        w.advance(2.0)
        return w.digitiser.codes()

    assert np.array_equal(run(False), run(True))


def test_averaging_within_a_decimation_is_another_filter(world):
    d = world.digitiser
    found = {}
    for averaging in (False, True):
        d.preset()
        d.decimation, d.averaging, d.delay = 1024, averaging, 8192
        d.start()
        d.trigger()
        world.advance(world.now + 1.0)
        found[averaging] = np.var(d.codes().astype(float))
    assert found[True] < 0.5 * found[False]


def test_what_was_before_the_start_is_not_in_the_buffer(world):
    d = world.digitiser
    d.preset()
    d.decimation, d.averaging = 1024, False
    d.start()
    d.trigger()  # half of the buffer is from before the trigger
    world.advance(world.now + 1.0)
    codes = d.codes()
    assert not codes[:8192].any()
    assert codes[8192:].any()


def test_a_strong_signal_is_cut_at_the_converters_ends():
    w = MagnomechanicsWorld(1, chain_gain=1.0)
    w.drive.frequency, w.drive.output = 9.991e9, True
    w.sideband.frequency, w.sideband.output = 10e6, True
    w.digitiser.decimation, w.digitiser.averaging, w.digitiser.delay = 1024, False, 8192
    w.digitiser.start()
    w.digitiser.trigger()
    w.advance(1.0)
    codes = w.digitiser.codes()
    assert (codes.min(), codes.max()) == (-8192, 8191)
    assert np.mean(codes == 8191) > 0.1
