"""pyvisa-py and pymeasure on a pseudo-terminal against the simulated fibre amplifier.

Serial settings and commands as the public drivers of this box use them; none of our drivers.
"""

from __future__ import annotations

import os
import time

import pytest

from simulated_instruments.amonics_edfa import SimAmonicsEdfa
from simulated_instruments.server import serving
from simulated_instruments.world import World

pyvisa = pytest.importorskip("pyvisa", reason="pyvisa is not installed")
pytest.importorskip("pyvisa_py", reason="pyvisa-py is not installed")
adapters = pytest.importorskip("pymeasure.adapters", reason="pymeasure is not installed")

pytestmark = pytest.mark.skipif(
    not hasattr(os, "openpty"), reason="this system has no pseudo-terminals"
)
PACE = 20.0
LINE = {"baud_rate": 19200, "read_termination": "\r\n", "write_termination": "\r\n"}


@pytest.fixture
def resource():
    with serving({"edfa": SimAmonicsEdfa(World(1), "edfa")}, pace=PACE) as addresses:
        yield addresses[0]["visa"]


@pytest.fixture
def edfa(resource):
    manager = pyvisa.ResourceManager("@py")
    with manager.open_resource(resource, timeout=5000, **LINE) as edfa:
        yield edfa
    manager.close()


def insist(edfa, command, query, wanted):
    """Send a setting until it is there, as drivers of this box have to."""
    deadline = time.monotonic() + 10.0
    while edfa.query(query) != wanted:
        assert time.monotonic() < deadline, f"{command} has no effect"
        edfa.write(command)
        again = time.monotonic() + 0.6 / PACE
        while edfa.query(query) != wanted and time.monotonic() < again:
            pass


def test_resource_string_is_a_serial_port(resource):
    assert resource.startswith("ASRL/dev/")


def test_identity_and_monitors(edfa):
    assert edfa.query(":CAL:SYS:MODEL?") == "AEDFA-23-B-FA"
    assert edfa.query(":CAL:SYS:SERIAL?").isdigit()
    assert edfa.query(":DRIV:INTERLOCK?") == "0"
    assert float(edfa.query(":SENS:POW:IN:CH1?")) == 1.0
    assert float(edfa.query(":SENS:TEMP:BOX?")) == pytest.approx(28.0, abs=2.0)


def test_on_and_off(edfa):
    insist(edfa, ":DRIV:ACC:CUR:CH1 500", ":DRIV:ACC:CUR:CH1?", "5.000000e+02")
    insist(edfa, ":DRIV:ACC:STAT:CH1 1", ":DRIV:ACC:STAT:CH1?", "1")
    insist(edfa, ":DRIV:MCTRL 1", ":DRIV:MCTRL?", "1")
    assert float(edfa.query(":SENS:POW:OUT:CH1?")) == pytest.approx(175.4, rel=2e-2)
    insist(edfa, ":DRIV:MCTRL 0", ":DRIV:MCTRL?", "0")
    insist(edfa, ":DRIV:ACC:STAT:CH1 0", ":DRIV:ACC:STAT:CH1?", "0")
    assert float(edfa.query(":SENS:POW:OUT:CH1?")) < 1.0


def test_pymeasure_over_its_visa_adapter(resource):
    adapter = adapters.VISAAdapter(resource, visa_library="@py", timeout=5000, **LINE)
    adapter.write(":READ:DRIV:MAX:ACC:CH1?")
    assert float(adapter.read()) == 500.0
    adapter.write(":READ:MODE:NAMES?")
    assert adapter.read().split() == ["ACC", "APC"]
    adapter.close()
