"""Red Pitaya with PyRPL registers: golden bytes for simulator and driver, then both together."""

from __future__ import annotations

import math
import struct
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.pyrpl_fringe import fit_fringe
from drivers.redpitaya_lock import RedPitayaLock
from labctl.adapter import ByteAdapter
from labctl.clock import VirtualClock
from labctl.errors import InstrumentError, RequestError, TransportTimeout
from labctl.transport.link import Link
from simulated_instruments.physics.phase_lock import PhaseLoop
from simulated_instruments.redpitaya_pyrpl import RedPitayaModel, SimRedPitaya
from simulated_instruments.world import World

# From the description of the protocol: what the vendor's client sends.
READ_DECIMATION = "72 00 01 00 14 00 10 40"
WRITES = {
    "setpoint -0.1 V": "77 00 01 00 04 01 30 40 cd 3c 00 00",
    "p 0.5": "77 00 01 00 08 01 30 40 00 08 00 00",
    "i 1000 Hz": "77 00 01 00 0c 01 30 40 51 4b 03 00",
    "input in1": "77 00 01 00 00 00 30 40 0a 00 00 00",
    "output out1": "77 00 01 00 04 00 30 40 01 00 00 00",
    "maximum 0.8 V": "77 00 01 00 28 01 30 40 9a 19 00 00",
    "minimum -0.8 V": "77 00 01 00 24 01 30 40 66 26 00 00",
    "iq0 frequency 1 MHz": "77 00 01 00 08 01 35 40 ba 49 0c 02",
    "iq0 phase 90 deg": "77 00 01 00 04 01 35 40 00 00 00 c0",
}
PID0, IN1, SCOPE, ASG = 0x40300000, 0x403A0000, 0x40100000, 0x40200000


class Board:
    """A connection to a simulator on its own, spoken to without the driver."""

    def __init__(self, seed: int = 1, model: RedPitayaModel | None = None) -> None:
        self.world = World(seed)
        if model is not None:
            self.world.parts["lock"] = model
        self.sim = SimRedPitaya(self.world, "lock")
        self.endpoint = self.sim.connect()
        self.now = 0.0

    def feed(self, data: bytes) -> bytes:
        replies = self.endpoint.feed(data, self.now)
        assert all(due > self.now for due, _ in replies)
        return b"".join(reply for _, reply in replies)

    def read(self, address: int, count: int = 1) -> list[int]:
        header = struct.pack("<cBHI", b"r", 0, count, address)
        reply = self.feed(header)
        assert reply[:8] == header
        assert len(reply) == 8 + 4 * count
        return list(struct.unpack(f"<{count}I", reply[8:]))

    def write(self, address: int, *words: int) -> None:
        header = struct.pack("<cBHI", b"w", 0, len(words), address)
        assert self.feed(header + struct.pack(f"<{len(words)}I", *words)) == header

    def volts(self, address: int) -> float:
        return signed(self.read(address)[0]) / 8192

    def ramp(self, amplitude: float = 1.0, frequency: float = 100.0) -> None:
        """A rising saw tooth from generator 1."""
        table = np.round(np.linspace(-1, 1, 16384, endpoint=False) * 8191).astype(int) & 0x3FFF
        self.write(ASG, 0x40)
        self.write(ASG + 0x10000, *table.tolist())
        self.write(ASG + 0x4, round(amplitude * 8191))
        self.write(ASG + 0x10, round(frequency * 2**30 / 125e6))
        self.write(ASG, 0x11)

    def curve(self, channel: int) -> np.ndarray:
        """A scope curve in order of time, as the vendor's client turns it."""
        words = np.array(self.read(SCOPE + 0x10000 * channel, 16384))
        turn = self.read(SCOPE + 0x1C)[0] + self.read(SCOPE + 0x10)[0] + 1
        return np.roll((words ^ 0x2000) - 0x2000, -turn) / 8192


def signed(word: int, bits: int = 14) -> int:
    return (word ^ (1 << (bits - 1))) - (1 << (bits - 1))


