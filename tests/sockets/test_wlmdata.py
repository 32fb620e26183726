"""The wavelength meter through a real shared library: the client pylablib, and our own loading.

A C compiler makes a library whose functions ask the simulator behind a socket; pylablib, which
knows nothing of that, loads it as the vendor's.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import textwrap

import pytest
from wlmdata_stub import Declared, build

from drivers.highfinesse_library import FUNCTIONS, _Out
from drivers.highfinesse_ws import HighFinesseWs
from labctl.adapter import ByteAdapter
from labctl.clock import RealClock
from labctl.errors import ConnectionLost, InstrumentError
from labctl.transport.opening import open_transport
from simulated_instruments.highfinesse_ws import Light, SimHighFinesseWs, WavemeterModel
from simulated_instruments.server import address_of, serving
from simulated_instruments.world import World

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="the stub library is built for POSIX sockets"
)


@pytest.fixture
def sim():
    world = World(1)
    lights = {
        1: Light(lambda t: 193.4e12 + 0.0 * t, hz_per_v=2e9),
        2: Light(lambda t: 194.6e12 + 0.0 * t),
        3: Light(lambda t: 195.0e12 + 0.0 * t, power_uw=lambda t: 0.1 + 0.0 * t),
    }
    world.parts["meter"] = WavemeterModel(world.seed_of, "meter", lights)
    return SimHighFinesseWs(world, "meter")


@pytest.fixture
def port(sim):
    with serving({"meter": sim}, pace=20.0) as addresses:
        yield address_of(addresses, "meter").rpartition(":")[2]


def stub(folder, signatures):
    try:
        return build(folder, signatures)
    except RuntimeError as error:
        pytest.skip(f"the stub library cannot be built: {error}")


# What pylablib does runs in a process of its own: it loads the library for good, and wants two
# settings that other tests should not see.
PYLABLIB = """
import ctypes, sys
if not hasattr(ctypes, "windll"):
    ctypes.windll = ctypes.cdll  # what Windows has; pylablib-lightweight 1.4.3 asks for it
from pylablib.core.utils import library_parameters
from pylablib.devices import HighFinesse
from pylablib.devices.utils import load_lib
load_lib.library_parameters.library_parameters["devices/only_windows_dlls"] = False
try:
    meter = HighFinesse.WLM(dll_path=sys.argv[1])
except OSError:  # 1.4.3 reads this the other way round
    load_lib.library_parameters.library_parameters["devices/only_windows_dlls"] = True
    meter = HighFinesse.WLM(dll_path=sys.argv[1])
"""

SESSION = """
print(tuple(meter.get_device_info()))
print(meter.get_channels_number(), meter.is_measurement_running())
meter.enable_switcher_channel(2)
meter.enable_switcher_channel(3)
meter.set_read_mode("single")
values = [meter.get_frequency(1) for _ in range(5)]
print(len(set(values)), max(abs(value - 193.4e12) for value in values) < 2e7)
meter.set_read_mode("latest")
print(abs(meter.get_wavelength(2) * 1e9 - 299792.458 / 194.6) < 1e-4)
print(meter.get_frequency(3, error_on_invalid=False), meter.get_frequency(5, error_on_invalid=False, wait=False))
print(meter.set_exposure_mode("manual", 1), meter.set_exposure(0.020, 1, 1))
print(meter.is_switcher_channel_enabled(2), meter.is_switcher_channel_enabled(4))
try:
    meter.get_frequency(9)
except meter.Error as error:
    print(error)
meter.stop_measurement()
print(meter.is_measurement_running())
"""


def run_pylablib(code, folder, port):
    return subprocess.run(
        [sys.executable, "-c", PYLABLIB + textwrap.dedent(code), str(folder)],
        env={**os.environ, "WLMDATA_STUB_PORT": port, "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_pylablib_reads_the_simulated_meter(tmp_path, port, sim):
    definitions = pytest.importorskip(
        "pylablib.devices.HighFinesse.wlmData_defs",
        reason="pylablib-lightweight is not installed: pip install .[test]",
    )
    declared = Declared()
    definitions.define_functions(declared)
    assert len(declared.functions) > 140
    stub(tmp_path / "wlmData.dll", declared.signatures())
    done = run_pylablib(SESSION, tmp_path, port)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "(8, 4711, 1, 2024)",
        "8 True",
        "5 True",
        "True",
        "nosig noval",
        "manual 0.02",
        "1 0",
        "invalid channel index 9; must be between 1 and 8",
        "False",
    ]
    assert sim.model.channels[1].exposure_ms == 20


# ---- our own loading of the library


def pointer(kind):
    if not isinstance(kind, _Out):
        return ctypes.c_char_p if kind is str else kind
    return ctypes.c_char_p if kind.kind is str else ctypes.POINTER(kind.kind)


def test_our_driver_through_the_library(tmp_path, port, monkeypatch):
    signatures = {n: (r, [pointer(a) for a in args]) for n, (r, args) in FUNCTIONS.items()}
    path = stub(tmp_path / "libwlmData.so", signatures)
    monkeypatch.setenv("WLMDATA_STUB_PORT", port)
    clock = RealClock()
    address = f"lib://drivers.highfinesse_library:WlmData?path={path}"
    adapter = ByteAdapter(
        lambda: open_transport(address, clock), clock, name="meter", address=address
    )
    meter = HighFinesseWs(adapter, "meter")
    assert meter.check_identity() == "HighFinesse WS8, serial 4711, revision 1.2024"
    meter.channels_in_use = [1, 3]
    meter.measuring = True
    assert meter.ch_1.next_frequency() == pytest.approx(193.4, abs=2e-5)
    with pytest.raises(InstrumentError, match=r"^meter: instead of the frequency of channel 3"):
        meter.ch_3.next_frequency()
    meter.ch_1.regulate(193.4005, 2.0)
    assert meter.ch_1.course == "= 193.400500000"
    meter.regulation = True
    give_up = clock.now() + 60.0
    while abs(meter.ch_1.next_frequency() - 193.4005) > 5e-6:
        assert clock.now() < give_up, "not held"
    assert meter.ch_1.deviation == pytest.approx(250.0, abs=5.0)
    assert meter.temperature == pytest.approx(24.0, abs=2.0)
    meter.make_safe()
    assert meter.regulation is False


def test_a_library_that_is_not_there():
    address = "lib://drivers.highfinesse_library:WlmData?path=/nowhere/libwlmData.so"
    with pytest.raises(ConnectionLost, match=r"install the wavelength meter's software") as caught:
        open_transport(address, RealClock())
    assert "\n" not in str(caught.value)
