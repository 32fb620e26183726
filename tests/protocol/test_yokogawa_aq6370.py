"""AQ6370D: login and SCPI bytes for driver and simulator, then both together, and the spectrum."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import in_front_of, scripted

from drivers.yokogawa_aq6370 import YokogawaAq6370
from labctl.errors import (
    ConnectionLost,
    IdentityMismatch,
    InstrumentError,
    RequestError,
    TransportTimeout,
)
from labctl.jsonline import encode
from simulated_instruments.faults import plan
from simulated_instruments.world import World
from simulated_instruments.yokogawa_aq6370 import OsaModel, SimYokogawaAq6370

LOGIN = (
    (b'OPEN "anonymous"\r\n', b"AUTHENTICATE CRAM-MD5.\r\n"),
    (b"\r\n", b"READY\r\n"),
)
NO_ERROR = (b"SYST:ERR?\r\n", b'0,"No error"\r\n')
C = 299792.458  # nm THz


def doubles(*values):
    data = struct.pack(f"<{len(values)}d", *values)
    return b"#2%02d" % len(data) + data + b"\r\n"


# ---- the driver alone


def test_driver_logs_in_once_and_speaks_scpi():
    osa, script = scripted(
        YokogawaAq6370,
        *LOGIN,
        (b"*IDN?\r\n", b"YOKOGAWA,AQ6370D,90Y403996,02.08\r\n"),
        (b":SENS:WAV:CENT 1550.1234NM\r\n", b""),
        NO_ERROR,
        (b":SENS:WAV:CENT?\r\n", b"+1.55012340E-006\r\n"),
        (b":SENS:BWID:RES 0.02NM\r\n", b""),
        NO_ERROR,
        (b":SENS:BWID:RES?\r\n", b"+2.00000000E-011\r\n"),
        (b":SENS:SENS 3\r\n", b""),
        NO_ERROR,
        (b":TRAC:ACT TRB\r\n", b""),
        NO_ERROR,
        (b":TRAC:ACT?\r\n", b"TRA\r\n"),
        (b"*CLS;:INIT:SMOD 1;:INIT\r\n", b""),
        (b":STAT:OPER:EVEN?\r\n", b"0\r\n"),
        (b":STAT:OPER:EVEN?\r\n", b"1\r\n"),
        NO_ERROR,
        (b":FORM:DATA REAL,64;:TRAC:X? TRA\r\n", doubles(1.55e-6, 1.551e-6)),
        (b":FORM:DATA REAL,64;:TRAC:Y? TRA\r\n", doubles(-10.5, -210.0)),
    )
    assert osa.check_identity().startswith("YOKOGAWA")
    osa.centre = 1550.1234
    assert osa.centre == pytest.approx(1550.1234, abs=1e-9)
    osa.resolution = 0.02
    assert osa.resolution == pytest.approx(0.02)
    osa.sensitivity = "HIGH1"
    osa.active_trace = "TRB"
    assert osa.active_trace == "TRA"
    osa.single()
    wavelengths, levels = osa.trace("A")
    np.testing.assert_allclose(wavelengths, [1550.0, 1551.0])
    assert levels.tolist() == [-10.5, -210.0]
    assert not script.exchanges


def test_settings_that_come_from_pymeasure_ask_for_errors():
    osa, script = scripted(
        YokogawaAq6370,
        *LOGIN,
        (b":INITiate:SMODe 2\r\n", b""),
        NO_ERROR,
        (b":SENSe:SWEep:POINts:AUTO 1\r\n", b""),
        NO_ERROR,
        (b":SENSe:SWEep:SPEed 1\r\n", b""),
        (b"SYST:ERR?\r\n", b'-113,"Undefined header"\r\n'),
        NO_ERROR,
        (b":FORM:DATA REAL,64\r\n", b""),
        NO_ERROR,
        (b":FORM:DATA?\r\n", b"REAL,64\r\n"),
    )
    osa.sweep_mode = "REPEAT"
    osa.automatic_sample_number = True
    with pytest.raises(InstrumentError, match="-113"):
        osa.sweep_speed = "2x"
    osa.transfer_format = "REAL,64"
    assert osa.transfer_format == "REAL,64"
    assert not script.exchanges


def test_a_password_and_a_login_that_is_refused():
    osa, script = scripted(
        YokogawaAq6370,
        (b'OPEN "me"\r\n', b"AUTHENTICATE CRAM-MD5.\r\n"),
        (b"secret\r\n", b"READY\r\n"),
        (b"*IDN?\r\n", b"YOKOGAWA,AQ6370D,1,2\r\n"),
        username="me",
        password="secret",
    )
    osa.check_identity()
    assert not script.exchanges
    osa, _ = scripted(
        YokogawaAq6370, LOGIN[0], (b"\r\n", b"AUTHENTICATION ERROR\r\n"), username="anonymous"
    )
    with pytest.raises(InstrumentError, match=r"^it: the login as 'anonymous' was answered with"):
        osa.identify()
    with pytest.raises(RequestError, match="printable and have no quotes"):
        scripted(YokogawaAq6370, username='a"b')


def test_no_login_where_none_is_wanted():
    osa, script = scripted(YokogawaAq6370, (b"*IDN?\r\n", b"YOKOGAWA,AQ6370D,1,2\r\n"), username="")
    osa.identify()
    assert not script.exchanges


@pytest.mark.parametrize(
    ("x", "y", "complaint"),
    [
        (doubles(1.55e-6), doubles(), "trace A is empty"),
        (doubles(1.55e-6), doubles(-1.0, -2.0), "has 2 levels at 1 wavelengths"),
        (doubles(1.55e-6), doubles(math.nan), "numbers that are none"),
        (b"#14abcd\r\n", doubles(), "4 bytes"),
        (b"-10,-20\r\n", doubles(), "is no data block"),
    ],
)
def test_traces_that_make_no_sense(x, y, complaint):
    osa, _ = scripted(
        YokogawaAq6370,
        (b":FORM:DATA REAL,64;:TRAC:X? TRA\r\n", x),
        (b":FORM:DATA REAL,64;:TRAC:Y? TRA\r\n", y),
        username="",
    )
    with pytest.raises(InstrumentError, match=complaint) as caught:
        osa.trace()
    assert "\n" not in str(caught.value)


# ---- the simulator alone


def replies(*lines, port="free", sim=None, now=1.0):
    endpoint = (sim or SimYokogawaAq6370(World(1), "osa")).connect(port)
    return [reply for line in lines for _, reply in endpoint.feed(line, now) if reply]


def test_nothing_is_answered_before_the_login():
    assert replies(b"*IDN?\r\n", b'OPEN "anonymous"\r\n', b"\r\n*IDN?\r\n", port="lan") == [
        b"AUTHENTICATE CRAM-MD5.\r\n",
        b"READY\r\n",
        b"YOKOGAWA,AQ6370D,90Y403996,02.08\r\n",
    ]


def test_simulator_speaks_as_the_manual_says():
    assert replies(
        b":SENSe:WAVelength:CENTer 1550.000nm\r\n",
        b":SENS:WAV:SPAN 10NM;STAR?;STOP?\r\n",
        b":SENSe:WAVelength:CENTer?\r\n",
        b":SENSe:BWIDth:RESolution 0.02nm;RES?\r\n",
        b":SENS:SENS HIGH1;SENS?\r\n",
        b":SENSe:SWEep:POINts 5001;POINts?\r\n",
        b":FORM:DATA?\r\n",
        b":TRAC:DATA:SNUM? TRA\r\n",
        b":CALibration:ZERO OFF;ZERO?\r\n",
        b":DISPlay:TRACe:Y1:SCALe:RLEVel -10;RLEVel?\r\n",
        b":INITiate:SMODe 1;SMODe?\r\n",
        b":TRACe:ACTive TRB;ACTive?\r\n",
        b":SYSTem:ERRor?\r\n",
    ) == [
        b"+1.54500000E-006;+1.55500000E-006\r\n",
        b"+1.55000000E-006\r\n",
        b"+2.00000000E-011\r\n",
        b"3\r\n",
        b"5001\r\n",
        b"ASCII\r\n",
        b"0\r\n",
        b"0\r\n",
        b"-1.00000000E+001\r\n",
        b"1\r\n",
        b"TRB\r\n",
        b'0,"No error"\r\n',
    ]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (b":SENS:WAV:CENT 5000nm", b"-222"),
        (b":SENS:WAV:STAR 1701nm", b"-222"),
        (b":SENS:WAV:STOP 500nm", b"-222"),
        (b":SENS:SENS 9", b"-222"),
        (b":SENS:SWE:POIN 51", b"-222"),
        (b":FORM:DATA REAL,16", b"-224"),
        (b":TRAC:Y? TRZ", b"-224"),
        (b":TRAC:ACT 1", b"-224"),
        (b":SENS:SING 1", b"-113"),
    ],
)
def test_simulator_refuses_and_keeps_what_it_had(wrong, code):
    state = b":SENS:WAV:CENT?;SPAN?;:SENS:SENS?;:SENS:SWE:POIN?;:FORM:DATA?\r\n"
    before, error, after = replies(state, wrong + b"\r\n", b"SYST:ERR?\r\n", state)
    assert error.startswith(code)
    assert before == after


def test_binary_traces_and_ascii_traces_are_the_same():
    world = World(1)
    world.parts["osa"] = OsaModel(
        world.seed_of, "osa", light=lambda t: (np.array([193.4e12]), np.array([1e-3]))
    )
    sim = SimYokogawaAq6370(world, "osa")
    endpoint = sim.connect("free")
    endpoint.feed(b":SENS:WAV:CENT 1550NM;SPAN 2NM;:SENS:SWE:POIN 101;:INIT\r\n", 0.0)

    def ask(line):
        return b"".join(reply for _, reply in endpoint.feed(line, 100.0))

    text = np.array(ask(b":TRAC:Y? TRA\r\n").split(b","), dtype=float)
    large = ask(b":FORM REAL,64;:TRAC:Y? TRA\r\n")
    small = ask(b":FORM REAL,32;:TRAC:Y? TRA\r\n")
    assert large.startswith(b"#3808")
    np.testing.assert_allclose(np.frombuffer(large[5:-2], "<f8"), text, rtol=1e-8)
    np.testing.assert_allclose(np.frombuffer(small[5:-2], "<f4"), text, rtol=1e-6)
    assert ask(b":TRAC:DATA:SNUM? TRA;:TRAC:DATA:SNUM? TRB\r\n") == b"101;0\r\n"


@given(st.binary(max_size=60))
def test_simulator_survives_anything(junk):
    sim = SimYokogawaAq6370(World(1), "osa")
    locked = sim.connect("lan")
    locked.feed(junk, 0.0)
    endpoint = sim.connect("free")
    endpoint.feed(junk + b"\r\n", 0.0)
    endpoint.feed(b"\r\n*CLS\r\n", 1.0)
    [(_, reply), *_] = endpoint.feed(b"SYST:ERR?\r\n", 100.0)
    assert reply == b'0,"No error"\r\n'


# ---- the model


def swept(model, centre=1550.0, span=4.0, **settings):
    model.centre, model.span, model.automatic_points = centre, span, False
    for name, value in settings.items():
        setattr(model, name, value)
    model.initiate()
    model.advance(model.sweep.ends)
    return model.shown


def test_lines_are_where_and_as_high_as_they_are():
    powers = np.array([1e-3, 1e-5])
    model = OsaModel(
        World(2).seed_of, light=lambda t: (np.array([C / 1549.5, C / 1550.5]) * 1e12, powers)
    )
    x, y = swept(model, points=4001, resolution=0.1, sensitivity="HIGH1")
    left, right = x < 1550.0, x >= 1550.0
    assert y[left].max() == pytest.approx(0.0, abs=0.4)
    assert y[right].max() - y[left].max() == pytest.approx(-20.0, abs=0.05)
    assert x[y.argmax()] == pytest.approx(1549.5, abs=0.02)
    above = x[left][y[left] > y[left].max() - 3.0103]
    assert above[-1] - above[0] == pytest.approx(0.1, abs=0.005)


def test_floor_belongs_to_the_sensitivity():
    model = OsaModel(World(3).seed_of)
    for sensitivity, floor in (("NORM", -70.0), ("HIGH3", -90.0)):
        _, y = swept(model, points=5001, sensitivity=sensitivity, resolution=0.1)
        watts = np.where(y > -209.0, 10 ** (y / 10), 0.0)
        assert 10 * np.log10(np.sqrt(2 * np.mean(watts**2))) == pytest.approx(floor, abs=0.2)
        assert (y == -210.0).mean() == pytest.approx(0.5, abs=0.03)


def test_skirts_reach_far_below_a_line():
    model = OsaModel(World(4).seed_of, light=lambda t: (np.array([193.4e12]), np.array([1e-2])))
    x, y = swept(model, points=2001, resolution=0.02, sensitivity="HIGH3", span=2.0)
    away = np.abs(x - C / 193.4)
    assert y[away < 0.02].max() - y[np.abs(away - 0.2) < 0.02].max() == pytest.approx(73.0, abs=1.5)


def test_a_sweep_takes_its_time_and_sees_the_light_at_its_beginning():
    model = OsaModel(World(5).seed_of, light=lambda t: (np.array([193.4e12]), np.array([1e-3 * t])))
    model.auto_zero = False
    model.advance(1.0)
    model.centre, model.span, model.sensitivity = 1550.0, 100.0, "MID"
    model.automatic_points, model.points = False, 1001
    model.initiate()
    assert model.sweep.ends == pytest.approx(3.0)
    model.advance(2.9)
    assert model.shown is None
    model.advance(3.0)
    assert model.shown[1].max() == pytest.approx(0.0, abs=0.6)
    model.auto_zero = True
    model.advance(700.0)
    model.initiate()
    assert model.sweep.ends == pytest.approx(732.0)
    model.abort()
    model.initiate()
    assert model.sweep.ends == pytest.approx(702.0)


# ---- together


def bench(faults=None, **settings):
    world = World(1)
    comb = 193.4e12 + 49e9 * np.arange(-20, 21)
    world.parts["osa"] = OsaModel(
        world.seed_of, "osa", light=lambda t: (comb, np.full(comb.size, 1e-5))
    )
    sim = SimYokogawaAq6370(world, "osa")
    return in_front_of(sim, YokogawaAq6370, faults, **settings), sim


def test_driver_and_simulator():
    osa, _ = bench()
    osa.check_identity()
    osa.centre, osa.span, osa.resolution = 1550.1, 10.0, 0.05
    osa.sensitivity, osa.points, osa.reference_level = "MID", 4001, 0.0
    with pytest.raises(InstrumentError, match="trace A is empty"):
        osa.trace()
    osa.single()
    x, y = osa.trace()
    assert (x[0], x[-1], x.size) == (pytest.approx(1545.1), pytest.approx(1555.1), 4001)
    peaks = [n for n in range(1, 4000) if y[n - 1] < y[n] >= y[n + 1] and y[n] > -30.0]
    expected = sum(1545.2 < C / (193.4 + 0.049 * n) < 1555.0 for n in range(-20, 21))
    assert len(peaks) == expected
    assert np.median(np.diff(x[peaks])) == pytest.approx(0.3928, abs=0.004)
    encode(osa.snapshot())
    osa.start, osa.stop = 1540.0, 1560.0
    assert (osa.centre, osa.span) == (pytest.approx(1550.0), pytest.approx(20.0))
    osa.auto_zero = False
    assert osa.auto_zero is False
    osa.zero()
    assert osa.clock.now() > 30.0
    osa.make_safe()


@pytest.mark.parametrize(
    ("act", "complaint"),
    [
        (lambda o: setattr(o, "centre", 5000), "centre in nm of osa must be from 600 to 1700"),
        (lambda o: setattr(o, "centre", math.nan), "centre in nm"),
        (lambda o: setattr(o, "wavelength_start", 1701e-9), "from 5e-08 to 1.7e-06 m"),
        (lambda o: setattr(o, "span", -1), "span in nm of osa must be from 0 to 1100"),
        (lambda o: setattr(o, "resolution", 0.03), "must be one of 0.02, 0.05"),
        (lambda o: setattr(o, "points", 51), "number of points must be from 101 to 50001"),
        (lambda o: setattr(o, "sensitivity", "MAX"), "sensitivity must be one of NHLD"),
        (lambda o: setattr(o, "active_trace", "A"), "trace must be one of TRA"),
        (lambda o: setattr(o, "reference_level", 40), "reference level in dBm"),
        (lambda o: o.trace("H"), "traces are A to G, got 'H'"),
    ],
)
def test_wrong_requests_change_nothing(act, complaint):
    osa, _ = bench()
    before = osa.snapshot()
    with pytest.raises(RequestError, match=complaint) as caught:
        act(osa)
    assert "\n" not in str(caught.value)
    assert osa.snapshot() == before


def test_a_sweep_that_takes_too_long_is_aborted():
    osa, sim = bench()
    osa.sensitivity = "HIGH3"
    with pytest.raises(TransportTimeout, match="not over in 2 s and was aborted"):
        osa.single(timeout=2.0)
    assert sim.model.sweep is None


def test_a_new_connection_is_logged_in_again():
    osa, _ = bench(plan({"disconnect": [5]}))
    assert osa.points == 1001
    with pytest.raises(ConnectionLost):
        osa.snapshot()
    assert osa.points == 1001
    assert osa.adapter.reconnects == 1


def test_somebody_else_at_the_address():
    class Other(SimYokogawaAq6370):
        identity = "ANRITSU,MS9740A,0,0"

    with pytest.raises(IdentityMismatch, match="MS9740A"):
        in_front_of(Other(World(1), "osa"), YokogawaAq6370).check_identity()