def quiet(seed: int = 1) -> RedPitayaModel:
    """A board without interferometer and without noise; 0.25 V at IN2."""
    return RedPitayaModel(World(seed).seed_of, inputs=lambda t: (0.0 * t, 0.25 + 0.0 * t))


# ---------------------------------------------------------------- simulator: the wire


def test_simulator_answers_a_read_with_header_and_words():
    assert Board().feed(bytes.fromhex(READ_DECIMATION)) == bytes.fromhex(
        READ_DECIMATION + "01 00 00 00"
    )


@pytest.mark.parametrize("sent", WRITES.values(), ids=WRITES.keys())
def test_simulator_echoes_the_header_of_a_write_and_keeps_the_word(sent):
    board, data = Board(), bytes.fromhex(sent)
    assert board.feed(data[:-1]) == b""  # nothing before all words are there
    assert board.feed(data[-1:]) == data[:8]
    header = b"r" + data[1:8]
    assert board.feed(header) == header + data[8:]


def test_simulator_understands_values_as_the_vendor_codes_them():
    board = Board()
    for sent in WRITES.values():
        board.feed(bytes.fromhex(sent))
    gains = board.sim.model.board.gains(0)
    assert gains.setpoint == pytest.approx(-0.1, abs=1 / 8192)
    assert gains.proportional == 0.5
    assert gains.integral == pytest.approx(1000.0, rel=1e-5)
    assert (gains.low, gains.high) == pytest.approx((-0.8, 0.8), abs=1 / 8192)
    # on 1 V in OUT2 shows what iq0 does at 1 MHz
    board.write(0x40350114, 2**16)  # amplitude 0.5 V
    board.write(0x40350004, 2)
    assert board.sim.model.output(2, np.linspace(0, 1e-6, 5)) == pytest.approx([0] * 5)
    board.write(0x40350100, 1)
    wave = board.sim.model.output(2, np.arange(8) * 1.25e-7)
    assert wave == pytest.approx(0.5 * np.sin(np.pi / 4 * np.arange(8) + np.pi / 2), abs=2e-3)


def test_unmapped_addresses_read_as_zero_and_take_writes_silently():
    board = Board()
    assert board.read(0x4F000000, 3) == [0, 0, 0]
    assert board.read(0x40300FF0, 2) == [0, 0]
    board.write(0x4F000000, 7)
    assert board.read(0x4F000000) == [0]
    assert len(board.feed(bytes.fromhex("72 00 ff ff 00 00 00 10"))) == 8 + 4 * 65535


def test_length_zero_is_ignored_and_close_or_nonsense_ends_the_connection():
    board = Board()
    assert board.feed(bytes.fromhex("72 00 00 00 14 00 10 40")) == b""
    assert board.feed(bytes.fromhex("77 00 00 00 14 00 10 40" + READ_DECIMATION))[:1] == b"r"
    assert not board.endpoint.closed
    assert board.feed(bytes.fromhex("63 00 00 00 00 00 00 00" + READ_DECIMATION)) == b""
    assert board.endpoint.closed
    assert board.feed(bytes.fromhex(READ_DECIMATION)) == b""
    board.endpoint = board.sim.connect()  # the port accepts again, and the board is as it was
    board.write(SCOPE + 0x14, 64)
    assert board.feed(b"x\0\1\0\0\0\0\0" + bytes.fromhex(READ_DECIMATION)) == b""
    assert board.endpoint.closed
    board.endpoint = board.sim.connect("registers")
    assert board.read(SCOPE + 0x14) == [64]
    with pytest.raises(ValueError, match="no port 'scpi'"):
        board.sim.connect("scpi")


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_portions_of_a_stream_do_not_matter(data):
    stream = b"".join(bytes.fromhex(w) for w in WRITES.values()) + bytes.fromhex(READ_DECIMATION)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    board = Board()
    parts = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert b"".join(board.feed(part) for part in parts) == Board().feed(stream)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60))
