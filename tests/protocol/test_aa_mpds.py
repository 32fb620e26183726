"""MPDS: messages of the public client aaopto_aotf for driver and simulator, then both together."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import scripted, simulated

from drivers.aa_mpds import AaMpds, LineState
from labctl.errors import InstrumentError, RequestError, TransportTimeout
from labctl.jsonline import encode
from simulated_instruments.aa_mpds import SimMpds
from simulated_instruments.faults import plan
from simulated_instruments.world import World

STATUS = b"\n\rl1 F=81.000 P=10.000 OFF INT\n\rl2 F=110.500 P=20.200 ON EXT\n\rBlanking ON INT\n\r?"


# ---- the driver alone


def test_driver_speaks_the_clients_bytes():
    aom, script = scripted(
        AaMpds,
        (b"q\n\r", b"MPDS4C-B66\n\r?"),
        (b"L1F110.500\n\r", b"l1F110.500P10.0S0\n\r"),
        (b"L1D20.16\n\r", b"l1F110.500P20.2S0\n\r"),
        (b"L1\n\r", b"l1F110.500P20.2S0\n\r"),
        (b"L1O1\n\r", b"l1F110.500P20.2S1\n\r"),
        (b"L2I0\n\r", b"l2F081.000P10.0S0\n\r"),
        (b"L2F080.000\n\r", b"l2F080.000P10.0S0\n\r"),
        (b"S\n\r", STATUS),
    )
    assert aom.check_identity() == "MPDS4C-B66"
    aom.line_1.frequency = 110.5
    aom.line_1.power = 20.16  # told with one decimal
    aom.line_1.output = True
    aom.line_2.external = True
    aom.line_2.frequency = 80.0
    assert aom.lines == {
        1: LineState(81.0, 10.0, False, False),
        2: LineState(110.5, 20.2, True, True),
    }
    assert not script.exchanges


def test_what_the_driver_does_not_take_is_an_error():
    aom, _ = scripted(
        AaMpds,
        (b"L1F200.000\n\r", b"l1F110.500P10.0S0\n\r"),
        (b"L1D05.00\n\r", b"l1F110.500P10.0S0\n\r"),
        (b"L1O0\n\r", b"l1F110.500P10.0S1\n\r"),
        (b"L8\n\r", b"\n\r?"),
        (b"L1\n\r", b"l2F110.500P10.0S1\n\r"),
        (b"S\n\r", b"\n\r?"),
    )
    with pytest.raises(
        InstrumentError, match=r"^it line 1 did not take the frequency 200 MHz, it st"
    ):
        aom.line_1.frequency = 200.0
    with pytest.raises(InstrumentError, match=r"did not take the power 5 dBm, it stays at 10;"):
        aom.line_1.power = 5.0
    with pytest.raises(InstrumentError, match=r"^it line 1 cannot be switched off"):
        aom.line_1.output = False
    with pytest.raises(InstrumentError, match=r"^it: 'L8' was answered with '\?'"):
        _ = aom.line_8.power
    with pytest.raises(InstrumentError, match=r"^it: 'L1' was answered with 'l2F"):
        _ = aom.line_1.power
    with pytest.raises(InstrumentError, match=r"^it: 'S' was answered with"):
        _ = aom.lines


# ---- the simulator alone


def replies(*pieces):
    endpoint = SimMpds(World(1), "aom").connect()
    return b"".join(reply for piece in pieces for _, reply in endpoint.feed(piece, 0.0))


def test_simulator_speaks_the_clients_bytes():
    assert replies(b"L1F110.500\n\r") == b"l1F110.500P0.0S0\n\r"
    assert replies(b"L1D20.16\n\r", b"L1O1\n\r", b"L1\n", b"\r") == (
        b"l1F110.000P20.2S0\n\rl1F110.000P20.2S1\n\rl1F110.000P20.2S1\n\r"
    )
    assert replies(b"L2I1\n\rS\n\r").endswith(
        b"\n\rl1 F=110.000 P=0.000 OFF EXT\n\rl2 F=110.000 P=0.000 OFF INT\n\r"
        b"l3 F=110.000 P=0.000 OFF EXT\n\rl4 F=110.000 P=0.000 OFF EXT\n\rBlanking ON INT\n\r?"
    )
    assert replies(b"V1\n\rI0\n\rM") == b""
    assert replies(b"E") == b"\n\r?"


@pytest.mark.parametrize("wrong", [b"L1F200.000", b"L1D23.00", b"L1O2", b"L1D-1.0", b"L5O1", b"Z"])
def test_simulator_changes_nothing_for_what_it_does_not_take(wrong):
    assert replies(wrong + b"\n\r", b"L1\n\r").endswith(b"l1F110.000P0.0S0\n\r")


def test_a_reset_brings_back_what_was_stored():
    answer = replies(b"L1F100.000\n\r", b"E", b"L1F090.000\n\rL1O1\n\r", b"M", b"L1\n\r")
    assert answer.endswith(b"l1F100.000P0.0S0\n\r")


@given(st.binary(max_size=40))
def test_simulator_survives_anything(junk):
    endpoint = SimMpds(World(1), "aom").connect()
    endpoint.feed(junk, 0.0)
    endpoint.feed(b"\n\rM", 1.0)
    assert endpoint.feed(b"L1\n\r", 2.0)[-1][1] == b"l1F110.000P0.0S0\n\r"


# ---- together


def test_driver_and_simulator():
    aom, sim = simulated(SimMpds, AaMpds, maximum_power=20.0)
    aom.check_identity()
    aom.line_1.frequency, aom.line_1.power, aom.line_1.output = 100.125, 19.56, True
    aom.line_2.external = False
    assert sim.model.lines[1].mhz == 100.125
    assert sim.model.dbm(1) == 19.56
    assert sim.model.dbm(2) == -math.inf
    assert (aom.line_1.external, aom.line_2.external) == (True, False)
    encode(aom.snapshot())
    assert aom.snapshot()["line_1.frequency"] == 100.125
    aom.make_safe()
    assert not any(line.on for line in sim.model.lines.values())


def test_powers_that_the_modulator_does_not_stand():
    aom, sim = simulated(SimMpds, AaMpds, maximum_power=20.0)
    for power in (20.1, -0.1, math.nan):
        with pytest.raises(RequestError, match="power in dBm of it line 1 must be from 0 to 20"):
            aom.line_1.power = power
    sim.model.lines[2].dbm = 21.5  # set by hand
    with pytest.raises(RequestError, match=r"^it line 2 is set to 21.5 dBm, more than the 20 dBm"):
        aom.line_2.output = True
    assert not sim.model.lines[2].on
    with pytest.raises(RequestError, match="maximum_power must be up to 22 dBm, got 30"):
        simulated(SimMpds, AaMpds, maximum_power=30)


def test_a_lost_or_late_answer_does_not_shift_the_next():
    aom, _ = simulated(SimMpds, AaMpds, plan({"drop": [1], "late": [3], "late_by": 1.5}))
    with pytest.raises(TransportTimeout):
        _ = aom.line_1.power
    assert aom.line_2.frequency == 110.0
    with pytest.raises(TransportTimeout):
        _ = aom.line_1.power
    aom.clock.sleep(1.0)
    assert aom.line_2.frequency == 110.0


def test_a_line_that_the_unit_does_not_have():
    aom, _ = scripted(AaMpds, (b"S\n\r", STATUS))
    with pytest.raises(InstrumentError, match=r"^it has no line 5, it has 2$"):
        _ = aom.line_5.external
