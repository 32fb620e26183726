"""The vendor's own client, unmodified, against the simulated DLC pro: command and monitoring line.

toptica-lasersdk (MIT) knows every parameter's name and type; it was written for the hardware.
"""

from __future__ import annotations

import time
from datetime import datetime

import pytest

from simulated_instruments.server import address_of, serving
from simulated_instruments.toptica_dlcpro import SimTopticaDlcPro
from simulated_instruments.world import World

vendor = pytest.importorskip(
    "toptica.lasersdk.dlcpro.v3_3_3",
    reason="toptica-lasersdk is not installed: pip install .[test]",
)
client_module = pytest.importorskip("toptica.lasersdk.client")

PACE = 50.0  # the motor takes simulated seconds
PATIENCE = 20.0  # real s


def number(addresses, port):
    return int(address_of(addresses, "laser", port).rpartition(":")[2])


@pytest.fixture
def laser():
    return SimTopticaDlcPro(World(1), "laser")


@pytest.fixture
def addresses(laser):
    with serving({"laser": laser}, pace=PACE) as addresses:
        yield addresses


def connection(addresses, *, monitor=True):
    return vendor.NetworkConnection(
        "127.0.0.1",
        command_line_port=number(addresses, "command"),
        monitoring_line_port=number(addresses, "monitor") if monitor else 0,
        timeout=5,
    )


@pytest.fixture
def dlc(addresses):
    with vendor.DLCpro(connection(addresses)) as dlc:
        yield dlc


class Watch:
    """Collects what the monitoring line pushes; every value makes the SDK's loop return."""

    def __init__(self, client):
        self.client = client
        self.values = []
        self.times = []

    def __call__(self, subscription, timestamp, value):
        self.values.append(value.value)
        self.times.append(timestamp)
        self.client.stop()

    def until(self, wanted):
        deadline = time.monotonic() + PATIENCE
        while not (self.values and wanted(self.values[-1])):
            assert time.monotonic() < deadline, f"not pushed; got {self.values}"
            self.client.run(timeout=PATIENCE)


def test_typed_parameters_have_their_types(dlc):
    laser = dlc.laser1
    assert "SN" not in dlc.serial_number.get()
    assert isinstance(dlc.serial_number.get(), str)
    assert dlc.fw_ver.get().startswith("3.")
    assert dlc.system_health.get() == 0
    assert dlc.interlock_open.get() is False
    assert dlc.emission.get() is False
    assert laser.ctl.wavelength_min.get() < laser.ctl.wavelength_act.get()
    assert laser.ctl.wavelength_act.get() < laser.ctl.wavelength_max.get()
    assert laser.ctl.state.get() == 0
    assert laser.ctl.state_txt.get() == "idle"
    assert 0.0 <= laser.dl.pc.voltage_act.get() <= 140.0
    assert isinstance(laser.dl.tc.temp_act.get(), float)
    assert laser.dl.cc.enabled.get() is False
    assert isinstance(laser.dl.cc.external_input.signal.get(), int)
    assert laser.scan.frequency.get() > 0.0
    assert laser.wide_scan.progress.get() == 0


def test_every_parameter_of_the_families_a_lab_needs(dlc):
    """Typed reads raise on a wrong type, so that reading is already the check."""
    roots = [
        dlc.laser1.ctl, dlc.laser1.ctl.motor, dlc.laser1.ctl.remote_control, dlc.laser1.dl.pc,
        dlc.laser1.dl.pc.external_input, dlc.laser1.dl.cc.external_input, dlc.laser1.scan,
    ]  # fmt: skip
    read, unknown = [], []
    for root in roots:
        for attribute in vars(root).values():
            if not type(attribute).__name__.endswith(("Boolean", "Integer", "Real", "String")):
                continue
            try:
                attribute.get()
                read.append(attribute.name)
            except client_module.DecopValueError:
                pytest.fail(f"{attribute.name} has the wrong type")
            except client_module.DecopError:
                unknown.append(attribute.name)
    assert len(read) >= 40
    assert len(read) > 2 * len(unknown), unknown


