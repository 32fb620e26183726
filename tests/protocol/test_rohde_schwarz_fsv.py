"""FSV: bytes of the vendor's manuals against driver and simulator, each on its own.

Sources: user manuals of FSV, FSV3000 and FSW (formats with the block header `#41024`, detectors,
RMS detector and video bandwidth, sweep count, POWer register), the project's instrument facts.
"""

from __future__ import annotations

import contextlib
import math
import struct
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Wire as AWire
from scripted import in_front_of
from scripted import scripted as a_driver

from drivers.spectrum_analyser import FsvAnalyser, SpectrumAnalyser
from labctl.adapter import ByteAdapter
from labctl.clock import VirtualClock
from labctl.errors import IdentityMismatch, InstrumentError, RequestError
from labctl.transport.link import Link
from simulated_instruments.rohde_schwarz_fsv import SimFsv
from simulated_instruments.spectrum_analyser import SimSpectrumAnalyser
from simulated_instruments.world import World

NOISE_FACTOR = math.sqrt(math.pi / math.log(16))
NO_ERROR = (b"SYST:ERR?\n", b'0,"No error"\n')
DONE = b"*WAI;*OPC?;:STAT:QUES:POW:COND?;:SYST:ERR?\n"


class Flat:
    """A source with the same noise everywhere, given as what is shown in 100 kHz (dBm)."""

    def __init__(self, shown_dbm: float) -> None:
        self.level = 10 ** (shown_dbm / 10) * 1e-3 / (NOISE_FACTOR * 1e5)

    def psd_w_per_hz(self, frequency_hz, times_s):
        return np.full(np.broadcast(frequency_hz, times_s).shape, self.level)


# ------------------------------------------------------------------ the driver alone

scripted = partial(a_driver, FsvAnalyser, name="esa")


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("centre", 500e3, b":FREQ:CENT 500000\n"),
        ("centre", 1234567890.0, b":FREQ:CENT 1234567890\n"),
        ("span", 0, b":FREQ:SPAN 0\n"),
        ("rbw", 100e3, b":BAND:RES 100000\n"),
        ("vbw", 10, b":BAND:VID 10\n"),
        ("sweep_time", 10, b":SWE:TIME 10\n"),
        ("points", 1001, b":SWE:POIN 1001\n"),
        ("detector", "RMS", b":DET RMS\n"),
        ("average_count", 100, b":SWE:COUN 100\n"),
        ("trace_type", "AVER", b":DISP:TRAC:MODE AVER\n"),
        ("reference_level", -20, b":DISP:TRAC:Y:RLEV -20\n"),
        ("attenuation", 20, b":INP:ATT 20\n"),
        ("continuous", False, b":INIT:CONT 0\n"),
        ("freq_center", "1.2 GHz", b"FREQ:CENT 1.2 GHz\n"),  # pymeasure's own, now checked
        ("res_bandwidth", "AUTO", b"BAND:RES:AUTO ON\n"),
        ("trace_mode", "MAXH", b"DISP:TRAC:MODE MAXH\n"),
        ("continuous_sweep_enabled", True, b"INIT:CONT 1\n"),
    ],
)
def test_driver_sends_what_the_manual_says_and_asks_for_errors(name, value, sent):
    analyser, script = scripted((sent, b""), NO_ERROR)
    setattr(analyser, name, value)
    assert not script.exchanges


def test_every_property_of_pymeasure_that_can_be_set_is_checked():
    from pymeasure.instruments.rohdeschwarz import FSW

    inherited = {
        name
        for owner in FSW.__mro__
        for name, value in vars(owner).items()
        if "rohdeschwarz" in owner.__module__ and getattr(value, "fset", None)
    }
    assert len(inherited) > 10
    own = set(vars(FsvAnalyser))
    assert inherited - own == FsvAnalyser.INHERITED


def test_refusals_name_the_command_also_for_properties_of_pymeasure():
    refusal = (b"SYST:ERR?\n", b'-222,"Data out of range;FREQ:CENT 9e99"\n')
    analyser, _ = scripted((b"FREQ:CENT 9e+99\n", b""), refusal, NO_ERROR)
    with pytest.raises(InstrumentError, match=r"^esa: 'FREQ:CENT 9e\+99' .*-222"):
        analyser.freq_center = 9e99


