"""N9020B: bytes of the vendor's reference against driver and simulator, each on its own.

Commands, formats and error numbers are those of the X-series user's and programmer's reference, as
collected in the project's instrument facts; the 1001-point block header was seen on the wire.
"""

from __future__ import annotations

import contextlib
import math
import re
import socket
import struct
import threading
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Wire as AWire
from scripted import scripted as a_driver

from drivers.spectrum_analyser import SpectrumAnalyser
from labctl.adapter import ByteAdapter
from labctl.errors import IdentityMismatch, InstrumentError, RequestError
from labctl.transport.link import Link
from simulated_instruments.spectrum_analyser import SimSpectrumAnalyser
from simulated_instruments.world import World

KEYSIGHT = "Keysight Technologies,N9020B,MY00000001,A.25.05"
NOISE_FACTOR = math.sqrt(math.pi / math.log(16))


class Flat:
    """A source with the same noise everywhere, given as what is shown in 100 kHz (dBm)."""

    def __init__(self, shown_dbm: float) -> None:
        self.level = 10 ** (shown_dbm / 10) * 1e-3 / (NOISE_FACTOR * 1e5)

    def psd_w_per_hz(self, frequency_hz, times_s):
        return np.full(np.broadcast(frequency_hz, times_s).shape, self.level)


# ------------------------------------------------------------------ the driver alone


NO_ERROR = (b"SYST:ERR?\n", b'+0,"No error"\n')

scripted = partial(a_driver, SpectrumAnalyser, name="esa")


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("centre", 500e3, b":SENS:FREQ:CENT 500000\n"),
        ("centre", 1234567890.0, b":SENS:FREQ:CENT 1234567890\n"),  # more than six digits
        ("span", 0, b":SENS:FREQ:SPAN 0\n"),
        ("rbw", 100e3, b":SENS:BAND:RES 100000\n"),
        ("vbw", 10, b":SENS:BAND:VID 10\n"),
        ("sweep_time", 10, b":SENS:SWE:TIME 10\n"),
        ("sweep_time", 2.5e-6, b":SENS:SWE:TIME 2.5e-06\n"),
        ("points", 1001, b":SENS:SWE:POIN 1001\n"),
        ("detector", "AVER", b":SENS:DET:TRAC AVER\n"),
        ("average_type", "RMS", b":SENS:AVER:TYPE RMS\n"),
        ("average_count", 100, b":SENS:AVER:COUN 100\n"),
        ("trace_type", "MAXH", b":TRAC:TYPE MAXH\n"),
        ("continuous", False, b":INIT:CONT 0\n"),
    ],
)
def test_driver_sends_what_the_manual_says(name, value, sent):
    analyser, script = scripted((sent, b""), NO_ERROR)
    setattr(analyser, name, value)
    assert not script.exchanges


@pytest.mark.parametrize(
    ("name", "query", "answer", "value"),
    [
        ("rbw", b":SENS:BAND:RES?\n", b"1.1000000000E+05\n", 1.1e5),
        ("points", b":SENS:SWE:POIN?\n", b"1001\n", 1001),
        ("detector", b":SENS:DET:TRAC?\n", b"AVER\n", "AVER"),
        ("continuous", b":INIT:CONT?\n", b"1\n", True),
        ("overloaded", b":STAT:QUES:INT:COND?\n", b"16\n", True),
        ("overloaded", b":STAT:QUES:INT:COND?\n", b"4096\n", False),
    ],
)
def test_driver_reads_what_the_instrument_uses(name, query, answer, value):
    analyser, _ = scripted((query, answer))
    got = getattr(analyser, name)
    assert got == value
    assert type(got) is type(value)


