"""PM100: bytes of the operation manual against driver and simulator, each on its own.

Commands and reply formats are those of the manual's SCPI chapter; replies to SYSTem:SENSor:IDN? as
consoles in the field give them, without the quotation marks of the manual, and as the manual says.
"""

from __future__ import annotations

import contextlib
import math
import re
import warnings
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Wire as AWire
from scripted import scripted as a_driver

from drivers.thorlabs_pm100 import Sensor, ThorlabsPm100
from labctl.adapter import ByteAdapter
from labctl.clock import VirtualClock
from labctl.errors import IdentityMismatch, InstrumentError, RequestError
from labctl.transport.link import Link
from simulated_instruments.thorlabs_pm100 import PowerMeterModel, SimThorlabsPm100
from simulated_instruments.world import World

NO_ERROR = (b"SYST:ERR?\n", b'+0,"No error"\n')


# ------------------------------------------------------------------ the driver alone

scripted = partial(a_driver, ThorlabsPm100, name="meter")


def test_making_the_driver_says_nothing_and_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scripted()


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("averaging", 300, b"SENS:AVER:COUN 300\n"),
        ("range", 1e-3, b"SENS:POW:RANG 0.001\n"),
        ("auto_range", True, b"SENS:POW:RANG:AUTO 1\n"),
        ("unit", "DBM", b"SENS:POW:UNIT DBM;:CONF:POW\n"),
        ("low_bandwidth", True, b"INP:PDI:FILT:LPAS:STAT 1\n"),
        ("attenuation", 10.5, b"SENS:CORR:LOSS:INP:MAGN 10.5\n"),
    ],
)
def test_driver_sends_what_the_manual_says_and_asks_for_errors(name, value, sent):
    meter, script = scripted((sent, b""), NO_ERROR)
    setattr(meter, name, value)
    assert not script.exchanges


LIMITS = (
    (b"SENS:CORR:WAV? MIN\n", b"8.00000000E+02\n"),
    (b"SENS:CORR:WAV? MAX\n", b"1.70000000E+03\n"),
)


def test_wavelength_is_sent_with_all_digits():
    meter, script = scripted(*LIMITS, (b"SENS:CORR:WAV 1550.116122\n", b""), NO_ERROR)
    meter.wavelength = 1550.116122
    assert not script.exchanges


@pytest.mark.parametrize("wavelength", [5000.0, 700.0, math.nan, True])
def test_wavelength_outside_the_sensor_is_refused_not_replaced(wavelength):
    meter, script = scripted(*LIMITS)
    with pytest.raises(RequestError, match="wavelength in nm must be from 800 to 1700"):
        meter.wavelength = wavelength
    assert not script.exchanges


@pytest.mark.parametrize(
    ("name", "query", "answer", "value"),
    [
        ("wavelength", b"SENS:CORR:WAV?\n", b"1.55000000E+03\n", 1550.0),
        ("averaging", b"SENS:AVER:COUN?\n", b"300\n", 300),
        ("averaging", b"SENS:AVER:COUN?\n", b"3.00000000E+02\n", 300),
        ("auto_range", b"SENS:POW:RANG:AUTO?\n", b"1\n", True),
        ("unit", b"SENS:POW:UNIT?\n", b"W\n", "W"),
        ("range", b"SENS:POW:RANG?\n", b"1.00000000E-03\n", 1e-3),
        ("responsivity", b"SENS:CORR:POW:PDI:RESP?\n", b"1.00000000E+00\n", 1.0),
    ],
)
def test_driver_reads_settings(name, query, answer, value):
    meter, _ = scripted((query, answer))
    got = getattr(meter, name)
    assert got == value
    assert type(got) is type(value)


def test_driver_reads_power_in_one_exchange_and_always_in_watts():
    meter, script = scripted(
        (b"SENS:AVER:COUN?\n", b"1\n"), (b"SENS:POW:UNIT W;:MEAS:POW?\n", b"1.23456780E-03\n")
    )
    assert meter.power == 1.2345678e-3
    assert not script.exchanges