@pytest.mark.parametrize(
    ("name", "query", "answer", "value"),
    [
        ("rbw", b":BAND:RES?\n", b"100000\n", 1e5),
        ("points", b":SWE:POIN?\n", b"1001\n", 1001),
        ("detector", b":DET?\n", b"RMS\n", "RMS"),
        ("average_type", b":DET?\n", b"RMS\n", "RMS"),
        ("average_type", b":DET?\n", b"AVER\n", "SCAL"),
        ("average_count", b":SWE:COUN?\n", b"0\n", 0),
        ("continuous", b":INIT:CONT?\n", b"1\n", True),
        ("overloaded", b":STAT:QUES:POW:COND?\n", b"1\n", True),
        ("overloaded", b":STAT:QUES:POW:COND?\n", b"4\n", True),
        ("overloaded", b":STAT:QUES:POW:COND?\n", b"2\n", False),  # underload
        ("available_channels", b"INST:LIST?\n", b"'SANALYZER','Spectrum'\n", {"Spectrum": "SANALYZER"}),
        ("active_channel", b"INST?\n", b"SAN\n", "Spectrum"),
    ],
)  # fmt: skip
def test_driver_reads_what_the_instrument_uses(name, query, answer, value):
    analyser, _ = scripted((query, answer))
    got = getattr(analyser, name)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize("name", ["active_channel", "activate_channel"])
def test_channel_is_set_under_its_right_name_and_pymeasures(name):
    channels = (b"INST:LIST?\n", b"'SANALYZER','Spectrum','PNOISE','Noise 2'\n")
    analyser, script = scripted(channels, (b"INST 'Noise 2'\n", b""), NO_ERROR)
    setattr(analyser, name, "Noise 2")
    assert not script.exchanges
    analyser, _ = scripted(channels)
    with pytest.raises(RequestError, match="must be one of Spectrum, Noise 2"):
        setattr(analyser, name, "IQ")


ZERO_SPAN = (
    b":INIT:CONT OFF;:INST:SEL SAN;:CALC:UNIT:POW DBM;:FREQ:CENT 500000;:FREQ:SPAN 0;"
    b":BAND:RES 100000;:BAND:VID 10;:SWE:POIN 401;:SWE:TIME 4;:SWE:COUN 1;:DET %s;"
    b":DISP:TRAC:MODE WRIT\n"
)
SETTINGS = (
    b":FREQ:CENT?;:FREQ:SPAN?;:BAND:RES?;:BAND:VID?;:SWE:TIME?;:SWE:POIN?;:DET?;:DISP:TRAC:MODE?;"
    b":SWE:COUN?\n"
)


@pytest.mark.parametrize(
    ("detector", "average", "word", "filtered"),
    [("AVER", "RMS", b"RMS", False), ("AVER", "SCAL", b"AVER", True), ("SAMP", "SCAL", b"SAMP", True)],
)  # fmt: skip
def test_driver_sets_up_zero_span_in_the_words_of_the_family(detector, average, word, filtered):
    analyser, script = scripted(
        (ZERO_SPAN % word, b""),
        NO_ERROR,
        (SETTINGS, b"500000;0;100000;10;4;401;%s;WRIT;1\n" % word),
    )
    used = analyser.configure_zero_span(
        5e5, 1e5, 10.0, 4.0, 401, detector=detector, average_type=average
    )
    assert not script.exchanges
    assert (used.detector, used.average_type, used.filtered) == (detector, average, filtered)
    assert (used.points, used.duration_s) == (401, 4.0)


@pytest.mark.parametrize(
    ("detector", "average"), [("AVER", "LOG"), ("SAMP", "RMS"), ("NORM", "SCAL"), ("x", "y")]
)
def test_what_the_family_does_not_have_is_refused_before_anything_is_sent(detector, average):
    analyser, _ = scripted()
    with pytest.raises(RequestError, match=r"^esa: an FSV cannot show"):
        analyser.configure_zero_span(5e5, 1e5, 10, 4, 401, detector=detector, average_type=average)
    with pytest.raises(RequestError, match="number of points must be from 101"):
        analyser.configure_zero_span(5e5, 1e5, 10, 4, 51)