def test_driver_reads_a_block_whose_payload_holds_line_feeds():
    levels = np.linspace(-90, -60, 1001).astype(">f4")
    levels[3] = struct.unpack(">f", b"\xc2\n\n\n")[0]
    block = b"#44004" + levels.tobytes() + b"\n"
    query = b":FORM:DATA REAL,32;:FORM:BORD NORM;:TRAC:DATA? TRACE1\n"
    analyser, _ = scripted((query, block), (b":SENS:SWE:POIN?\n", b"1001\n"))
    trace = analyser.trace()
    assert trace.dtype == float
    assert np.array_equal(trace, levels.astype(float))
    assert analyser.points == 1001  # nothing was left in the buffer


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        ("ASC", b"-8.05000E+01,-8.10000E+01,1.00000E+00\n"),
        ("REAL,64", b"#224" + struct.pack(">3d", -80.5, -81, 1) + b"\n"),
        ("INT,32", b"#212" + struct.pack(">3i", -80500, -81000, 1000) + b"\n"),
    ],
)
def test_driver_reads_the_other_formats(form, answer):
    query = f":FORM:DATA {form};:FORM:BORD NORM;:TRAC:DATA? TRACE1\n".encode()
    analyser, _ = scripted((query, answer))
    assert analyser.trace(form) == pytest.approx([-80.5, -81.0, 1.0])


def test_driver_sweeps_once_and_waits_for_the_end():
    query = b"*OPC?;:STAT:QUES:INT:COND?;:SYST:ERR?\n"
    analyser, script = scripted(
        (b":INIT:CONT OFF;:INIT:IMM\n", b""), (query, b'1;0;+0,"No error"\n')
    )
    analyser.single(12.5)
    assert not script.exchanges
    assert analyser.clock.now() == 12.5


def test_driver_names_instrument_command_and_answer_of_a_refusal():
    analyser, _ = scripted(
        (b":SENS:FREQ:CENT 40000000000\n", b""),
        (b"SYST:ERR?\n", b'-222,"Data out of range;clipped to upper limit"\n'),
        NO_ERROR,
    )
    with pytest.raises(InstrumentError) as caught:
        analyser.centre = 40e9
    message = str(caught.value)
    for part in ("esa", ":SENS:FREQ:CENT 40000000000", "-222", "clipped to upper limit"):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("answer", "shown"),
    [(b'1;0;-213,"Init ignored"\n', "-213"), (b'1;16;+0,"No error"\n', "overloaded")],
)
def test_driver_refuses_a_sweep_that_did_not_work(answer, shown):
    after = [NO_ERROR] if b"-213" in answer else []
    analyser, _ = scripted(
        (b":INIT:CONT OFF;:INIT:IMM\n", b""),
        (b"*OPC?;:STAT:QUES:INT:COND?;:SYST:ERR?\n", answer),
        *after,
    )
    with pytest.raises(InstrumentError, match=f"^esa: .*{shown}"):
        analyser.single(1.0)


@pytest.mark.parametrize("answer", [b"1;0\n", b"spam\n", b"x;0;+0,\n", b"1;y;+0,\n"])
def test_driver_refuses_nonsense_after_a_sweep(answer):
    analyser, _ = scripted(
        (b":INIT:CONT OFF;:INIT:IMM\n", b""),
        (b"*OPC?;:STAT:QUES:INT:COND?;:SYST:ERR?\n", answer),
    )
    with pytest.raises(InstrumentError, match=r"^esa: "):
        analyser.single(1.0)


@pytest.mark.parametrize(
    ("form", "answer"),
    [("ASC", b"1,2,x\n"), ("ASC", b"\n"), ("REAL,32", b"#15abcde\n"), ("REAL,32", b"#10\n")],
)
def test_driver_refuses_a_broken_trace(form, answer):
    query = f":FORM:DATA {form};:FORM:BORD NORM;:TRAC:DATA? TRACE1\n".encode()
    analyser, _ = scripted((query, answer))
    with pytest.raises(InstrumentError, match=r"^esa: "):
        analyser.trace(form)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("centre", math.nan),
        ("centre", -1),
        ("points", 0),
        ("points", True),
        ("detector", "RMS"),
        ("vbw", math.inf),
    ],
)
def test_driver_refuses_nonsense_before_it_is_sent(name, value):
    analyser, _ = scripted()
    with pytest.raises(RequestError, match="must be"):
        setattr(analyser, name, value)


