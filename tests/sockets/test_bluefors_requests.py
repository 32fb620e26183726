"""The Bluefors interface with `requests`, as scripts use it."""

from __future__ import annotations

import pytest

from simulated_instruments.bluefors import SimBluefors
from simulated_instruments.server import address_of, serving
from simulated_instruments.world import World

requests = pytest.importorskip("requests", reason="requests is not installed")


def test_temperatures():
    with serving({"cryostat": SimBluefors(World(1), "cryostat")}) as addresses:
        base = address_of(addresses, "cryostat")
        answer = requests.get(f"{base}/values/mapper/bf/temperatures/tmixing/", timeout=10).json()
        content = answer["data"]["mapper.bf.temperatures.tmixing"]["content"]
        assert float(content["latest_valid_value"]["value"]) == pytest.approx(0.010, rel=0.02)
        refused = requests.get(f"{base}/values/mapper/bf/temperatures/no/", timeout=10)
        assert refused.status_code == 404
        assert "error" in refused.json()