def test_driver_sweeps_once_and_waits_for_the_end():
    analyser, script = scripted((b":INIT:CONT OFF;:INIT:IMM\n", b""), (DONE, b'1;0;0,"No error"\n'))
    analyser.single(12.5)
    assert not script.exchanges
    assert analyser.clock.now() == 12.5


def test_pymeasures_single_sweep_returns_when_it_is_complete():
    settings = b"5E5;0;100000;10;4;401;RMS;AVER;3\n"
    analyser, script = scripted(
        (SETTINGS, settings), (b":INIT:CONT OFF;:INIT:IMM\n", b""), (DONE, b'1;0;0,"No error"\n'),
        (SETTINGS, settings), (b":INIT:CONT OFF;:INIT:CONM\n", b""), (DONE, b'1;0;0,"No error"\n'),
    )  # fmt: skip
    analyser.single_sweep()
    assert analyser.clock.now() == 12.0
    analyser.continue_single_sweep()
    assert not script.exchanges


@pytest.mark.parametrize(
    ("answer", "shown"),
    [(b'1;0;-200,"Execution error"\n', "-200"), (b'1;4;0,"No error"\n', "overloaded")],
)
def test_driver_refuses_a_sweep_that_did_not_work(answer, shown):
    after = [NO_ERROR] if b"-200" in answer else []
    analyser, _ = scripted((b":INIT:CONT OFF;:INIT:IMM\n", b""), (DONE, answer), *after)
    with pytest.raises(InstrumentError, match=f"^esa: .*{shown}"):
        analyser.single(1.0)


def test_driver_reads_the_block_of_the_manual_little_endian():
    """`#41024` and 1024 bytes; one level whose bytes are line feeds."""
    levels = np.linspace(-90, -60, 256).astype("<f4")
    levels[3] = struct.unpack("<f", b"\n\n\n\xc2")[0]
    query = b":FORM REAL,32;:TRAC? TRACE1\n"
    analyser, _ = scripted((query, b"#41024" + levels.tobytes() + b"\n"), (b":DET?\n", b"RMS\n"))
    trace = analyser.trace()
    assert trace.dtype == float
    assert np.array_equal(trace, levels.astype(float))
    assert analyser.detector == "RMS"  # nothing was left in the buffer


def test_driver_reads_a_comma_separated_trace_and_its_axis():
    analyser, _ = scripted((b":FORM ASC;:TRAC? TRACE1\n", b"-80.5,-81,-79.2513046\n"))
    assert analyser.trace("ASC") == pytest.approx([-80.5, -81.0, -79.2513046])
    analyser, _ = scripted(
        (b":FORM ASC;:TRAC:X? TRACE2\n", b"0,0.5,1\n"), (b":TRAC? TRACE2\n", b"-80.5,-81,-79\n")
    )
    assert analyser.read_trace(2).tolist() == [[0.0, 0.5, 1.0], [-80.5, -81.0, -79.0]]
    with pytest.raises(RequestError, match="REAL,32, ASC"):
        analyser.trace("INT,32")


@pytest.mark.parametrize(
    ("identity", "fits"),
    [
        ("Rohde&Schwarz,FSV-7,1321.3008K07/100001,3.40", True),
        ("Rohde&Schwarz,FSV3007,1330.5000K08/101234,1.30", True),
        ("Rohde&Schwarz,FSVA3004,1330.5000K05/100001,1.30", True),
        ("Rohde&Schwarz,FSW-26,1312.8000K26/100005,1.90", True),
        ("Rohde&Schwarz,SMB100A,1406.6000k02/100001,2.20", False),
        ("Keysight Technologies,N9020B,MY00000001,A.25.05", False),
    ],
)
def test_driver_knows_whom_it_can_talk_to(identity, fits):
    analyser, _ = scripted((b"*IDN?\n", identity.encode() + b"\n"))
    with contextlib.nullcontext() if fits else pytest.raises(IdentityMismatch):
        assert analyser.check_identity() == identity


def test_a_snapshot_works_with_detectors_that_are_not_for_noise():
    more = b";:DISP:TRAC:Y:RLEV?;:INP:ATT?;:INIT:CONT?\n"
    query = SETTINGS.removesuffix(b"\n") + more
    analyser, _ = scripted((query, b"5E5;0;1E5;10;4;401;QPE;VIEW;0;-10;10;1\n"))
    snapshot = analyser.snapshot()
    assert tuple(snapshot) == FsvAnalyser.SETTINGS
    assert (snapshot["detector"], snapshot["average_type"]) == ("QPE", "")
    assert snapshot["continuous"] is True
    analyser, _ = scripted((SETTINGS, b"5E5;0;1E5;10;4;401;QPE;WRIT;0\n"))
    with pytest.raises(RequestError, match=r"^esa: detector QPE .*no mean power"):
        analyser.zero_span_power()