@pytest.mark.parametrize(
    ("identity", "fits"),
    [
        (KEYSIGHT, True),
        ("Agilent Technologies,N9010A,MY00000002,A.14.04", True),
        ("Keysight Technologies,N5183B,MY00000003,B.01.86", False),
        ("Rohde&Schwarz,FSV-7,1321.3008K07/100001,2.30", False),
    ],
)
def test_driver_knows_whom_it_can_talk_to(identity, fits):
    analyser, _ = scripted((b"*IDN?\n", identity.encode() + b"\n"))
    with contextlib.nullcontext() if fits else pytest.raises(IdentityMismatch):
        assert analyser.check_identity() == identity


# ------------------------------------------------------------------ the simulator alone


class Wire(AWire):
    def __init__(self, source: object | None = None) -> None:
        self.world = World(seed=3)
        super().__init__(SimSpectrumAnalyser(self.world, "esa"))
        if source is not None:
            self.model.source = source
        self.exchanges = 0

    def driver(self) -> SpectrumAnalyser:
        def transport() -> Link:
            link = Link(self.simulator.connect(), self.clock)
            send = link.send

            def count(data: bytes) -> None:
                self.exchanges += 1
                send(data)

            link.send = count
            return link

        framing = SpectrumAnalyser.FRAMING
        return SpectrumAnalyser(
            ByteAdapter(transport, self.clock, name="esa", framing=framing), "esa"
        )


@pytest.fixture
def wire() -> Wire:
    return Wire()


def zero_span(wire: Wire) -> None:
    for command in (
        ":INST:SEL SA",
        ":CONF:SAN",
        ":SENS:FREQ:CENT 500000",
        ":SENS:FREQ:SPAN 0",
        ":SENS:BAND:RES 100000",
        ":SENS:BAND:VID 10",
        ":SWE:TIME:AUTO OFF",
        ":SENS:SWE:TIME 10",
        ":SENS:SWE:POIN 1001",
        ":SENS:DET:TRAC AVER",
        ":SENS:AVER:TYPE RMS",
        ":TRAC:TYPE WRIT",
        ":INIT:CONT OFF",
    ):
        wire.say(command)
    assert wire.ask(":SYST:ERR?") == '+0,"No error"'


def test_simulator_identifies_itself(wire):
    assert wire.ask_bytes("*IDN?") == KEYSIGHT.encode() + b"\n"
    assert wire.ask(":INST:SEL?;:CONF?") == "SA;SAN"


@pytest.mark.parametrize(
    ("setting", "query", "value"),
    [
        (":SENS:FREQ:CENT 500000", ":SENS:FREQ:CENT?", 5e5),
        ("FREQ:CENT 0.5 MHz", "FREQ:CENT?", 5e5),
        (":SENS:FREQ:SPAN 0", ":SENS:FREQ:SPAN?", 0.0),
        ("FREQ:STAR 1 GHZ;STOP 2GHZ", "FREQ:CENT?", 1.5e9),
        (":SENS:BAND:RES 103E3", ":SENS:BAND:RES?", 1e5),
        ("BWID 1.05 MHZ", "BAND?", 1.1e6),
        (":SENS:BAND:VID 10", ":SENS:BAND:VID?", 10.0),
        ("FREQ:SPAN 0;:SWE:TIME 20 ms", "SWE:TIME?", 0.02),
        (":SENS:SWE:POIN 1001", ":SENS:SWE:POIN?", 1001),
        (":AVER:COUN 100", ":SENS:AVER:COUN?", 100),
        ("DISP:WIND1:TRAC:Y:SCAL:RLEV -20 dBm", ":DISP:WIND:TRAC:Y:RLEV?", -20.0),
        ("POW:ATT 20 dB", ":SENS:POW:RF:ATT?", 20.0),
        ("POW:ATT:AUTO ON", "POW:ATT:AUTO?", 1),
    ],
)
def test_simulator_takes_numbers_and_rounds_bandwidths(wire, setting, query, value):
    wire.say(setting)
    assert float(wire.ask(query)) == value
    assert wire.ask(":SYST:ERR?") == '+0,"No error"'


