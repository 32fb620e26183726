"""Laser module: driver and simulator against frames, then together.

Host frames were captured from pytla 0.2.0; replies follow from the agreement's rules.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.itla import Itla
from labctl.adapter import ByteAdapter
from labctl.clock import VirtualClock
from labctl.errors import (
    ConnectionLost,
    IdentityMismatch,
    InstrumentError,
    RequestError,
    TransportTimeout,
)
from labctl.transport.link import Link
from simulated_instruments.faults import plan, wrap
from simulated_instruments.itla import SimItla
from simulated_instruments.protocol.itla import bip4, sealed
from simulated_instruments.world import World

FRAMES = [  # host frame, reply of a module whose output is off
    ("00 00 00 00", "54 00 00 10"),  # ready, no error
    ("01 32 00 00", "54 32 00 00"),  # output off
    ("c1 31 04 1a", "94 31 04 1a"),  # 10.50 dBm
    ("a1 35 00 c1", "f4 35 00 c1"),  # 193 THz
    ("71 36 10 31", "24 36 10 31"),  # 414.5 GHz
    ("f1 62 fc 18", "a4 62 fc 18"),  # -1000 MHz
    ("30 03 00 00", "d6 03 00 08"),  # the model has 8 bytes
]


def frame(text):
    return bytes.fromhex(text)


class Line:
    """Raw frames to one simulator."""

    def __init__(self, world=None):
        self.sim = SimItla(world or World(1), "itla")
        self.endpoint = self.sim.connect()
        self.now = 1.0

    def say(self, text, wait=0.02):
        self.now += wait
        return b"".join(data for _, data in self.endpoint.feed(frame(text), self.now)).hex(" ")

    def read(self, register):
        reply = frame(self.say(sealed(0, register, 0).hex()))
        assert reply[0] & 3 == 0
        return int.from_bytes(reply[2:], "big")

    def write(self, register, value):
        """Status of the reply."""
        return frame(self.say(sealed(1, register, value & 0xFFFF).hex()))[0] & 3

    def error(self):
        return self.read(0) & 0x0F


class Script:
    """A far end that expects exact frames and gives exact answers."""

    def __init__(self, *exchanges):
        self.exchanges = [(frame(a), frame(b)) for a, b in exchanges]
        self.out = b""

    def send(self, data):
        expected, reply = self.exchanges.pop(0)
        assert data.hex(" ") == expected.hex(" ")
        self.out += reply

    def receive(self, timeout):
        out, self.out = self.out, b""
        return out

    def close(self):
        pass


def scripted(*exchanges):
    script = Script(*exchanges)
    adapter = ByteAdapter(lambda: script, VirtualClock(), name="itla", framing=Itla.FRAMING)
    return Itla(adapter, "itla"), script


class Bench:
    def __init__(self, faults=None):
        self.sim = SimItla(World(1), "itla")
        self.clock = VirtualClock()
        table = plan(faults, 1) if faults else None
        self.connections = 0

        def connect():
            self.connections += 1
            endpoint = self.sim.connect()
            return Link(wrap(endpoint, table) if table else endpoint, self.clock)

        adapter = ByteAdapter(connect, self.clock, name="itla", framing=Itla.FRAMING)
        self.itla = Itla(adapter, "itla")


@pytest.fixture
def line():
    return Line()


@pytest.fixture
def bench():
    return Bench()


# -------------------------------------------------------------------- simulator


@pytest.mark.parametrize(("host", "module"), FRAMES)
def test_simulator_answers(line, host, module):
    assert line.say(host) == module


def test_output_on_is_pending_until_it_is_warm(line):
    assert line.say("81 32 00 08") == "e7 32 00 08"
    assert line.say("00 00 00 00") == "44 00 01 10"
    assert line.say("81 32 00 08", wait=30.0) == "d4 32 00 08"  # it is on: immediate
    assert line.say("00 00 00 00") == "54 00 00 10"
    assert line.say("31 30 00 01") == "57 30 00 01"  # tuning to a channel
    assert line.say("00 00 00 00", wait=10.0) == "54 00 00 10"


def test_power_out_of_range(line):
    assert line.say("91 31 07 d0") == "75 31 00 00"
    assert line.say("00 00 00 00") == "64 00 00 13"
    assert line.say("00 00 00 00") == "54 00 00 10"  # told once
    assert line.read(0x31) == 1000


def test_extended_reading(line):
    """Exactly as many bytes as announced, then an error."""
    line.say("30 03 00 00")
    words = [line.say("b0 0b 00 00") for _ in range(5)]
    assert words[0] == "f4 0b 50 50"  # "PP"
    assert b"".join(frame(word)[2:] for word in words[:4]) == b"PPCL550\0"
    assert words[4] == "e5 0b 00 00"
    assert line.error() == 6


@pytest.mark.parametrize(
    ("register", "text"),
    [(1, b"CW ITLA\0"), (2, b"Pure Photonics\0\0"), (3, b"PPCL550\0"), (6, b"4.0.2\0")],
)
def test_strings_have_an_even_number_of_bytes(line, register, text):
    count = frame(line.say(sealed(0, register, 0).hex()))
    assert count[0] & 3 == 2
    assert int.from_bytes(count[2:], "big") == len(text)
    data = b"".join(frame(line.say("b0 0b 00 00"))[2:] for _ in range(len(text) // 2))
    assert data == text


def test_lists_of_numbers(line):
    for register, values in ((0x57, (0, 0)), (0x58, (2500, 3500))):
        assert frame(line.say(sealed(0, register, 0).hex()))[3] == 4
        for value in values:
            assert line.read(0x0B) == pytest.approx(value, abs=200 if value else 0)


def test_limits_and_readings(line):
    assert [line.read(r) for r in range(0x52, 0x56)] == [191, 5000, 196, 2500]
    assert (line.read(0x50), line.read(0x51), line.read(0x4F)) == (700, 1350, 12000)
    assert (line.read(0x40), line.read(0x41)) == (193, 5000)
    assert line.read(0x42) - 0x10000 == -6000  # dark
    assert line.read(0x43) == 2500
    line.write(0x32, 8)
    line.now += 30.0
    assert line.read(0x42) == pytest.approx(1000, abs=10)


@pytest.mark.parametrize(
    ("register", "value", "code"),
    [
        (0x30, 0, 3), (0x31, 699, 3), (0x31, 1351, 3), (0x62, 12001, 3), (0x62, -12001, 3),
        (0x90, 3, 3), (0x42, 1, 2), (0x03, 1, 2), (0x58, 1, 2), (0xE4, 1, 1), (0x22, 1, 1),
    ],
)  # fmt: skip
def test_refused_settings(line, register, value, code):
    assert line.write(register, value) == 1
    assert line.error() == code


def test_reading_what_does_not_exist(line):
    assert frame(line.say(sealed(0, 0xE4, 0).hex()))[0] & 3 == 1
    assert line.error() == 1


def test_first_channel_and_grid_only_while_dark(line):
    for register in (0x34, 0x35, 0x36):
        assert line.write(register, 190) == 0
    line.write(0x32, 8)
    line.now += 30.0
    for register in (0x34, 0x35, 0x36):
        assert line.write(register, 191) == 1
        assert line.error() == 9


def test_no_orders_while_one_is_pending(line):
    line.write(0x32, 8)
    for register, value in ((0x30, 2), (0x31, 1000), (0x62, 5)):
        assert line.write(register, value) == 1
        assert line.error() == 4
    assert line.write(0x32, 0) == 0  # switching off always works
    assert line.write(0x30, 2) == 0


def test_channels_of_a_grid(line):
    for register, value in ((0x35, 193), (0x36, 0), (0x34, -500), (0x30, 3)):
        assert line.write(register, value) == 0
    assert (line.read(0x40), line.read(0x41)) == (192, 9000)
    assert line.sim.model.channel_hz == 192.9e12


def test_a_frequency_out_of_range_is_not_refused_but_reported(line):
    """As told of PurePhotonics modules: no error, the laser is elsewhere."""
    assert line.write(0x35, 200) == 0
    line.write(0x20, 0xFF)
    line.write(0x32, 8)
    line.now += 30.0
    assert (line.read(0x40), line.read(0x41)) == (196, 2500)
    assert line.read(0x20) & 0x2404 == 0x2404  # frequency, latched, fatal
    line.write(0x32, 0)
    assert line.read(0x20) & 0x0404 == 0x0004
    line.write(0x20, 0xFF)
    assert line.read(0x20) == 0


def test_status_latches_errors_and_resets(line):
    assert line.read(0x20) & 0xFF == 0x30  # module and communication were reset
    assert line.read(0x20) & 0x8000  # which asks for service
    line.write(0x21, 0xFF)
    assert line.read(0x20) == 0
    line.write(0x42, 1)
    assert line.read(0x21) & 0xFF == 0x80
    line.write(0x28, 0)  # nothing asks for service
    assert line.read(0x21) == 0x80


def test_damaged_frames_are_ignored_and_marked(line):
    assert line.say("91 31 04 1a") == sealed(0x0C, 0x31, 0).hex(" ")
    assert line.read(0x31) == 1000
    assert line.read(0x20) & 0x40


def test_last_reply_again(line):
    line.say("30 03 00 00")
    line.say("b0 0b 00 00")
    for again in (sealed(8, 0x0B, 0), sealed(0, 0x13, 0)):
        assert line.say(again.hex()) == "f4 0b 50 50"
    assert line.say("b0 0b 00 00")[6:] == "43 4c"


def test_whisper_mode(line):
    assert line.read(0x90) == 0
    assert line.write(0x90, 1) == 0
    assert line.read(0x90) == 2
    assert line.sim.model.whisper
    line.write(0x90, 0)
    assert not line.sim.model.whisper


def test_module_reset_brings_back_what_was_saved(line):
    line.write(0x31, 1100)
    line.write(0x08, 0x8000)
    line.write(0x31, 1200)
    line.write(0x35, 194)
    line.write(0x32, 8)
    assert line.write(0x32, 1) == 0
    assert line.read(0) & 0x10 == 0  # starting
    assert line.write(0x31, 1000) == 1
    assert line.error() == 5
    line.now += 1.5
    assert line.read(0x31) == 1100
    assert line.read(0x35) == 193
    assert line.read(0x32) == 0


def test_soft_reset_forgets_the_extended_address(line):
    line.say("30 03 00 00")
    line.write(0x32, 2)
    assert line.say("b0 0b 00 00") == "e5 0b 00 00"


def test_configuration_keeps_what_is_written(line):
    for register in (0x0D, 0x33):
        assert line.write(register, 0x42) == 0
        assert line.read(register) == 0x42


@settings(max_examples=80, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=9), max_size=20))
def test_any_bytes_are_answered_by_one_frame_for_four(chunks):
    line, sent, answered = Line(), 0, b""
    for chunk in chunks:
        line.now += 1.0
        sent += len(chunk)
        answered += b"".join(data for _, data in line.endpoint.feed(chunk, line.now))
    assert len(answered) == sent // 4 * 4
    for start in range(0, len(answered), 4):
        reply = answered[start : start + 4]
        assert reply[0] >> 4 == bip4(reply)
        assert reply[0] & 4


# -------------------------------------------------------------------- driver


def test_driver_sends_the_frames_of_the_agreement():
    itla, script = scripted(
        ("c1 31 04 1a", "94 31 04 1a"), ("f1 62 fc 18", "a4 62 fc 18"),
        ("81 32 00 08", "e7 32 00 08"), ("00 00 00 00", "44 00 01 10"),
    )  # fmt: skip
    assert itla.write_register(0x31, 1050) is False
    assert itla.write_register(0x62, -1000) is False
    assert itla.write_register(0x32, 8) is True
    assert itla.pending is True
    assert not script.exchanges


def test_driver_reads_extended_addresses():
    words = [("b0 0b 00 00", sealed(4, 0x0B, n).hex()) for n in (0x5050, 0x434C, 0x3535, 0x3000)]
    itla, script = scripted(("30 03 00 00", "d6 03 00 08"), *words)
    assert itla.read_bytes_of(3) == b"PPCL550\0"
    assert not script.exchanges


def test_driver_gives_the_reason_of_a_refusal():
    itla, _ = scripted(("91 31 07 d0", "75 31 00 00"), ("00 00 00 00", "64 00 00 13"))
    with pytest.raises(
        InstrumentError, match=r"itla: register 0x31 = 2000 was refused: the value is out of range"
    ):
        itla.write_register(0x31, 2000)


READ = sealed(0, 0x31, 0).hex()
HELD = sealed(4, 0x31, 1050).hex()
ZEROS = [("00", "")] * 3 + [("00", "54 00 00 10")]  # until the module answers again
SPOILED = [
    HELD[:-1] + "b",  # a bit
    sealed(0x0C, 0x31, 0).hex(),  # the module saw a wrong checksum
    sealed(4, 0x30, 1050).hex(),  # another register
]


@pytest.mark.parametrize("reply", SPOILED)
def test_a_spoiled_answer_to_a_question_is_asked_for_once_more(reply):
    itla, script = scripted((READ, reply), *ZEROS, (READ, HELD))
    assert itla.power == 10.5
    assert not script.exchanges


@pytest.mark.parametrize("reply", SPOILED)
def test_twice_spoiled_is_one_line(reply):
    itla, _ = scripted((READ, reply), *ZEROS, (READ, reply), *ZEROS)
    with pytest.raises(
        InstrumentError, match=r"^itla: register 0x31: [^\n]*, then [^\n]*cable[^\n]*$"
    ):
        _ = itla.power


@pytest.mark.parametrize("reply", SPOILED)
def test_a_setting_whose_answer_is_spoiled_is_read_back_first(reply):
    """Sent again, a channel would be refused because the first order is pending."""
    write = "c1 31 04 1a"
    itla, script = scripted((write, reply), *ZEROS, (READ, HELD), ("00 00 00 00", "44 00 01 10"))
    assert itla.write_register(0x31, 1050) is True
    assert not script.exchanges
    old = sealed(4, 0x31, 1000).hex()
    itla, script = scripted((write, reply), *ZEROS, (READ, old), (write, "94 31 04 1a"))
    assert itla.write_register(0x31, 1050) is False
    assert not script.exchanges


def test_silence_is_filled_up_with_zeros_until_the_module_answers():
    itla, script = scripted(
        (READ, ""), ("00", ""), ("00", "5c 00 00 00"), (READ, HELD),
    )  # fmt: skip
    assert itla.power == 10.5
    assert not script.exchanges


def test_lasting_silence_is_one_line():
    zeros = [("00", "")] * 4
    itla, script = scripted((READ, ""), *zeros, (READ, ""), *zeros)
    with pytest.raises(InstrumentError, match=r"^itla: register 0x31: no answer, then no answer;"):
        _ = itla.power
    assert not script.exchanges


# -------------------------------------------------------------------- together


def test_identity(bench):
    assert bench.itla.check_identity().startswith("CW ITLA, Pure Photonics, PPCL550, CRTNB2H")
    with pytest.raises(IdentityMismatch):
        bench.itla.check_identity("TSL")


def test_light(bench):
    bench.itla.tune(193.414567)
    bench.itla.power = 12.5
    bench.itla.emission = True
    assert 20.0 < bench.clock.now() < 60.0
    assert bench.itla.actual_power == pytest.approx(12.5, abs=0.1)
    assert bench.sim.model.frequency_hz(bench.clock.now()) == pytest.approx(
        193.414567e12, abs=1.5e9
    )
    assert bench.itla.snapshot() == {
        "frequency": 193.414567, "fine_tuning": 67.0, "power": 12.5, "emission": True,
        "mode": "dither",
    }  # fmt: skip
    assert bench.itla.actual_frequency == 193.4146
    bench.itla.make_safe()
    assert bench.itla.emission is False
    assert not bench.sim.model.emitting


def test_small_steps_keep_the_light_on_and_large_ones_do_not(bench):
    bench.itla.emission = True
    lit_from = bench.sim.model.lit_from
    bench.itla.tune(193.505)
    assert bench.sim.model.lit_from == lit_from
    assert bench.itla.frequency == 193.505
    assert bench.itla.fine_tuning == 5000.0
    bench.itla.fine_tuning = -7000
    assert bench.itla.frequency == 193.493
    bench.itla.frequency = 194.1
    assert bench.sim.model.lit_from > lit_from
    assert (bench.itla.frequency, bench.itla.fine_tuning) == (194.1, 0.0)
    assert bench.itla.emission is True


@settings(max_examples=40, deadline=None)
@given(st.integers(191_500_000, 196_250_000))
def test_every_megahertz_can_be_reached(megahertz):
    bench = Bench()
    bench.itla.tune(megahertz / 1e6)
    assert round(bench.itla.frequency * 1e6) == megahertz
    assert bench.sim.model.target_hz == pytest.approx(megahertz * 1e6, abs=1.0)


def test_whisper(bench):
    bench.itla.mode = "whisper"
    assert bench.itla.mode == "whisper"
    assert bench.sim.model.whisper
    bench.itla.mode = "dither"
    with pytest.raises(RequestError, match="dither or whisper, got 'quiet'"):
        bench.itla.mode = "quiet"


def test_readings(bench):
    bench.itla.emission = True
    assert bench.itla.temperature == 25.0
    assert bench.itla.temperatures == [25.0, pytest.approx(35.0, abs=2.0)]
    assert bench.itla.currents == [320.0, 280.0]
    assert bench.itla.fine_tuning_range == 12000.0
    assert bench.itla.power_range == (7.0, 13.5)
    assert bench.itla.frequency_range == (191.5, 196.25)


@pytest.mark.parametrize("thz", [191.4999, 196.2501, float("nan"), "blue", None])
def test_frequencies_out_of_range_are_refused_by_the_driver(bench, thz):
    with pytest.raises(RequestError, match=r"itla: frequency .* is outside 191.5 to 196.25 THz"):
        bench.itla.tune(thz)
    assert bench.sim.model.channel_hz == 193.5e12


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [("power", 13.6, "7 to 13.5 dBm"), ("fine_tuning", 12001, "-12000 to 12000 MHz")],
)
def test_other_values_out_of_range(bench, attribute, value, message):
    with pytest.raises(RequestError, match=message):
        setattr(bench.itla, attribute, value)


def test_a_laser_that_gives_no_proper_light_is_switched_off(bench):
    bench.itla.write_register(0x35, 200)  # behind the driver's back
    with pytest.raises(InstrumentError, match=r"itla: no proper light \([\d.]+ dBm, status 0xE404"):
        bench.itla.emission = True
    assert bench.itla.emission is False


def test_waiting_has_an_end(bench):
    bench.itla.write_register(0x32, 8)
    with pytest.raises(TransportTimeout, match="itla: still busy after 5 s"):
        bench.itla.wait_ready(5.0)


def test_wrong_settings():
    with pytest.raises(RequestError, match="surprise"):
        Itla(Bench().itla.adapter, "itla", surprise=1)


@pytest.mark.parametrize("kind", ["drop", "garble", "truncate", "late", "double"])
def test_faults_on_the_wire_are_survived_without_opening_the_port_again(kind):
    bench = Bench({kind: [2, 9, 30, 55], "late_by": 2.0})
    assert "PPCL550" in bench.itla.identify()
    bench.itla.tune(193.2345)
    bench.itla.power = 11.0
    bench.itla.emission = True
    assert bench.itla.snapshot() == {
        "frequency": 193.2345, "fine_tuning": 0.0, "power": 11.0, "emission": True,
        "mode": "dither",
    }  # fmt: skip
    assert bench.connections == 1


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_bytes_too_many_or_too_few_do_not_shift_what_follows(bench, lost):
    bench.itla.adapter.connection.send(bytes.fromhex("813200")[:lost])
    assert bench.itla.power == 10.0
    bench.itla.power = 11.0
    assert bench.itla.power == 11.0
    assert bench.itla.emission is False


def test_a_line_that_breaks_is_said():
    bench = Bench({"disconnect": [3]})
    with pytest.raises(ConnectionLost, match="itla: "):
        bench.itla.identify()