def test_no_byte_stream_breaks_the_server(data):
    board = Board()
    reply = board.feed(data)
    assert reply == b"" or board.endpoint.closed or reply[:1] in (b"r", b"w")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0x40000000, SCOPE, ASG, PID0, 0x40350000, 0x40380000]),
            st.integers(0, 0x60).map(lambda n: 4 * n),
            st.integers(0, 2**32 - 1),
        ),
        max_size=12,
    )
)
def test_any_register_takes_any_word_at_any_time(writes):
    board = Board()
    for n, (page, offset, word) in enumerate(writes):
        board.now = 0.01 * n
        board.write(page + offset, word)
        board.read(page + offset)
    board.now += 0.1
    assert len(board.read(0x403A0010, 1)) == 1


# ---------------------------------------------------------------- simulator: the board


def test_constants_that_clients_divide_by_are_not_zero():
    board = Board()
    for module in (0, 1, 2, 5, 6, 7):
        assert all(board.read(PID0 + 0x10000 * module + 0x220, 3))
    for iq in (5, 6, 7):
        assert all(board.read(PID0 + 0x10000 * iq + 0x230, 3))
    assert board.read(0x40000000)[0] == 1
    board.write(PID0 + 0x220, 0)
    assert board.read(PID0 + 0x220)[0] > 0


def test_the_clock_counts_125_million_per_second_in_64_bits():
    board = Board()
    board.now = 100.0
    low, high = board.read(SCOPE + 0x15C, 2)
    assert high << 32 | low == 12_500_000_000


def test_registers_keep_only_their_bits_and_start_with_full_limits():
    board = Board()
    assert [signed(w) for w in board.read(PID0 + 0x124, 2)] == [-8192, 8191]
    board.write(PID0 + 0x104, 0xFFFFFFFF)
    assert board.read(PID0 + 0x104) == [0x3FFF]
    board.write(PID0 + 0x100, 0x10000 - 4096)  # integrator: 16 bits, 2^13 per V
    assert signed(board.read(PID0 + 0x100)[0], 16) == -4096


def test_all_modules_share_the_register_of_running_bits():
    board = Board()
    assert board.read(PID0 + 0xC) == [0xFFFF]
    board.write(0x40310000 + 0xC, 0xFFFD)
    assert board.read(PID0 + 0xC) == board.read(0x40390000 + 0xC) == [0xFFFD]


def test_a_pid_outside_the_loop_multiplies_integrates_pauses_and_saturates():
    board = Board(model=quiet())
    pid1 = PID0 + 0x10000
    board.write(pid1, 11)  # in2: 0.25 V
    board.write(pid1 + 0x4, 2)  # out2
    board.write(pid1 + 0x104, round(0.05 * 8192))
    board.write(pid1 + 0x108, 2 * 4096)
    assert board.volts(pid1 + 0x10) == pytest.approx(0.4, abs=3e-4)
    board.write(pid1 + 0x10C, round(0.1 * 215.9))
    slope = 2 * math.pi * round(0.1 * 215.9) / 215.888 * 0.2  # V/s
    board.now = 2.0
    assert board.volts(pid1 + 0x10) == pytest.approx(0.4 + 2 * slope, abs=1e-3)
    board.write(pid1 + 0x12C, 3)  # pause both gains
    board.write(pid1 + 0xC, 0xFFFD)
    board.now = 7.0
    assert board.volts(pid1 + 0x10) == pytest.approx(2 * slope, abs=1e-3)
    assert board.volts(0x403D0010) == pytest.approx(2 * slope, abs=1e-3)  # OUT2
    board.write(pid1 + 0xC, 0xFFFF)
    board.now = 17.0
    assert board.volts(pid1 + 0x10) == pytest.approx(1.0, abs=3e-4)
    assert board.read(pid1 + 0x8) == [2]
    board.write(pid1 + 0x128, round(0.5 * 8192))
    assert board.volts(pid1 + 0x10) == pytest.approx(0.5, abs=3e-4)
    assert board.read(pid1 + 0x8) == [0]
    board.write(pid1, 1)  # its own output: a ring must not hang
    board.read(pid1 + 0x10)