@pytest.mark.parametrize(
    ("setting", "query", "value"),
    [
        (":SENS:DET:TRAC POS", ":DET:TRAC1?", "POS"),
        (":DETector:FUNCtion NORMal", ":SENS:DET?", "NORM"),
        (":AVER:TYPE SCALar", ":AVER:TYPE?", "SCAL"),
        (":TRAC:TYPE AVERage", ":TRACE1:TYPE?", "AVER"),
        (":FORM:DATA REAL,32", ":FORM:DATA?", "REAL,32"),
        (":FORM REAL,64", ":FORM?", "REAL,64"),
        (":FORM:DATA REAL", ":FORM:DATA?", "REAL,32"),
        (":FORM:DATA INT,48", ":FORM:DATA?", "INT,32"),  # a bad size raises no error
        (":FORM:DATA ASC", ":FORM:DATA?", "ASC,8"),
        (":FORM:BORD SWAP", ":FORM:BORD?", "SWAP"),
        (":AVER ON", ":TRAC:TYPE?", "AVER"),
    ],
)
def test_simulator_answers_words_in_short_form(wire, setting, query, value):
    wire.say(setting)
    assert wire.ask(query) == value
    assert wire.ask(":SYST:ERR?") == '+0,"No error"'


def test_simulator_measures_and_restarts_averages(wire):
    wire.say(":SENS:FREQ:SPAN 0;:SENS:SWE:POIN 3;TIME 0.1;:AVER:CLE;:INIT:CONT OFF;:INIT:IMM;*WAI")
    pairs = wire.ask(":FETC:SAN1?").split(",")
    assert len(pairs) == 6  # of time and level
    assert all(re.fullmatch(r"[+-]\d\.\d{5}E[+-]\d\d", number) for number in pairs)
    assert wire.ask(":SYST:ERR?") == '+0,"No error"'


def test_simulator_presets(wire):
    assert wire.ask(":AVER:TYPE?;TYPE:AUTO?;:FORM:DATA?;BORD?") == "LOG;1;ASC,8;NORM"
    wire.say(":FREQ:CENT 1E6;:FORM REAL,32;:INIT:CONT ON;*RST")
    assert wire.ask(":FREQ:CENT?;:FORM?;:INIT:CONT?") == "+1.800000000000E+09;ASC,8;0"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (":SENS:FREQ:CENT 9E9", '-222,"Data out of range"'),
        (":SENS:BAND:RES 0", '-222,"Data out of range"'),
        (":SENS:SWE:POIN 100000", '-222,"Data out of range"'),
        (":SENS:FREQ:CENTR 1", '-113,"Undefined header;SENS:FREQ:CENTR"'),
        (":TRAC2:TYPE AVER", '-113,"Undefined header;TRAC2:TYPE"'),
        (":SENS:FREQ:CENT", '-109,"Missing parameter;SENS:FREQ:CENT"'),
        (":SENS:DET:TRAC QPE", '-224,"Illegal parameter value;QPE"'),
        (":SENS:BAND:RES 1.2.3", '-121,"Invalid character in number;.3"'),
        (":SENS:BAND:RES 10 dBm", '-131,"Invalid suffix;DBM"'),
        (":INST:SEL BASIC", '-224,"Illegal parameter value;BASIC"'),
        (":CALC:MARK13:X?", '-114,"Header suffix out of range"'),
    ],
)
def test_simulator_complains_like_the_instrument(wire, text, error):
    wire.say(text)
    assert wire.ask(":SYST:ERR?") == error
    assert wire.ask(":SYST:ERR?") == '+0,"No error"'


def test_simulator_clips_what_is_out_of_range(wire):
    wire.say(":SENS:SWE:POIN 100000;:FREQ:CENT 9E9;:FREQ:SPAN 0;:BAND:VID 0.1")
    assert wire.ask(":SWE:POIN?") == "20001"
    assert float(wire.ask(":FREQ:CENT?")) == 3.6e9 - 5
    assert float(wire.ask(":BAND:VID?")) == 1.0


def test_simulator_ends_a_sweep_after_its_time(wire):
    zero_span(wire)
    started = wire.clock.now()
    assert wire.ask(":INIT:IMM;*OPC?") == "1"
    assert wire.clock.now() - started == pytest.approx(10.0, abs=0.02)
    wire.say(":INIT:IMM;*OPC;*ESE 1")
    assert wire.ask("*STB?;:STAT:OPER:COND?") == "0;8"
    wire.clock.sleep(10.1)
    assert wire.ask("*STB?;*ESR?;:STAT:OPER:COND?") == "32;129;0"


