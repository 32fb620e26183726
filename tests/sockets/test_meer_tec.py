"""The public client meer-tec, unmodified, against the simulated TEC: TCP and pseudo-terminal.

Reads only: version 1.0.0 checks the CRC of an acceptance against the wrong bytes, so that each of
its settings raises ValueError although the device obeyed. It is a test-time dependency only.
"""

from __future__ import annotations

import os

import pytest

from simulated_instruments.meerstetter_tec import SimMeerstetterTec, TecModel
from simulated_instruments.server import address_of, serving
from simulated_instruments.world import World

client = pytest.importorskip("meer_tec.tec", reason="meer-tec is not installed")
interfaces = pytest.importorskip("meer_tec.interfaces", reason="meer-tec is not installed")

PACE = 20.0


@pytest.fixture
def sim():
    world = World(1)
    model = world.part("tec", lambda: TecModel(world.seed_of, "tec"))
    model.tell(0.0, regulating=True, target=26.0)
    return SimMeerstetterTec(world, "tec")


@pytest.fixture
def addresses(sim):
    with serving({"tec": sim}, pace=PACE) as addresses:
        yield addresses


@pytest.fixture
def over_tcp(addresses):
    port = int(address_of(addresses, "tec", "tcp").rpartition(":")[2])
    with interfaces.XPort("127.0.0.1", port) as xport:
        xport.settimeout(5.0)
        yield client.TEC(xport, 1)


def test_identification(over_tcp, sim):
    assert over_tcp.device_type == 1091
    assert over_tcp.hardware_version == 300
    assert over_tcp.firmware_version == 500
    assert over_tcp.serial_number == sim.serial_number
    assert over_tcp.error_number == 0
    assert over_tcp.save_data_to_flash == 0
    assert over_tcp.parameter_system_flash_status_ro == 0


def test_temperatures_and_output(over_tcp):
    assert over_tcp.object_temperature == pytest.approx(25.5, abs=1.0)
    assert over_tcp.target_object_temperature_ro == 26.0
    assert over_tcp.nominal_temperature_ch1 == 26.0
    assert over_tcp.sink_temperature_ch1 == pytest.approx(25.0, abs=1.5)
    assert abs(over_tcp.actual_output_current) < 1.5
    assert over_tcp.kp == pytest.approx(100 / 3)
    assert over_tcp.ti == 10.0
    assert over_tcp.td == 0.0
    assert over_tcp.device_status == 2


def test_a_setting_takes_effect_although_the_client_complains(over_tcp):
    with pytest.raises(ValueError, match="does not match"):
        over_tcp.set_parameter(3000, 24.0, float)
    assert over_tcp.target_object_temperature_ro == 24.0


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no pseudo-terminals")
def test_serial(addresses):
    """The client reads until its timeout, because replies have no fixed length."""
    with interfaces.USB(address_of(addresses, "tec", "serial"), timeout=0.3) as usb:
        tec = client.TEC(usb, 1)
        assert tec.device_type == 1091
        assert tec.object_temperature == pytest.approx(25.5, abs=1.0)
