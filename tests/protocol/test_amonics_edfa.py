"""Fibre amplifier: driver and simulator against bytes seen on hardware, then together.

Bytes: ":DRIV:ACC:CUR:CH1 350", "3.500000e+02", states 0, 1, 2, 4 and CR LF are those of public
drivers tested on units of the maker.
"""

from __future__ import annotations

import itertools
import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import in_front_of
from scripted import scripted as a_driver

from drivers.amonics_edfa import AmonicsEdfa
from labctl.errors import IdentityMismatch, InstrumentError, RequestError, TransportTimeout
from simulated_instruments.amonics_edfa import SimAmonicsEdfa
from simulated_instruments.faults import plan
from simulated_instruments.world import World

scripted = partial(a_driver, AmonicsEdfa, name="edfa")


class Bench:
    def __init__(self, faults=None, **driver):
        self.sim = SimAmonicsEdfa(World(1), "edfa")
        table = plan(faults, 1) if faults else None
        self.edfa = in_front_of(self.sim, AmonicsEdfa, table, **driver)
        self.clock = self.edfa.adapter.clock

    def light(self, milliwatts):
        self.sim.model.input_mw = lambda t: milliwatts + 0.0 * t


@pytest.fixture
def bench():
    return Bench()


class Line:
    """A patient client of the simulator: one command each 100 ms."""

    def __init__(self):
        self.sim = SimAmonicsEdfa(World(1), "edfa")
        self.endpoint = self.sim.connect()
        self.now = 0.0

    def say(self, text, wait=0.1):
        self.now += wait
        return b"".join(data for _, data in self.endpoint.feed(text + b"\r\n", self.now))


# -------------------------------------------------------------------- simulator


def test_simulator_speaks_as_seen_on_hardware():
    line = Line()
    assert line.say(b":CAL:SYS:MODEL?") == b"AEDFA-23-B-FA\r\n"
    assert line.say(b":CAL:SYS:SERIAL?")[:-2].isdigit()
    assert line.say(b":READ:MODE:NAMES?") == b"ACC APC\r\n"
    assert line.say(b":MODE:SW:CH1?") == b"ACC\r\n"
    assert line.say(b":DRIV:ACC:CUR:CH1 350") == b""
    assert line.say(b":DRIV:ACC:CUR:CH1?") == b"3.500000e+02\r\n"
    assert line.say(b":READ:DRIV:UNIT:ACC:CH1?") == b"mA\r\n"
    assert line.say(b":READ:DRIV:MAX:ACC:CH1?") == b"5.000000e+02\r\n"
    assert line.say(b":SENS:POW:IN:CH1?") == b"1.000000e+00\r\n"
    assert line.say(b":DRIV:INTERLOCK?") == b"0\r\n"
    assert 27.0 < float(line.say(b":SENS:TEMP:BOX?")) < 30.0
    assert line.say(b":SENS:CUR:CH1?") == b"0.000000e+00\r\n"
    assert line.say(b":SENS:POW:PD:CH1?") == b"0.000000e+00\r\n"


def test_switching_on_takes_channel_then_master():
    line = Line()
    assert line.say(b":DRIV:MCTRL 1") == b""
    assert line.say(b":DRIV:MCTRL?") == b"0\r\n"  # the channel is off
    line.say(b":DRIV:ACC:STAT:CH1 1")
    assert line.say(b":DRIV:ACC:STAT:CH1?") == b"2\r\n"  # busy
    assert line.say(b":DRIV:ACC:STAT:CH1?", wait=0.5) == b"1\r\n"
    line.say(b":DRIV:MCTRL 1")
    assert line.say(b":DRIV:MCTRL?") == b"2\r\n"
    assert line.say(b":DRIV:MCTRL?", wait=0.5) == b"1\r\n"
    line.say(b":DRIV:ACC:STAT:CH1 0")
    assert line.say(b":DRIV:MCTRL?") == b"0\r\n"


def test_a_hurried_setting_is_sometimes_lost():
    line, kept = Line(), 0
    for current in range(1, 101):
        line.say(b":DRIV:ACC:CUR:CH1?")
        line.say(b":DRIV:ACC:CUR:CH1 %d" % current, wait=0.02)
        kept += float(line.say(b":DRIV:ACC:CUR:CH1?")) == current
    assert 50 < kept < 90
    for current in range(1, 50):
        line.say(b":DRIV:ACC:CUR:CH1 %d" % current, wait=0.05)
        assert float(line.say(b":DRIV:ACC:CUR:CH1?")) == current


