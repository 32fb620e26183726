"""The public client `aaopto_aotf`, unmodified, on a pseudo-terminal against the simulated MPDS."""

from __future__ import annotations

import os

import pytest

from simulated_instruments.aa_mpds import SimMpds
from simulated_instruments.server import address_of, serving
from simulated_instruments.world import World

aotf = pytest.importorskip(
    "aaopto_aotf.aotf", reason="aaopto_aotf is not installed: pip install .[test]"
)

pytestmark = pytest.mark.skipif(
    not hasattr(os, "openpty"), reason="this system has no pseudo-terminals"
)


@pytest.fixture
def sim():
    return SimMpds(World(1), "aom")


@pytest.fixture
def mpds(sim, monkeypatch):
    monkeypatch.setattr(aotf, "TIMEOUT", 10.0)  # of a busy machine
    with serving({"aom": sim}) as addresses:
        mpds = aotf.MPDS(address_of(addresses, "aom"))
        yield mpds
        mpds.ser.close()


def test_frequency_power_and_output(mpds, sim):
    assert mpds.num_channels == 4
    mpds.set_frequency(1, 110.5)
    mpds.set_power_dbm(1, 20.2)
    mpds.enable_channel(1)
    assert (mpds.get_frequency(1), mpds.get_power_dbm(1)) == (110.5, 20.2)
    assert mpds.get_channel_output_state(1)
    assert sim.model.dbm(1) == 20.2
    mpds.disable_channel(1)
    assert not mpds.get_channel_output_state(1)


def test_out_of_range_is_noticed_by_the_client(mpds):
    with pytest.raises(ValueError, match=r"actual frequency is 110\.0"):
        mpds.set_frequency(2, 200.0)


def test_modes_and_status(mpds, sim):
    mpds.set_channel_input_mode(2, aotf.InputMode.INTERNAL)
    mpds.set_blanking_mode(aotf.BlankingMode.EXTERNAL)
    status = mpds.get_lines_status()
    assert not sim.model.lines[2].external
    assert status["blanking"] == {"state": "ON", "mode": "EXT"}
    assert status[1] == {"freq": 110.0, "power": 0.0, "state": "OFF", "mode": "EXT"}
    assert status[2]["mode"] == "INT"
    mpds.reset()
    assert mpds.get_lines_status()[2]["mode"] == "EXT"