# ------------------------------------------------------------------ the simulator alone


class Wire(AWire):
    def __init__(self, source: object | None = None) -> None:
        super().__init__(SimFsv(World(seed=3), "esa"))
        if source is not None:
            self.model.source = source

    def driver(self) -> FsvAnalyser:
        return in_front_of(self.simulator, FsvAnalyser, clock=self.clock)


@pytest.fixture
def wire() -> Wire:
    return Wire()


def zero_span(wire: Wire, detector: str = "RMS", points: int = 1001, time: float = 10.0) -> None:
    for command in (
        "INST:SEL SAN", "FREQ:CENT 500000", "FREQ:SPAN 0", "BAND:RES 100000", "BAND:VID 10",
        f"SWE:TIME {time}", f"SWE:POIN {points}", f"DET {detector}", "DISP:TRAC:MODE WRIT",
        "SWE:COUN 1", "INIT:CONT OFF",
    ):  # fmt: skip
        wire.say(command)
    assert wire.ask("SYST:ERR?") == '0,"No error"'


def test_simulator_identifies_itself(wire):
    maker, model, number, firmware = wire.ask("*IDN?").split(",")
    assert (maker, model) == ("Rohde&Schwarz", "FSV-7")
    assert "/" in number
    assert firmware
    assert wire.ask("INST?;:INST:LIST?") == "SAN;'SANALYZER','Spectrum'"


@pytest.mark.parametrize(
    ("setting", "query", "value"),
    [
        ("FREQ:CENT 500000", "FREQ:CENT?", "500000"),
        ("FREQ:CENT 1.2 GHz", "SENS:FREQ:CENT?", "1200000000"),
        ("FREQ:SPAN 0", "FREQ:SPAN?", "0"),
        ("BAND:RES 100000", "BAND?", "100000"),
        ("BAND:RES 110000", "BAND?", "100000"),  # steps 1, 2, 3, 5
        ("BAND:RES 260 kHz", "BAND?", "300000"),
        ("BAND:VID 10", "SENS:BAND:VID?", "10"),
        ("BAND:RES:AUTO OFF", "BAND:AUTO?", "0"),
        ("SWE:TIME 10ms", "SWE:TIME?", "0.01"),
        ("SWE:POIN 1001", "SWE:POIN?", "1001"),
        ("SWE:COUN 100", "AVER:COUN?", "100"),
        ("DET RMS", "DET?", "RMS"),
        ("DET1:FUNC APEAK", "DETECTOR?", "APE"),
        ("DET AVERage", "DET:AUTO?", "0"),
        ("DISP:WIND1:TRAC1:MODE MAXHold", "DISP:TRAC:MODE?", "MAXH"),
        ("DISP:TRAC:Y:RLEV -20dBm", "DISP:TRAC:Y:RLEV?", "-20"),
        ("INP:ATT 20 dB", "INP:ATT?", "20"),
        ("AVER:TYPE POW", "AVER:TYPE?", "POW"),
        ("FORM REAL,32", "FORM?", "REAL,32"),
        ("FORM REAL", "FORM:DATA?", "REAL,32"),
        ("FORM REAL,32;FORM ASC", "FORM?", "ASC,0"),
    ],
)
def test_simulator_takes_settings_and_writes_numbers_without_ornament(wire, setting, query, value):
    wire.say("FREQ:SPAN 0;:" + setting)
    assert wire.ask(query) == value
    assert wire.ask("SYST:ERR?") == '0,"No error"'


def test_simulator_presets_and_sweeps_without_end_after_a_reset(wire):
    assert wire.ask("INIT:CONT?") == "0"
    wire.say("FREQ:CENT 1E6;:FORM REAL,32;:DET RMS;:SWE:COUN 5;*RST")
    assert wire.ask("FREQ:CENT?;:FREQ:SPAN?;:FORM?;:DET?;:SWE:COUN?;:INIT:CONT?") == (
        "3500000000;7000000000;ASC,0;APE;0;1"
    )


