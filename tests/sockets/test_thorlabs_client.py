"""The PyPI client `ThorlabsPM100`, unmodified, and pymeasure's own class, against the simulator.

The client sends long forms in mixed case over any object with `write` and `query`; here that is a
pyvisa socket resource.
"""

from __future__ import annotations

import numpy as np
import pytest

from simulated_instruments.server import serving
from simulated_instruments.thorlabs_pm100 import SimThorlabsPm100
from simulated_instruments.world import World

client = pytest.importorskip(
    "ThorlabsPM100", reason="ThorlabsPM100 is not installed: pip install .[test]"
)
pyvisa = pytest.importorskip("pyvisa")
pytest.importorskip("pyvisa_py")

PACE = 20.0


@pytest.fixture
def simulator():
    simulator = SimThorlabsPm100(World(1), "meter")
    simulator.model.power_w = lambda times: 1.5e-3
    return simulator


@pytest.fixture
def resource(simulator):
    with serving({"meter": simulator}, pace=PACE) as addresses:
        yield addresses[0]["visa"]


@pytest.fixture
def meter(resource):
    manager = pyvisa.ResourceManager("@py")
    with manager.open_resource(
        resource, read_termination="\n", write_termination="\n", timeout=10_000
    ) as session:
        yield client.ThorlabsPM100(inst=session)
    manager.close()


def test_power_and_configuration(meter):
    meter.configure.scalar.power()
    assert meter.getconfigure == "POW"
    assert meter.read == pytest.approx(1.5e-3, rel=5e-3)
    assert meter.fetch == pytest.approx(1.5e-3, rel=5e-3)
    assert meter.system.error.next == '+0,"No error"'


def test_settings(meter):
    meter.sense.correction.wavelength = 1310
    assert meter.sense.correction.wavelength == 1310.0
    assert meter.sense.correction.minimum_wavelength == 800.0
    assert meter.sense.correction.maximum_wavelength == 1700.0
    meter.sense.average.count = 10
    assert meter.sense.average.count == 10
    meter.sense.power.dc.range.upper = 1e-5
    assert meter.sense.power.dc.range.upper == pytest.approx(2.2222e-5, rel=1e-4)
    assert meter.sense.power.dc.range.auto == 0
    meter.sense.power.dc.range.auto = "ON"
    assert meter.sense.power.dc.range.auto == 1
    meter.input.pdiode.filter.lpass.state = 1
    assert meter.input.pdiode.filter.lpass.state == 1
    meter.sense.correction.loss.input.magnitude = 3.0
    assert meter.sense.correction.loss.input.magnitude == 3.0
    assert meter.system.error.next == '+0,"No error"'


def test_unit_in_decibels(meter):
    meter.sense.power.dc.unit = "DBM"
    meter.configure.scalar.power()
    assert meter.read == pytest.approx(10 * np.log10(1.5), abs=0.03)


def test_averaging_makes_readings_quieter(meter):
    spread = {}
    for count in (1, 100):
        meter.sense.average.count = count
        spread[count] = np.std([meter.read for _ in range(60)])
    assert 5 < spread[1] / spread[100] < 20


def test_zero(meter, simulator):
    simulator.model.power_w = lambda times: 4e-9
    meter.sense.correction.collect.zero.initiate()
    while meter.sense.correction.collect.zero.state:
        pass
    assert meter.sense.correction.collect.zero.magnitude == pytest.approx(4e-9, rel=0.05)
    assert abs(meter.read) < 2e-10


def test_sensor_and_errors(meter):
    assert str(meter.system.sensor.idn).startswith("S155C,")
    meter.sense.correction.wavelength = 5000
    assert meter.system.error.next == '-222,"Data out of range"'
    assert meter.system.error.next == '+0,"No error"'
    meter.system.beeper.immediate()
    assert meter.system.version == 1999.0


@pytest.mark.filterwarnings("ignore:It is not known whether:FutureWarning")
def test_pymeasure_reads_it_too(resource):
    from pymeasure.instruments.thorlabs import ThorlabsPM100USB

    meter = ThorlabsPM100USB(
        resource, visa_library="@py", read_termination="\n", write_termination="\n"
    )
    assert meter.sensor_name == "S155C"
    meter.wavelength = 1550
    assert meter.power == pytest.approx(1.5e-3, rel=5e-3)
    meter.adapter.close()
