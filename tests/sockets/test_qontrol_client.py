"""The vendor's client `qontrol`, unmodified, on a pseudo-terminal against the simulated modules."""

from __future__ import annotations

import os
import warnings

import pytest

from simulated_instruments.qontrol import PhotodiodesModel, SimQontrolInputs, SimQontrolOutputs
from simulated_instruments.server import address_of, serving
from simulated_instruments.world import World

with warnings.catch_warnings():
    warnings.simplefilter("ignore", SyntaxWarning)  # its regular expressions, on Python >= 3.12
    warnings.simplefilter("ignore", DeprecationWarning)
    qontrol = pytest.importorskip("qontrol", reason="qontrol is not installed: pip install .[test]")

pytestmark = pytest.mark.skipif(
    not hasattr(os, "openpty"), reason="this system has no pseudo-terminals"
)


@pytest.fixture
def world():
    return World(1)


@pytest.fixture
def outputs(world):
    sim = SimQontrolOutputs(world, "phases")
    with serving({"phases": sim}) as addresses:
        client = qontrol.QXOutput(
            serial_port_name=address_of(addresses, "phases"), response_timeout=0.4
        )
        yield client, sim
        client.close()


def test_outputs(outputs):
    client, sim = outputs
    assert client.device_id == "Q8iv-0001"
    assert client.n_chs == 8
    assert (client.v_full, client.i_full) == (12.0, 24.0)
    assert client.chain == [
        {
            "device_id": "Q8iv-0001",
            "device_type": "Q8iv",
            "device_serial": "0001",
            "n_chs": 8,
            "index": 0,
        }
    ]
    client.v[3] = 4.2
    assert client.v[3] == pytest.approx(4.2, abs=1e-3)
    assert client.i[3] == pytest.approx(1e3 * sim.model.ampere(3), abs=1e-3)
    client.set_all_values("V", [float(n) for n in range(8)])
    assert client.get_all_values("V") == pytest.approx(list(range(8)), abs=1e-3)
    client.vmax[2] = 5.0
    assert client.vmax[2] == 5.0


def test_errors_reach_the_client(outputs):
    client, _ = outputs
    client.response_timeout = 0.2
    client.v[2] = 99.0
    assert [entry["raw"] for entry in client.log if entry["type"] == "err"] == ["E11:02"]
    client.log_handler = qontrol.generic_log_handler([2])
    client.imax[1] = 5.0
    client.wait_for_responses = False
    client.v[1] = 6.0
    with pytest.raises(RuntimeError, match="Over-current error on channel 1"):
        client.wait(10.0)


def test_inputs(world):
    world.parts["diodes"] = PhotodiodesModel(
        world.seed_of, "diodes", 16, lambda channel, t: 0.01 * channel, noise_ma=0.0
    )
    with serving({"diodes": SimQontrolInputs(world, "diodes")}) as addresses:
        client = qontrol.SXInput(
            serial_port_name=address_of(addresses, "diodes"), response_timeout=0.4
        )
        assert client.n_chs == 16
        assert client.i[5] == pytest.approx(0.05)
        client.close()