def test_emission_and_current(dlc):
    cc = dlc.laser1.dl.cc
    cc.enabled.set(True)
    assert cc.enabled.get() is True
    assert dlc.emission.get() is True
    assert dlc.laser1.ctl.power.power_act.get() > 1.0
    cc.enabled.set(False)
    assert dlc.emission.get() is False
    assert dlc.laser1.ctl.power.power_act.get() == 0.0


def test_tunes_and_pushes_every_step(dlc):
    state, wavelength = Watch(dlc), Watch(dlc)
    ctl = dlc.laser1.ctl
    with ctl.state.subscribe(state), ctl.wavelength_act.subscribe(wavelength):
        state.until(lambda value: value == 0)  # the value at hand is sent on subscription
        ctl.wavelength_set.set(1552.5)
        state.until(lambda value: value == 1)
        state.until(lambda value: value == 0)
        wavelength.until(lambda value: abs(value - 1552.5) < 2e-3)
    assert state.values == [0, 1, 0]
    assert len(wavelength.values) > 5
    assert wavelength.values == sorted(wavelength.values)
    assert wavelength.times == sorted(wavelength.times)
    assert all(isinstance(moment, datetime) for moment in wavelength.times)
    assert ctl.wavelength_act.get() == pytest.approx(1552.5, abs=2e-3)


def test_errors_of_the_device_are_raised(addresses):
    with vendor.Client(connection(addresses, monitor=False)) as client:
        with pytest.raises(client_module.DecopError, match="-3"):
            client.get("laser1:no-such-parameter")
        with pytest.raises(client_module.DecopError):
            client.set("laser1:ctl:wavelength-act", 1550.0)
        with pytest.raises(client_module.DecopError):
            client.set("laser1:ctl:wavelength-set", "red")
        with pytest.raises(client_module.DecopError):
            client.exec("laser1:no-such-command")
        with pytest.raises(client_module.DecopValueError):
            client.get("laser1:ctl:wavelength-act", bool)
        assert client.get("laser1:ctl:wavelength-act", float) == pytest.approx(1550.12)


def test_errors_of_the_monitoring_line_reach_the_callback(addresses):
    with vendor.Client(connection(addresses)) as client:
        watch = Watch(client)
        with client.subscribe("laser1:no-such-parameter", watch, float):
            watch.until(lambda value: isinstance(value, client_module.DecopError))
        assert client.get("laser1:ctl:state", int) == 0


def test_user_levels(dlc):
    level = dlc.change_ul(vendor.UserLevel.MAINTENANCE, "wrong")
    assert level == vendor.UserLevel.NORMAL
    level = dlc.change_ul(vendor.UserLevel.MAINTENANCE, "CAUTION")
    assert level == vendor.UserLevel.MAINTENANCE


def test_several_sdk_clients_at_once(addresses):
    with (
        vendor.DLCpro(connection(addresses)) as one,
        vendor.DLCpro(connection(addresses)) as two,
    ):
        watch = Watch(two)
        with two.laser1.dl.pc.voltage_set.subscribe(watch):
            one.laser1.dl.pc.voltage_set.set(81.5)
            watch.until(lambda value: value == 81.5)
        assert two.laser1.dl.pc.voltage_set.get() == 81.5


def test_closed_monitoring_lines_leave_nothing_behind(addresses, laser):
    for _ in range(3):
        with vendor.DLCpro(connection(addresses)) as dlc:
            watch = Watch(dlc)
            dlc.laser1.ctl.state.subscribe(watch)
            watch.until(lambda value: value == 0)
    with vendor.DLCpro(connection(addresses)) as dlc:  # its banner comes after the others' end
        assert dlc.emission.get() is False
        lines = [name for name in laser.world.parts if "monitor" in name]
    assert len(lines) == 1


def test_serial_connection_of_the_sdk_through_a_pyserial_url(addresses):
    """The SDK hands its argument to pyserial; the serial line speaks the same command line."""
    url = f"socket://127.0.0.1:{number(addresses, 'command')}"
    try:
        connected = vendor.Client(vendor.SerialConnection(url, timeout=5))
    except NotImplementedError:
        pytest.skip("this SDK version drives serial ports by the operating system only")
    with connected as client:
        assert client.get("laser1:ctl:state", int) == 0
