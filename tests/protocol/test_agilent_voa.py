"""Attenuators: bytes of the 8156A manual for driver and simulator, then both together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import in_front_of, scripted, simulated

from drivers.agilent_voa import Agilent8156A, KeysightN7764A
from labctl.errors import IdentityMismatch, InstrumentError, RequestError
from simulated_instruments.agilent_voa import (
    AttenuatorModel,
    SimAgilent8156A,
    SimKeysightN7764A,
)
from simulated_instruments.world import World

NO_ERROR = b'+0,"No error"\n'
LIMITS = (
    (b":INP:ATT? MIN\n", b"+0.00000000E+000\n"),
    (b":INP:ATT? MAX\n", b"+6.00000000E+001\n"),
)


def replies(*messages, sim=SimAgilent8156A, now=1.0):
    endpoint = sim(World(1), "voa").connect()
    return [reply for line in messages for _, reply in endpoint.feed(line, now) if reply]


# ---- the driver alone


def test_driver_speaks_the_manuals_bytes():
    voa, script = scripted(
        Agilent8156A,
        *LIMITS,
        (b":INP:ATT?\n", b"+2.50000000E+000\n"),
        (b":INP:ATT 32.1500\n", b""),
        (b"SYST:ERR?\n", NO_ERROR),
        (b"*OPC?\n", b"1\n"),
        (b":OUTP:STAT ON\n", b""),
        (b"SYST:ERR?\n", NO_ERROR),
        (b":OUTP:STAT?\n", b"1\n"),
        (b":INP:WAV?\n", b"+1.55000000E-006\n"),
        (b":INP:OFFS -1.2500\n", b""),
        (b"SYST:ERR?\n", NO_ERROR),
    )
    voa.attenuation = 32.15
    assert voa.clock.now() == pytest.approx((32.15 - 2.5) / 40 + 0.1)
    voa.output = True
    assert voa.output is True
    assert voa.wavelength == pytest.approx(1550.0, abs=1e-9)
    voa.offset = -1.25
    assert not script.exchanges


def test_driver_of_four_speaks_with_numbers():
    voa, script = scripted(
        KeysightN7764A,
        (b":INP3:ATT?\n", b"+1.40000000E+001\n"),
        (b":OUTP2:STAT OFF\n", b""),
        (b"SYST:ERR?\n", NO_ERROR),
    )
    assert voa.ch_3.attenuation == 14.0
    voa.ch_2.make_safe()
    assert not script.exchanges


def test_driver_reports_what_is_refused_and_what_makes_no_sense():
    voa, _ = scripted(
        Agilent8156A,
        (b":OUTP:STAT ON\n", b""),
        (b"SYST:ERR?\n", b'-200,"Execution error"\n'),
        (b"SYST:ERR?\n", NO_ERROR),
        (b":OUTP:STAT?\n", b"2\n"),
        (b":INP:ATT?\n", b"?\n"),
    )
    with pytest.raises(InstrumentError, match=r"^it: the instrument reports -200"):
        voa.output = True
    with pytest.raises(InstrumentError, match=r"^it: ':OUTP:STAT\?' was answered with '2'"):
        _ = voa.output
    with pytest.raises(InstrumentError, match=r"^it: ':INP:ATT\?' was answered with '\?'"):
        _ = voa.attenuation


@pytest.mark.parametrize("wrong", [-0.1, 60.1, math.nan, math.inf, True])
def test_driver_refuses_what_the_filter_cannot_do(wrong):
    voa, script = scripted(Agilent8156A, *LIMITS)
    with pytest.raises(RequestError, match="attenuation in dB of it must be from 0 to 60"):
        voa.attenuation = wrong
    assert not script.exchanges


# ---- the simulator alone


def test_simulator_speaks_the_manuals_bytes():
    assert replies(
        b":INP:ATT 32.15\n",
        b"inp:att?\n",
        b":INPUT:ATTENUATION 14dB;:INP:ATT?\n",
        b":INP:ATT 2.5;ATT? MIN;ATT? MAX;ATT? DEF\n",
        b":INP:WAV 1550nm\n",
        b":INP:WAV?\n",
        b":OUTP:STAT ON\n",
        b":OUTP:STAT?\n",
        b":INP:LCM ON;LCM?\n",
        b":INP:OFFS 1.5;OFFS?\n",
        b":SYST:ERR?\n",
    ) == [
        b"+3.21500000E+001\n",
        b"+1.40000000E+001\n",
        b"+0.00000000E+000;+6.00000000E+001;+0.00000000E+000\n",
        b"+1.55000000E-006\n",
        b"1\n",
        b"1\n",
        b"+1.50000000E+000\n",
        NO_ERROR,
    ]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (b":INP:ATT 60.1\n", b"-222"),
        (b":INP:ATT -1\n", b"-222"),
        (b":INP:WAV 1100nm\n", b"-222"),
        (b":INP:ATT\n", b"-109"),
        (b":INP:ATT 1,2\n", b"-108"),
        (b":INP:ATT much\n", b"-104"),
        (b":INP:ATT 5 m\n", b"-131"),
        (b":INP:AT 5\n", b"-113"),
        (b":INP2:ATT 5\n", b"-114"),
        (b":OUTP:STAT 2\n", b"-224"),
    ],
)
def test_simulator_keeps_the_old_value_and_says_why(wrong, code):
    before = b":INP:ATT 7;:OUTP:STAT 0\n"
    answers = replies(before, wrong, b"SYST:ERR?;:INP:ATT?;:OUTP:STAT?\n")
    error, attenuation, state = answers[-1].strip().split(b";")[-3:]
    assert answers[-1].startswith(code)
    assert (attenuation, state) == (b"+7.00000000E+000", b"0")
    assert b'"' in error


def test_error_queue_is_29_deep():
    answers = replies(*[b":INP:ATT 99\n"] * 40, *[b"SYST:ERR?\n"] * 30)
    assert [a.split(b",")[0] for a in answers] == [b"-222"] * 28 + [b"-350", b"+0"]


def test_offset_shifts_what_is_shown_and_not_the_filter():
    answers = replies(b":INP:ATT 10;OFFS 2.5;:INP:ATT?;ATT? MIN;ATT? MAX;OFFS?\n")
    assert answers == [b"+1.25000000E+001;+2.50000000E+000;+6.25000000E+001;+2.50000000E+000\n"]


def test_a_move_is_an_operation():
    sim = SimAgilent8156A(World(1), "voa")
    endpoint = sim.connect()
    first = endpoint.feed(b":INP:ATT 20;:STAT:OPER:COND?;*OPC?;:STAT:OPER:COND?\n", 0.0)
    assert first[-1][0] == pytest.approx(0.5, abs=0.01)
    [(_, answer)] = endpoint.feed(b"", first[-1][0])
    assert answer == b"2;1;0\n"


@given(st.binary(max_size=60))
def test_simulator_survives_anything(junk):
    endpoint = SimKeysightN7764A(World(1), "voa").connect()
    endpoint.feed(junk + b"\n", 0.0)
    assert endpoint.feed(b"\n*CLS\nSYST:ERR?\n", 1e3)[-1][1].endswith(NO_ERROR)


# ---- the model


def test_twenty_decibels_take_half_a_second():
    model = AttenuatorModel(World(3).seed_of)
    model.open = True
    model.advance(1.0)
    model.attenuation_db = 20.0
    end = model.loss_db(1e3) - 0.8
    assert model.moving_until == pytest.approx(1.5, abs=0.02)
    times = np.array([0.5, 1.0, 1.25, 2.0])
    np.testing.assert_allclose(model.loss_db(times) - 0.8, [0.0, 0.0, 10.0, end])
    np.testing.assert_allclose(model.transmission(times), 10 ** (-model.loss_db(times) / 10))
    assert isinstance(model.loss_db(1.25), float)


def test_each_move_misses_anew_by_five_hundredths():
    model = AttenuatorModel(World(4).seed_of)
    ends = []
    for n in range(400):
        model.advance(10.0 * n)
        model.attenuation_db = 30.0
        model.open = True  # the shutter does not move the filter
        ends.append(model.loss_db(10.0 * n + 9.0) - 30.8)
    assert np.std(ends) == pytest.approx(0.05, rel=4 / math.sqrt(2 * 400))
    assert np.mean(ends) == pytest.approx(0.0, abs=4 * 0.05 / 20)
    again = AttenuatorModel(World(4).seed_of)
    again.attenuation_db, again.open = 30.0, True
    assert again.loss_db(9.0) - 30.8 == ends[0]


def test_a_closed_shutter_and_a_move_that_is_interrupted():
    model = AttenuatorModel(World(5).seed_of)
    assert model.transmission(0.0) == pytest.approx(10**-10.08)
    model.open = True
    model.attenuation_db = 40.0
    model.advance(0.25)
    model.attenuation_db = 0.0
    assert model.loss_db(0.25) == pytest.approx(10.8)
    assert model.loss_db(0.35) == pytest.approx(6.8)
    assert model.loss_db(100.0) >= 0.8


# ---- together


@pytest.mark.parametrize("kind", ["8156A", "N7764A"])
def test_driver_and_simulator(kind):
    if kind == "8156A":
        box, sim = simulated(SimAgilent8156A, Agilent8156A)
        voa, model = box, sim.models[0]
        assert sim.world.parts["it"] is model
    else:
        box, sim = simulated(SimKeysightN7764A, KeysightN7764A)
        voa, model = box.ch_2, sim.world.parts["it.2"]
    box.check_identity()
    voa.output = True
    voa.attenuation = 20.0
    assert box.clock.now() > model.moving_until
    assert model.loss_db(box.clock.now()) == pytest.approx(20.8, abs=0.25)
    voa.wavelength = 1540.56
    voa.offset = 3.0
    assert (voa.attenuation, voa.wavelength) == (23.0, pytest.approx(1540.56, abs=1e-5))
    assert voa.attenuation_range[0] == 3.0
    with pytest.raises(RequestError, match="from 3 to"):
        voa.attenuation = 2.0
    assert any(key.endswith("attenuation") and v == 23.0 for key, v in box.snapshot().items())
    box.make_safe()
    assert voa.output is False
    assert model.transmission(box.clock.now()) < 1e-9


def test_wrong_requests_change_nothing():
    box, _ = simulated(SimKeysightN7764A, KeysightN7764A)
    for setting, value in (
        ("attenuation", 45.1),
        ("wavelength", 100.0),
        ("output", 1),
        ("offset", "x"),
    ):
        with pytest.raises(RequestError, match=r"it channel 4") as caught:
            setattr(box.ch_4, setting, value)
        assert "\n" not in str(caught.value)
    assert {round(value, 6) for value in box.snapshot().values()} == {0, 1550}


def test_somebody_else_at_the_address():
    sim = SimKeysightN7764A(World(1), "voa")
    with pytest.raises(IdentityMismatch, match="voa"):
        in_front_of(sim, Agilent8156A).check_identity()
