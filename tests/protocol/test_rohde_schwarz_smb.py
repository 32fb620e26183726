"""Signal generator R&S SMB100A: bytes of the manual, and the driver's limits."""

from __future__ import annotations

import pytest
from scripted import scripted

from drivers.rohde_schwarz_smb import RohdeSchwarzGenerator
from labctl.adapter import ByteAdapter
from labctl.clock import VirtualClock
from labctl.errors import InstrumentError, RequestError
from labctl.transport.link import Link
from simulated_instruments.rohde_schwarz_smb import SimSmb100a
from simulated_instruments.world import World


@pytest.fixture
def sim():
    return SimSmb100a(World(1), "generator")


@pytest.fixture
def generator(sim):
    clock = VirtualClock()
    adapter = ByteAdapter(lambda: Link(sim.connect(), clock), clock, name="generator")
    return RohdeSchwarzGenerator(adapter, "generator")


def talk(sim, *lines: bytes) -> list[bytes]:
    endpoint = sim.connect()
    return [reply for line in lines for _, reply in endpoint.feed(line + b"\n", 0.0) if reply]


def test_bytes_of_the_manual(sim):
    assert talk(sim, b"FREQ?", b"POW?", b"OUTP?") == [b"1000000000\n", b"-30\n", b"0\n"]
    assert talk(sim, b":SOURce:FREQuency:CW 10 MHz", b"SOUR:FREQ?") == [b"10000000\n"]
    assert talk(sim, b"POW -10;*OPC", b"POW?", b"OUTP1:STAT ON", b"OUTP?") == [b"-10\n", b"1\n"]
    assert talk(sim, b"FREQ 5 GHz", b"SYST:ERR?", b"FREQ?") == [
        b'-222,"Data out of range"\n', b"10000000\n",
    ]  # fmt: skip
    assert talk(sim, b"*RST", b"OUTP?", b"POW?") == [b"0\n", b"-30\n"]
    assert talk(sim, b"ROSC:SOUR?", b"PHAS 90;PHAS?", b"FREQ:MODE?") == [
        b"INT\n", b"90\n", b"CW\n",
    ]  # fmt: skip


def test_driver_speaks_the_manuals_bytes():
    no_error = (b"SYST:ERR?\n", b'0,"No error"\n')
    generator, script = scripted(
        RohdeSchwarzGenerator,
        (b"FREQ 10000000.125\n", b""),
        no_error,
        (b"POW -10.00\n", b""),
        no_error,
        (b"OUTP 1\n", b""),
        no_error,
        (b"FREQ?\n", b"10000000.125\n"),
        (b"POW?\n", b"-10\n"),
        (b"OUTP?\n", b"1\n"),
        (b"ROSC:SOUR?\n", b"EXT\n"),
        (b"OUTP 0\n", b""),
        no_error,
    )
    generator.frequency, generator.power, generator.output = 10000000.125, -10, True
    assert (generator.frequency, generator.power) == (10000000.125, -10.0)
    assert (generator.output, generator.reference) == (True, "external")
    generator.make_safe()
    assert not script.exchanges


def test_driver(generator, sim):
    assert generator.check_identity().startswith("Rohde&Schwarz,SMB100A")
    generator.frequency, generator.power, generator.output = 10e6, 7.5, True
    assert (generator.frequency, generator.power, generator.output) == (10e6, 7.5, True)
    assert generator.snapshot()["reference"] == "internal"
    with pytest.raises(RequestError, match="14 dBm is above what is connected stands, 13 dBm"):
        generator.power = 14
    with pytest.raises(InstrumentError, match="-222"):
        generator.frequency = 10e9
    generator.make_safe()
    assert not sim.model.output