@pytest.mark.parametrize(
    "text",
    [
        b"*IDN?", b":SYST:ERR?", b"", b":DRIV", b":DRIV:ACC:CUR:CH2?", b":DRIV:ACC:CUR:CH1 many",
        b":DRIV:ACC:CUR:CH1 501", b":DRIV:ACC:CUR:CH1 -1", b":DRIV:ACC:CUR:CH1 nan",
        b":MODE:SW:CH1 AGC", b":DRIV:ACC:STAT:CH1 2", b":DRIV:APC:STAT:CH1 1", b":DRIV:MCTRL yes",
        b":THRES:POW:IN:LEV:SET1 99",
    ],
)  # fmt: skip
def test_what_it_does_not_accept_it_ignores(text):
    line = Line()
    assert line.say(text) == b""
    assert line.say(b":DRIV:ACC:CUR:CH1?") == b"0.000000e+00\r\n"
    assert line.say(b":MODE:SW:CH1?") == b"ACC\r\n"
    assert line.say(b":DRIV:ACC:STAT:CH1?") == b"0\r\n"
    assert line.say(b":THRES:POW:IN:LEV:SET1?") == b"-2.000000e+01\r\n"


def test_loss_of_input_locks_the_channel_until_it_is_unlocked_or_switched_off():
    for remedy in (b":THRES:INTERLOCK:UNLOCK 1", b":DRIV:ACC:STAT:CH1 0"):
        line = Line()
        line.say(b":DRIV:ACC:STAT:CH1 1")
        line.say(b":DRIV:MCTRL 1", wait=0.6)
        assert line.say(b":DRIV:MCTRL?", wait=0.6) == b"1\r\n"
        line.sim.model.input_mw = lambda t: 0.0 * t
        assert line.say(b":DRIV:ACC:STAT:CH1?", wait=0.3) == b"4\r\n"
        assert line.say(b":SENS:THRES:ALARM:POW:IN:LOS:CH1?") == b"1\r\n"
        assert line.say(b":DRIV:MCTRL?") == b"0\r\n"
        line.sim.model.input_mw = lambda t: 1.0 + 0.0 * t
        assert line.say(b":SENS:THRES:ALARM:POW:IN:LOS:CH1?") == b"0\r\n"
        assert line.say(b":SENS:THRES:ALARM:POW:IN:LOS:CH1:LATCH?") == b"1\r\n"
        assert line.say(b":DRIV:ACC:STAT:CH1?") == b"4\r\n"
        line.say(remedy)
        assert line.say(b":DRIV:ACC:STAT:CH1?") in (b"1\r\n", b"0\r\n")


def test_the_mode_is_not_switched_while_the_pump_runs():
    line = Line()
    line.say(b":DRIV:ACC:STAT:CH1 1")
    line.say(b":DRIV:MCTRL 1", wait=0.6)
    line.say(b":MODE:SW:CH1 APC")
    assert line.say(b":MODE:SW:CH1?") == b"ACC\r\n"
    line.say(b":DRIV:MCTRL 0")
    line.say(b":MODE:SW:CH1 APC")
    assert line.say(b":MODE:SW:CH1?") == b"APC\r\n"


def test_interlock_at_the_back():
    line = Line()
    line.say(b":DRIV:ACC:STAT:CH1 1")
    line.say(b":DRIV:MCTRL 1", wait=0.6)
    line.sim.lock(True)
    assert line.say(b":DRIV:INTERLOCK?") == b"1\r\n"
    assert line.say(b":DRIV:MCTRL?") == b"0\r\n"
    line.say(b":DRIV:MCTRL 1")
    assert line.say(b":DRIV:MCTRL?") == b"0\r\n"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.binary(max_size=60)
        | st.text(":DRIVMCTLSAW0123456789 ?\r\n", max_size=40).map(str.encode)
    )
)
def test_byte_soup(chunks):
    endpoint = SimAmonicsEdfa(World(1), "edfa").connect()
    for n, chunk in enumerate(chunks):
        endpoint.feed(chunk, 0.1 * n)
    assert endpoint.feed(b"\r\n:CAL:SYS:MODEL?\r\n", 100.0)[-1][1] == b"AEDFA-23-B-FA\r\n"