@pytest.mark.parametrize(
    ("mode", "detector"), [("WRIT", "APE"), ("MAXH", "POS"), ("MINH", "NEG"), ("AVER", "SAMP")]
)
def test_automatic_detector_follows_the_trace_mode(wire, mode, detector):
    wire.say(f"DET RMS;DET:AUTO ON;:DISP:TRAC:MODE {mode}")
    assert wire.ask("DET?") == detector
    wire.say("DET RMS;:DISP:TRAC:MODE WRIT")
    assert wire.ask("DET?;DET:AUTO?") == "RMS;0"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("FREQ:CENT 9E9", '-222,"Data out of range"'),
        ("SWE:POIN 50", '-222,"Data out of range"'),
        ("FREQ:CENTR 1", '-113,"Undefined header;FREQ:CENTR"'),
        ("FREQ:CENT", '-109,"Missing parameter;FREQ:CENT"'),
        ("DET NORM", '-224,"Illegal parameter value;NORM"'),
        ("FORM REAL,48", '-224,"Illegal parameter value;48"'),
        ("INST:SEL IQ", '-224,"Illegal parameter value;IQ"'),
        ("INST:SEL 'IQ'", "-224,\"Illegal parameter value;'IQ'\""),
        ("CALC:MARK:Y?", '-221,"Settings conflict"'),
        ("CALC:MARK17:X?", '-114,"Header suffix out of range"'),
        ("TRAC? TRACE7", '-224,"Illegal parameter value;TRACE7"'),
    ],
)
def test_simulator_complains_without_a_plus_sign(wire, text, error):
    wire.say(text)
    assert wire.ask("SYST:ERR?") == error
    assert wire.ask("SYST:ERR?") == '0,"No error"'


def test_simulator_makes_commands_wait(wire):
    zero_span(wire)
    started = wire.clock.now()
    assert wire.ask("INIT;*WAI;:SYST:ERR?") == '0,"No error"'
    assert wire.clock.now() - started == pytest.approx(10.0, abs=0.02)
    wire.say("*CLS;*ESE 1;:INIT;*OPC")
    assert wire.ask("*STB?;:STAT:OPER:COND?") == "0;16"
    wire.clock.sleep(10.1)
    assert wire.ask("*STB?;*ESR?;:STAT:OPER:COND?") == "32;1;0"


@pytest.mark.parametrize(("count", "sweeps"), [(0, 1), (1, 1), (4, 4)])
@pytest.mark.parametrize("mode", ["WRIT", "AVER", "MAXH"])
def test_one_start_makes_as_many_sweeps_as_the_count_says(wire, mode, count, sweeps):
    zero_span(wire, time=1.0)
    wire.say(f"SWE:COUN {count};:DISP:TRAC:MODE {mode}")
    started = wire.clock.now()
    wire.ask("INIT;*OPC?")
    assert wire.clock.now() - started == pytest.approx(sweeps * 1.005, abs=2e-3)


def test_simulator_gives_traces_in_the_formats_of_the_manual(wire):
    wire.model.source = Flat(-80.5)
    zero_span(wire, points=256)
    wire.ask("INIT;*OPC?")
    expected = np.array([float(v) for v in wire.ask("TRAC? TRACE1").split(",")])
    assert len(expected) == 256
    assert expected.mean() == pytest.approx(-80.5, abs=1.2)
    wire.say("FORM REAL,32")
    data = wire.ask_bytes("TRAC:DATA? TRACE1")
    assert (data[:6], len(data), data[-1:]) == (b"#41024", 6 + 1024 + 1, b"\n")
    assert np.array_equal(np.frombuffer(data[6:-1], "<f4"), expected.astype("<f4"))
    wire.say("FORM ASC")
    axis = [float(v) for v in wire.ask("TRAC:X? TRACE1").split(",")]
    assert axis == pytest.approx(np.linspace(0, 10, 256), rel=1e-6)
    wire.say("FREQ:SPAN 1MHz")
    axis = [float(v) for v in wire.ask("TRAC1:DATA:X? TRACE1").split(",")]
    assert (axis[0], axis[-1]) == (0.0, 1e6)


