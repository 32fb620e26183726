"""The served detector electronics, used by a client that does what the maker's client does.

The maker's file (2020, MIT) is in no package index, so its behaviour is written down here: it keeps
a store of labels from whatever comes, splits messages at 0x17 and at "}{", and keeps of each piece
of the counts stream only the first line.
"""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest

from drivers.websq import WebSq
from labctl import benchfile
from labctl.bench import Bench, simulators
from simulated_instruments.physics.snspd import SnspdModel
from simulated_instruments.server import address_of, serving
from simulated_instruments.websq import SimWebSq
from simulated_instruments.world import World

PATIENCE = 30.0


class MakersClient:
    """Two threads: one fills the store of labels, one collects rows of counts."""

    def __init__(self, control, counts):
        self.labels, self.errors, self.rows = {}, [], []
        self._control, self._counts = self._dial(control), self._dial(counts)
        for work in (self._listen, self._collect):
            threading.Thread(target=work, daemon=True).start()
        for _ in range(2):
            self.send({"request": "labelProps", "value": "None"})

    @staticmethod
    def _dial(address):
        parts = urlsplit(address)
        return socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)

    def send(self, message):
        self._control.send(bytes(json.dumps(message), "utf-8"))

    def _listen(self):
        text = ""
        while data := self._received(self._control):
            *complete, text = (text + data).split("\x17")
            for line in complete:
                for piece in line.replace("}{", "}\0{").split("\0"):
                    self._keep(json.loads(piece))

    def _keep(self, message):
        label, value = message["label"], message["value"]
        if isinstance(value, dict):
            self.labels[label] = value
        elif "Error" in label:
            self.errors.append(value)
        else:
            self.labels[label]["value"] = value

    def _collect(self):
        while data := self._received(self._counts):
            self.rows.append([float(part) for part in data.split("\n")[0].split(",")])

    @staticmethod
    def _received(line):
        try:
            return str(line.recv(1_000_000), "utf-8")
        except OSError:
            return ""

    def wait(self, condition):
        give_up = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < give_up
            time.sleep(0.005)

    def value(self, label):
        self.wait(lambda: label in self.labels)
        return self.labels[label]["value"]

    def close(self):
        for line in (self._control, self._counts):
            line.close()


@pytest.fixture
def served():
    world = World()
    world.parts["websq"] = SnspdModel(world.seed_of, "websq", photon_rate=lambda i, t: 1e5)
    with serving({"websq": SimWebSq(world, "websq")}) as addresses:
        yield addresses


@pytest.fixture
def dialled(served):
    clients = []

    def dial():
        places = [address_of(served, "websq", port) for port in ("control", "counts")]
        clients.append(MakersClient(*places))
        return clients[-1]

    yield dial
    for client in clients:
        client.close()


def test_settings_reach_the_store_of_every_client(dialled):
    first, second = dialled(), dialled()
    assert first.value("NumberOfDetectors") == second.value("NumberOfDetectors") == 4
    # both at once, as the maker's client does: they arrive in one piece
    first.send(
        {"command": "SetAllBiasCurrents", "label": "BiasCurrent", "value": [12.0, 8.0, 3, 8]}
    )
    first.send({"command": "SetAllTriggerLevels", "label": "TriggerLevel", "value": [23.0] * 4})
    for client in (first, second):
        client.wait(lambda client=client: client.value("BiasCurrent") == [12.0, 8.0, 3.0, 8.0])
        client.wait(lambda client=client: client.value("TriggerLevel") == [23.0] * 4)
    first.send({"request": "BiasVoltage"})
    assert first.value("BiasVoltage") == [0.0] * 4
    first.send({"command": "SetAllBiasCurrents", "label": "BiasCurrent", "value": [99]})
    first.wait(lambda: first.errors)
    assert first.errors == ["bias current: 4 numbers are needed"]


def test_one_row_of_counts_for_each_period(dialled):
    client = dialled()
    client.send({"command": "SetMeasurementPeriod", "label": "InptMeasurementPeriod", "value": 50})
    client.wait(lambda: client.value("InptMeasurementPeriod") == 50)
    seen = len(client.rows) + 3
    client.wait(lambda: len(client.rows) >= seen + 8)
    rows = client.rows[seen:]
    assert all(len(row) == 5 for row in rows)
    assert all(abs(count - 4420) < 5 * 4420**0.5 for row in rows for count in row[1:])
    steps = [later[0] - earlier[0] for earlier, later in itertools.pairwise(rows)]
    assert all(abs(step / 0.05 - round(step / 0.05)) < 1e-3 for step in steps)
    assert sorted(steps)[len(steps) // 2] == pytest.approx(0.05, abs=1e-5)


def test_stepped_time_gives_the_same_counts_as_in_process(tmp_path):
    text = """
[bench]
{clock}
[instruments.websq]
driver = "drivers.websq:WebSq"
address = "{control}"
simulator = "simulated_instruments.websq:SimWebSq"
{ports}
"""

    def measure(bench):
        bench["websq"].bias_currents = (15, 16, 17, 18)
        return bench["websq"].counts(5).tolist(), bench["websq"].snapshot(), bench.clock.now()

    plain = text.format(clock="", control="tcp://websq:12000", ports="")
    file = benchfile.parse(plain, tmp_path / "bench.toml")
    with Bench.open(file, "sim", seed=5) as bench:
        inside = measure(bench)
    with serving(simulators(file, 5, {}), pace=0) as addresses:
        clock = address_of(addresses, "clock").replace("tcp://", "stepped://")
        real = text.format(
            clock=f'clock = "{clock}"',
            control=address_of(addresses, "websq", "control"),
            ports=f'ports = {{ counts = "{address_of(addresses, "websq", "counts")}" }}',
        )
        with Bench.open(benchfile.parse(real, tmp_path / "real.toml"), "real") as bench:
            assert measure(bench) == inside


def test_our_driver_and_the_maker_s_client_together(served, dialled):
    client = dialled()
    detectors = WebSq(address_of(served, "websq", "control"), "websq")
    assert detectors.check_identity() == "WebSQ, 4 detectors"
    detectors.bias_currents = (14.0, 15.0, 16.0, 17.0)
    client.wait(lambda: client.value("BiasCurrent") == [14.0, 15.0, 16.0, 17.0])
    client.send({"command": "SetAllTriggerLevels", "label": "TriggerLevel", "value": [30.0] * 4})
    client.wait(lambda: client.value("TriggerLevel") == [30.0] * 4)
    assert detectors.trigger_levels == (30.0,) * 4
    detectors.adapter.close()