def test_simulator_ignores_a_start_while_it_sweeps(wire):
    zero_span(wire)
    wire.say(":INIT:IMM;:INIT:IMM")
    assert wire.ask(":SYST:ERR?") == '-213,"Init ignored"'
    wire.say(":ABOR;:INIT:IMM;:ABOR")
    assert wire.ask("*OPC?;:SYST:ERR?", timeout=0.1) == '1;+0,"No error"'


def test_simulator_gives_traces_in_the_formats_of_the_manual(wire):
    wire.model.source = Flat(-80.5)
    zero_span(wire)
    wire.ask(":INIT;*OPC?")
    text = wire.ask(":TRAC:DATA? TRACE1")
    assert len(text.split(",")) == 1001
    assert all(re.fullmatch(r"[+-]\d\.\d{5}E[+-]\d\d", v) for v in text.split(","))
    expected = np.array([float(v) for v in text.split(",")])
    assert expected[100:].mean() == pytest.approx(-80.5, abs=1.2)

    wire.say(":FORM:DATA REAL,32;:FORM:BORD NORM")
    data = wire.ask_bytes(":TRAC? TRACE1")
    assert (data[:6], len(data), data[-1:]) == (b"#44004", 6 + 4004 + 1, b"\n")
    assert np.frombuffer(data[6:-1], ">f4") == pytest.approx(expected, abs=1e-3)
    wire.say(":FORM:BORD SWAP")
    data = wire.ask_bytes(":TRAC:DATA? TRACE1")
    assert np.frombuffer(data[6:-1], "<f4") == pytest.approx(expected, abs=1e-3)
    wire.say(":FORM:DATA REAL,64;:FORM:BORD NORM")
    data = wire.ask_bytes(":TRAC:DATA? TRACE1")
    assert data[:6] == b"#48008"
    assert np.frombuffer(data[6:-1], ">f8") == pytest.approx(expected, abs=1e-3)
    wire.say(":FORM:DATA INT,32")
    data = wire.ask_bytes(":TRAC:DATA? TRACE1")
    assert data[:6] == b"#44004"
    assert np.frombuffer(data[6:-1], ">i4") == pytest.approx(expected * 1000, abs=1)


def test_simulator_measures_and_fetches_pairs(wire):
    zero_span(wire)
    wire.say(":SWE:POIN 11")
    pairs = [float(v) for v in wire.ask(":READ:SAN1?").split(",")]
    assert wire.clock.now() == pytest.approx(10.0, abs=0.02)
    assert pairs[::2] == pytest.approx(np.arange(11.0))
    assert [float(v) for v in wire.ask(":FETC:SAN?").split(",")] == pairs
    assert [float(v) for v in wire.ask(":TRAC? TRACE1").split(",")] == pairs[1::2]


def test_simulator_has_markers(wire):
    zero_span(wire)
    wire.ask(":INIT;*OPC?")
    trace = [float(v) for v in wire.ask(":TRAC? TRACE1").split(",")]
    assert float(wire.ask(":CALC:MARK1:Y?")) > 9.9e36
    wire.say(":CALC:MARK1:MODE POS;X 2.004 S")
    assert wire.ask(":CALC:MARK:MODE?") == "POS"
    assert float(wire.ask(":CALC:MARK1:X?")) == pytest.approx(2.0)
    assert float(wire.ask(":CALC:MARK1:Y?")) == pytest.approx(trace[200], abs=1e-3)
    wire.say(":CALC:MARK2:MAX")
    assert float(wire.ask(":CALC:MARK2:Y?")) == pytest.approx(max(trace), abs=1e-3)
    wire.say(":CALC:MARK1:MODE OFF")
    assert wire.ask(":CALC:MARK1:MODE?") == "OFF"


