"""The maker's own package `lakeshore`, unmodified, against the simulated Model 372."""

from __future__ import annotations

import pytest

from simulated_instruments.lakeshore_372 import SimLakeShore372
from simulated_instruments.server import address_of, serving
from simulated_instruments.world import World

vendor = pytest.importorskip("lakeshore", reason="lakeshore is not installed: pip install .[test]")


@pytest.fixture
def sim():
    return SimLakeShore372(World(3), "thermometer")


@pytest.fixture
def bridge(sim):
    with serving({"thermometer": sim}) as addresses:
        port = int(address_of(addresses, "thermometer").rpartition(":")[2])
        client = vendor.Model372(None, ip_address="127.0.0.1", tcp_port=port)
        yield client
        client.disconnect_tcp()


def test_identity_and_readings(bridge):
    assert bridge.model_number == "MODEL372"
    bridge.set_scanner_status(6, False)
    assert bridge.get_scanner_status() == {"input_channel": 6, "status": False}
    readings = bridge.get_all_input_readings(6)
    assert readings["kelvin"] == pytest.approx(0.010, rel=0.02)
    assert readings["resistance"] == pytest.approx(19_200, rel=0.02)
    assert bridge.get_reading_status(6).to_integer() == 0


def test_heater_and_set_point(bridge, sim):
    mode = vendor.Model372HeaterOutputSettings(
        bridge.OutputMode.CLOSED_LOOP, 6, False, False, 1, bridge.Polarity.UNIPOLAR
    )
    bridge.configure_heater(0, mode)
    bridge.set_setpoint_kelvin(0, 0.02)
    assert bridge.get_setpoint_kelvin(0) == 0.02
    bridge.set_heater_output_range(0, bridge.SampleHeaterOutputRange.RANGE_100_MILLI_AMPS)
    assert bridge.get_heater_output_settings(0).output_mode == bridge.OutputMode.CLOSED_LOOP
    assert sim.model.heaters[0].setpoint_k == 0.02
    assert sim.model.heaters[0].enabled
    bridge.all_off()
    assert bridge.get_setpoint_kelvin(0) == 0.02  # an answer: what came before has been done
    assert not sim.model.heaters[0].enabled


def test_nonsense_raises_in_the_client(bridge):
    with pytest.raises(vendor.generic_instrument.InstrumentException, match="Command Error"):
        bridge.command("NONSENSE 1")
    with pytest.raises(vendor.generic_instrument.InstrumentException, match="Execution Error"):
        bridge.set_control_setpoint(9, 0.02)
