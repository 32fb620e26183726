"""DG645: messages of the maker's client for driver and simulator, then both together."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import in_front_of, scripted, simulated

from drivers.srs_dg645 import Dg645
from labctl.errors import IdentityMismatch, InstrumentError, RequestError
from labctl.jsonline import encode
from simulated_instruments.srs_dg645 import DelayGeneratorModel, SimDg645
from simulated_instruments.world import World

NO_ERROR = (b"LERR?\n", b"0\r\n")


# ---- the driver alone


def test_driver_speaks_the_short_commands():
    pulses, script = scripted(
        Dg645,
        (b"*IDN?\n", b"Stanford Research Systems,DG645,s/n001234,ver1.10.113\r\n"),
        (b"TRAT 500.000000\n", b""),
        NO_ERROR,
        (b"TSRC 0\n", b""),
        NO_ERROR,
        (b"DLAY 3,2,0.000000036000\n", b""),
        NO_ERROR,
        (b"DLAY? 3\n", b"2,+0.000000036000\r\n"),
        (b"LAMP 1,2.50\n", b""),
        NO_ERROR,
        (b"LAMP? 1\n", b"+2.50\r\n"),
        (b"TSRC?\n", b"5\r\n"),
        (b"INSR?\n", b"7\r\n"),
    )
    assert pulses.check_identity().startswith("Stanford")
    pulses.rate = 500
    pulses.trigger = "internal"
    pulses.set_delay("B", 36e-9, after="A")
    assert pulses.delay("B") == ("A", 36e-9)
    pulses.set_amplitude("AB", 2.5)
    assert pulses.amplitude("AB") == 2.5
    assert pulses.trigger == "single"
    assert pulses.overrun is True
    assert not script.exchanges


def test_errors_and_nonsense():
    pulses, _ = scripted(
        Dg645,
        (b"TSRC 5\n", b""),
        (b"LERR?\n", b"12\r\n"),
        (b"LERR?\n", b"77\r\n"),
        NO_ERROR,
        (b"DLAY? 2\n", b"12\r\n"),
        (b"TRAT?\n", b"fast\r\n"),
    )
    with pytest.raises(
        InstrumentError,
        match=r"^it: .* error 12, illegal delay; error 77, an error that its manual",
    ):
        pulses.make_safe()
    with pytest.raises(InstrumentError, match=r"^it: 'DLAY\? 2' was answered with '12'"):
        pulses.delay("A")
    with pytest.raises(InstrumentError, match=r"^it: 'TRAT\?' was answered with 'fast'"):
        _ = pulses.rate


# ---- the simulator alone


def replies(*lines, sim=None):
    endpoint = (sim or SimDg645(World(1), "pulses")).connect()
    return [reply for line in lines for _, reply in endpoint.feed(line, 1.0) if reply]


def test_simulator_takes_what_the_client_was_seen_to_send():
    assert replies(
        b"*IDN?\n",
        b"DLAY 3,2,3.600000e-08\n",
        b"DLAY? 3\n",
        b"LAMP 1,  2.5\n",
        b"LAMP? 1\n",
        b"BURP 0.002\n",
        b"BURP?\n",
        b"TRAT 500.0\n",
        b"TRAT?\n",
        b"TSRC 0\n",
        b"TSRC?\n",
        b"LERR?\n",
    ) == [
        b"Stanford Research Systems,DG645,s/n001234,ver1.10.113\r\n",
        b"2,+0.000000036000\r\n",
        b"+2.50\r\n",
        b"+0.002000000000\r\n",
        b"+500.000000\r\n",
        b"0\r\n",
        b"0\r\n",
    ]


@pytest.mark.parametrize(
    ("setting", "query", "answer"),
    [
        ("TLVL 1.5", "TLVL?", "+1.50"),
        ("LOFF 2,0.5", "LOFF? 2", "+0.50"),
        ("LPOL 2,0", "LPOL? 2", "0"),
        ("BURM 1", "BURM?", "1"),
        ("BURC 5", "BURC?", "5"),
        ("BURP 0.002", "BURP?", "+0.002000000000"),
        ("HOLD 0.001", "HOLD?", "+0.001000000000"),
        ("TSRC 6", "TSRC?", "6"),
        ("DLAY 5,4,1e-6", "LINK? 5", "4"),
    ],
)
def test_simulator_keeps_what_each_command_of_the_client_sets(setting, query, answer):
    endpoint = SimDg645(World(1), "it").connect()
    told = endpoint.feed(f"{setting}\n{query}\nLERR?\n".encode(), 1.0)
    assert b"".join(reply for _, reply in told) == f"{answer}\r\n0\r\n".encode()


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (b"FOO 1", 111),
        (b"SYST:ERR?", 111),
        (b"TRAT 1e9", 10),
        (b"TSRC 7", 10),
        (b"TSRC 1.5", 10),
        (b"DLAY 2,2,1e-6", 13),
        (b"DLAY 2,0,-1e-6", 12),
        (b"DLAY 2,0,3000", 12),
        (b"DLAY 0,2,1e-6", 10),
        (b"DLAY 2,0", 116),
        (b"DLAY 2,0,1,1", 115),
        (b"LAMP 1,9", 10),
        (b"LAMP 9,1", 10),
        (b"*TRG", 11),
    ],
)
def test_simulator_refuses_and_keeps_what_it_had(wrong, code):
    state = b"TRAT?;DLAY? 2;LAMP? 1;TSRC?\n"
    answers = replies(b"TSRC 0\n", state, wrong + b"\n", b"LERR?\n", state, b"LERR?\n")
    assert answers[1] == b"%d\r\n" % code
    assert answers[0] == answers[2]
    assert answers[3] == b"0\r\n"


@given(st.binary(max_size=40))
def test_simulator_survives_anything(junk):
    endpoint = SimDg645(World(1), "pulses").connect()
    endpoint.feed(junk + b"\n", 0.0)
    endpoint.feed(b"\n*CLS\n", 1.0)
    assert endpoint.feed(b"LERR?\n", 2.0)[-1][1].endswith(b"0\r\n")


# ---- the model


def test_delays_add_up_and_pulses_lie_between_them():
    model = DelayGeneratorModel()
    model.link(2, 0, 100e-9)
    model.link(3, 2, 36e-9)
    model.link(4, 3, 150e-9)
    model.link(5, 4, 47e-9)
    assert model.pulse(1) == (pytest.approx(100e-9), pytest.approx(136e-9))
    assert model.pulse(2) == (pytest.approx(286e-9), pytest.approx(333e-9))
    assert model.edge(1) == pytest.approx(333e-9)
    with pytest.raises(ValueError, match="itself"):
        model.link(2, 5, 0.0)


def test_triggers_that_come_too_early_do_not_count():
    model = DelayGeneratorModel()
    assert model.period is model.first is None
    model.advance(3.0)
    model.set_source(0)
    model.set_rate(500.0)
    assert (model.period, model.first, model.overrun) == (2e-3, 3.0, False)
    model.link(2, 0, 2.5e-3)
    assert (model.period, model.overrun) == (4e-3, True)
    model.burst = True
    assert model.period is None


def test_single_shots():
    model = DelayGeneratorModel()
    model.link(2, 0, 1e-3)
    assert model.shoot()
    assert not model.shoot()
    model.advance(1.0)
    assert model.shoot()
    assert model.shots == [0.0, 1.0]
    model.set_source(0)
    assert not model.shoot()


# ---- together


def test_driver_and_simulator():
    pulses, sim = simulated(SimDg645, Dg645)
    pulses.check_identity()
    pulses.rate, pulses.trigger = 500.0, "internal"
    pulses.pulse("AB", 100e-9, 36e-9)
    pulses.pulse("CD", 286e-9, 47e-9)
    pulses.set_amplitude("CD", 4.0)
    pulses.set_positive("CD", False)
    assert sim.model.pulse(1) == (pytest.approx(100e-9), pytest.approx(136e-9))
    assert sim.model.pulse(2) == (pytest.approx(286e-9), pytest.approx(333e-9))
    assert sim.model.period == 2e-3
    assert not sim.model.positive[2]
    assert not pulses.overrun
    encode(pulses.snapshot())
    assert pulses.snapshot()["delays"]["B"] == ("A", 36e-9)
    pulses.make_safe()
    assert sim.model.period is None
    pulses.fire()
    assert len(sim.model.shots) == 1


@pytest.mark.parametrize(
    ("act", "complaint"),
    [
        (lambda p: p.pulse("AB", 0.0, 2e-3), "not over before the next trigger after 0.002 s"),
        (lambda p: p.pulse("T0", 0.0, 1e-9), "pulses are on AB, CD, EF or GH"),
        (lambda p: p.pulse("AB", 0.0, 0.0), "width of a pulse must be positive"),
        (lambda p: p.pulse("AB", -1.0, 1e-9), "start in s"),
        (lambda p: p.set_delay("T0", 1e-9), "cannot be set after"),
        (lambda p: p.set_delay("A", 1e-9, "Z"), "delays are T0, A to H, got 'Z'"),
        (lambda p: p.set_delay("A", math.nan), "delay in s"),
        (lambda p: p.set_amplitude("AB", 6.0), "amplitude in V of it must be from 0.5 to 5"),
        (lambda p: p.amplitude("XY"), "outputs are T0, AB"),
        (lambda p: setattr(p, "rate", 0.0), "trigger rate in Hz must be from 0.0001"),
        (lambda p: setattr(p, "trigger", "now"), "trigger must be one of internal"),
        (lambda p: setattr(p, "trigger_level", 9.0), "trigger level in V"),
    ],
)
def test_wrong_requests_change_nothing(act, complaint):
    pulses, sim = simulated(SimDg645, Dg645)
    pulses.rate, pulses.trigger = 500.0, "internal"
    before = pulses.snapshot()
    with pytest.raises(RequestError, match=complaint) as caught:
        act(pulses)
    assert "\n" not in str(caught.value)
    assert pulses.snapshot() == before
    assert sim.model.edge(3) == 0.0


def test_links_in_a_circle_are_refused_by_the_instrument():
    pulses, sim = simulated(SimDg645, Dg645)
    pulses.set_delay("B", 1e-6, after="A")
    with pytest.raises(InstrumentError, match="error 13, illegal link"):
        pulses.set_delay("A", 1e-6, after="B")
    assert sim.model.edge(3) == 1e-6


def test_somebody_else_at_the_address():
    class Other(SimDg645):
        identity = "Stanford Research Systems,SG384,s/n001234,ver1.10"

    with pytest.raises(IdentityMismatch, match="SG384"):
        in_front_of(Other(World(1), "it"), Dg645).check_identity()