@pytest.mark.parametrize("decimation", [1, 64, 1024])
def test_scope_curve_is_rotated_and_complete_after_the_delay(decimation):
    board = Board(model=quiet())
    board.now = 1.0
    board.ramp(amplitude=0.8)
    board.write(0x40380000, 8)  # scope channel 1 looks at generator 1
    board.write(SCOPE + 0x14, decimation)
    board.write(SCOPE + 0x10, 16384)
    board.write(SCOPE, 2)
    board.now = 1.0 + 0.37 * decimation / 125e6 * 16384
    board.write(SCOPE, 1)
    board.now += 0.21 * decimation / 125e6 * 16384
    trigger = board.now
    board.write(SCOPE + 0x4, 1)
    assert board.read(SCOPE)[0] & 5 == 4
    board.now += 0.9999 * 16384 * decimation / 125e6
    assert board.read(SCOPE)[0] & 5 == 4
    board.now += 1.0
    assert board.read(SCOPE)[0] & 5 == 0
    low, high = board.read(SCOPE + 0x164, 2)
    assert (high << 32 | low) / 125e6 == pytest.approx(trigger, abs=1e-8)
    # the last of the 16384 samples is one period short of a whole curve after the trigger
    times = trigger + (np.arange(16384) + 1) * decimation / 125e6
    frequency = round(100 * 2**30 / 125e6) * 125e6 / 2**30
    phase = ((times - 1.0) * frequency) % 1.0
    away = np.abs(phase - 0.5) < 0.499  # not at the jump
    expected = 0.8 * (2 * phase - 1)
    assert board.curve(1)[away] == pytest.approx(expected[away], abs=2e-3)


@pytest.mark.parametrize(("source", "rising"), [(2, True), (3, False)])
def test_scope_triggers_on_level_with_pretrigger_whenever_it_is_polled(source, rising):
    curves = []
    for polls in (1, 7):
        board = Board(model=quiet())
        board.ramp(amplitude=0.9)
        table = np.round(np.sin(2 * np.pi * np.arange(16384) / 16384) * 8191).astype(int) & 0x3FFF
        board.write(ASG + 0x10000, *table.tolist())
        board.write(0x40380000, 8)
        board.write(SCOPE + 0x14, 256)
        board.write(SCOPE + 0x10, 8192)
        board.write(SCOPE + 0x8, round(0.3 * 8192))
        board.write(SCOPE + 0x20, round(0.05 * 8192))
        board.write(SCOPE, 1)
        board.now = 0.0203
        board.write(SCOPE + 0x4, source)
        for n in range(polls):
            board.now = 0.0203 + 0.2 * (n + 1) / polls
            board.read(SCOPE)
        assert board.read(SCOPE)[0] & 5 == 0
        curves.append(board.curve(1))
    assert curves[0].tolist() == curves[1].tolist()
    middle = 16384 - 8192 - 1
    assert curves[0][middle] == pytest.approx(0.3, abs=0.02)
    assert (curves[0][middle + 50] > curves[0][middle - 50]) == rising


def test_scope_triggers_on_the_start_of_a_generator_cycle_and_shows_a_running_curve():
    board = Board(model=quiet())
    board.ramp()
    board.write(0x40380000, 8)
    board.write(SCOPE + 0x14, 64)
    board.write(SCOPE + 0x10, 8192)
    board.now = 0.003
    board.write(SCOPE, 1)
    board.write(SCOPE + 0x4, 8)
    board.now = 0.004
    assert board.read(SCOPE + 0x16C) == [0]
    board.now = 0.0095
    assert board.read(SCOPE + 0x16C) == [1]
    board.write(SCOPE + 0x10, 16384)
    assert board.read(SCOPE)[0] & 1
    newest = board.read(SCOPE + 0x18)[0]
    running = board.read(SCOPE + 0x10000 + 4 * newest)[0]
    assert signed(running) / 8192 == pytest.approx(2 * 0.95 - 1, abs=3e-3)
    board.now = 0.05
    assert board.read(SCOPE)[0] & 5 == 0
    curve = board.curve(1)
    assert curve[0] == pytest.approx(-1.0, abs=1e-3)
    assert np.all(np.diff(curve[:13000]) >= 0)