def test_driver_waits_in_bench_time_for_long_averages():
    meter, script = scripted(
        (b"SENS:AVER:COUN 1000\n", b""),
        NO_ERROR,
        (b"SENS:POW:UNIT W;:CONF:POW;:ABOR;:INIT\n", b""),
        (b"*OPC?\n", b"1\n"),
        (b"FETC?\n", b"-1.20000000E-11\n"),
    )
    meter.averaging = 1000
    ticks: list[float] = []
    meter.clock.every(1.0, lambda: ticks.append(meter.clock.now()))
    assert meter.power == -1.2e-11
    assert ticks == [1.0, 2.0, 3.0]
    assert not script.exchanges


@pytest.mark.parametrize("answer", [b"9.90000000E+37\n", b"9.91E37\n", b"-9.9E37\n", b"nan\n"])
def test_driver_does_not_take_over_range_for_a_power(answer):
    meter, _ = scripted((b"SENS:AVER:COUN?\n", b"1\n"), (b"SENS:POW:UNIT W;:MEAS:POW?\n", answer))
    with pytest.raises(InstrumentError, match=r"^meter: 'MEAS:POW\?' .* over range; raise"):
        _ = meter.power


def test_last_power_in_dbm_is_refused():
    meter, _ = scripted((b"SENS:POW:UNIT?\n", b"DBM\n"))
    with pytest.raises(RequestError, match="dBm"):
        _ = meter.last_power
    meter, _ = scripted((b"SENS:POW:UNIT?\n", b"W\n"), (b"FETC?\n", b"2.00000000E-06\n"))
    assert meter.last_power == 2e-6


@pytest.mark.parametrize(
    "answer",
    [b"S144C,13112218,22-Nov-2013,1,18,289\n", b'"S144C","13112218","22-Nov-2013",1,18,289\n'],
)
def test_driver_knows_the_sensor_with_and_without_quotation_marks(answer):
    query = (b"SYST:SENS:IDN?\n", answer)
    meter, _ = scripted(query)
    assert meter.sensor == Sensor("S144C", "13112218", "22-Nov-2013", 1, 18, 289)
    meter, _ = scripted(*[query] * 6)
    assert meter.is_power_sensor
    assert not meter.is_energy_sensor
    assert meter.wavelength_settable
    assert meter.has_temperature_sensor
    assert (meter.sensor_name, meter.sensor_type) == ("S144C", 1)


@pytest.mark.parametrize(
    "answer", [b"no sensor,0,0,0,0,0\n", b'"no sensor"\n', b"No Sensor,,,0,0,0\n"]
)
def test_driver_notices_that_there_is_no_sensor(answer):
    meter, _ = scripted((b"SYST:SENS:IDN?\n", answer))
    with pytest.raises(InstrumentError, match=r"^meter: no sensor is connected"):
        _ = meter.sensor


@pytest.mark.parametrize("answer", [b"S144C\n", b"S144C,1,2,x,18,289\n", b"\n", b"a,b,c,1,2,3,4\n"])
def test_driver_refuses_a_sensor_that_makes_no_sense(answer):
    meter, _ = scripted((b"SYST:SENS:IDN?\n", answer))
    with pytest.raises(InstrumentError, match=r"^meter: 'SYST:SENS:IDN\?'"):
        _ = meter.sensor


def test_driver_reports_what_the_console_refuses():
    refusal = b'-222,"Data out of range"\n'
    meter, _ = scripted(*LIMITS, (b"SENS:CORR:WAV 900\n", b""), (b"SYST:ERR?\n", refusal), NO_ERROR)
    with pytest.raises(InstrumentError, match=r"^meter: .*-222"):
        meter.wavelength = 900


@pytest.mark.parametrize(
    ("identity", "fits"),
    [
        ("Thorlabs,PM100D,P0032734,2.6.0", True),
        ("THORLABS,PM100USB,1907040,1.4.0", True),
        ("Thorlabs,PM5020,M00000001,1.0.0", True),
        ("Thorlabs,TED4015,M00000001,1.0.0", False),
        ("Rohde&Schwarz,FSV-7,1321.3008K07/100001,2.30", False),
    ],
)
def test_driver_knows_whom_it_can_talk_to(identity, fits):
    meter, _ = scripted((b"*IDN?\n", identity.encode() + b"\n"))
    with contextlib.nullcontext() if fits else pytest.raises(IdentityMismatch):
        assert meter.check_identity() == identity


