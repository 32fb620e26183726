"""TSL-570: bytes of driver and simulator, then both together.

Commands are those of pymeasure's class for this laser; how numbers must go out is what it gets wrong.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import in_front_of, scripted, simulated

from drivers.santec_tsl import SantecTsl
from labctl.errors import IdentityMismatch, InstrumentError, RequestError
from labctl.jsonline import encode
from simulated_instruments.santec_tsl import SimSantecTsl
from simulated_instruments.world import World

NO_ERROR = (b"SYST:ERR?\r", b'+0,"No error"\r')
LEGACY = (b":SYST:COMM:COD?\r", b"0\r")
METRES = (b":SYST:COMM:COD?\r", b"1\r")


# ---- the driver alone


def test_numbers_go_out_with_all_digits():
    laser, script = scripted(
        SantecTsl,
        (b":WAV 1550.1234\r", b""),
        NO_ERROR,
        (b":FREQ 193.41447\r", b""),
        NO_ERROR,
        (b":WAV 1.5501234e-06\r", b""),
        NO_ERROR,
        (b":FREQ 193414470000000\r", b""),
        NO_ERROR,
    )
    laser.wavelength_setpoint = 1550.1234
    laser.frequency_setpoint = 193.41447
    laser.wavelength_setpoint = 1550.1234e-9
    laser.frequency_setpoint = 193.41447e12
    assert not script.exchanges


@pytest.mark.parametrize(
    ("unit", "low", "high", "sent", "told"),
    [
        (LEGACY, b"+1480\r", b"+1640\r", b":WAV 1550.1234\r", b"+1550.1234\r"),
        (METRES, b"+1.480E-6\r", b"+1.640E-6\r", b":WAV 1.5501234e-06\r", b"+1.5501234E-6\r"),
    ],
)
def test_wavelengths_are_in_nm_whatever_the_lasers_unit(unit, low, high, sent, told):
    laser, script = scripted(
        SantecTsl,
        unit,
        (b":WAVelength:SWEep:RANGe:MINimum?\r", low),
        (b":WAVelength:SWEep:RANGe:MAXimum?\r", high),
        unit,
        (sent, b""),
        NO_ERROR,
        (b"*OPC?\r", b"1\r"),
        (b":WAV?\r", told),
        unit,
    )
    laser.wavelength = 1550.1234
    assert laser.wavelength == pytest.approx(1550.1234, abs=1e-9)
    assert not script.exchanges


def test_a_refusal_is_raised():
    laser, _ = scripted(
        SantecTsl,
        (b":POW:STAT 1\r", b""),
        (b"SYST:ERR?\r", b'-221,"Settings conflict"\r'),
        NO_ERROR,
    )
    with pytest.raises(InstrumentError, match=r"^it: the instrument reports -221"):
        laser.emission = True


# ---- the simulator alone


def replies(*lines):
    endpoint = SimSantecTsl(World(1), "laser").connect()
    return [reply for line in lines for _, reply in endpoint.feed(line, 1.0) if reply]


def test_simulator_knows_both_command_sets():
    assert replies(
        b":WAVelength 1550.1234\r",
        b":WAVelength?;:FREQuency?\r",
        b":SYST:COMM:CODe 1;CODe?;:WAV?\r",
        b":FREQ 193.4E12;FREQ?\r",
        b":POWer:UNIT 0;UNIT?;:POWer:SHUTter 1;SHUTter?;:POWer:STATe 1;STATe?\r",
        b":WAVelength:SWEep:STARt?;STOP?;MODe?;SPEed?\r",
        b":POWer:ACTual?\r",
        b":SYST:ERR?\r",
    ) == [
        b"+1.5501234000E+03;+1.9339909197E+02\r",
        b"1;+1.5501234000E-06\r",
        b"+1.9340000000E+14\r",
        b"0;1;1\r",
        b"+1.4800000000E-06;+1.6400000000E-06;1;10\r",
        b"-6.0000000000E+01\r",  # dBm, behind a closed shutter
        b'+0,"No error"\r',
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        b":WAV 1700",
        b":WAV 1.55e-6",
        b":FREQ 100",
        b":POW 14",
        b":POW:UNIT 2",
        b":WAV:SWE:SPE 3",
        b":WAV:FIN 101",
        b":WAV:SWE:STOP 3",
        b":POW:UNIT 1;:POW 0",
    ],
)
def test_simulator_refuses_what_is_out_of_range(wrong):
    state = b":WAV?;:WAV:SWE:SPE?;:WAV:FIN?;:POW:STAT?\r"
    before, error, after = replies(state, wrong + b"\r", b"SYST:ERR?\r", state)
    assert error.startswith(b"-222")
    assert before == after


@given(st.binary(max_size=60))
def test_simulator_survives_anything(junk):
    endpoint = SimSantecTsl(World(1), "laser").connect()
    endpoint.feed(junk + b"\r", 0.0)
    endpoint.feed(b"\r*CLS\r", 100.0)
    [(_, reply), *_] = endpoint.feed(b"SYST:ERR?\r", 200.0)
    assert reply == b'+0,"No error"\r'


# ---- together


def test_tuning_power_and_sweeps():
    laser, sim = simulated(SimSantecTsl, SantecTsl, maximum_power=10.0)
    laser.check_identity()
    laser.frequency = 193.41447
    assert laser.frequency == pytest.approx(193.41447, abs=1e-8)
    now = laser.clock.now()
    assert now >= sim.model.arrives()
    assert sim.model.frequency_hz(now) == pytest.approx(193.41447e12, abs=0.2e9)
    laser.fine = 50.0
    laser.clock.sleep(0.1)
    shifted = sim.model.frequency_hz(laser.clock.now()) - 193.41447e12
    assert shifted == pytest.approx(1e9, abs=0.2e9)
    laser.power = 7.5
    assert laser.power == -60.0
    laser.emission = True
    assert laser.power == pytest.approx(7.5, abs=0.05)
    laser.power_unit = "mW"  # by somebody else
    assert laser.power == pytest.approx(7.5, abs=0.05)
    encode(laser.snapshot())
    laser.sweep(1549.0, 1551.0, 5)
    assert laser.sweeping
    laser.clock.sleep(2.0)
    assert not laser.sweeping
    assert laser.wavelength == pytest.approx(1551.0)
    laser.make_safe()
    assert laser.power == -60.0


@pytest.mark.parametrize(
    ("act", "complaint"),
    [
        (lambda o: setattr(o, "wavelength", 1700.0), "wavelength in nm of it must be from 1480"),
        (lambda o: setattr(o, "frequency", math.nan), "frequency in THz of it must be from 182.8"),
        (lambda o: setattr(o, "power", 11.0), "power in dBm of it must be from -15 to 10"),
        (lambda o: setattr(o, "fine", 101.0), "fine tuning must be from -100 to 100"),
        (lambda o: o.sweep(1551.0, 1549.0, 5), "a sweep goes upwards"),
        (lambda o: o.sweep(1549.0, 1551.0, 3), "a sweep goes upwards, with one of 1, 2"),
        (lambda o: o.sweep(1.0, 1551.0, 5), "start in nm"),
    ],
)
def test_wrong_requests_change_nothing(act, complaint):
    laser, _ = simulated(SimSantecTsl, SantecTsl, maximum_power=10.0)
    before = laser.snapshot()
    with pytest.raises(RequestError, match=complaint) as caught:
        act(laser)
    assert "\n" not in str(caught.value)
    assert laser.snapshot() == before
    with pytest.raises(RequestError, match="cannot be 99"):
        simulated(SimSantecTsl, SantecTsl, maximum_power=99)


def test_somebody_else_at_the_address():
    class Other(SimSantecTsl):
        identity = "SANTEC,TSL-210,1,1"

    with pytest.raises(IdentityMismatch, match="TSL-210"):
        in_front_of(Other(World(1), "it"), SantecTsl).check_identity()