def test_simulator_reports_overload_and_data_that_do_not_fit_the_settings(wire):
    zero_span(wire)
    assert wire.ask(":STAT:QUES:INT:COND?;:STAT:QUES:COND?") == "4096;0"
    wire.ask(":INIT;*OPC?")
    assert wire.ask(":STAT:QUES:INT:COND?") == "0"
    wire.model.source = Flat(5.0)
    wire.ask(":INIT;*OPC?")
    assert wire.ask(":STAT:QUES:INT:COND?;:STAT:QUES:COND?") == "16;512"
    wire.say(":POW:ATT 30")
    wire.ask(":INIT;*OPC?")
    assert wire.ask(":STAT:QUES:INT:COND?") == "0"


def test_simulator_shows_the_part_of_a_sweep_that_is_done(wire):
    zero_span(wire)
    wire.say(":INIT:IMM")
    wire.clock.sleep(5.0)
    trace = np.array([float(v) for v in wire.ask(":TRAC? TRACE1").split(",")])
    assert (trace > -130).sum() == 501


@pytest.mark.parametrize("trace_type", ["WRIT", "AVER", "MAXH"])
def test_sweeping_without_end_costs_little_while_nobody_looks(wire, trace_type):
    zero_span(wire)
    wire.say(f":SWE:TIME 1E-3;POIN 101;:TRAC:TYPE {trace_type};:AVER:COUN 5;:INIT:CONT ON")
    wire.clock.sleep(8 * 3600.0)
    assert "-1.00000E+03" not in wire.ask(":TRAC? TRACE1")
    assert wire.model._sweeps > 4_000_000


COMMANDS = [
    b":INIT:IMM\n",
    b":INIT:CONT ON\n",
    b":FREQ:SPAN 0\n",
    b":TRAC? TRACE1\n",
    b":SWE:POIN 1\n",
]
COMMANDS += [b"*RST;*WAI\n", b":TRAC:TYPE MAXH\n", b":READ:SAN?\n", b":BAND:VID MIN\n", b":ABOR\n"]


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(COMMANDS)), max_size=8))
@settings(max_examples=100, deadline=None)
def test_simulator_survives_anything(pieces):
    wire = Wire()
    for piece in pieces:
        wire.link.send(piece)
        wire.clock.sleep(0.01)
    wire.link.send(b"\n")
    while wire.link.receive(1e7):
        pass
    wire.say("*CLS;:ABOR;:FREQ:CENT 1 MHZ")
    assert wire.ask(":FREQ:CENT?;:SYST:ERR?") == '+1.000000000000E+06;+0,"No error"'


# ------------------------------------------------------------------ both together


def configured(source: object, **changes) -> tuple[Wire, SpectrumAnalyser]:
    wire = Wire(source)
    analyser = wire.driver()
    arguments = {
        "centre_hz": 5e5,
        "rbw_hz": 1e5,
        "vbw_hz": 10.0,
        "sweep_time_s": 1.0,
        "points": 501,
    } | changes
    analyser.configure_zero_span(**arguments)
    return wire, analyser


@pytest.mark.parametrize("detector", ["AVER", "SAMP"])
@pytest.mark.parametrize("average", ["RMS", "LOG", "SCAL"])
@pytest.mark.parametrize(("vbw", "time"), [(10.0, 0.6), (300.0, 0.15)])
def test_the_standard_error_is_the_scatter_of_repeated_measurements(detector, average, vbw, time):
    _, analyser = configured(
        Flat(-67.0), vbw_hz=vbw, sweep_time_s=time, detector=detector, average_type=average
    )
    results = [analyser.zero_span_power() for _ in range(200)]
    means = np.array([r.mean_mw for r in results])
    errors = np.array([r.standard_error_mw for r in results])
    scatter, quoted = means.std(ddof=1), math.sqrt(np.mean(errors**2))
    assert scatter / quoted == pytest.approx(1.0, abs=4 / math.sqrt(2 * 199))
    model = analyser.adapter.connection._endpoint._instrument.model
    floor = 10**-15.0 * NOISE_FACTOR * 1e5
    true = (10**-6.7 + floor) * model._gain
    assert means.mean() == pytest.approx(true, abs=4 * scatter / math.sqrt(200) + 5e-5 * true)