# ------------------------------------------------------------------ the simulator alone


class Wire(AWire):
    def __init__(self, power_w: float = 0.0) -> None:
        super().__init__(SimThorlabsPm100(World(seed=3), "meter"))
        self.shine(power_w)

    def shine(self, power_w: float) -> None:
        self.model.power_w = lambda times: power_w

    def ask(self, text: str, timeout: float = 60.0) -> str:
        self.say(text)
        reply = self.link.receive(timeout).decode()
        assert reply.endswith("\n"), f"{text!r} was answered with {reply!r}"
        return reply[:-1]

    def driver(self) -> ThorlabsPm100:
        adapter = ByteAdapter(
            lambda: Link(self.simulator.connect(), self.clock), self.clock, name="meter"
        )
        return ThorlabsPm100(adapter, "meter")


@pytest.fixture
def wire() -> Wire:
    return Wire()


def test_simulator_identifies_itself_and_its_sensor(wire):
    assert wire.ask("*IDN?") == "Thorlabs,PM100D,P0032734,2.6.0"
    fields = wire.ask("SYST:SENS:IDN?").split(",")
    assert fields[0] == "S155C"
    assert int(fields[5]) & 33 == 33  # a power sensor with a wavelength that can be set


@pytest.mark.parametrize(
    ("setting", "query", "answer"),
    [
        ("SENSE:CORR:WAV 1550.123", "SENS:CORR:WAV?", "1.55012300E+03"),
        ("CORR:WAV 1310 nm", "CORRECTION:WAVELENGTH?", "1.31000000E+03"),
        ("*IDN?", "CORR:WAV?", None),
        ("Sense:Average:COUNt 10", "SENS:AVER:COUN?", "10"),
        ("POW:RANG 1E-3", "SENS:POW:RANG?", "2.00000000E-03"),
        ("SENS:POW:DC:RANG:UPP 3 UW", "POW:RANG:UPP?", "2.00000000E-05"),
        ("SENS:POW:RANG 1E-3", "SENS:POW:RANG:AUTO?", "0"),
        ("SENS:POW:UNIT DBM", "SENS:POW:UNIT?", "DBM"),
        ("INP:PDI:FILT:LPAS:STAT ON", "INP:FILT?", "1"),
        ("Input:Pdiode:Filter:Lpass:STATe 1", "INP:PDI:FILT:LPAS?", "1"),
        ("SENS:CORR 3", "SENS:CORR:LOSS:INP:MAGN?", "3.00000000E+00"),
        ("CONF:POW", "CONF?", "POW"),
        ("CONF:CURR", "CONF?", "CURR"),
    ],
)
def test_simulator_takes_long_and_short_forms_and_writes_numbers_as_the_manual(
    wire, setting, query, answer
):
    if answer is None:
        wire.ask(setting)
        answer = "1.55000000E+03"
    else:
        wire.say(setting)
    assert wire.ask(query) == answer
    assert wire.ask("SYST:ERR?") == '+0,"No error"'


def test_limits_of_the_sensor(wire):
    assert wire.ask("SENS:CORR:WAV? MIN") == "8.00000000E+02"
    assert wire.ask("SENS:CORR:WAV? MAX") == "1.70000000E+03"
    assert wire.ask("POW:RANG? MAX") == "2.00000000E-02"
    assert wire.ask("POW:RANG? MIN") == "2.00000000E-07"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("SENS:CORR:WAV 5000", '-222,"Data out of range"'),
        ("SENS:AVER:COUN 0", '-222,"Data out of range"'),
        ("CUR?", '-113,"Undefined header;CUR?"'),
        ("SENS:POW:UNIT V", '-224,"Illegal parameter value;V"'),
        ("FETC?", '-230,"Data corrupt or stale"'),
        ("INIT;INIT", '-213,"Init ignored"'),
    ],
)
def test_simulator_complains_and_keeps_what_it_had(wire, text, error):
    before = wire.ask("SENS:CORR:WAV?"), wire.ask("SENS:AVER:COUN?")
    wire.say(text)
    assert wire.ask("SYST:ERR?") == error
    assert wire.ask("SYST:ERR?") == '+0,"No error"'
    assert (wire.ask("SENS:CORR:WAV?"), wire.ask("SENS:AVER:COUN?")) == before


