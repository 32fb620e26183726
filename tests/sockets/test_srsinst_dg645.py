"""The maker's client `srsinst.dg645`, unmodified, against the simulated delay generator."""

from __future__ import annotations

import pytest

from simulated_instruments.server import address_of, serving
from simulated_instruments.srs_dg645 import SimDg645
from simulated_instruments.world import World

client = pytest.importorskip(
    "srsinst.dg645", reason="srsinst.dg645 is not installed: pip install .[test]"
)


@pytest.fixture
def sim():
    return SimDg645(World(1), "pulses")


@pytest.fixture
def generator(sim):
    with serving({"pulses": sim}) as addresses:
        host, _, port = address_of(addresses, "pulses").removeprefix("tcp://").partition(":")
        generator = client.DG645("tcpip", host, int(port))
        yield generator
        generator.disconnect()


def test_identity(generator):
    assert "DG645" in generator.interface.id_string
    assert generator.check_id()[0] == "DG645"


def test_triggers_delays_and_outputs(generator, sim):
    generator.trigger.trigger_rate = 500.0
    generator.trigger.trigger_source = "internal"
    assert generator.trigger.trigger_rate == 500.0
    assert generator.trigger.trigger_source == "internal"
    generator.delays.delay["A"]["T0"] = 100e-9
    generator.delays.delay["B"]["A"] = 36e-9
    assert tuple(generator.delays.delay["B"]) == (2, 36e-9)
    generator.outputs.amplitude["AB"] = 3.5
    assert generator.outputs.amplitude["AB"] == 3.5
    assert generator.status.drain_errors() == []
    assert sim.model.pulse(1) == (pytest.approx(100e-9), pytest.approx(136e-9))
    assert sim.model.period == 2e-3
    assert sim.model.amplitudes[1] == 3.5


def test_errors(generator, sim):
    generator.send("TRAT 1e9")
    generator.send("FOO")
    assert generator.status.drain_errors() == [10, 111]
    assert sim.model.rate == 1000.0
