"""pyvisa-py, and pymeasure's own AQ6370D, against the simulated spectrum analyser.

pymeasure's class is the one whose faults docs/pymeasure-faults.md reports; what of it works, works
here, and each fault shows as the page says (with pymeasure 0.16.0, which it is about).
"""

from __future__ import annotations

import importlib.metadata

import numpy as np
import pytest

from simulated_instruments.server import serving
from simulated_instruments.world import World
from simulated_instruments.yokogawa_aq6370 import OsaModel, SimYokogawaAq6370

pyvisa = pytest.importorskip("pyvisa", reason="pyvisa is not installed")
pytest.importorskip("pyvisa_py", reason="pyvisa-py is not installed")
yokogawa = pytest.importorskip("pymeasure.instruments.yokogawa.aq6370series")
adapters = pytest.importorskip("pymeasure.adapters")

LINE = {"read_termination": "\r\n", "write_termination": "\r\n", "timeout": 10_000}
the_reported_version = pytest.mark.skipif(
    importlib.metadata.version("pymeasure") != "0.16.0", reason="the page is about pymeasure 0.16.0"
)


@pytest.fixture
def sim():
    world = World(1)
    world.parts["osa"] = OsaModel(
        world.seed_of, "osa", light=lambda t: (np.array([193.4e12]), np.array([1e-3]))
    )
    return SimYokogawaAq6370(world, "osa")


@pytest.fixture
def resources(sim):
    """VISA names of the ports, with and without login."""
    with serving({"osa": sim}, pace=20.0) as addresses:
        yield {
            a["port"]: "TCPIP::{}::{}::SOCKET".format(*a["address"][6:].split(":"))
            for a in addresses
            if a["instrument"] == "osa"
        }


@pytest.fixture
def osa(resources):
    """pymeasure's own class, on a connection that somebody else has opened."""
    adapter = adapters.VISAAdapter(resources["free"], visa_library="@py", **LINE)
    osa = yokogawa.AQ6370D(adapter)
    yield osa
    adapter.close()


def test_pyvisa_logs_in_and_sweeps(resources):
    manager = pyvisa.ResourceManager("@py")
    with manager.open_resource(resources["lan"], **LINE) as session:
        assert session.query('OPEN "anonymous"') == "AUTHENTICATE CRAM-MD5."
        assert session.query("") == "READY"
        assert session.query("*IDN?").startswith("YOKOGAWA,AQ6370D")
        session.write(":SENS:WAV:CENT 1550.1nm;SPAN 2nm;:SENS:BWID:RES 0.05nm;:SENS:SENS MID")
        session.write("*CLS;:INIT:SMOD 1;:INIT")
        assert session.query("*OPC?") == "1"
        assert int(session.query(":STAT:OPER:EVEN?")) & 1
        x = np.array(session.query_ascii_values(":TRAC:X? TRA"))
        session.write(":FORM:DATA REAL,64")
        y = session.query_binary_values(":TRAC:Y? TRA", datatype="d", container=np.array)
        assert x[y.argmax()] * 1e9 == pytest.approx(299792.458 / 193.4, abs=0.03)
        assert y.max() == pytest.approx(0.0, abs=0.5)
    manager.close()


def test_what_works_of_pymeasures_class(osa):
    osa.wavelength_center = 1550e-9
    osa.wavelength_span = 4e-9
    osa.resolution_bandwidth = 0.1e-9
    osa.sensitivity = "MID"
    osa.sample_number = 501
    osa.sweep_mode = "SINGLE"
    osa.initiate_sweep()
    assert osa.wait_for_sweep_complete(timeout=60, delay=0.02)
    x, y = np.array(osa.get_xdata()), np.array(osa.get_ydata())
    assert x.size == y.size == 501
    assert x[y.argmax()] * 1e9 == pytest.approx(299792.458 / 193.4, abs=0.03)


@the_reported_version
def test_fault_1_it_does_not_open_on_a_lan(resources):
    with pytest.raises(ValueError, match="'port' is not a valid attribute"):
        yokogawa.AQ6370D(resources["free"], visa_library="@py")


@the_reported_version
def test_fault_2_wavelengths_have_six_digits(osa, sim):
    osa.wavelength_center = 1550.1234e-9
    assert osa.wavelength_center == pytest.approx(1550.12e-9, abs=1e-16)


@the_reported_version
def test_fault_3_the_start_has_no_upper_limit(osa, sim):
    osa.wavelength_start = 1690.0  # m
    assert osa.ask(":SYST:ERR?").startswith("-222")


@the_reported_version
def test_fault_4_no_trace_can_be_chosen(osa):
    with pytest.raises(TypeError, match=r"real number is required|format"):
        osa.active_trace = "TRA"


@the_reported_version
def test_fault_5_an_answer_stays_unread(osa, monkeypatch):
    sent: list[str] = []
    monkeypatch.setattr(osa, "write", lambda command, **kwargs: sent.append(command))
    assert osa.get_analysis() is None
    assert sent == [":CALCulate:DATA?"]


@the_reported_version
def test_fault_6_binary_data_are_not_asked_for(osa, monkeypatch):
    sent: list[str] = []
    monkeypatch.setattr(osa, "write", lambda command, **kwargs: sent.append(command))
    monkeypatch.setattr(
        osa, "read_bytes", lambda count, **kwargs: b"18"[:count] if count < 8 else b""
    )
    with pytest.raises(AssertionError):
        osa.get_binary_data()
    assert sent == []


@the_reported_version
def test_fault_7_limits_and_their_description_differ():
    assert "51" in yokogawa.AQ6370Series.sample_number.__doc__
    with pytest.raises(ValueError, match="101"):
        yokogawa.AQ6370Series.sample_number.fset(object(), 51)