def test_a_reading_takes_its_time_and_has_the_manuals_format():
    wire = Wire(1.2345678e-3)
    wire.ask("READ?")
    wire.say("SENS:AVER:COUN 300")
    started = wire.clock.now()
    reply = wire.ask("MEAS:POW?")
    assert re.fullmatch(r"\d\.\d{8}E-03", reply)
    assert float(reply) == pytest.approx(1.2345678e-3, rel=5e-3)
    assert wire.clock.now() - started == pytest.approx(0.9, abs=1e-3)
    assert wire.ask("FETC?") == reply
    wire.say("INIT")
    assert wire.ask("STAT:OPER:COND?") == "16"
    assert wire.ask("*OPC?") == "1"
    assert wire.clock.now() - started == pytest.approx(1.8, abs=2e-3)
    assert wire.ask("STAT:OPER:COND?;:FETC?").startswith("0;")


def test_a_new_unit_needs_a_new_configuration():
    wire = Wire(1e-3)
    watts = float(wire.ask("SENS:POW:UNIT W;:MEAS:POW?"))
    wire.say("SENS:POW:UNIT DBM")
    assert float(wire.ask("FETC?")) == watts
    wire.say("CONF:POW")
    assert float(wire.ask("FETC?")) == pytest.approx(10 * math.log10(watts / 1e-3), abs=1e-6)
    wire.shine(0.0)
    readings = [float(wire.ask("READ?")) for _ in range(40)]
    assert max(readings) > 9e37 > min(readings)  # a logarithm of a negative value is no number


def test_too_much_light_is_an_overflow_and_questionable():
    wire = Wire(0.1)
    assert wire.ask("MEAS:POW?") == "9.90000000E+37"
    assert wire.ask("STAT:QUES:COND?") == "8"
    wire.shine(1e-3)
    assert float(wire.ask("MEAS:POW?")) < 2e-3
    assert wire.ask("STAT:QUES:COND?") == "0"


def test_current_and_responsivity_make_the_power():
    wire = Wire(1e-3)
    wire.say("SENS:CORR:WAV 1310")
    power, current = float(wire.ask("MEAS:POW?")), float(wire.ask("MEAS:CURR?"))
    assert current / power == pytest.approx(float(wire.ask("CORR:POW:RESP?")), rel=2e-3)
    assert 0 < float(wire.ask("MEAS:TEMP?")) < 50


def test_two_queries_at_once_are_answered_in_their_order(wire):
    wire.say("*IDN?")
    wire.say("SENS:CORR:WAV?")
    wire.clock.sleep(1.0)
    reply = wire.link.receive(1.0)
    assert reply == b"Thorlabs,PM100D,P0032734,2.6.0\n1.55000000E+03\n"


def test_zero_runs_ends_and_can_be_aborted():
    wire = Wire(1e-9)
    wire.say("SENS:CORR:COLL:ZERO:INIT;:ABOR")  # which is for readings
    assert wire.ask("SENS:CORR:COLL:ZERO:STAT?") == "1"
    wire.say("SENS:CORR:COLL:ZERO:ABOR")
    assert wire.ask("SENS:CORR:COLL:ZERO:STAT?") == "0"
    assert float(wire.ask("SENS:CORR:COLL:ZERO:MAGN?")) == 0.0
    wire.say("SENS:CORR:COLL:ZERO")
    assert abs(float(wire.ask("READ?"))) < 2e-10  # after the zero, which takes a second
    assert wire.clock.now() > 0.9
    assert float(wire.ask("SENS:CORR:COLL:ZERO:MAGN?")) == pytest.approx(1e-9, rel=0.1)
    assert wire.ask("SYST:ERR?") == '+0,"No error"'


def test_reset_restores_the_settings(wire):
    wire.say("SENS:AVER:COUN 5;:SENS:CORR:WAV 900;:SENS:POW:UNIT DBM;:POW:RANG 1;*RST")
    assert wire.ask("SENS:AVER:COUN?;:CORR:WAV?;:POW:UNIT?;:POW:RANG:AUTO?") == (
        "1;1.55000000E+03;W;1"
    )