def test_overload_is_in_the_power_register(wire):
    zero_span(wire, time=0.1)
    wire.model.source = Flat(5.0)
    wire.ask("INIT;*OPC?")
    assert wire.ask("STAT:QUES:POW:COND?;:STAT:QUES:POW?;:STAT:QUES:POW?") == "1;1;0"
    assert wire.ask("STAT:QUES:COND?") == "8"
    wire.say("INP:ATT 30")
    wire.ask("INIT;*OPC?")
    assert wire.ask("STAT:QUES:POW:COND?;:STAT:QUES:COND?") == "0;0"


def test_simulator_has_markers(wire):
    zero_span(wire, time=1.0)
    wire.ask("INIT;*OPC?")
    trace = [float(v) for v in wire.ask("TRAC? TRACE1").split(",")]
    wire.say("CALC:MARK ON")
    assert float(wire.ask("CALC:MARK1:Y?")) == pytest.approx(max(trace), abs=1e-4)
    wire.say("CALC:MARK2:X 200ms")
    assert float(wire.ask("CALC:MARK2:Y?")) == pytest.approx(trace[200], abs=1e-4)
    wire.say("CALC:MARK2:MAX")
    assert wire.ask("CALC:MARK2:X?") == wire.ask("CALC:MARK1:X?")
    wire.say("CALC:MARK OFF")
    assert wire.ask("CALC:MARK:STAT?") == "0"


def show(detector: str, vbw: float, points: int = 10001, average: str = "VID") -> np.ndarray:
    wire = Wire(Flat(-67.0))
    zero_span(wire, detector, points, time=10.0)
    wire.say(f"BAND:VID {vbw};:AVER:TYPE {average};:FORM REAL,32")
    wire.ask("INIT;*OPC?", timeout=1e3)
    level = np.frombuffer(wire.ask_bytes("TRAC? TRACE1")[7:-1], "<f4").astype(float)
    return level - 10 * math.log10(wire.model._gain * (10**-6.7 + 10**-15 * NOISE_FACTOR * 1e5))


def test_rms_detector_shows_the_power_whatever_the_video_bandwidth():
    """1 ms of 100 kHz: the power averages over 150 samples, with and without a narrow filter."""
    narrow, wide = show("RMS", 10.0), show("RMS", 1e7)
    assert np.array_equal(narrow, wide)
    samples = 1e-3 * 1e5 / 0.664  # duration over twice the correlation time
    assert narrow.std() == pytest.approx(4.343 / math.sqrt(samples), rel=0.05)
    assert 10 * np.log10(np.mean(10 ** (narrow / 10))) == pytest.approx(0.0, abs=0.02)
    neighbours = np.corrcoef(narrow[1:], narrow[:-1])[0, 1]
    assert abs(neighbours) < 0.05


def test_average_detector_shows_the_voltage_1_05_db_too_low_and_heeds_the_filter():
    wide, narrow = show("AVER", 1e7), show("AVER", 100.0)
    assert wide.mean() == pytest.approx(-1.049, abs=0.02)
    assert narrow.mean() == pytest.approx(-1.049, abs=0.05)
    assert narrow.std() < 0.6 * wide.std()


def test_peak_detectors_and_samples():
    sample, positive, negative, auto = (show(d, 1e7) for d in ("SAMP", "POS", "NEG", "APE"))
    assert sample.mean() == pytest.approx(-2.507, abs=0.2)
    assert sample.std() == pytest.approx(5.57, rel=0.05)
    assert negative.mean() < -15 < 5 < positive.mean()
    assert auto[1::2].mean() == pytest.approx(positive.mean(), abs=0.2)
    assert auto[::2].mean() == pytest.approx(negative.mean(), abs=0.5)


@pytest.mark.parametrize(("average", "level"), [("VID", -2.507), ("POW", 0.0), ("LIN", 0.0)])
def test_traces_are_averaged_in_decibels_unless_told_otherwise(average, level):
    wire = Wire(Flat(-67.0))
    zero_span(wire, "SAMP", 1001, time=1.0)
    wire.say(f"BAND:VID 1E7;:SWE:COUN 50;:DISP:TRAC:MODE AVER;:AVER:TYPE {average}")
    wire.ask("INIT;*OPC?", timeout=1e3)
    trace = np.array([float(v) for v in wire.ask("TRAC? TRACE1").split(",")])
    true = 10 * math.log10(wire.model._gain * (10**-6.7 + 10**-15 * NOISE_FACTOR * 1e5))
    mean = 10 * np.log10(np.mean(10 ** (trace / 10))) if level == 0 else trace.mean()
    assert mean - true == pytest.approx(level, abs=0.1)