# -------------------------------------------------------------------- driver


def test_driver_sends_what_hardware_understands():
    edfa, script = scripted(
        (b":READ:DRIV:MIN:ACC:CH1?\r\n", b"0.000000e+00\r\n"),
        (b":READ:DRIV:UNIT:ACC:CH1?\r\n", b"mA\r\n"),
        (b":READ:DRIV:MAX:ACC:CH1?\r\n", b"4.000000e+02\r\n"),
        (b":DRIV:ACC:CUR:CH1 350\r\n", b""),
        (b":DRIV:ACC:CUR:CH1?\r\n", b"3.500000e+02\r\n"),
        (b":SENS:POW:OUT:CH1?\r\n", b"3.060000e+02\r\n"),
        (b":SENS:POW:IN:CH1?\r\n", b"9.010000e+02\r\n"),
        (b":SENS:CUR:CH1?\r\n", b"7.180000e+02\r\n"),
        (b":SENS:TEMP:BOX?\r\n", b"3.131733e+01\r\n"),
        (b":DRIV:INTERLOCK?\r\n", b"1\r\n"),
        (b":DRIV:ACC:STAT:CH1?\r\n", b"4\r\n"),
        (b":DRIV:MCTRL?\r\n", b"1\r\n"),
    )
    assert edfa.limits == (0.0, 400.0)
    edfa.setpoint = 350
    assert (edfa.output_power, edfa.input_power, edfa.pump_current) == (306.0, 901.0, 718.0)
    assert edfa.case_temperature == 31.31733
    assert edfa.interlock is True
    assert edfa.channel_status == 4
    assert edfa.emission is True
    assert not script.exchanges


def test_units_of_the_box():
    """Some boxes count in A and W."""
    edfa, script = scripted(
        (b":READ:DRIV:MIN:APC:CH1?\r\n", b"0.000000e+00\r\n"),
        (b":READ:DRIV:UNIT:APC:CH1?\r\n", b"W\r\n"),
        (b":READ:DRIV:MAX:APC:CH1?\r\n", b"1.000000e+00\r\n"),
        (b":DRIV:APC:CUR:CH1 0.25\r\n", b""),
        (b":DRIV:APC:CUR:CH1?\r\n", b"2.500000e-01\r\n"),
        control="power",
    )
    edfa.setpoint = 250.0
    assert not script.exchanges


def test_an_unknown_unit_is_said():
    edfa, _ = scripted((b":READ:DRIV:UNIT:ACC:CH1?\r\n", b"furlong\r\n"))
    with pytest.raises(InstrumentError, match=r"edfa: .*'furlong', no unit"):
        edfa._unit()


def test_driver_leaves_50_ms_between_commands():
    bench = Bench()
    times = []
    send = bench.sim.answer
    bench.sim.answer = lambda line, t: (times.append(t), send(line, t))[1]
    bench.edfa.identify()
    bench.edfa.setpoint = 100.0
    assert min(b - a for a, b in itertools.pairwise(times)) >= 0.05 - 1e-9
    assert bench.edfa.setpoint == 100.0


# -------------------------------------------------------------------- together


def test_identity(bench):
    assert bench.edfa.check_identity().startswith("AEDFA-23-B-FA, ")
    with pytest.raises(IdentityMismatch):
        bench.edfa.check_identity("CEFA")


def test_amplifying(bench):
    bench.edfa.setpoint = 500.0
    bench.edfa.emission = True
    assert bench.clock.now() < 5.0
    assert bench.edfa.output_power == pytest.approx(175.4, rel=1e-2)
    assert bench.edfa.pump_current == pytest.approx(500.0)
    assert bench.edfa.snapshot() == {"control": "current", "setpoint": 500.0, "emission": True}
    bench.edfa.make_safe()
    assert bench.edfa.emission is False
    assert bench.edfa.channel_status == 0
    assert bench.edfa.output_power == pytest.approx(1e-3, rel=0.1)