COMMANDS = [
    b"READ?\n",
    b"INIT\n",
    b"ABOR\n",
    b"SENS:CORR:COLL:ZERO\n",
    b"POW:RANG MIN\n",
    b"*RST\n",
]
COMMANDS += [b"SENS:CORR:WAV MAX\n", b"SENS:AVER:COUN MAX\n", b"MEAS:TEMP?\n", b"FETC?\n"]


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(COMMANDS)), max_size=8))
@settings(max_examples=100, deadline=None)
def test_simulator_survives_anything(pieces):
    wire = Wire(1e-3)
    for piece in pieces:
        wire.link.send(piece)
        wire.clock.sleep(0.01)
    wire.link.send(b"\n")
    while wire.link.receive(1e5):
        pass
    wire.say("*CLS;*RST;:SENS:CORR:WAV 1000")
    assert wire.ask("SENS:CORR:WAV?;:SYST:ERR?") == '1.00000000E+03;+0,"No error"'


# ------------------------------------------------------------------ both together


def test_powers_of_all_sizes():
    wire = Wire()
    meter = wire.driver()
    meter.averaging = 100
    dark = meter.zero()
    assert abs(dark) < 1e-10
    for power in (1e-9, 1e-6, 1e-3, 15e-3):
        wire.shine(power)
        assert meter.power == pytest.approx(power, rel=5e-3, abs=3e-11)
    wire.shine(0.0)
    values = [meter.power for _ in range(30)]
    assert min(values) < 0 < max(values)
    assert meter.check_errors() == []


def test_long_averages_do_not_time_out_and_let_interlocks_run():
    wire = Wire(1e-6)
    meter = wire.driver()
    meter.averaging = 10_000
    seen: list[float] = []
    wire.clock.every(10.0, lambda: seen.append(meter.wavelength))
    assert meter.power == pytest.approx(1e-6, rel=5e-3)
    assert seen == [1550.0] * 3
    assert 30 < wire.clock.now() < 31


def test_an_interlock_may_read_the_same_power_meanwhile():
    wire = Wire(1e-6)
    meter = wire.driver()
    meter.averaging = 300
    seen: list[float] = []
    stop = wire.clock.every(0.6, lambda: (stop(), seen.append(meter.power)))
    assert meter.power == pytest.approx(1e-6, rel=5e-3)
    assert len(seen) == 1
    assert meter.check_errors() == []


def test_snapshot_and_settings():
    meter = Wire().driver()
    meter.wavelength, meter.averaging, meter.unit, meter.range = 1310.5, 7, "DBM", 1e-4
    meter.attenuation, meter.low_bandwidth = 3.0, True
    snapshot = meter.snapshot()
    assert snapshot == {name: getattr(meter, name) for name in meter.SETTINGS}
    assert snapshot["wavelength"] == 1310.5
    assert snapshot["auto_range"] is False
    assert snapshot["range"] >= 1e-4
    with pytest.raises(RequestError, match="must be from"):
        meter.averaging = 0
    assert meter.averaging == 7


def test_over_range_is_an_error_that_says_what_to_do():
    wire = Wire(1e-3)
    meter = wire.driver()
    meter.range = 1e-6
    with pytest.raises(InstrumentError, match="over range; raise the range"):
        _ = meter.power
    meter.auto_range = True
    assert meter.power == pytest.approx(1e-3, rel=5e-3)


def test_a_world_can_wire_its_own_light():
    world = World(seed=1)
    world.parts["meter"] = PowerMeterModel(
        world.seed_of, "meter", lambda times: 1e-4 * np.exp(-times / 5.0)
    )
    simulator, clock = SimThorlabsPm100(world, "meter"), VirtualClock()
    adapter = ByteAdapter(lambda: Link(simulator.connect(), clock), clock, name="meter")
    meter = ThorlabsPm100(adapter, "meter")
    first = meter.power
    clock.sleep(5.0)
    assert meter.power / first == pytest.approx(math.exp(-1), rel=0.03)
