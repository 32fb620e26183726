"""Microwave source: SCPI bytes of driver and simulator, then together."""

from __future__ import annotations

import warnings
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import in_front_of
from scripted import scripted as a_driver

from drivers.agilent_8257d import Agilent8257D
from labctl.errors import IdentityMismatch, InstrumentError, RequestError
from simulated_instruments.agilent_8257d import SimAgilent8257D
from simulated_instruments.world import World

NO_ERROR = b'+0,"No error"\n'

scripted = partial(a_driver, Agilent8257D, name="rf")


class Bench:
    def __init__(self, **driver):
        self.sim = SimAgilent8257D(World(1), "rf")
        self.rf = in_front_of(self.sim, Agilent8257D, **driver)
        self.clock = self.rf.adapter.clock


@pytest.fixture
def bench():
    return Bench()


def talk(*messages, sim=None, now=1.0):
    endpoint = (sim or SimAgilent8257D(World(1), "rf")).connect()
    return b"".join(reply for text in messages for _, reply in endpoint.feed(text, now))


# -------------------------------------------------------------------- simulator


def test_bytes_that_pymeasure_sends_are_understood():
    """Recorded from pymeasure 0.16.0: a suffix, a semicolon, six digits."""
    assert talk(b":FREQ 2.412346e+10 Hz;\n", b":FREQ?;\n") == b"+2.41234600000000E+10\n"
    assert talk(b":POW -3.5 dBm;\n", b":POW?;\n") == b"-3.500000000000E+00\n"
    assert talk(b":OUTPUT ON;\n", b":OUTPUT?\n", b":OUTPUT OFF;\n", b":OUTPUT?\n") == b"1\n0\n"
    assert talk(b":OUTPUT:MOD ON;\n", b":OUTPUT:MOD?\n") == b"1\n"


def test_all_digits_come_back():
    assert talk(b":SOUR:FREQ:CW 24.123456789123GHZ;:FREQ:FIX?\n") == b"+2.41234567891230E+10\n"
    assert talk(b":FREQ? MIN;:FREQ? MAX\n") == b"+2.50000000000000E+05;+3.18000000000000E+10\n"


def test_values_out_of_range_are_clipped_and_reported():
    clipped = b"+3.18000000000000E+10\n"
    assert (
        talk(b":FREQ 50 GHZ;:FREQ?\n", b":SYST:ERR?\n") == clipped + b'-222,"Data out of range"\n'
    )
    assert talk(b":POW 30;:POW?\n", b":SYST:ERR?\n").startswith(b"+2.500000000000E+01\n-222")


def test_options_that_it_does_not_have():
    assert talk(b":lfo:stat off;\n", b":SYST:ERR?\n").startswith(b"-113")
    assert talk(b":FREQ:MODE SWE\n", b":SYST:ERR?\n").startswith(b"-224")
    assert talk(b":FREQ:MODE CW;:FREQ:MODE?\n") == b"CW\n"


def test_operation_complete_waits_until_it_has_settled():
    endpoint = SimAgilent8257D(World(1), "rf").connect()
    assert endpoint.feed(b":FREQ 20E9;*OPC?\n", 1.0) == [(1.011, b"")]
    assert endpoint.feed(b"", 1.011)[0][1] == b"1\n"
    sim = SimAgilent8257D(World(1), "rf")
    assert talk(b":FREQ 20E9;:STAT:OPER:COND?\n", sim=sim) == b"2\n"
    assert talk(b":STAT:OPER:COND?\n", sim=sim, now=1.1) == b"0\n"


def test_unleveled():
    sim = SimAgilent8257D(World(1), "rf")
    assert talk(b":FREQ 25E9;:POW 16;:OUTP ON;:STAT:QUES:COND?\n", sim=sim) == b"8\n"
    assert talk(b":STAT:QUES:POW:COND?;:POW 15;:STAT:QUES:POW:COND?\n", sim=sim) == b"2;0\n"


def test_reference():
    sim = SimAgilent8257D(World(1), "rf")
    assert talk(b":ROSC:SOUR?;:ROSC:SOUR:AUTO?\n", sim=sim) == b"INT;1\n"
    sim.model.external_reference = lambda t: 0.0
    assert talk(b":ROSC:SOUR?;:ROSC:SOUR:AUTO OFF;:ROSC:SOUR?\n", sim=sim) == b"EXT;INT\n"


def test_reset():
    sim = SimAgilent8257D(World(1), "rf")
    talk(b":FREQ 25E9;:POW 5;:OUTP ON;:ROSC:SOUR:AUTO 0;*RST\n", sim=sim)
    assert talk(b":OUTP?;:ROSC:SOUR:AUTO?\n", sim=sim) == b"0;1\n"
    assert talk(b":FREQ?;:POW?\n", sim=sim) == b"+3.18000000000000E+10;-2.000000000000E+01\n"


# -------------------------------------------------------------------- driver


def test_driver_sends_all_digits_and_reads_the_error_queue():
    rf, script = scripted(
        (b":FREQ? MIN\n", b"+2.5E+05\n"), (b":FREQ? MAX\n", b"+3.18E+10\n"),
        (b":FREQ 24123456789.123 Hz\n", b""), (b"SYST:ERR?\n", NO_ERROR), (b"*OPC?\n", b"1\n"),
        (b":POW? MIN\n", b"-20\n"), (b":POW? MAX\n", b"+25\n"),
        (b":POW 9.876 dBm\n", b""), (b"SYST:ERR?\n", NO_ERROR),
        (b":STAT:QUES:POW:COND?\n", b"+0\n"),
    )  # fmt: skip
    rf.frequency = 24_123_456_789.123
    rf.power = 9.876
    assert not script.exchanges


