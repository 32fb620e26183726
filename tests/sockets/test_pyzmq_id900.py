"""The served time controller, used with plain pyzmq as the maker's example programs use theirs."""

from __future__ import annotations

import json
import socket
import threading
import time
from urllib.parse import urlsplit

import numpy as np
import pytest
import zmq

from drivers.idq_id900 import Id900
from labctl import benchfile
from labctl.bench import Bench, simulators
from labctl.errors import ConnectionLost
from simulated_instruments.idq_id900 import SimIdqId900
from simulated_instruments.server import address_of, serving
from simulated_instruments.world import World

PATIENCE = 30_000  # ms
PACE = 5.0  # simulated seconds per real one


class Lab:
    """What an example program holds: a socket for commands, one for the service, and a stream."""

    def __init__(self, context, addresses):
        self.addresses, self._context = addresses, context
        self.commands, self.service = self._asker("scpi"), self._asker("datalink")

    def _asker(self, port):
        # The examples first look whether anybody listens, and say nothing.
        parts = urlsplit(address_of(self.addresses, "tagger", port))
        socket.create_connection((parts.hostname, parts.port), timeout=5).close()
        asker = self._context.socket(zmq.REQ)
        asker.connect(address_of(self.addresses, "tagger", port))
        return asker

    def scpi(self, command):
        self.commands.send_string(command)
        return self.commands.recv().decode("utf-8")

    def dlt(self, command):
        self.service.send_string(command)
        answer = self.service.recv().decode("utf-8")
        return json.loads(answer) if answer.strip() else None

    def listen(self, channel, sink):
        """A thread that collects messages until an empty one."""
        pair = self._context.socket(zmq.PAIR)
        pair.connect(address_of(self.addresses, "tagger", f"stream{channel}"))

        def work():
            while not sink or sink[-1]:
                sink.append(pair.recv())

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    def wait(self):
        give_up = time.monotonic() + 30
        while self.scpi("REC:STAGe?").upper() == "PLAYING":
            assert time.monotonic() < give_up
            time.sleep(0.02)


@pytest.fixture
def lab(tmp_path):
    simulator = SimIdqId900(World(), "tagger")
    simulator.save_folder = tmp_path
    context = zmq.Context()
    context.setsockopt(zmq.LINGER, 0)
    context.setsockopt(zmq.RCVTIMEO, PATIENCE)
    with serving({"tagger": simulator}, pace=PACE) as addresses:
        yield Lab(context, addresses)
        context.destroy()


def start(lab, seconds):
    for command in ("REC:TRIG:ARM:MODE MANUal", "REC:ENABle ON", "REC:STOP", "REC:NUM 1",
                    f"REC:DURation {seconds * 1e12}"):  # fmt: skip
        assert lab.scpi(command) == ""


def finish(lab, ids):
    """Close acquisitions as the examples do; the numbers of tags."""
    lab.wait()
    counts = {}
    for channel, identity in ids.items():
        status = lab.dlt(f"stop --id {identity}")["status"]
        assert status["acquisitions_count"] == 1
        assert status.get("errors", []) == []
        counts[channel] = status["timestamps_count"]
        assert lab.scpi(f"RAW{channel}:SEND OFF") == ""
        assert int(lab.scpi(f"RAW{channel}:ERRORS?")) == 0
    return counts


def test_histograms(lab):
    assert int(lab.scpi("DEVI:RES:BWID?")) > 0
    start(lab, 1.0)
    for n in (1, 2):
        lab.scpi(f"HIST{n}:BCOUnt 10")
        lab.scpi(f"HIST{n}:BWID 100000000000")
        lab.scpi(f"HIST{n}:FLUSh")
    lab.scpi("REC:PLAY")
    lab.wait()
    for n in (1, 2):  # dark counts at 100 /s since the begin of the acquisition
        counts = json.loads(lab.scpi(f"HIST{n}:DATA?"))
        assert len(counts) == 10
        assert abs(sum(counts) - 100) < 50


def test_all_counters_in_one_message(lab):
    blocks = ["STARt", "INPU1", "INPU2", "INPU3", "INPU4", "TSCO6", "TSCO24"]
    lab.scpi("DEVI:CONFI:LOAD COUNT")
    for block in blocks:
        assert lab.scpi(f"{block}:COUN:MODE ACCU;RESEt") == ""
    counts, give_up = [0], time.monotonic() + 30
    while min(counts[1:5], default=0) <= 20:  # dark counts, at 100 /s of the server's time
        assert time.monotonic() < give_up
        answer = lab.scpi(";:".join(f"{block}:COUNter?" for block in blocks)).splitlines()
        counts = [int(line) for line in answer]
    assert counts[0] == counts[5] == counts[6] == 0