def test_constant_power():
    bench = Bench(control="power")
    bench.edfa.setpoint = 120.0
    bench.edfa.emission = True
    bench.clock.sleep(0.1)
    assert bench.edfa.output_power == pytest.approx(120.0, rel=1e-2)
    bench.light(0.5)
    assert bench.edfa.output_power == pytest.approx(120.0, rel=1e-2)


@pytest.mark.parametrize("power", [0.0, 0.0099])
def test_without_input_light_it_refuses_to_switch_on(bench, power):
    bench.light(power)
    with pytest.raises(InstrumentError) as caught:
        bench.edfa.emission = True
    message = str(caught.value)
    assert message.startswith("edfa: no input light (")
    assert "at least -20.0 dBm" in message
    assert "\n" not in message
    assert bench.edfa.channel_status == 0


def test_the_interlock_is_said(bench):
    bench.sim.lock(True)
    with pytest.raises(InstrumentError, match="edfa: the interlock is open"):
        bench.edfa.emission = True


def test_a_unit_without_input_monitor():
    """It does not answer; the driver only asks if it is told that there is a monitor."""
    bench = Bench()
    del bench.sim._questions[":SENS:POW:IN:CH1"]
    with pytest.raises(TransportTimeout, match=r"edfa: .*:SENS:POW:IN:CH1\?"):
        bench.edfa.emission = True
    bench = Bench(input_monitor=False)
    del bench.sim._questions[":SENS:POW:IN:CH1"]
    bench.edfa.emission = True
    assert bench.edfa.emission is True


def test_light_lost_while_pumping(bench):
    bench.edfa.setpoint = 300.0
    bench.edfa.emission = True
    bench.light(0.0)
    bench.clock.sleep(1.0)
    assert bench.edfa.emission is False
    bench.light(1.0)
    with pytest.raises(InstrumentError, match="edfa: the channel is locked, the input was lost"):
        bench.edfa.emission = True
    bench.edfa.emission = False
    bench.edfa.emission = True
    assert bench.edfa.emission is True


def test_a_switch_that_does_not_move_is_one_line(bench):
    bench.sim._set = lambda *_: None
    with pytest.raises(InstrumentError, match=r"^edfa: the channel is off 3 s after [^\n]*$"):
        bench.edfa.emission = True
    with pytest.raises(InstrumentError, match=r"^edfa: :DRIV:ACC:CUR:CH1 100 was ignored[^\n]*$"):
        bench.edfa.setpoint = 100.0


def test_settings_that_get_lost_are_sent_again():
    bench = Bench()
    lose = iter([True, False, True, True, False, True, False, True, False])
    accept = bench.sim._set
    bench.sim._set = lambda *order: None if next(lose, False) else accept(*order)
    bench.edfa.setpoint = 200.0
    bench.edfa.emission = True
    assert bench.edfa.snapshot() == {"control": "current", "setpoint": 200.0, "emission": True}


def test_emission_can_be_switched_off_while_the_pump_starts(bench):
    bench.edfa.setpoint = 300.0
    bench.edfa.write(":DRIV:ACC:STAT:CH1 1")
    bench.clock.sleep(1.0)
    bench.edfa.write(":DRIV:MCTRL 1")
    bench.edfa.make_safe()
    bench.clock.sleep(2.0)
    times = np.arange(0.0, bench.clock.now(), 0.01)
    assert np.all(bench.sim.model.pump_ma(times) == 0.0)


@pytest.mark.parametrize("value", [500.1, -1.0, float("nan"), math.inf, "full", None])
def test_set_points_outside_the_limits(bench, value):
    with pytest.raises(RequestError, match=r"edfa: current .* is outside 0 to 500 mA"):
        bench.edfa.setpoint = value


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"control": "gain"}, "current or power"),
        ({"minimum_input": 0.0}, "positive"),
        ({"x": 1}, "'x'"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(RequestError, match=message):
        Bench(**settings)


@pytest.mark.parametrize("kind", ["late", "double"])
def test_faults_on_the_wire(kind):
    bench = Bench({kind: [2, 4], "late_by": 0.5})
    assert bench.edfa.limits == (0.0, 500.0)
    bench.edfa.setpoint = 100.0
    assert bench.edfa.setpoint == 100.0
    assert bench.edfa.output_power == pytest.approx(1e-3, rel=0.1)