def test_a_point_scatters_by_what_the_bandwidths_say():
    _, analyser = configured(Flat(-67.0), sweep_time_s=10.0, points=1001)
    traces = np.array([analyser.zero_span_power().trace_dbm[20:] for _ in range(30)])
    assert traces.std() == pytest.approx(0.0627 * math.sqrt(0.822), rel=0.05)  # bucket of 10 ms
    steps = traces - traces.mean()
    correlation = np.mean(steps[:, 1:] * steps[:, :-1]) / np.mean(steps**2)
    assert 0.55 < correlation < 0.75


def test_squeezing_is_found_from_signal_shot_and_dark_traces():
    """Displayed -69.5, -67.0 and -80 dBm mean a variance of 0.5392 of the shot noise."""
    wire, analyser = configured(Flat(-69.5), sweep_time_s=5.0)
    powers, errors = [], []
    for level in (-69.5, -67.0, -80.0):
        wire.model.source = Flat(level)
        power = analyser.zero_span_power()
        powers.append(power.mean_mw)
        errors.append(power.standard_error_mw)
    signal, shot, dark = powers
    variance = (signal - dark) / (shot - dark)
    slopes = np.array([1.0, -variance, variance - 1.0]) / (shot - dark)
    sigma = math.sqrt(np.sum((slopes * errors) ** 2))
    assert sigma < 0.003
    assert variance == pytest.approx(0.5392, abs=4 * sigma)


def test_configuring_reads_back_what_the_analyser_made_of_it():
    _, analyser = configured(Flat(-67.0), rbw_hz=103e3, vbw_hz=10.4)
    settings = analyser.settings()
    assert (settings.rbw_hz, settings.vbw_hz) == (1e5, 10.0)
    assert (settings.span_hz, settings.points, settings.detector) == (0.0, 501, "AVER")
    analyser.rbw = 1.06e5
    assert analyser.rbw == 1.1e5


def test_snapshot_is_what_the_properties_say_in_one_exchange():
    wire, analyser = configured(Flat(-67.0))
    before = wire.exchanges
    snapshot = analyser.snapshot()
    assert wire.exchanges == before + 1
    assert snapshot == {name: getattr(analyser, name) for name in analyser.SETTINGS}
    assert snapshot["vbw"] == 10.0
    assert snapshot["continuous"] is False


def test_a_measurement_takes_few_exchanges():
    wire, analyser = configured(Flat(-67.0))
    before = wire.exchanges
    analyser.zero_span_power()
    assert wire.exchanges == before + 4


def test_refused_settings_are_reported_and_can_be_read_back():
    _, analyser = configured(Flat(-67.0))
    with pytest.raises(InstrumentError, match=r"^esa: ':SENS:FREQ:CENT 10000000000' .*-222"):
        analyser.centre = 1e10
    assert analyser.centre == 3.6e9
    with pytest.raises(InstrumentError, match=r"^esa: ':SENS:FREQ:CENT 40000000000' .*-222"):
        analyser.configure_zero_span(40e9, 1e5, 10.0, 1.0)
    assert analyser.check_errors() == []


def test_a_sweep_of_another_client_is_in_the_way():
    wire, analyser = configured(Flat(-67.0))
    wire.say(":INIT:IMM")
    with pytest.raises(InstrumentError, match=r"^esa: ':INIT:CONT OFF;:INIT:IMM' .*-213"):
        analyser.single()


def test_overload_is_an_error():
    _, analyser = configured(Flat(5.0))
    with pytest.raises(InstrumentError, match=r"^esa: the input is overloaded"):
        analyser.zero_span_power()
    analyser.attenuation = 30.0
    assert analyser.zero_span_power().mean_mw == pytest.approx(10**0.5, rel=0.2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"span": 1e6}, "span is not 0"),
        ({"detector": "POS"}, "no mean power"),
        ({"trace_type": "MAXH"}, "no mean power"),
        ({"sweep_time": 0.11}, "too short"),
        ({"sweep_time": 0.01}, "too short"),
        ({"vbw": 1.0}, "too short"),
    ],
)
def test_measurements_that_make_no_sense_are_refused_before_the_sweep(changes, words):
    wire, analyser = configured(Flat(-67.0))
    for name, value in changes.items():
        setattr(analyser, name, value)
    now = wire.clock.now()
    with pytest.raises(RequestError, match=words):
        analyser.zero_span_power()
    assert wire.clock.now() < now + 0.01


