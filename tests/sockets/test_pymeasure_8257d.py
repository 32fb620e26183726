"""pymeasure's own Agilent8257D over pyvisa-py against the simulated source; none of our drivers."""

from __future__ import annotations

import pytest

from simulated_instruments.agilent_8257d import SimAgilent8257D
from simulated_instruments.server import serving
from simulated_instruments.world import World

pytest.importorskip("pyvisa_py", reason="pyvisa-py is not installed")
agilent = pytest.importorskip("pymeasure.instruments.agilent", reason="pymeasure is not installed")


@pytest.fixture
def sim():
    return SimAgilent8257D(World(1), "rf")


@pytest.fixture
def generator(sim):
    with serving({"rf": sim}) as addresses:
        with pytest.warns(FutureWarning, match="SCPI"):
            generator = agilent.Agilent8257D(
                addresses[0]["visa"],
                visa_library="@py",
                read_termination="\n",
                write_termination="\n",
                timeout=10_000,
            )
        yield generator
        generator.adapter.close()


def test_identity(generator):
    assert generator.id.split(", ")[:2] == ["Agilent Technologies", "E8257D"]


def test_power_and_output(generator, sim):
    generator.power = 7.25
    assert generator.power == 7.25
    assert generator.is_enabled is False
    generator.enable()
    assert generator.is_enabled is True
    assert sim.model.output
    generator.disable()
    assert generator.is_enabled is False
    assert generator.check_errors() == []


def test_its_frequency_has_seven_digits(generator):
    """The reason for a driver of our own: 24.123456789 GHz is set 3.2 kHz too high."""
    generator.frequency = 24.123456789e9
    assert generator.frequency == 24.12346e9
    assert generator.frequency - 24.123456789e9 == pytest.approx(3211.0)


def test_it_does_not_notice_what_the_source_clips(generator):
    generator.frequency = 50e9
    assert generator.frequency == 31.8e9
    assert [int(number) for number, _ in generator.check_errors()] == [-222]


def test_shutdown_switches_off_and_leaves_an_error(generator, sim):
    """It addresses the low-frequency output, an option that this source does not have."""
    generator.enable()
    generator.shutdown()
    # The answer to this says that what was written before it has been done.
    assert [int(number) for number, _ in generator.check_errors()] == [-113]
    assert not sim.model.output
