"""pyvisa-py as a client of the boards, with the words of their specification, over sockets."""

from __future__ import annotations

import socket
import struct
import zlib

import numpy as np
import pytest

from simulated_instruments.physics.decoy_bb84 import Link
from simulated_instruments.physics.qkd_boards import ReceiverModel, TransmitterModel
from simulated_instruments.qkd_receiver import SimQkdReceiver
from simulated_instruments.qkd_transmitter import SimQkdTransmitter
from simulated_instruments.server import serving
from simulated_instruments.world import World

pyvisa = pytest.importorskip("pyvisa", reason="pyvisa is not installed")
pytest.importorskip("pyvisa_py", reason="pyvisa-py is not installed")


@pytest.fixture
def boards():
    """Both boards as pyvisa resources, and the address of the data socket."""
    world = World(5)
    sender = TransmitterModel(world.seed_of, "tx")
    world.parts["tx"] = sender

    def link(t):
        levels = sender.levels if sender.sending else (0.0, 0.0, 0.0)
        return Link(levels, sender.weights, sender.basis, receiver.basis, eta=2e-3)

    receiver = ReceiverModel(world.seed_of, "rx", 1, sender, link)
    world.parts["rx"] = receiver
    instruments = {"tx": SimQkdTransmitter(world, "tx"), "rx": SimQkdReceiver(world, "rx")}
    with serving(instruments, pace=0.1) as addresses:
        manager = pyvisa.ResourceManager("@py")
        opened = {
            a["instrument"]: manager.open_resource(
                a["visa"], read_termination="\n", write_termination="\n", timeout=10_000
            )
            for a in addresses
            if "visa" in a
        }
        (data,) = (a["address"] for a in addresses if a["protocol"] == "qkd-frames")
        yield opened["tx"], opened["rx"], data
        manager.close()


def received(stream, count):
    parts = b""
    while len(parts) < count:
        piece = stream.recv(count - len(parts))
        assert piece, "the board closed the data socket"
        parts += piece
    return parts


def test_a_session_with_both_boards(boards):
    tx, rx, address = boards
    assert tx.query("*IDN?") == "OWN,QKDBOARD-TX,0001,0.1"
    assert rx.query("*IDN?") == "OWN,QKDBOARD-RX,0001,0.1"
    tx.write("*CLS")
    assert tx.query("*OPC?") == "1"
    tx.write("TX:INT:MEAN 0.6,0.06,0.008")
    assert tx.query_ascii_values("TX:INT:MEAN?") == [0.6, 0.06, 0.008]
    tx.write("TX:INT:MEAN 0.1,0.2,0.3")
    assert tx.query("SYST:ERR?").startswith("-222,")
    assert int(tx.query("*ESR?")) & 16  # execution error
    tx.write("NONSENSE")
    assert tx.query("SYST:ERR?").startswith("-113,")
    for board in (tx, rx):
        board.write("SYNC:FRAM 5000000")
        assert board.query("SYNC:FRAM?") == "5000000"
    host, port = address.removeprefix("tcp://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=20) as stream:
        rx.write("RX:EVEN ON")
        tx.write("TX:OUTP ON")
        tx.write("RUN:STAR")
        assert tx.query("RUN:STAT?") == "RUN"
        rx.write("RUN:STAR")
        assert rx.query("RUN:STAT?") == "RUN"
        numbers, lost = [], 0
        while len(numbers) < 3:
            head = received(stream, 24)
            assert head[:4] == b"1QKD"
            _, version, kind, frame, count, length, crc = struct.unpack("<IHHIIII", head)
            payload = received(stream, length)
            assert (version, zlib.crc32(payload)) == (1, crc)
            if kind == 3:
                assert (count, length) == (5_000_000, 0)
                continue
            if kind == 4:  # a slow machine did not read in time
                lost += count
                continue
            assert kind == 2
            assert length == 8 * count
            numbers.append(frame)
        indices = np.frombuffer(payload, "<u4")[::2]
        block = b"#" + b"%d%d" % (len(str(4 * count)), 4 * count) + indices.tobytes()
        tx.write_raw(b"TX:SETT? %d," % frame + block + b"\n")
        words = tx.read_binary_values(datatype="B", container=np.array)
        assert len(words) == count
        assert (words & 3 <= 2).all()
    assert numbers[-1] - numbers[0] <= 2 + lost
    assert sorted(set(numbers)) == numbers
    tx.write("RUN:STOP")
    assert tx.query("RUN:STAT?;:FAUL?") == "IDLE;NONE"