COMMANDS = [b"INIT\n", b"INIT:CONT ON\n", b"FREQ:SPAN 0\n", b"TRAC? TRACE1\n", b"SWE:COUN 3\n"]
COMMANDS += [b"*RST;*WAI\n", b"DISP:TRAC:MODE MAXH\n", b"DET RMS\n", b"FORM REAL\n", b"ABOR\n"]


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(COMMANDS)), max_size=8))
@settings(max_examples=100, deadline=None)
def test_simulator_survives_anything(pieces):
    wire = Wire()
    for piece in pieces:
        wire.link.send(piece)
        wire.clock.sleep(0.01)
    wire.link.send(b"\n")
    while wire.link.receive(1e5):
        pass
    wire.say("*CLS;:INIT:CONT OFF;:ABOR;:FREQ:CENT 1 MHZ")
    assert wire.ask("FREQ:CENT?;:SYST:ERR?") == '1000000;0,"No error"'


# ------------------------------------------------------------------ both together


def configured(source: object, **changes) -> tuple[Wire, FsvAnalyser]:
    wire = Wire(source)
    analyser = wire.driver()
    arguments = {
        "centre_hz": 5e5, "rbw_hz": 1e5, "vbw_hz": 10.0, "sweep_time_s": 1.0, "points": 501,
    }  # fmt: skip
    analyser.configure_zero_span(**arguments | changes)
    return wire, analyser


@pytest.mark.parametrize(
    ("detector", "average", "vbw", "time", "points"),
    [
        ("AVER", "RMS", 10.0, 0.6, 501),
        ("AVER", "RMS", 300.0, 0.15, 5001),  # buckets of 30 us, nine correlation times
        ("AVER", "SCAL", 10.0, 0.6, 501),
        ("AVER", "SCAL", 300.0, 0.15, 501),
        ("SAMP", "SCAL", 300.0, 0.15, 501),
    ],
)
def test_the_standard_error_is_the_scatter_of_repeated_measurements(
    detector, average, vbw, time, points
):
    wire, analyser = configured(
        Flat(-67.0), vbw_hz=vbw, sweep_time_s=time, points=points, detector=detector,
        average_type=average,
    )  # fmt: skip
    results = [analyser.zero_span_power() for _ in range(200)]
    means = np.array([r.mean_mw for r in results])
    errors = np.array([r.standard_error_mw for r in results])
    scatter, quoted = means.std(ddof=1), math.sqrt(np.mean(errors**2))
    assert scatter / quoted == pytest.approx(1.0, abs=4 / math.sqrt(2 * 199))
    true = (10**-6.7 + 10**-15.0 * NOISE_FACTOR * 1e5) * wire.model._gain
    assert means.mean() == pytest.approx(true, abs=4 * scatter / math.sqrt(200) + 5e-5 * true)


def test_both_families_know_the_power_equally_well():
    """The same noise for the same time: bypassing the video filter neither gains nor loses."""
    errors = []
    for driver, simulator in ((FsvAnalyser, SimFsv), (SpectrumAnalyser, SimSpectrumAnalyser)):
        endpoint, clock = simulator(World(seed=1), "esa"), VirtualClock()
        endpoint.model.source = Flat(-67.0)
        adapter = ByteAdapter(lambda e=endpoint, c=clock: Link(e.connect(), c), clock, name="esa")
        analyser = driver(adapter, "esa")
        analyser.configure_zero_span(5e5, 1e5, 10.0, 4.0, 401)
        power = [analyser.zero_span_power() for _ in range(20)]
        errors.append(np.mean([p.standard_error_mw / p.mean_mw for p in power]))
    assert errors[0] == pytest.approx(errors[1], rel=0.1)
    assert errors[0] == pytest.approx(math.sqrt(0.664 / (4.0 * 1e5)), rel=0.05)


def test_a_change_before_the_sweep_is_forgotten_at_once():
    """No filter to settle: the first points can be used."""
    wire, analyser = configured(Flat(-57.0))
    analyser.zero_span_power()
    wire.model.source = Flat(-67.0)
    result = analyser.zero_span_power()
    assert result.trace_dbm[:5].mean() == pytest.approx(result.trace_dbm[100:].mean(), abs=0.5)


