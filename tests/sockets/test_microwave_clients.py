"""Others' clients, unmodified, against the simulated microwave instruments over sockets.

pymeasure's KeysightPNA, AMI430, RedPitayaScpi and ANC300Controller over pyvisa-py, `scikit-rf`, and
the maker's `RsInstrument`. Where pymeasure's classes have faults, a test shows them.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from simulated_instruments.ami430 import SimAmi430
from simulated_instruments.attocube_anc300 import SimAnc300
from simulated_instruments.keysight_pna import SimKeysightPna
from simulated_instruments.physics.digitiser import DigitiserModel
from simulated_instruments.physics.network_analyser import VnaModel
from simulated_instruments.redpitaya_scpi import SimRedPitayaScpi
from simulated_instruments.rohde_schwarz_smb import SimSmb100a
from simulated_instruments.server import address_of, serving
from simulated_instruments.world import World

pytest.importorskip("pyvisa_py", reason="pyvisa-py is not installed")

PACE = 100.0


def resource(addresses, name: str) -> str:
    port = address_of(addresses, name).rpartition(":")[2]
    return f"TCPIP::127.0.0.1::{port}::SOCKET"


def through(frequencies, t):
    s = np.zeros((len(frequencies), 2, 2), dtype=complex)
    s[:, 0, 1] = s[:, 1, 0] = 0.5j
    return s


def levels(start, spacing, count, rng):
    volts = np.zeros((count, 4), dtype=np.float32)
    volts[:] = 0.125, -0.25, 0.5, -0.5
    return volts


@pytest.fixture
def served():
    world = World(5)
    world.parts["vna"] = VnaModel(world.seed_of, "vna", through)
    world.parts["digitiser"] = DigitiserModel(world.seed_of, "digitiser", levels)
    simulators = {
        "vna": SimKeysightPna(world, "vna"),
        "magnet": SimAmi430(world, "magnet"),
        "digitiser": SimRedPitayaScpi(world, "digitiser"),
        "piezos": SimAnc300(world, "piezos"),
        "generator": SimSmb100a(world, "generator"),
    }
    with serving(simulators, pace=PACE) as addresses:
        yield addresses, simulators


# ---------------------------------------------------------------- network analyser


def test_pymeasure_pna(served):
    from pymeasure.instruments.keysight import KeysightPNA

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pna = KeysightPNA(resource(served[0], "vna"), visa_library="@py", write_termination="\n",
                          timeout=10_000)  # fmt: skip
    assert "N5221B" in pna.id
    assert pna.measurement_channels == [1]
    pna.write("SENS1:FREQ:STAR 1e9;STOP 2e9")
    pna.write("SENS1:SWE:POIN 11")
    pna.write("CALC1:PAR:EXT 'S21','S21'")
    pna.channels[1].update_traces()
    assert pna.channels[1].number_of_points == 11
    assert pna.channels[1].traces[2].parameter == "S21"
    pna.channels[1].single()
    assert pna.complete
    assert pna.channels[1].traces[2].x_data == pytest.approx(np.linspace(1e9, 2e9, 11))
    pairs = pna.channels[1].traces[2].y_data_complex
    assert pairs[:, 1] == pytest.approx(np.full(11, 0.5), abs=0.01)
    assert pna.channels[1].traces[2].y_data == pytest.approx(np.full(11, -6.02), abs=0.1)
    pna.output_enabled = False
    assert pna.output_enabled is False
    assert pna.check_errors() == []
    pna.adapter.close()


def test_scikit_rf(served):
    keysight = pytest.importorskip("skrf.vi.vna.keysight", reason="scikit-rf is not installed")
    pna = keysight.PNA(resource(served[0], "vna"), backend="@py")
    assert pna.model == "N5221B"
    pna.ch1.freq_start, pna.ch1.freq_stop, pna.ch1.npoints = 1e9, 2e9, 21
    pna.ch1.if_bandwidth = 10e3
    assert pna.ch1.npoints == 21
    assert pna.nports == 2
    network = pna.ch1.get_sdata(2, 1)
    assert network.f[[0, -1]].tolist() == [1e9, 2e9]
    assert network.s[:, 0, 0].imag == pytest.approx(np.full(21, 0.5), abs=0.02)
    both = pna.ch1.get_snp_network()
    assert both.s.shape == (21, 2, 2)
    assert np.abs(both.s[:, 0, 1]) == pytest.approx(np.full(21, 0.5), abs=0.02)
    assert np.abs(both.s[:, 0, 0]).max() < 0.02
    assert pna.nerrors == 0
    pna._resource.close()


# ---------------------------------------------------------------- magnet


def test_pymeasure_ami430(served):
    from pymeasure.instruments.ami import AMI430

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        magnet = AMI430(resource(served[0], "magnet"), visa_library="@py",
                        write_termination="\n", timeout=10_000)  # fmt: skip
    assert "MODEL 430" in magnet.id
    assert magnet.coilconst == 0.1
    magnet.ramp_rate_field = 0.1
    assert magnet.ramp_rate_field[0] == pytest.approx(0.1)
    magnet.target_field = 1.5
    assert magnet.target_field == pytest.approx(1.5)
    magnet.ramp()
    magnet.wait_for_holding(timeout=20)
    assert magnet.magnet_status == "HOLDING"
    assert magnet.field == pytest.approx(1.5, rel=1e-5)
    # The fault that our class mends: any answer is true.
    magnet.disable_persistent_switch()
    assert magnet.has_persistent_switch_enabled() is True
    assert served[1]["magnet"].model.switch_heater is False
    # ... and six digits are all that is sent.
    magnet.target_field = 3.5714286
    assert magnet.target_field == 3.57143
    magnet.adapter.close()


# ---------------------------------------------------------------- digitiser


def test_pymeasure_redpitaya(served):
    from pymeasure.instruments.redpitaya import RedPitayaScpi

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        board = RedPitayaScpi(resource(served[0], "digitiser"), visa_library="@py", timeout=10_000)
    assert board.id.startswith("REDPITAYA")
    assert board.buffer_length == 16384
    board.decimation = 64
    assert board.decimation == 64
    board.average_skipped_samples = False
    assert board.average_skipped_samples is False
    board.acq_trigger_delay_samples = 8192
    board.acq_format = "ASCII"
    board.acquisition_start()
    assert board.acq_trigger_status is False
    board.acq_trigger_source = "NOW"
    assert board.acq_trigger_status is True
    for _ in range(1000):
        if board.acq_buffer_filled:
            break
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert board.ain1.get_data(8, "ASCII") == pytest.approx(np.full(8, 0.125))
        assert board.ain2.get_data(4, "ASCII") == pytest.approx(np.full(4, -0.25))
    board.dioP0.direction_in = False
    board.dioP0.enabled = True
    assert board.dioP0.enabled is True
    board.aoutslow0.voltage = 0.9
    assert board.dioP0.enabled is True  # an answer: what came before has been done
    assert served[1]["digitiser"].model.outputs[0] == pytest.approx(0.9)
    # The fault that our class mends: binary samples are read as 64-bit integers.
    board.acq_units, board.acq_format = "RAW", "BIN"
    wrong = board.ain1.get_data(8, "BIN")
    assert len(wrong) == 2
    board.adapter.close()


# ---------------------------------------------------------------- piezos


def test_pymeasure_anc300(served):
    from pymeasure.instruments.attocube import ANC300Controller

    piezos = ANC300Controller(
        resource(served[0], "piezos"), axisnames=["x", "y"], passwd="123456",
        query_delay=0.02, visa_library="@py", timeout=5_000,
    )  # fmt: skip
    assert "ANC300" in piezos.ask("ver")
    piezos.x.mode = "inp"
    piezos.x.offset_voltage = 42.5
    assert piezos.x.offset_voltage == 42.5
    assert piezos.x.output_voltage == 42.5
    assert served[1]["piezos"].model.volts[0] == 42.5
    piezos.ground_all()
    assert served[1]["piezos"].model.modes[:2] == ["gnd", "gnd"]
    piezos.adapter.close()


# ---------------------------------------------------------------- generator


def test_rs_instrument(served):
    vendor = pytest.importorskip("RsInstrument", reason="RsInstrument is not installed")
    generator = vendor.RsInstrument(
        resource(served[0], "generator"), True, False, "SelectVisa='SocketIo'"
    )
    generator.visa_timeout = generator.opc_timeout = 10_000
    assert generator.full_instrument_model_name == "SMB100A"
    generator.write_with_opc("FREQ 10 MHz")
    generator.write("POW -5.5")
    generator.write("OUTP ON")
    assert generator.query_float("FREQ?") == 10e6
    assert generator.query_float("POW?") == -5.5
    assert generator.query_bool("OUTP?") is True
    with pytest.raises(vendor.StatusException, match="-222"):
        generator.write("POW 40")
    with pytest.raises(vendor.StatusException, match="Undefined header"):
        generator.write("NONSENSE 1")
    generator.close()