@pytest.mark.parametrize(
    ("name", "node"),
    [("start_frequency", "STAR"), ("center_frequency", "CENT"), ("stop_frequency", "STOP")],
)
def test_sweep_frequencies_have_all_digits(name, node):
    sent = f":SOUR:FREQ:{node} 25000123456.789 Hz\n".encode()
    rf, script = scripted((sent, b""), (b"SYST:ERR?\n", NO_ERROR))
    setattr(rf, name, 25_000_123_456.789)
    assert not script.exchanges


def test_the_instruments_complaint_is_raised():
    rf, _ = scripted(
        (b":ROSC:SOUR:AUTO 1\n", b""),
        (b"SYST:ERR?\n", b'-241,"Hardware missing"\n'), (b"SYST:ERR?\n", NO_ERROR),
    )  # fmt: skip
    with pytest.raises(InstrumentError, match=r"rf: .*Hardware missing"):
        rf.reference_auto = True


def test_no_warning_about_scpi():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scripted()


# -------------------------------------------------------------------- together


def test_a_comb_spacing(bench):
    bench.rf.frequency = 25_000_123_456.789
    bench.rf.power = 12.0
    bench.rf.output = True
    assert bench.rf.frequency == pytest.approx(25_000_123_456.789, abs=1e-3)
    assert bench.clock.now() >= 0.011
    assert bench.sim.model.power_dbm(bench.clock.now()) == pytest.approx(12.0, abs=1.2)
    assert bench.rf.snapshot() == {
        "frequency": pytest.approx(25_000_123_456.789, abs=1e-3), "power": 12.0, "output": True,
        "has_modulation": False, "reference": "internal", "reference_auto": True,
    }  # fmt: skip
    assert bench.rf.is_enabled is True
    bench.rf.shutdown()
    assert bench.rf.output is False


@settings(max_examples=60, deadline=None)
@given(st.integers(250_000_000, 31_800_000_000_000))
def test_every_millihertz_arrives(millihertz):
    rf = Bench().rf
    rf.frequency = millihertz / 1000
    assert round(rf.frequency * 1000) == millihertz


def test_identity(bench):
    assert "E8257D" in bench.rf.check_identity()
    with pytest.raises(IdentityMismatch):
        bench.rf.check_identity("N5173B")


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("power", 18.1, "power 18.1 dBm is outside the modulator's range, 0 to 18 dBm"),
        ("power", -5, "power -5 dBm is outside the modulator's range"),
        ("frequency", 9.9e9, "frequency 9900000000.0 Hz is outside the modulator's range"),
        ("frequency", 35e9, "outside the source's range, 250000 to 31800000000 Hz"),
        ("frequency", float("nan"), "frequency nan Hz is outside"),
        ("power", "high", "power 'high' dBm is outside"),
    ],
)
def test_drive_outside_the_range_is_refused_before_it_is_sent(attribute, value, message):
    bench = Bench(
        minimum_frequency=10e9, maximum_frequency=40e9, minimum_power=0.0, maximum_power=18.0
    )
    with pytest.raises(RequestError, match=f"rf: .*{message}") as caught:
        setattr(bench.rf, attribute, value)
    assert "\n" not in str(caught.value)
    assert (bench.sim.model.power, bench.sim.model.frequency) == (-20.0, 31.8e9)


def test_output_is_not_switched_on_with_a_drive_that_somebody_else_has_set():
    bench = Bench(maximum_power=18.0)
    bench.sim.model.power = 20.0
    with pytest.raises(RequestError, match=r"rf: power 20.0 dBm is outside the modulator's range"):
        bench.rf.output = True
    assert bench.rf.output is False


def test_unleveled_output_is_switched_off():
    bench = Bench()
    bench.rf.frequency = 25e9
    bench.rf.power = 16.0
    with pytest.raises(InstrumentError, match=r"rf: unleveled, .*16 dBm at 25000000000 Hz"):
        bench.rf.output = True
    assert bench.rf.output is False


def test_wrong_settings():
    with pytest.raises(RequestError, match=r"rf: minimum_power 5.0 must be below"):
        Bench(minimum_power=5.0, maximum_power=5.0)
    with pytest.raises(RequestError, match="surprise"):
        Bench(surprise=1)


def test_sweeps_and_modulation_of_pymeasure_look_for_errors():
    rf, script = scripted(
        (b":SOUR:SWE:POIN 101\n", b""),
        (b"SYST:ERR?\n", NO_ERROR),
        (b":SOUR:POW:STAR -1.000000e+01 dBm\n", b""),
        (b"SYST:ERR?\n", b'-222,"Data out of range"\n'),
        (b"SYST:ERR?\n", NO_ERROR),
    )
    rf.step_points = 101
    with pytest.raises(InstrumentError, match="-222"):
        rf.start_power = -10
    assert not script.exchanges


def test_what_the_simulator_has_no_option_for_is_an_error(bench):
    with pytest.raises(InstrumentError, match="-113"):
        bench.rf.pulse_frequency = 1e3