def test_short_sweeps_need_no_time_for_a_filter_that_does_not_act():
    """With 10 Hz of video bandwidth 100 ms would be lost, the whole of this sweep."""
    _, analyser = configured(Flat(-67.0), sweep_time_s=0.1, points=101)
    quick = analyser.zero_span_power()
    levels = 10 ** (quick.trace_dbm[1:] / 10)
    assert quick.mean_mw == pytest.approx(levels.mean(), rel=1e-12)
    analyser.detector = "AVER"
    with pytest.raises(RequestError, match="too short for a video bandwidth of 10 Hz"):
        analyser.zero_span_power()


def test_a_start_begins_again_what_is_running(wire):
    zero_span(wire, time=1.0)
    wire.say("INIT")
    wire.clock.sleep(0.7)
    started = wire.clock.now()
    wire.ask("INIT;*OPC?")
    assert wire.clock.now() - started == pytest.approx(1.005, abs=2e-3)
    wire.say("INIT:CONT ON;:INIT")
    assert wire.ask("*OPC?;:SYST:ERR?", timeout=0.1) == '1;0,"No error"'


def test_settings_snapshot_and_refusals():
    _, analyser = configured(Flat(-67.0), rbw_hz=103e3)
    used = analyser.settings()
    assert (used.rbw_hz, used.span_hz, used.detector) == (1e5, 0.0, "AVER")
    snapshot = analyser.snapshot()
    assert snapshot == {name: getattr(analyser, name) for name in analyser.SETTINGS}
    with pytest.raises(InstrumentError, match=r"^esa: ':FREQ:CENT 10000000000' .*-222"):
        analyser.centre = 1e10
    assert analyser.centre == 7e9
    with pytest.raises(InstrumentError, match=r"^esa: ':FREQ:CENT 40000000000' .*-222"):
        analyser.configure_zero_span(40e9, 1e5, 10.0, 1.0)
    assert analyser.check_errors() == []
    analyser.trace_type = "AVER"
    with pytest.raises(RequestError, match="trace type AVER shows no mean power"):
        analyser.zero_span_power()


def test_overload_is_an_error():
    _, analyser = configured(Flat(5.0))
    with pytest.raises(InstrumentError, match=r"^esa: the input is overloaded"):
        analyser.zero_span_power()
    assert analyser.overloaded
    analyser.attenuation = 30.0
    assert analyser.zero_span_power().mean_mw == pytest.approx(10**0.5, rel=0.2)


def test_interlocks_run_during_a_sweep_and_make_safe_ends_it():
    wire, analyser = configured(Flat(-67.0), sweep_time_s=3.0)
    seen: list[float] = []
    wire.clock.every(0.5, lambda: seen.append(analyser.centre))
    analyser.zero_span_power()
    assert seen == [5e5] * 6
    analyser.continuous = True
    wire.clock.sleep(0.4)
    assert wire.model.sweeping
    analyser.make_safe()
    assert not wire.model.sweeping
    assert analyser.check_errors() == []


def test_traces_with_their_axes():
    _, analyser = configured(Flat(-67.0))
    analyser.single_sweep()
    time, level = analyser.read_trace()
    assert time == pytest.approx(np.linspace(0, 1, 501), rel=1e-6)
    assert np.array_equal(level, analyser.trace("ASC"))
    assert level == pytest.approx(analyser.trace(), abs=1e-6)
    analyser.centre, analyser.span, analyser.rbw, analyser.sweep_time = 1e9, 1e8, 1e6, 0.1
    analyser.single_sweep()
    frequency, _ = analyser.read_trace()
    assert (frequency[0], frequency[-1]) == pytest.approx((0.95e9, 1.05e9))


def test_the_same_seed_gives_the_same_data_however_often_it_is_polled():
    traces = []
    for polls in (0, 7):
        wire, analyser = configured(Flat(-67.0))
        for _ in range(3):
            wire.say("INIT")
            for _ in range(polls):
                wire.clock.sleep(0.11)
                analyser.trace()
            assert analyser.complete == "1"
        traces.append(analyser.trace())
    assert np.array_equal(*traces)