@pytest.mark.parametrize("level", [math.nan, -1000.0, 1e30])
def test_a_damaged_trace_is_an_error(level):
    wire, analyser = configured(Flat(-67.0))
    good = wire.model.trace_dbm
    wire.model.trace_dbm = lambda: np.where(np.arange(501) == 300, level, good())
    with pytest.raises(InstrumentError, match=r"^esa: the trace has points"):
        analyser.zero_span_power()


def test_long_and_averaged_sweeps_do_not_time_out():
    wire, analyser = configured(Flat(-67.0), sweep_time_s=300.0)
    analyser.zero_span_power()
    assert wire.clock.now() > 300
    analyser.sweep_time, analyser.trace_type, analyser.average_count = 2.0, "AVER", 50
    started = wire.clock.now()
    single = analyser.zero_span_power()
    assert wire.clock.now() - started == pytest.approx(100.25, abs=0.05)
    analyser.trace_type = "WRIT"
    assert analyser.zero_span_power().standard_error_mw > 4 * single.standard_error_mw


def test_interlocks_run_during_a_sweep():
    wire, analyser = configured(Flat(-67.0), sweep_time_s=3.0)
    seen: list[float] = []
    wire.clock.every(0.5, lambda: seen.append(analyser.centre))
    analyser.zero_span_power()
    assert seen == [5e5] * 6


def test_make_safe_stops_the_sweep():
    wire, analyser = configured(Flat(-67.0))
    analyser.continuous = True
    wire.clock.sleep(0.5)
    assert wire.model.sweeping
    analyser.make_safe()
    assert not wire.model.sweeping
    assert analyser.continuous is False
    assert analyser.check_errors() == []


def test_the_same_seed_gives_the_same_data_however_often_it_is_polled():
    traces = []
    for polls in (0, 7):
        wire, analyser = configured(Flat(-67.0))
        for _ in range(3):
            wire.say(":INIT:IMM")
            for _ in range(polls):
                wire.clock.sleep(0.11)
                analyser.trace()
            assert analyser.complete == "1"
        traces.append(analyser.trace("REAL,64"))
    assert np.array_equal(*traces)


# ------------------------------------------------------------------ an independent client


@contextlib.contextmanager
def served(simulator: SimSpectrumAnalyser) -> Iterator[int]:
    """The simulator on a loopback socket; its time jumps to each answer. Yields the port."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        endpoint, now = simulator.connect(), 0.0
        with connection:
            while data := connection.recv(65536):
                replies = endpoint.feed(data, now)
                while replies:
                    now, reply = max(now, replies[0][0]), replies[0][1]
                    connection.sendall(reply)
                    replies = replies[1:] if reply else endpoint.feed(b"", now)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with server:
        yield server.getsockname()[1]
        thread.join(5)


def test_pyvisa_reads_a_trace_over_a_socket():
    import pyvisa

    wire = Wire(Flat(-67.0))
    with served(wire.simulator) as port:
        visa = pyvisa.ResourceManager("@py")
        analyser = visa.open_resource(
            f"TCPIP::127.0.0.1::{port}::SOCKET",
            read_termination="\n",
            write_termination="\n",
            timeout=5000,
        )
        assert analyser.query("*IDN?") == KEYSIGHT
        analyser.write(":FREQ:CENT 500 KHZ;SPAN 0;:BAND 100 KHZ;:BAND:VID 10;:SWE:TIME 10")
        analyser.write(":SWE:POIN 1001;:AVER:TYPE RMS;:DET:TRAC AVER;:FORM REAL,32;:INIT:CONT OFF")
        assert analyser.query(":INIT:IMM;*OPC?") == "1"
        levels = analyser.query_binary_values("TRAC:DATA? TRACE1", datatype="f", is_big_endian=True)
        assert len(levels) == 1001
        assert np.mean(levels[100:]) == pytest.approx(-67.0, abs=1.2)
        assert analyser.query("SYST:ERR?") == '+0,"No error"'
        analyser.close()
        visa.close()
