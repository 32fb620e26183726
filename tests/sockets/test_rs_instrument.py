"""The vendor's client `RsInstrument`, unmodified, and pymeasure's own class, against the FSV.

The client needs no VISA: it opens the socket itself, and checks status byte and error queue after
each message.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulated_instruments.rohde_schwarz_fsv import SimFsv
from simulated_instruments.server import address_of, serving
from simulated_instruments.world import World

vendor = pytest.importorskip(
    "RsInstrument", reason="RsInstrument is not installed: pip install .[test]"
)

PACE = 40.0
ZERO_SPAN = (
    "INST:SEL SAN", "FREQ:CENT 500000", "FREQ:SPAN 0", "BAND:RES 100000", "BAND:VID 10",
    "SWE:TIME 4", "SWE:POIN 1001", "DET RMS", "DISP:TRAC:MODE WRIT", "SWE:COUN 1", "INIT:CONT OFF",
)  # fmt: skip
#: Nothing is connected, so this is the analyser's own noise: -150 dBm/Hz in 1.0645 RBW.
FLOOR = -150 + 50 + 10 * math.log10(1.0645)


@pytest.fixture
def addresses():
    with serving({"analyser": SimFsv(World(1), "analyser")}, pace=PACE) as addresses:
        yield addresses


@pytest.fixture
def analyser(addresses):
    port = address_of(addresses, "analyser").rpartition(":")[2]
    analyser = vendor.RsInstrument(
        f"TCPIP::127.0.0.1::{port}::SOCKET", True, False, "SelectVisa='SocketIo'"
    )
    analyser.visa_timeout = 10_000
    analyser.opc_timeout = 10_000
    yield analyser
    analyser.close()


def zero_span(analyser):
    for command in ZERO_SPAN:
        analyser.write(command)


def test_identity_is_understood(analyser):
    assert analyser.manufacturer == "Rohde&Schwarz"
    assert analyser.instrument_model_name == "FSV"
    assert analyser.full_instrument_model_name == "FSV-7"
    assert analyser.instrument_serial_number.endswith("100001")
    assert analyser.query("*IDN?").startswith("Rohde&Schwarz,FSV-7,")


def test_settings_are_read_back(analyser):
    zero_span(analyser)
    assert analyser.query_float("FREQ:CENT?") == 5e5
    assert analyser.query_float("SWE:TIME?") == 4.0
    assert analyser.query_int("SWE:POIN?") == 1001
    assert analyser.query_str("DET?") == "RMS"
    assert analyser.query_bool("INIT:CONT?") is False
    assert analyser.query_str("SYST:ERR?") == '0,"No error"'


def test_sweeps_with_operation_complete(analyser):
    zero_span(analyser)
    assert analyser.query_opc() is True
    analyser.write_with_opc("INIT")
    assert analyser.query_int_with_opc("SWE:POIN?") == 1001
    assert analyser.query_str("INIT;*OPC?") == "1"


def test_a_sweep_that_is_longer_than_the_patience_is_noticed(analyser):
    zero_span(analyser)
    analyser.write("SWE:TIME 100")
    with pytest.raises(vendor.TimeoutException):
        analyser.write_with_opc("INIT", timeout=200)


def test_binary_trace_equals_the_trace_as_text(analyser):
    zero_span(analyser)
    analyser.write_with_opc("INIT")
    analyser.write("FORM REAL,32")
    binary = analyser.query_bin_or_ascii_float_list("TRAC? TRACE1")
    raw = analyser.query_bin_block("TRAC? TRACE1")
    analyser.write("FORM ASC")
    text = analyser.query_bin_or_ascii_float_list("TRAC? TRACE1")
    assert len(binary) == 1001
    assert np.ptp(binary) > 0
    assert np.array_equal(np.float32(binary), np.float32(text))
    assert np.array_equal(np.frombuffer(raw, "<f4"), np.float32(binary))
    level = 10 * math.log10(np.mean(10 ** (np.array(binary) / 10)))
    assert level == pytest.approx(FLOOR, abs=0.5)


def test_axis_of_a_time_trace(analyser):
    zero_span(analyser)
    axis = analyser.query_bin_or_ascii_float_list("TRAC:X? TRACE1")
    assert axis == pytest.approx(np.linspace(0, 4, 1001), rel=1e-6)


@pytest.mark.parametrize(
    ("command", "code"), [("FREQ:CENT 99E9", -222), ("FREQ:CENTRE:X 1", -113), ("SWE:POIN", -109)]
)
def test_errors_become_exceptions_and_the_queue_is_empty_afterwards(analyser, command, code):
    with pytest.raises(vendor.StatusException, match=str(code)):
        analyser.write(command)
    assert analyser.query_all_errors() is None
    assert analyser.query_float("FREQ:CENT?") > 0


def test_unknown_query_is_an_error_not_a_hang(analyser):
    analyser.visa_timeout = 300
    with pytest.raises(vendor.RsInstrException):
        analyser.query("FREQ:NONSENSE?")
    analyser.visa_timeout = 10_000
    analyser.clear_status()
    assert analyser.query_int("SWE:POIN?") == 691


def test_reset(analyser):
    analyser.write("SWE:POIN 1001")
    analyser.reset()
    assert analyser.query_int("SWE:POIN?") == 691


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pymeasure_reads_a_trace_too(addresses):
    pytest.importorskip("pyvisa_py")
    from pymeasure.instruments.rohdeschwarz import FSW

    analyser = FSW(
        addresses[0]["visa"], visa_library="@py", read_termination="\n", write_termination="\n"
    )
    analyser.freq_center, analyser.freq_span, analyser.res_bandwidth = 1e9, 1e6, 1e4
    analyser.continuous_sweep_enabled = False
    analyser.single_sweep()
    frequency, level = analyser.read_trace()
    assert (frequency[0], frequency[-1]) == (0.9995e9, 1.0005e9)
    assert len(level) == 691
    assert analyser.active_channel == "Spectrum"
    analyser.adapter.close()
