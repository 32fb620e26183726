"""The boards: bytes of docs/qkd-boards.md, and the drivers through the wire."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from drivers.qkd_receiver import QkdReceiver
from drivers.qkd_transmitter import QkdTransmitter
from labctl.adapter import ByteAdapter
from labctl.clock import VirtualClock
from labctl.errors import InstrumentError, RequestError
from labctl.transport.link import Link as Wire
from simulated_instruments.physics.decoy_bb84 import Link
from simulated_instruments.physics.qkd_boards import ReceiverModel, TransmitterModel
from simulated_instruments.qkd_receiver import SimQkdReceiver
from simulated_instruments.qkd_transmitter import SimQkdTransmitter
from simulated_instruments.world import World


def pair(eta=2e-3, light=1e-5):
    world = World(seed=5)
    world.light = light
    sender = TransmitterModel(world.seed_of, "tx", lambda channel: world.light)
    world.parts["tx"] = sender

    def link(t):
        levels = sender.levels if sender.sending else (0.0, 0.0, 0.0)
        return Link(levels, sender.weights, sender.basis, receiver.basis, eta=eta)

    receiver = ReceiverModel(world.seed_of, "rx", 1, sender, link)
    world.parts["rx"] = receiver
    return world, SimQkdTransmitter(world, "tx"), SimQkdReceiver(world, "rx")


def answers(simulator, *lines, now=0.0):
    endpoint = simulator.connect()
    return b"".join(reply for line in lines for _, reply in endpoint.feed(line, now))


def drivers(**options):
    world, sim_tx, sim_rx = pair(**options)
    clock = VirtualClock()
    found = []
    for cls, sim, name in ((QkdTransmitter, sim_tx, "tx"), (QkdReceiver, sim_rx, "rx")):
        adapter = ByteAdapter(
            lambda sim=sim: Wire(sim.connect(), clock),
            clock,
            name=name,
            framing=cls.FRAMING,
            open_port=lambda port, usual, sim=sim: lambda: Wire(sim.connect(port), clock),
        )
        found.append(cls(adapter, name=name))
    return world, *found


def test_words_of_the_specification():
    _, sender, receiver = pair()
    assert answers(sender, b"*IDN?\n") == b"OWN,QKDBOARD-TX,0001,0.1\n"
    assert answers(receiver, b"*IDN?\n") == b"OWN,QKDBOARD-RX,0001,0.1\n"
    assert answers(sender, b"CLOC:FREQ?\n", b"clock:frequency?\n") == b"1000000000\n" * 2
    assert answers(sender, b"TX:INT:MEAN 0.5,0.16,0.008\n", b"TX:INTENSITY:MEAN?\n") == (
        b"0.5,0.16,0.008\n"
    )
    assert answers(sender, b"TX:INT:MEAN 0.1,0.2,0.3\n", b"SYST:ERR?\n").startswith(b"-222,")
    assert answers(sender, b"TX:INT:MEAN?\n") == b"0.5,0.16,0.008\n"
    assert answers(sender, b"TX:NONE 1\n", b"SYST:ERR?\n").startswith(b"-113,")
    assert answers(sender, b"TX:INT:RAT 29,2,1\n", b"TX:INT:RAT?\n") == b"29,2,1\n"
    assert answers(sender, b"RUN:STAT?\n", b"FAUL?\n") == b"IDLE\nNONE\n"
    assert answers(receiver, b"RX:GATE:DEL 1001\n", b"SYST:ERR?\n").startswith(b"-222,")
    assert answers(receiver, b"RUN:STAR;:RUN:STAT?\n", b"FAUL?\n") == b"ARMED\nNOSYNC\n"


def test_a_seed_only_in_tests():
    _, sender, _ = pair()
    assert answers(sender, b"RNG:SOUR SEED,AB\n", b"SYST:ERR?\n").startswith(b"-221,")
    assert answers(sender, b"RNG:TEST ON\n", b"RNG:SOUR SEED,ab\n", b"RNG:SOUR?\n") == b"SEED,AB\n"
    assert answers(sender, b"RNG:TEST OFF\n", b"RNG:SOUR?\n") == b"QRNG\n"


def test_frames_byte_by_byte():
    """Header and records as the specification lays them out, taken apart by hand."""
    _, sender, receiver = pair()
    answers(sender, b"SYNC:FRAM 1000000;:TX:OUTP ON;:RUN:STAR\n")
    answers(receiver, b"SYNC:FRAM 1000000;:RX:EVEN ON\n")
    data = receiver.connect("data")
    answers(receiver, b"RUN:STAR\n")
    stream = b"".join(reply for _, reply in data.feed(b"", 0.0031))
    assert stream[:4] == b"1QKD"
    assert stream[4:8] == b"\x01\x00\x03\x00"  # version 1, sync
    assert struct.unpack("<IIII", stream[8:24]) == (0, 1_000_000, 0, 0)
    stream = stream[24:]
    for number in range(3):
        magic, version, kind, frame, count, length, crc = struct.unpack("<IHHIIII", stream[:24])
        assert (magic, version, kind, frame) == (0x444B5131, 1, 2, number)
        assert length == 8 * count
        payload, stream = stream[24 : 24 + length], stream[24 + length :]
        assert zlib.crc32(payload) == crc
        index, fine, detector, flags = struct.unpack_from("<IHBB", payload)
        assert index < 1_000_000
        assert fine < 1000
        assert detector == 0
        assert flags < 8
    assert stream == b""
    indices = struct.pack("<III", 0, 5, 999_999)
    block = answers(sender, b"TX:SETT? 1,#212" + indices + b"\n", now=0.0032)
    assert block[:3] == b"#13"
    assert len(block) == 7
    for word in block[3:6]:
        assert word & 3 <= 2
        assert word >> 3 & 1 == word >> 2 & 1  # X: phases 0 and pi, Y: pi/2 and 3 pi/2
        assert word < 32


def test_what_was_sent_is_what_was_detected():
    _, tx, rx = drivers(eta=5e-3)
    tx.output = True
    tx.start()
    rx.events = True
    rx.open_data()
    rx.start()
    same = wrong = total = 0
    for frame in rx.frames(20):
        intensity, basis, bit = tx.settings_of(frame.number, frame.index)
        assert intensity.shape == frame.index.shape
        matching = basis == frame.basis
        same += matching.sum()
        wrong += (bit != frame.bit)[matching].sum()
        total += len(frame.index)
        assert (np.diff(frame.index.astype(int)) > 0).all()
    assert same / total == pytest.approx(0.5, abs=0.02)
    assert wrong / same == pytest.approx(0.025, abs=0.006)
    assert rx.clock.now() == pytest.approx(0.21, abs=0.05)
    rx.make_safe()
    tx.make_safe()
    assert rx.state == "IDLE"
    assert tx.output is False


def test_blocks_of_seconds():
    _, tx, rx = drivers()
    tx.intensities, tx.ratio = (0.6, 0.06, 0.008), (29, 2, 1)
    assert tx.intensities == (0.6, 0.06, 0.008)
    tx.output = True
    tx.start()
    rx.start()
    rx.clock.sleep(5.2)
    assert rx.finished_blocks == 5
    blocks = rx.blocks(0, 5)
    assert blocks.shape == (5, 4, 3)
    assert (blocks[:, 0].sum(axis=1) == 10**9).all()
    assert blocks[:, 1].sum() / 5e9 == pytest.approx(2e-3 * 0.544, rel=0.15)
    assert sum(rx.count_rates) == blocks[4, 1].sum()
    again = rx.blocks(1, 2)
    np.testing.assert_array_equal(again, blocks[1:3])
    with pytest.raises(InstrumentError, match="rx"):
        rx.blocks(4, 3)


def test_a_seed_gives_the_same_settings():
    found = []
    for _ in range(2):
        _, tx, _ = drivers()
        tx.write("RNG:TEST ON")
        tx.write("RNG:SOUR SEED,C0FFEE")
        tx.output = True
        tx.start()
        tx.clock.sleep(0.05)
        found.append(tx.settings_of(1, np.arange(0, 5000, 1)))
    np.testing.assert_array_equal(*found)
    assert tx.random_source == "SEED,C0FFEE"


def test_no_light_no_output():
    world, tx, _ = drivers(light=0.0)
    with pytest.raises(InstrumentError, match=r"tx: .*LOWLIGHT"):
        tx.output = True
    world.light = 1e-5
    assert tx.faults == ["LOWLIGHT"]
    tx.output = True
    tx.start()
    world.light = 0.0
    tx.clock.sleep(0.1)
    assert tx.state == "FAULT"
    assert tx.output is False
    world.light = 5e-3
    with pytest.raises(InstrumentError, match="OVERLIGHT"):
        tx.output = True


def test_the_receiver_waits_for_the_transmitter():
    _, tx, rx = drivers()
    with pytest.raises(Exception, match="does the transmitter run"):
        rx.start()
    assert rx.faults == ["NOSYNC"]
    tx.output = True
    tx.start()
    rx.start()
    assert rx.state == "RUN"
    tx.stop()
    rx.clock.sleep(0.1)
    assert rx.state == "ARMED"


def test_frames_that_nobody_reads_are_reported():
    _, tx, rx = drivers()
    tx.frame_pulses = rx.frame_pulses = 1_000_000
    tx.output = True
    tx.start()
    rx.events = True
    rx.open_data()
    rx.start()
    first = list(rx.frames(3))
    rx.clock.sleep(0.5)
    late = list(rx.frames(4))
    assert rx.missing_frames == late[0].number - first[-1].number - 1
    assert rx.missing_frames > 200  # the board keeps 256 frames of 1 ms
    assert [frame.number for frame in late] == list(range(late[0].number, late[0].number + 4))


def test_boards_that_disagree_on_frames():
    _, tx, rx = drivers()
    tx.output = True
    tx.start()
    rx.events = True
    rx.open_data()
    rx.start()
    message = struct.pack("<IHHIIII", 0x444B5131, 1, 3, 0, 5000, 0, 0)
    rx._data.read_bytes = lambda n: message[:n]
    with pytest.raises(InstrumentError, match="frames of 5000 pulses"):
        list(rx.frames(1))


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("intensities", (0.1, 0.2, 0.3)), ("intensities", (0.5, 0.1)), ("intensities", (3, 2, 1)),
     ("ratio", (0, 1, 2)), ("channel", 6), ("basis_probability", 1.5), ("frame_pulses", 10)],
)  # fmt: skip
def test_impossible_settings_are_refused_before_they_are_sent(attribute, value):
    _, tx, _ = drivers()
    with pytest.raises(RequestError):
        setattr(tx, attribute, value)


def test_damaged_frames_are_noticed():
    _, tx, rx = drivers()
    tx.output = True
    tx.start()
    rx.events = True
    rx.open_data()
    rx.start()
    original = rx._data.read_bytes
    rx._data.read_bytes = lambda n: original(n) if n == 24 else bytes(n)
    with pytest.raises(InstrumentError, match="checksum"):
        list(rx.frames(1))
    rx._data.read_bytes = lambda n: b"\0" * n
    with pytest.raises(InstrumentError, match="no header"):
        list(rx.frames(1))