def test_generator_once_offset_and_off():
    board = Board(model=quiet())
    board.write(0x40380004, 2)
    board.ramp(amplitude=0.5)
    assert board.read(ASG + 0x10) == [0x35B]
    board.write(ASG + 0x18, 1)  # one cycle
    board.write(ASG + 0x4, (0x3FFF & round(-0.2 * 8192)) << 16 | 4096)
    board.now = 0.0075
    assert board.volts(0x403D0010) == pytest.approx(0.25 - 0.2, abs=2e-3)
    board.now = 1.0
    assert board.volts(0x403D0010) == pytest.approx(0.5 - 0.2, abs=2e-3)
    board.write(ASG, 0x91)
    assert board.volts(0x403D0010) == 0.0


def test_the_fringe_shows_in_the_scope_while_the_generator_moves_the_phase():
    board = Board()
    board.write(0x40380004, 1)
    board.ramp()
    board.write(SCOPE + 0x14, 64)
    board.write(SCOPE + 0x10, 16384)
    board.write(SCOPE, 1)
    board.write(SCOPE + 0x4, 1)
    board.now = 0.05
    assert board.read(SCOPE)[0] & 5 == 0
    fringe = board.curve(1)
    assert np.max(fringe) == pytest.approx(0.44, abs=0.04)
    # +-20 rad in 10 ms: 6.4 fringes, 84 % of them in the curve
    smooth = np.convolve(fringe, np.ones(201) / 201, "same")
    crossings = np.count_nonzero(np.diff(np.signbit(smooth[200:-200])))
    assert 8 <= crossings <= 13


def test_outputs_are_numbered_and_clipped():
    model = quiet()
    with pytest.raises(ValueError, match="outputs 1 and 2"):
        model.output(3, 0.0)
    assert model.output(1, np.array([0.0, 1.0])).tolist() == [0.0, 0.0]
    idle = RedPitayaModel(World(2).seed_of)
    noise = idle.board.signal(10, np.arange(1000) * 1e-6)
    assert 1e-4 < np.std(noise) < 4e-4


# ---------------------------------------------------------------- driver: the wire


