"""Lake Shore 372: messages as the maker's software sends them, readings, heaters, scanner."""

from __future__ import annotations

import pytest
from scripted import scripted

from drivers.lakeshore_372 import LakeShore372
from labctl.adapter import ByteAdapter
from labctl.clock import VirtualClock
from labctl.errors import InstrumentError, RequestError
from labctl.transport.link import Link
from simulated_instruments.lakeshore_372 import SimLakeShore372
from simulated_instruments.world import World


@pytest.fixture
def sim():
    return SimLakeShore372(World(3), "thermometer")


@pytest.fixture
def bridge(sim):
    clock = VirtualClock()
    adapter = ByteAdapter(lambda: Link(sim.connect(), clock), clock, name="thermometer",
                          framing=LakeShore372.FRAMING)  # fmt: skip
    return LakeShore372(adapter, name="thermometer")


def replies(sim, *lines):
    endpoint = sim.connect()
    return [reply for line in lines for _, reply in endpoint.feed(line, 0.0) if reply]


def test_bytes_of_the_maker(sim):
    """Each query carries *ESR?; the reply holds both, joined by a semicolon, and ends CR LF."""
    (first,) = replies(sim, b"\n", b"*IDN?;*ESR?\n")
    assert first.startswith(b"LSCI,MODEL372,")
    assert first.endswith(b";128\r\n") or first.endswith(b";0\r\n")
    (kelvin,) = replies(sim, b"KRDG? 6;*ESR?\n")
    value, status = kelvin.split(b";")
    assert float(value) == pytest.approx(0.010, rel=0.02)
    assert value[:1] == b"+"
    assert status == b"0\r\n"
    assert replies(sim, b"EMUL 0;*ESR?\n") == [b"0\r\n"]
    assert replies(sim, b"OUTMODE 0,5,6,0,0,0,1;*ESR?\n") == [b"0\r\n"]
    assert replies(sim, b"OUTMODE? 0\n") == [b"5,6,0,0,0,001\r\n"]
    assert replies(sim, b"INSET? 6\n") == [b"1,010,003,21,1\r\n"]
    assert replies(sim, b"SCAN?\n") == [b"01,1\r\n"]


def test_driver_speaks_as_the_maker_s_software():
    bridge, script = scripted(
        LakeShore372,
        (b"*IDN?;*ESR?\n", b"LSCI,MODEL372,LSA1234,1.3;0\r\n"),
        (b"RDGST? 6;*ESR?\n", b"000;0\r\n"),
        (b"KRDG? 6;*ESR?\n", b"+0.020123E+0;0\r\n"),
        (b"RDGR? 1;*ESR?\n", b"+1.234567E+4;0\r\n"),
        (b"KRDG? 17;*ESR?\n", b"16\r\n"),
    )
    assert bridge.check_identity().startswith("LSCI,MODEL372")
    assert bridge.temperature_k == 0.020123
    assert bridge.resistance(1) == 12345.67
    with pytest.raises(InstrumentError, match=r"'KRDG\? 17' with execution error"):
        bridge._number("KRDG? 17")
    assert not script.exchanges


@pytest.mark.parametrize(
    ("line", "bit"),
    [(b"NONSENSE 1", 32), (b"SETP 7,1", 16), (b"SETP 0,500", 16), (b"RANGE 0,9", 16),
     (b"SCAN 17,0", 16), (b"OUTMODE 0,3,6,0,0,0,1", 16), (b"KRDG? 0", 16)],
)  # fmt: skip
def test_refused_commands_set_a_bit(sim, line, bit):
    (status,) = replies(sim, line + b";*ESR?\n")
    assert int(status) & bit


def test_reads_what_the_stage_has(bridge, sim):
    bridge.look_at(6)
    bridge.clock.sleep(1.0)
    assert bridge.temperature_k == pytest.approx(sim.model.temperature_k(1.0), rel=0.005)
    assert bridge.resistance(6) == pytest.approx(19_200, rel=0.02)
    assert bridge.snapshot()["heater_range"] == 0


def test_holds_a_temperature_and_switches_off(bridge, sim):
    bridge.look_at(6)
    bridge.hold(0.1)
    assert bridge.settle(0.1) == pytest.approx(0.1, rel=0.02)
    bridge.clock.sleep(300.0)
    assert sim.model.temperature_k(bridge.clock.now()) == pytest.approx(0.1, rel=0.01)
    assert bridge.setpoint_k == 0.1
    bridge.make_safe()
    assert bridge.heater_range == 0
    bridge.clock.sleep(400.0)
    assert bridge.temperature_k == pytest.approx(0.010, rel=0.02)


def test_a_stage_relaxes_the_same_in_one_step_and_in_many(sim):
    model = sim.model
    model.tell(0.0, 0, mode=5, setpoint_k=0.2, enabled=True)
    here = model.temperature_k(40.0)
    model.balance(10.0, 6)
    model.balance(25.0, 6)
    assert model.temperature_k(40.0) == pytest.approx(here, rel=1e-12)
    model.load(50.0, 6, 1.0e-3)
    assert model.temperature_k(900.0) == pytest.approx(0.2, rel=0.01)  # still regulated


def test_heat_adds_up_and_goes_with_the_square_of_the_current(sim):
    """P = 0.04 W/K^2 (T^2 - T_base^2); half of the current of 10 mW, and 1 mW from outside."""
    model = sim.model
    model.tell(0.0, 0, mode=2, fraction=0.5, enabled=True)
    assert model.heater_fraction(0, 0.0) == 0.5
    settled = model.temperature_k(1e4)
    assert settled == pytest.approx((0.010**2 + 2.5e-3 / 0.04) ** 0.5, rel=0.01)
    model.load(1e4, 6, 1.0e-3)
    assert model.temperature_k(2e4) == pytest.approx((0.010**2 + 3.5e-3 / 0.04) ** 0.5, rel=0.01)
    model.tell(2e4, 0, mode=5, setpoint_k=0.3)
    assert model.temperature_k(3e4) == pytest.approx(0.3, rel=0.01)
    needed = 0.04 * (0.3**2 - 0.010**2) - 1.0e-3
    assert model.heater_fraction(0, 3e4) == pytest.approx((needed / 0.01) ** 0.5, rel=1e-6)
    model.tell(3e4, 0, setpoint_k=0.8)  # more than 10 mW and what comes from outside can hold
    assert model.temperature_k(4e4) == pytest.approx((0.010**2 + 11e-3 / 0.04) ** 0.5, rel=0.01)


def test_the_scanner_holds_what_it_saw_last(bridge, sim):
    bridge.look_at(6)
    bridge.clock.sleep(1.0)
    bridge.look_at(2)
    held = bridge.temperature(6)
    bridge.hold(0.2)
    bridge.clock.sleep(120.0)
    assert bridge.temperature(6) == held
    bridge.look_at(6)
    assert bridge.temperature(6) == pytest.approx(0.2, rel=0.02)


def test_errors_in_one_line(bridge):
    with pytest.raises(InstrumentError, match="channel 9 shows resistance over range"):
        bridge.temperature(9)
    with pytest.raises(InstrumentError, match="'KRDG\\? 99' with execution error"):
        bridge._number("KRDG? 99")
    with pytest.raises(RequestError, match="at most 400 K, got 0"):
        bridge.hold(0)
    bridge.hold(0.005)
    with pytest.raises(InstrumentError, match=r"at [\d.]+ mK 20 s after 5 mK"):
        bridge.settle(0.005, patience=20.0)
    with pytest.raises(RequestError, match="channel 17 is not 1 to 16"):
        LakeShore372(bridge.adapter, channel=17)
