"""The public client pytla, unmodified, on a pseudo-terminal against the simulated laser module.

What it does is its own affair: `enable()` raises on "pending", and `wait()` looks at the status of
a reply only, not at the pending operations, so the test asks for those itself.
"""

from __future__ import annotations

import os
import time

import pytest

from simulated_instruments.itla import SimItla
from simulated_instruments.server import address_of, serving
from simulated_instruments.world import World

try:
    from itla import PPLaser, itla_errors  # of pytla; it needs pkg_resources of setuptools < 81
except ImportError:
    pytest.skip("pytla or its need, setuptools < 81, is not installed", allow_module_level=True)

pytestmark = pytest.mark.skipif(
    not hasattr(os, "openpty"), reason="this system has no pseudo-terminals"
)
PACE = 100.0  # warming up takes 25 simulated seconds


@pytest.fixture
def sim():
    return SimItla(World(1), "itla")


@pytest.fixture
def laser(sim):
    with serving({"itla": sim}, pace=PACE) as addresses:
        laser = PPLaser(address_of(addresses, "itla"), sleep_time=0.01)
        laser.connect()
        yield laser
        laser.disconnect()


def until_idle(laser):
    deadline = time.monotonic() + 20.0
    while laser._nop()[0]:
        assert time.monotonic() < deadline, "still pending"
        time.sleep(0.01)


def test_identity(laser):
    assert laser.get_device_type() == "CW ITLA\0"
    assert laser.get_manufacturer().startswith("Pure Photonics\0")
    assert laser.get_model() == "PPCL550\0"
    assert laser.get_serialnumber().startswith("CRTNB2H")
    assert laser.get_firmware_release().rstrip("\0") == "4.0.2"


def test_limits(laser):
    assert laser.get_frequency_min() == pytest.approx(191.5)
    assert laser.get_frequency_max() == pytest.approx(196.25)
    assert (laser.get_power_min(), laser.get_power_max()) == (7.0, 13.5)
    assert laser.get_ftf_range() == pytest.approx(12.0)


def test_frequency_power_and_fine_tuning(laser, sim):
    laser.set_frequency(193.4145)
    assert laser.get_frequency() == pytest.approx(193.4145)
    assert laser.get_fcf() == pytest.approx(193.4145)
    assert laser.get_channel() == 1
    assert sim.model.channel_hz == 193.4145e12
    laser.set_power(10.5)
    assert laser.get_power_setting() == 10.5
    laser.set_fine_tuning(-1)
    assert laser.get_fine_tuning() == pytest.approx(-1.0)
    assert laser.get_frequency() == pytest.approx(193.4135)
    laser.set_grid(100)  # three digits only: it sends 5000 (500 GHz) for 50 GHz
    assert laser.get_grid() == pytest.approx(100.0)


def test_light(laser, sim):
    with pytest.raises(itla_errors.CPException):
        laser.enable()
    until_idle(laser)
    assert laser.get_power_output() == pytest.approx(10.0, abs=0.1)
    assert sim.model.enabled
    with pytest.raises(itla_errors.ExecutionError):
        laser._fcf1(194)
    with pytest.raises(itla_errors.CIEError):
        laser.nop()
    with pytest.raises(itla_errors.CPException):
        laser.set_fine_tuning(2.0)
    until_idle(laser)
    laser.disable()
    assert laser.get_power_output() == -60.0


def test_errors(laser):
    with pytest.raises(itla_errors.RVEError):
        laser.set_power(20)
    with pytest.raises(itla_errors.RVEError):
        laser.set_frequency(197.0)
    assert laser.get_power_setting() == 10.0


def test_modes_and_lists(laser):
    assert laser.get_mode() == 0
    laser.whispermode()
    assert laser.get_mode() == 2
    laser.normalmode()
    assert laser.get_temps() == [25.0, pytest.approx(35.0, abs=2.0)]
    assert laser.get_currents() == [0.0, 0.0]
    assert laser.get_temp() == 25.0


def test_last_response_is_repeated(laser):
    laser._pwr()
    laser._device.write(bytes.fromhex("20130000"))
    assert laser._device.read(4)[1:] == bytes.fromhex("3103e8")