class Recorder:
    """A far end with plain memory that keeps what it was sent; no simulator."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.memory: dict[int, int] = {}
        self.spoil: list[bytes | None] = []  # replies to give instead; None: no reply

    def send(self, data: bytes) -> None:
        self.sent.append(data)
        operation, _, count, address = struct.unpack("<cBHI", data[:8])
        reply = data[:8]
        if operation == b"r":
            words = [self.memory.get(address + 4 * n, 0) for n in range(count)]
            reply += struct.pack(f"<{count}I", *words)
        else:
            for n, word in enumerate(struct.unpack(f"<{count}I", data[8:])):
                self.memory[address + 4 * n] = word
        self.reply = self.spoil.pop(0) if self.spoil else reply

    def receive(self, timeout: float) -> bytes:
        reply, self.reply = self.reply or b"", b""
        return reply

    reply: bytes | None = b""

    def close(self) -> None:
        pass


def recorded(**settings) -> tuple[RedPitayaLock, Recorder]:
    far = Recorder()
    adapter = ByteAdapter(lambda: far, VirtualClock(), name="lock", framing=RedPitayaLock.FRAMING)
    return RedPitayaLock(adapter, "lock", **settings), far


@pytest.mark.parametrize(
    ("name", "value", "golden"),
    [
        ("setpoint", -0.1, "setpoint -0.1 V"),
        ("p", 0.5, "p 0.5"),
        ("i", 1000.0, "i 1000 Hz"),
        ("output_maximum", 0.8, "maximum 0.8 V"),
        ("output_minimum", -0.8, "minimum -0.8 V"),
    ],
)
def test_driver_sends_the_vendors_bytes_and_reads_them_back(name, value, golden):
    driver, far = recorded()
    setattr(driver, name, value)
    assert far.sent == [bytes.fromhex(WRITES[golden])]
    assert getattr(driver, name) == pytest.approx(value, rel=1e-5, abs=1e-4)
    assert far.sent[1] == b"r" + bytes.fromhex(WRITES[golden])[1:8]


def test_driver_reads_the_sampler_and_the_decimation_as_the_vendor_does():
    driver, far = recorded()
    far.memory[IN1 + 0x10] = 0x3FFF & -4096
    assert driver.error == pytest.approx(-4096 / 8191)
    assert far.sent == [bytes.fromhex("72 00 01 00 10 00 3a 40")]
    driver.registers.read(0x40100014)
    assert far.sent[1] == bytes.fromhex(READ_DECIMATION)
    driver.registers.write(PID0, 10)
    driver.registers.write(PID0 + 4, 1)
    assert far.sent[2:] == [bytes.fromhex(WRITES[n]) for n in ("input in1", "output out1")]


def test_driver_does_not_round_small_gains_to_zero_and_takes_plus_one_volt():
    driver, far = recorded()
    driver.i = -1e-6
    driver.p = 1e-9
    driver.setpoint = 1.0
    assert [far.sent[n][8:] for n in range(3)] == [
        bytes.fromhex(words) for words in ("ff ff ff 00", "01 00 00 00", "ff 1f 00 00")
    ]


@pytest.mark.parametrize(("name", "value"), [("setpoint", 1.1), ("i", 1e6), ("p", -3000)])
def test_driver_refuses_what_does_not_fit_a_register(name, value):
    driver, far = recorded()
    with pytest.raises(RequestError, match=f"lock: {name} .* must be from .* got {value}"):
        setattr(driver, name, value)
    assert far.sent == []


@pytest.mark.parametrize(
    "wrong", [{"pid": 3}, {"polarity": 0}, {"scan": 2}, {"bandwidth": 0}, {"colour": 1}]
)
def test_driver_refuses_wrong_settings(wrong):
    with pytest.raises(RequestError, match=f"lock: .*{next(iter(wrong))}"):
        recorded(**wrong)


def test_driver_repeats_after_a_wrong_echo_and_gives_up_with_one_line():
    driver, far = recorded()
    far.memory[PID0 + 0x104] = 819
    far.spoil = [bytes(12), b"\xff" * 12]
    assert driver.setpoint == pytest.approx(0.1, abs=1e-4)
    assert len(far.sent) == 3
    far.spoil = [bytes(12)] * 3
    with pytest.raises(InstrumentError, match="lock: read of 1 word at 0x40300104 was ans") as info:
        _ = driver.setpoint
    assert "\n" not in str(info.value)
    far.spoil = [None]
    with pytest.raises(TransportTimeout, match="lock: write of 1 word at 0x40300108 was not"):
        driver.p = 1.0


def test_driver_identifies_board_and_gateware():
    driver, far = recorded()
    far.memory |= {0x40000000: 1, 0x40000004: 0x1234, 0x40000008: 2, PID0 + 0x220: 4}
    assert driver.check_identity().startswith("Red Pitaya release1, serial 00000200001234, PyRPL")
    far.memory[PID0 + 0x220] = 0
    with pytest.raises(InstrumentError, match="unknown gateware"):
        driver.check_identity()


# ---------------------------------------------------------------- driver and simulator


class Bench:
    def __init__(self, seed: int = 1, light=lambda t: 0.4, **settings) -> None:
        self.world = World(seed)
        self.loop = PhaseLoop(self.world.seed_of, error_amplitude=light)
        self.world.parts["lock"] = RedPitayaModel(self.world.seed_of, loop=self.loop)
        self.sim = SimRedPitaya(self.world, "lock")
        self.clock = VirtualClock()
        adapter = ByteAdapter(
            lambda: Link(self.sim.connect(), self.clock),
            self.clock,
            name="lock",
            framing=RedPitayaLock.FRAMING,
        )
        self.driver = RedPitayaLock(adapter, "lock", **settings)

    @property
    def phase(self) -> float:
        """The angle now, from -pi to pi."""
        return math.remainder(float(self.loop.phase(self.clock.now())), 2 * math.pi)


@pytest.mark.parametrize("seed", range(6))
def test_a_scan_finds_the_fringe(seed):
    bench = Bench(seed)
    report = bench.driver.acquire()
    assert report.amplitude == pytest.approx(0.4, rel=0.04)
    assert report.v_pi == pytest.approx(math.pi * 0.05, rel=0.01)
    assert report.offset == pytest.approx(2e-3, abs=0.012)
    assert report.i == pytest.approx(-1000 / (20 * 0.4), rel=0.05)
    assert bench.sim.model.output(1, bench.clock.now()) == 0.0
    assert bench.driver.registers.read(PID0 + 0x80000) == [10]  # scope inputs are as before


@pytest.mark.parametrize("angle", [0.0, 0.5, -0.9])
@pytest.mark.parametrize("polarity", [-1, 1])
def test_lock_holds_the_wanted_angle(angle, polarity):
    bench = Bench(3, polarity=polarity)
    state = bench.driver.lock(angle)
    assert state.ok
    assert state.rms < 0.09
    assert bench.driver.follows()
    wanted = angle if polarity < 0 else math.pi - angle
    assert math.remainder(bench.phase - wanted, 2 * math.pi) == pytest.approx(0.0, abs=0.06)
    assert float(bench.loop.jitter_rms(bench.clock.now())) == pytest.approx(0.1094, abs=1e-3)
    bench.clock.sleep(600.0)
    assert bench.driver.locked().ok
    assert math.remainder(bench.phase - wanted, 2 * math.pi) == pytest.approx(0.0, abs=0.06)


def test_lock_test_does_not_cry_wolf_and_sees_bad_gain_and_no_lock():
    bench = Bench(4)
    assert not bench.driver.locked().ok  # nothing is known of the fringe yet
    bench.driver.lock()
    states = [bench.driver.locked() for _ in range(400)]
    assert all(state.ok for state in states)
    assert np.mean([state.rms for state in states]) == pytest.approx(0.049, abs=0.006)
    for limit in ("mean_limit", "rms_limit"):  # either suffices to call it unlocked
        setattr(bench.driver, limit, 1e-6)
        assert not bench.driver.locked().ok
        setattr(bench.driver, limit, 0.12)
        assert bench.driver.locked().ok
    bench.driver.acquire(bandwidth=8000.0)
    with pytest.raises(InstrumentError, match=r"lock: no lock after 3 attempts .* bandwidth"):
        bench.driver.lock()
    bench.driver.acquire(bandwidth=1000.0)
    bench.driver.lock()
    bench.driver.i = bench.driver.report.i / 100
    assert np.mean([bench.driver.locked().ok for _ in range(100)]) < 0.7


def test_freeze_keeps_the_output_while_the_light_is_off_and_thaw_goes_on():
    dark = {"from": math.inf, "to": math.inf}

    def light(t):
        return np.where((np.asarray(t) >= dark["from"]) & (np.asarray(t) < dark["to"]), 0.0, 0.4)

    bench = Bench(5, light)
    bench.driver.lock(0.3)
    bench.clock.sleep(5.0)
    bench.driver.freeze()
    assert bench.driver.frozen
    assert not bench.driver.locked().ok
    held = bench.driver.output
    dark["from"] = bench.clock.now()
    bench.clock.sleep(4.0)
    assert bench.driver.output == held
    assert abs(bench.driver.error) < 0.08
    dark["to"] = bench.clock.now()
    bench.driver.thaw()
    assert not bench.driver.frozen
    assert bench.driver.locked().ok
    assert bench.phase == pytest.approx(0.3, abs=0.06)


def test_a_saturated_or_blinded_lock_is_noticed_and_can_be_locked_again():
    bright = {"until": math.inf}
    bench = Bench(6, lambda t: np.where(np.asarray(t) < bright["until"], 0.4, 0.0))
    bench.driver.lock()
    bench.driver.integrator = 0.0
    bench.driver.output_maximum = 0.02
    bench.driver.output_minimum = -0.02
    bench.clock.sleep(600.0)
    assert not bench.driver.locked().ok
    bench.driver.output_maximum, bench.driver.output_minimum = 1.0, -1.0
    assert bench.driver.relock().ok
    bright["until"] = bench.clock.now() + 0.01
    bench.clock.sleep(0.03)
    assert bench.driver.locked().ok  # darkness looks like the middle of the fringe,
    assert not bench.driver.follows()  # but it does not follow a setpoint
    with pytest.raises(InstrumentError, match="check the light"):
        bench.driver.relock()
    with pytest.raises(InstrumentError, match="lock: no fringe at IN1") as info:
        bench.driver.acquire()
    assert "\n" not in str(info.value)


def test_make_safe_zeroes_all_outputs_and_snapshot_holds_the_settings():
    bench = Bench(7)
    bench.driver.lock(0.2)
    bench.driver.registers.write(0x40390004, 3)
    snapshot = bench.driver.snapshot()
    assert snapshot["bandwidth"] == 1000.0
    assert snapshot["i"] == pytest.approx(-127.5, rel=0.05)
    assert snapshot["frozen"] is False
    assert snapshot["v_pi"] == pytest.approx(0.157, rel=0.01)
    bench.clock.sleep(10.0)
    assert bench.driver.output != 0.0
    bench.driver.make_safe()
    now = bench.clock.now()
    assert bench.sim.model.output(1, now) == bench.sim.model.output(2, now) == 0.0
    assert bench.driver.frozen
    bench.driver.lock()
    bench.driver.unlock()
    assert bench.driver.output == 0.0


class Faulty:
    """An endpoint whose next reply is dropped, late, garbled or cut in two."""

    def __init__(self, endpoint, faults: list[str]) -> None:
        self.endpoint, self.faults = endpoint, faults

    def feed(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        replies = self.endpoint.feed(data, now)
        match self.faults.pop() if data and self.faults else "":
            case "drop":
                return []
            case "late":
                return [(due + 1.4, reply) for due, reply in replies]
            case "garble":
                return [(due, b"?" + reply[1:]) for due, reply in replies]
            case "cut":
                return [x for due, r in replies for x in ((due, r[:5]), (due + 0.3, r[5:]))]
        return replies


@pytest.mark.parametrize("fault", ["drop", "late", "garble", "cut"])
@pytest.mark.parametrize("what", ["read", "write"])
def test_a_spoilt_reply_never_becomes_the_answer_to_another_request(fault, what):
    sim, clock, faults = SimRedPitaya(World(1), "lock"), VirtualClock(), []
    adapter = ByteAdapter(
        lambda: Link(Faulty(sim.connect(), faults), clock),
        clock,
        name="lock",
        framing=RedPitayaLock.FRAMING,
    )
    driver = RedPitayaLock(adapter, "lock")
    driver.setpoint = 1008 / 8192
    faults.append(fault)
    lost = fault in ("drop", "late")
    with pytest.raises(TransportTimeout, match="in time") if lost else nullcontext():
        if what == "read":
            assert driver.setpoint == 1008 / 8192
        else:
            driver.p = 0.25
    assert (driver.output_maximum, driver.setpoint) == (8191 / 8192, 1008 / 8192)
    driver.p = 0.5
    assert driver.p == 0.5


def test_relock_and_lock_refuse_what_cannot_work():
    bench = Bench(8)
    with pytest.raises(RequestError, match="run acquire or lock first"):
        bench.driver.relock()
    with pytest.raises(RequestError, match="target_rad must be"):
        bench.driver.lock(1.5)
    with pytest.raises(RequestError, match="bandwidth must be positive"):
        bench.driver.acquire(bandwidth=-1.0)


def test_same_seed_same_lock_to_the_bit():
    def story() -> list[float]:
        bench = Bench(11)
        state = bench.driver.lock(0.1)
        return [state.mean, state.rms, bench.driver.output, bench.clock.now()]

    assert story() == story()


@given(st.floats(0.02, 1.5), st.floats(0.05, 0.5), st.floats(-0.3, 0.3), st.floats(0, 6.28))
@settings(max_examples=30, deadline=None)
def test_fit_recovers_any_fringe_with_at_least_two_thirds_of_a_period(
    v_pi, amplitude, offset, phase
):
    volts = np.linspace(-1, 1, 4096)
    signal = offset + amplitude * np.sin(math.pi * volts / v_pi + phase)
    found = fit_fringe(volts, signal)
    assert found[2] == pytest.approx(v_pi, rel=0.02)
    assert found[1] == pytest.approx(amplitude, rel=0.05)
    assert found[0] == pytest.approx(offset, abs=0.05 * amplitude)