def test_streams_of_tags_with_reference_index(lab):
    start(lab, 1.0)
    ids, sinks, threads = {}, {1: [], 3: []}, []
    for channel, sink in sinks.items():
        lab.scpi(f"RAW{channel}:ERRORS:CLEAR")
        threads.append(lab.listen(channel, sink))
        ids[channel] = lab.dlt(
            f"start-stream --channel {channel} --address 127.0.0.1 "
            f"--stream-port {4241 + channel} --with-ref-index"
        )["id"]
        lab.scpi(f"RAW{channel}:SEND ON")
    assert sorted(lab.dlt("list")) == sorted(ids.values())
    lab.scpi("REC:PLAY")
    counts = finish(lab, ids)
    for thread in threads:
        thread.join(timeout=30)
    for channel, sink in sinks.items():
        assert sink[-1] == b""
        pairs = np.frombuffer(b"".join(sink), [("timestamp", "<u8"), ("refIndex", "<u8")])
        assert len(pairs) == counts[channel]
        assert abs(len(pairs) - 100) < 50
        assert np.all(np.diff(pairs["timestamp"].astype(np.int64)) > 0)
        assert pairs["timestamp"][-1] < 10**12
        assert not pairs["refIndex"].any()


def test_files_then_a_stream_on_the_same_channel(lab, tmp_path):
    """The end of a file is not the end of a stream."""
    start(lab, 0.5)
    save = 'start-save --address x --channel 1 --filename "C:\\\\t\\\\tags_C1.bin" --format bin'
    ids = {1: lab.dlt(save)["id"]}
    lab.scpi("RAW1:SEND ON")
    lab.scpi("REC:PLAY")
    counts = finish(lab, ids)
    assert len(np.fromfile(tmp_path / "tags_C1.bin", "<u8")) == counts[1]
    sink = []
    thread = lab.listen(1, sink)
    start(lab, 0.5)
    stream = "start-stream --channel 1 --address x --stream-port 4242"
    ids = {1: lab.dlt(stream)["id"]}
    lab.scpi("RAW1:SEND ON")
    lab.scpi("REC:PLAY")
    counts = finish(lab, ids)
    thread.join(timeout=30)
    assert len(b"".join(sink)) == 8 * counts[1] > 0


def test_errors_are_json(lab):
    assert lab.dlt("status --id 99")["error"]["description"]


# ------------------------------------------------------------------ our driver over sockets

BENCH = """
[bench]
{clock}
[instruments.tagger]
driver = "drivers.idq_id900:Id900"
address = "{scpi}"
simulator = "simulated_instruments.idq_id900:SimIdqId900"
{ports}
"""


def blocks(bench):
    tagger, found = bench["tagger"], []
    with tagger.stream((1, 2)) as stream:
        for _ in range(3):
            found.append(stream.collect(0.4))
        found.append(stream.rest())
    return [{n: tags.tolist() for n, tags in block.tags.items()} for block in found]


def test_stepped_time_gives_the_same_tags_as_in_process(tmp_path):
    text = BENCH.format(clock="", scpi="tcp://tagger:5555", ports="")
    file = benchfile.parse(text, tmp_path / "bench.toml")
    with Bench.open(file, "sim", seed=5) as bench:
        inside = blocks(bench)
    with serving(simulators(file, 5, {}), pace=0) as addresses:
        names = [entry["port"] for entry in addresses if entry["instrument"] == "tagger"]
        ports = ", ".join(f'{n} = "{address_of(addresses, "tagger", n)}"' for n in names)
        clock = address_of(addresses, "clock").replace("tcp://", "stepped://")
        text = BENCH.format(
            clock=f'clock = "{clock}"',
            scpi=address_of(addresses, "tagger", "scpi"),
            ports=f"ports = {{ {ports} }}",
        )
        with Bench.open(benchfile.parse(text, tmp_path / "real.toml"), "real") as bench:
            assert blocks(bench) == inside
    assert sum(len(tags) for block in inside for tags in block.values()) > 100


def test_our_driver_against_real_time(lab):
    tagger = Id900(address_of(lab.addresses, "tagger", "scpi"), "tagger")
    assert tagger.check_identity()
    counts = tagger.count(0.5)
    assert all(20 < count < 90 for count in counts.values())
    tagger.adapter.close()


def test_nobody_at_the_address():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionLost, match=f"tagger: no connection to 127.0.0.1:{port}"):
        Id900(f"tcp://127.0.0.1:{port}", "tagger")
