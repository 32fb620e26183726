"""pyvisa with its pure Python backend against the simulated spectrum analyser.

Commands and formats are those of the analyser's manual; no driver of ours takes part.
"""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest

from simulated_instruments.server import serving
from simulated_instruments.spectrum_analyser import SimSpectrumAnalyser
from simulated_instruments.world import World

pyvisa = pytest.importorskip("pyvisa", reason="pyvisa is not installed")
pytest.importorskip("pyvisa_py", reason="pyvisa-py is not installed")

PACE = 40.0
ZERO_SPAN = (
    ":INST:SEL SA", ":SENS:FREQ:CENT 500000", ":SENS:FREQ:SPAN 0", ":SENS:BAND:RES 100000",
    ":SENS:BAND:VID 1000", ":SENS:SWE:TIME 4", ":SENS:SWE:POIN 1001", ":SENS:DET:TRAC AVER",
    ":SENS:AVER:TYPE RMS", ":INIT:CONT OFF", ":FORM:DATA REAL,32", ":FORM:BORD NORM",
)  # fmt: skip


@pytest.fixture
def resource():
    with serving({"analyser": SimSpectrumAnalyser(World(1), "analyser")}, pace=PACE) as addresses:
        yield addresses[0]["visa"]


@pytest.fixture
def manager():
    manager = pyvisa.ResourceManager("@py")
    yield manager
    manager.close()


@pytest.fixture
def analyser(resource, manager):
    with manager.open_resource(
        resource, read_termination="\n", write_termination="\n", timeout=10_000
    ) as analyser:
        yield analyser


def error(analyser):
    number, _, text = analyser.query(":SYST:ERR?").partition(",")
    return int(number), text


def test_resource_string_is_a_raw_socket(resource):
    assert resource.startswith("TCPIP::127.0.0.1::")
    assert resource.endswith("::SOCKET")


def test_identity(analyser):
    maker, model, serial, firmware = analyser.query("*IDN?").split(",")
    assert (maker, model) == ("Keysight Technologies", "N9020B")
    assert serial
    assert firmware


def test_settings_are_read_back(analyser):
    for command in ZERO_SPAN:
        analyser.write(command)
    assert error(analyser) == (0, '"No error"')
    for query, value in {
        ":SENS:FREQ:CENT?": 5e5, ":SENS:FREQ:SPAN?": 0.0, ":SENS:BAND:RES?": 1e5,
        ":SENS:BAND:VID?": 1e3, ":SENS:SWE:TIME?": 4.0, ":SENS:SWE:POIN?": 1001,
    }.items():  # fmt: skip
        assert float(analyser.query(query)) == pytest.approx(value)
    assert analyser.query(":SENS:DET:TRAC?") == "AVER"
    assert analyser.query(":SENS:AVER:TYPE?") == "RMS"
    assert analyser.query(":FORM:DATA?") == "REAL,32"
    assert analyser.query(":FORM:BORD?") == "NORM"


def test_operation_complete_waits_for_the_sweep(analyser):
    for command in ZERO_SPAN:
        analyser.write(command)
    analyser.write(":INIT:IMM;*OPC?")
    analyser.timeout = 30
    with pytest.raises(pyvisa.VisaIOError, match="TMO"):  # a sweep takes 100 ms of ours
        analyser.read()
    analyser.timeout = 10_000
    assert analyser.read() == "1"
    assert error(analyser) == (0, '"No error"')


def test_trace_in_every_format_is_the_same(analyser):
    for command in ZERO_SPAN:
        analyser.write(command)
    assert analyser.query(":INIT:IMM;*OPC?") == "1"
    trace = {}
    trace["big"] = analyser.query_binary_values(
        ":TRAC:DATA? TRACE1", datatype="f", is_big_endian=True, container=np.array
    )
    analyser.write(":FORM:BORD SWAP")
    trace["little"] = analyser.query_binary_values(
        ":TRAC:DATA? TRACE1", datatype="f", is_big_endian=False, container=np.array
    )
    analyser.write(":FORM:DATA REAL,64")
    trace["double"] = analyser.query_binary_values(
        ":TRAC:DATA? TRACE1", datatype="d", is_big_endian=False, container=np.array
    )
    analyser.write(":FORM:DATA INT,32")
    trace["milli"] = 1e-3 * analyser.query_binary_values(
        ":TRAC:DATA? TRACE1", datatype="i", is_big_endian=False, container=np.array
    )
    analyser.write(":FORM:DATA ASC")
    trace["text"] = analyser.query_ascii_values(":TRAC:DATA? TRACE1", container=np.array)
    assert error(analyser) == (0, '"No error"')
    reference = trace["double"]
    assert reference.shape == (1001,)
    assert np.ptp(reference) > 0
    # nothing is connected, so this is its own noise: -150 dBm/Hz in 1.0645 RBW
    level = 10 * math.log10(np.mean(10 ** (reference / 10)))
    assert level == pytest.approx(-150 + 50 + 10 * math.log10(1.0645), abs=0.5)
    for name, limit in {"big": 1e-5, "little": 1e-5, "milli": 6e-4, "text": 6e-4}.items():
        assert np.max(np.abs(trace[name] - reference)) < limit, name


def test_block_on_the_wire(analyser):
    """Definite length, most significant byte first, then one line feed, whatever the payload."""
    for command in ZERO_SPAN:
        analyser.write(command)
    assert analyser.query(":INIT:IMM;*OPC?") == "1"
    analyser.write(":TRAC:DATA? TRACE1")
    analyser.read_termination = None
    raw = analyser.read_bytes(6 + 4004 + 1)
    assert raw[:6] == b"#44004"
    assert raw[-1:] == b"\n"
    values = struct.unpack(">1001f", raw[6:-1])
    assert all(-130 < value < -70 for value in values)


def test_error_queue_keeps_order_and_drains(analyser):
    analyser.write("*CLS")
    analyser.write(":SENS:FREQ:CENTRE:NONSENSE 5")
    analyser.write(":SENS:BAND:RES")
    analyser.write(":SENS:SWE:POIN 1000000")
    codes = [error(analyser)[0] for _ in range(4)]
    assert codes == [-113, -109, -222, 0]
    assert float(analyser.query(":SENS:SWE:POIN?")) == 20001  # out of range values are clipped


def test_status_byte_and_event_register(analyser):
    analyser.write("*CLS;*ESE 1")
    analyser.write(":INIT:CONT OFF;:SENS:SWE:TIME 0.5;:INIT:IMM;*OPC")
    assert analyser.query("*WAI;*STB?") == "32"
    assert analyser.query("*ESR?") == "1"
    assert analyser.query("*STB?") == "0"


def test_two_visa_sessions(resource, manager, analyser):
    with manager.open_resource(
        resource, read_termination="\n", write_termination="\n", timeout=10_000
    ) as other:
        analyser.write(":SENS:FREQ:CENT 2 MHz")
        assert float(analyser.query(":SENS:FREQ:CENT?")) == 2e6
        assert float(other.query(":SENS:FREQ:CENT?")) == 2e6


def test_half_a_command_waits_for_the_rest(analyser):
    analyser.write_raw(b":SENS:FREQ:CE")
    analyser.write_raw(b"NT 3e6\n:SENS:FREQ:CENT?\n")
    assert float(analyser.read()) == 3e6
