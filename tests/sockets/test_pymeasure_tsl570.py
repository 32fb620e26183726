"""pymeasure's own TSL570 over pyvisa-py against the simulated laser, and its rounding."""

from __future__ import annotations

import importlib.metadata

import pytest

from simulated_instruments.santec_tsl import SimSantecTsl
from simulated_instruments.server import serving
from simulated_instruments.world import World

pytest.importorskip("pyvisa_py", reason="pyvisa-py is not installed")
santec = pytest.importorskip("pymeasure.instruments.santec.tsl570")


@pytest.fixture
def sim():
    return SimSantecTsl(World(1), "laser")


@pytest.fixture
def laser(sim):
    with serving({"laser": sim}, pace=20.0) as addresses:
        laser = santec.TSL570(
            addresses[0]["visa"],
            visa_library="@py",
            read_termination="\r",
            write_termination="\r",
            timeout=10_000,
        )
        yield laser
        laser.adapter.close()


def test_settings(laser, sim):
    assert laser.id.startswith("SANTEC,TSL-570")
    assert laser.command_set == "Legacy"
    laser.power_unit = "dBm"
    laser.power_setpoint = 5.0
    laser.output_enabled = True
    assert laser.output_enabled
    assert laser.power == pytest.approx(5.0, abs=0.05)
    laser.wavelength_start, laser.wavelength_stop, laser.sweep_speed = 1549, 1551, 100
    laser.sweep_mode = santec.SweepMode.CONTINUOUS_ONE_WAY
    laser.start_sweep()
    laser.stop_sweep()
    assert laser.sweep_status is santec.SweepStatus.STOPPED
    assert (laser.wavelength_min, laser.wavelength_max) == (1480.0, 1640.0)


@pytest.mark.skipif(
    importlib.metadata.version("pymeasure") != "0.16.0", reason="seen with pymeasure 0.16.0"
)
def test_it_rounds_to_six_digits(laser, sim):
    laser.frequency_setpoint = 193.41447
    assert laser.frequency_setpoint == pytest.approx(193.414, abs=1e-9)
