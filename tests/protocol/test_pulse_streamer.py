"""Pulse Streamer: captured messages of the maker's client for driver and simulator, then together.

The upload is one that `pulsestreamer` 2.1.2 was seen to send: 5 runs of 36 ns on output 0 with 0.5 V
on A0, 64 ns of nothing and 47 ns on output 1; finally output 2 and -0.25 V on A1.
"""

from __future__ import annotations

import json
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import Script, in_front_of, scripted, simulated

from drivers import pulse_streamer
from drivers.pulse_streamer import PulsePattern, PulseStreamer
from labctl.errors import IdentityMismatch, InstrumentError, RequestError
from simulated_instruments.physics.pulse_streamer import (
    FALLING,
    IMMEDIATE,
    REPEAT,
    RISING,
    SOFTWARE,
    STEP,
    STOP,
    SWITCH,
    Level,
    Pattern,
    PulseStreamerModel,
)
from simulated_instruments.pulse_streamer import SimPulseStreamer
from simulated_instruments.world import World

CAPTURED = bytes.fromhex(
    "53495053 629ce442 00000000 00000000 4000000000000000 0000000000000000"
    "0500000000000000 0300000000000000 0000 00e0 04 000000 0000000000000000"
    "24000000 01 0040 0000 40000000 00 0000 0000 2f000000 02 0000 0000 0000000000"
)
CONFIRMED = bytes.fromhex("53495053 629ce442 00000000 00000000 0000000000000000 0000000000000000")


def captured_pattern():
    return PulsePattern(147).pulse(0, 0, 36).level(0, 0, 36, 0.5).pulse(1, 100, 47)


# ---- the driver alone


class Rpc(Script):
    """Answers JSON-RPC calls, which it expects in this order."""

    def __init__(self, *exchanges):
        super().__init__()
        self.calls = list(exchanges)

    def send(self, data):
        head, _, body = data.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /json-rpc HTTP/1.1\r\n")
        assert b"application/json" in head
        request = json.loads(body)
        method, params, answer = self.calls.pop(0)
        wanted = {"jsonrpc": "2.0", "method": method, "id": request["id"]}
        assert request == (wanted | {"params": params} if params else wanted)
        reply = json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer}).encode()
        self.waiting += b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(reply) + reply


def calling(monkeypatch, *exchanges):
    script = Rpc(*exchanges)
    monkeypatch.setattr("scripted.Script", lambda *_, **__: script)
    return scripted(PulseStreamer)


def test_driver_makes_the_makers_calls(monkeypatch):
    pulses, script = calling(
        monkeypatch,
        ("getSerial", [], {"result": "00:26:32:f0:3b:29"}),
        ("getFirmwareVersion", [], {"result": "1.7.2"}),
        ("getTriggerRearm", [], {"result": 0}),
        ("setTrigger", [2, 0], {"result": 0}),
        ("constant", [[0, 9, 32767, 0]], {"result": 0}),
        ("getStreamingState", [], {"result": {"State": 2, "StateCondition": 1}}),
    )
    assert pulses.check_identity() == "Pulse Streamer 8/2, serial 00:26:32:f0:3b:29, firmware 1.7.2"
    pulses.trigger = "rising"
    pulses.constant([0, 3], 1.0, 0.0)
    assert pulses.state == "streaming, waiting for trigger"
    assert not script.calls


def test_errors_of_the_instrument(monkeypatch):
    refusal = {"error": {"code": -32601, "message": "Method not found"}}
    pulses, _ = calling(
        monkeypatch,
        ("getTemperature", [], refusal),
        ("constant", [[0, 0, 0, 0]], {"result": 1}),
        ("getStreamingState", [], {"result": {"State": 77, "StateCondition": 0}}),
        ("getClock", [], {"result": 9}),
    )
    with pytest.raises(
        InstrumentError, match=r"^it: getTemperature was refused: Method not found$"
    ):
        _ = pulses.temperature
    with pytest.raises(InstrumentError, match=r"^it: constant failed and gave 1$"):
        pulses.stop()
    with pytest.raises(InstrumentError, match=r"^it: 'getStreamingState' was answered with"):
        _ = pulses.state
    with pytest.raises(InstrumentError, match="not with one of internal, 125 MHz, 10 MHz"):
        _ = pulses.clock_source


def test_driver_sends_the_captured_upload():
    number = struct.pack("<I", 1)
    pulses, script = scripted(
        PulseStreamer,
        (CAPTURED[:4] + number + CAPTURED[8:], CONFIRMED[:4] + number + CONFIRMED[8:]),
    )
    pulses.play(captured_pattern(), runs=5, final=([2], 0.0, -0.25))
    assert not script.exchanges


def test_driver_adds_a_whole_block_where_the_steps_fit_exactly():
    pattern = PulsePattern(64)
    for n in range(16):
        pattern.pulse(0, 4 * n, 2)
    sent = []

    class Taker(Script):
        def send(self, data):
            sent.append(data)
            self.waiting += CONFIRMED[:4] + data[4:8] + CONFIRMED[8:]

    pulses, _ = scripted(PulseStreamer)
    pulses.adapter._open_port = lambda port, usual: Taker
    pulses.play(pattern)
    assert pattern.steps().size * 9 == 288
    assert len(sent[0]) == 32 + 32 + 288 + 32


def test_an_upload_that_is_refused_or_answered_with_nonsense():
    number, two = struct.pack("<I", 1), struct.pack("<I", 2)
    upload = CAPTURED[:4] + number + CAPTURED[8:]
    pulses, _ = scripted(
        PulseStreamer,
        (upload, CONFIRMED[:4] + number + two + CONFIRMED[12:]),
        (upload[:4] + two + upload[8:], CONFIRMED),
    )
    with pytest.raises(InstrumentError, match=r"^it: the pattern was refused \(code 2\)"):
        pulses.play(captured_pattern(), 5, ([2], 0.0, -0.25))
    with pytest.raises(InstrumentError, match=r"^it: 'an upload' was answered with"):
        pulses.play(captured_pattern(), 5, ([2], 0.0, -0.25))


def test_after_a_confirmation_that_is_none_the_next_upload_has_a_new_connection():
    opened = []

    class Confused(Script):
        def send(self, data):
            self.waiting += CONFIRMED

    pulses, _ = scripted(PulseStreamer)
    pulses.adapter._open_port = lambda port, usual: lambda: opened.append(port) or Confused()
    for count in (1, 2):
        with pytest.raises(InstrumentError, match="an upload"):
            pulses.play(captured_pattern())
        assert len(opened) == count


def test_steps_are_those_of_the_pulses():
    steps = captured_pattern().steps()
    assert steps.tolist() == [(36, 1, 16384, 0), (64, 0, 0, 0), (47, 2, 0, 0)]
    assert steps.tobytes() == CAPTURED[64 : 64 + 27]


def test_steps_longer_than_the_hardware_can_count_are_split():
    steps = PulsePattern(10_000_000_000).pulse(0, 5, 1).steps()
    assert steps["ns"].tolist() == [5, 1, 0xFFFFFFFF, 0xFFFFFFFF, 1410065404]
    assert steps["mask"].tolist() == [0, 1, 0, 0, 0]


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 150), st.integers(1, 60)), max_size=12))
def test_steps_say_the_same_as_the_pulses(wanted):
    pattern, high = PulsePattern(150), np.zeros((8, 150), dtype=bool)
    for channel, start, width in wanted:
        fits = start + width <= 150 and not high[channel, start : start + width].any()
        if fits:
            pattern.pulse(channel, start, width)
            high[channel, start : start + width] = True
        else:
            with pytest.raises(RequestError, match=r"overlaps|does not fit"):
                pattern.pulse(channel, start, width)
    steps = pattern.steps()
    assert steps["ns"].sum() == 150
    played = np.repeat(steps["mask"], steps["ns"])
    for channel in range(8):
        np.testing.assert_array_equal((played >> channel) & 1, high[channel])


@pytest.mark.parametrize(
    ("act", "complaint"),
    [
        (lambda p: p.pulse(0, 30, 10), "digital output 0 from 30 to 40 ns overlaps with that from"),
        (lambda p: p.pulse(0, 95, 10), "from 95 to 105 ns does not fit into a pattern of 100 ns"),
        (lambda p: p.pulse(0, -5, 10), "does not fit"),
        (lambda p: p.pulse(0, 50, 0), "does not fit"),
        (lambda p: p.pulse(8, 50, 10), "digital outputs are 0 to 7, got 8"),
        (lambda p: p.pulse(0, 50.5, 10), "whole ns, got 50.5"),
        (lambda p: p.pulse(0, math.nan, 10), "whole ns"),
        (lambda p: p.pulse(0, "50", 10), "must be a number of ns"),
        (lambda p: p.level(2, 50, 10, 0.1), "analogue outputs are 0 and 1"),
        (lambda p: p.level(0, 50, 10, 1.1), "must be from -1 to 1, got 1.1"),
        (lambda p: p.level(1, 20, 10, 0.1), "analogue output 1 from 20 to 30 ns overlaps"),
        (lambda p: PulsePattern(0), "must be positive"),
        (lambda p: PulsePattern(10**20), "must be positive and at most"),
    ],
)
def test_pulses_that_cannot_be(act, complaint):
    pattern = PulsePattern(100).pulse(0, 10, 25).level(1, 16, 8, 0.5)
    before = pattern.steps().tobytes()
    with pytest.raises(RequestError, match=complaint) as caught:
        act(pattern)
    assert "\n" not in str(caught.value)
    assert pattern.steps().tobytes() == before


def test_a_pattern_beyond_the_memory_is_refused_before_anything_is_sent(monkeypatch):
    assert pulse_streamer.MOST_STEPS == 2_000_000
    monkeypatch.setattr(pulse_streamer, "MOST_STEPS", 2000)
    pattern = PulsePattern(2002)
    for n in range(1001):
        pattern.pulse(0, 2 * n, 1)
    pulses, script = scripted(PulseStreamer)
    with pytest.raises(RequestError, match="has 2002 steps, but the memory takes 2000;"):
        pulses.play(pattern)
    assert not script.waiting


# ---- the simulator alone


def sim_and_ports():
    sim = SimPulseStreamer(World(1), "pulses")
    return sim, sim.connect("rpc"), sim.connect("binary")


def ask(rpc, request, now=1.0):
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    head = b"POST /json-rpc HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    [(_, reply)] = rpc.feed(head + body, now)
    return json.loads(reply.partition(b"\r\n\r\n")[2])


def test_simulator_takes_the_captured_upload_and_plays_it():
    sim, rpc, binary = sim_and_ports()
    assert ask(rpc, {"jsonrpc": "2.0", "method": "setTrigger", "params": [2, 1], "id": 5}) == {
        "jsonrpc": "2.0",
        "id": 5,
        "result": 0,
    }
    for piece in (CAPTURED[:20], CAPTURED[20:90]):
        assert binary.feed(piece, 1.0) == []
    [(due, reply)] = binary.feed(CAPTURED[90:], 1.0)
    assert reply == CONFIRMED
    assert 1.0 < due < 1.1
    pattern = sim.model.pattern
    assert pattern.runs == 5
    assert pattern.length_ns == 147
    assert pattern.pulses_ns(0) == [(0, 36)]
    assert pattern.pulses_ns(1) == [(100, 147)]
    np.testing.assert_allclose(pattern.volts(0), [0.5, 0, 0], atol=1e-4)
    assert pattern.final == Level(4, 0, -8192)
    assert sim.model.armed
    assert sim.model.trigger(2.0)
    assert sim.model.level(2.0 + 110e-9).mask == 2
    assert sim.model.level(2.1) == pattern.final


def test_simulator_answers_as_json_rpc_says():
    _, rpc, _ = sim_and_ports()
    unknown = ask(rpc, {"jsonrpc": "2.0", "method": "sing", "id": 9})
    assert unknown["error"] == {"code": -32601, "message": "Method not found"}
    assert ask(rpc, b"{")["error"]["code"] == -32700
    assert ask(rpc, [1])["error"]["code"] == -32600
    for method, params in (
        ("setTrigger", [9, 0]),
        ("setTrigger", [1]),
        ("constant", [[0, 256, 0, 0]]),
        ("stream", ["!!", 1, [0, 0, 0, 0]]),
        ("stream", ["AAAA", 1, [0, 0, 0, 0]]),
    ):
        answer = ask(rpc, {"jsonrpc": "2.0", "method": method, "params": params, "id": 1})
        assert answer["error"]["code"] == -32602, method
    assert rpc.feed(b"GET /json-rpc HTTP/1.1\r\nHost: x\r\n\r\n", 1.0)[0][1].startswith(
        b"HTTP/1.1 405"
    )


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        (struct.pack("<qQ2h4BQ", 1, 0, 0, 0, 0, 0, 0, 0, 0) + bytes(32), 2),
        (struct.pack("<qQ2h4BQ", 1, 9, 0, 0, 0, 0, 0, 0, 0) + bytes(32), 2),
        (struct.pack("<qQ2h4BQ", 0, 1, 0, 0, 0, 0, 0, 0, 0) + bytes(32), 2),
        (struct.pack("<qQ2h4BQ", 1, 2_000_001, 0, 0, 0, 0, 0, 0, 0) + bytes(32), 3),
        (bytes(31), 2),
    ],
)
def test_uploads_that_cannot_be_leave_what_was_played(payload, status):
    sim, _, binary = sim_and_ports()
    binary.feed(CAPTURED, 0.0)
    before = sim.model.pattern
    header = struct.pack("<4I2Q", 0x53504953, 7, 0, 0, len(payload), 0)
    [(_, reply)] = binary.feed(header + payload, 1e-9)
    assert struct.unpack("<4I2Q", reply) == (0x53504953, 7, status, 0, 0, 0)
    assert sim.model.pattern is before


def test_what_is_no_command_ends_the_connection():
    _, _, binary = sim_and_ports()
    assert binary.feed(b"GET / HTTP/1.1\r\nHost: somewhere\r\n\r\n", 0.0) == []
    assert binary.closed


@given(st.binary(max_size=90))
def test_simulator_survives_anything(junk):
    sim, rpc, binary = sim_and_ports()
    binary.feed(CAPTURED[:64] + junk, 0.0)
    rpc.feed(junk, 0.0)
    ask(sim.connect("rpc"), {"method": "constant", "params": [[0, 0, 0, 0]], "id": 1})
    again = ask(sim.connect("rpc"), {"method": "getStreamingState", "id": 1})
    assert again["result"]["State"] == 0


# ---- the model


NOTHING = Level()


def pattern(ns, runs=1, final=NOTHING, following=STOP):
    return Pattern(np.array([(ns, 1, 0, 0)], STEP), runs, final, following)


def test_a_pattern_ends_and_waits_for_the_next_trigger():
    model = PulseStreamerModel()
    model.set_trigger(RISING, manual_rearm=False)
    model.stream(pattern(1000, runs=3, final=Level(mask=4)))
    assert not model.start_now()
    assert model.level(5.0) == Level()
    assert model.trigger(10.0)
    assert not model.trigger(10.0 + 2.9e-6)  # it is busy
    assert model.level(10.0 + 2.9e-6).mask == 1
    assert model.level(10.0 + 3.1e-6).mask == 4
    assert model.finished
    assert model.trigger(20.0)
    model.set_trigger(FALLING, manual_rearm=True)
    model.advance(21.0)
    assert model.state == (3, 2)
    assert not model.trigger(22.0)
    assert model.rearm()
    assert model.trigger(23.0)


def test_immediate_and_software_starts():
    model = PulseStreamerModel()
    model.advance(1.0)
    model.stream(pattern(1000, runs=-1))
    assert model.begun == 1.0
    assert model.state == (2, 0)
    model.set_trigger(SOFTWARE, manual_rearm=False)
    model.stream(pattern(1000))
    assert model.state == (2, 4)
    assert model.start_now()
    model.hold(Level(mask=8))
    assert model.state == (0, 0)
    assert model.level(9.0).mask == 8
    assert model.trigger_start == SOFTWARE


def test_slots_follow_each_other_as_asked():
    model = PulseStreamerModel()
    assert not model.play_slot(0, -1)
    model.slots = [
        pattern(1000, 2, following=SWITCH),
        Pattern(np.array([(3000, 2, 0, 0)], STEP), 1, Level(), SWITCH),
    ]
    assert model.play_slot(0, -1)
    for t, mask in ((0.5, 1), (1.5, 1), (2.5, 2), (4.9, 2), (5.5, 1), (8.0, 2), (1e9 + 0.5, 1)):
        assert model.level(t * 1e-6).mask == mask, t
    model.hold(Level())
    model.now = 0.0
    model.set_trigger(IMMEDIATE, manual_rearm=False)
    model.slots = [pattern(1000, following=REPEAT), None]
    assert model.play_slot(0, 1000)
    assert model.level(999.5e-6).mask == 1
    assert model.level(1000.5e-6).mask == 0
    assert model.finished


# ---- together


def test_what_is_played_is_what_was_asked_for():
    pulses, sim = simulated(SimPulseStreamer, PulseStreamer)
    pulses.check_identity()
    pulses.trigger = "rising"
    wanted = PulsePattern(500).pulse(0, 100, 36).pulse(1, 286, 47).level(0, 96, 48, 0.5)
    pulses.play(wanted, runs=1)
    assert sim.model.pattern.steps.tobytes() == wanted.steps().tobytes()
    assert [sim.model.pattern.pulses_ns(n) for n in (0, 1, 2)] == [[(100, 136)], [(286, 333)], []]
    assert pulses.state == "streaming, waiting for trigger"
    assert pulses.snapshot() == {
        "trigger": "rising",
        "rearm_by_hand": False,
        "clock_source": "internal",
        "state": "streaming, waiting for trigger",
        "underflow": False,
    }
    pulses.clock_source = "10 MHz"
    assert pulses.clock_source == "10 MHz"
    pulses.rearm_by_hand = True
    pulses.constant([1], a1=0.25)
    assert sim.model.constant == Level(2, 0, 8192)
    pulses.make_safe()
    assert sim.model.constant == Level()
    assert pulses.state == "idle"


def test_software_start_and_rearm():
    pulses, _ = simulated(SimPulseStreamer, PulseStreamer)
    with pytest.raises(InstrumentError, match="nothing waits for the software's trigger"):
        pulses.start()
    with pytest.raises(InstrumentError, match=r"no pattern is over \(idle\)"):
        pulses.rearm()
    pulses.trigger, pulses.rearm_by_hand = "software", True
    pulses.play(captured_pattern(), runs=2)
    pulses.start()
    pulses.clock.sleep(1.0)
    assert pulses.state == "finished, waiting for rearm"
    pulses.rearm()
    pulses.start()


def test_wrong_requests_send_nothing():
    pulses, sim = simulated(SimPulseStreamer, PulseStreamer)
    for act, complaint in (
        (lambda: pulses.play(captured_pattern(), runs=0), "runs must be positive, or -1, got 0"),
        (lambda: pulses.play(captured_pattern(), final=([8], 0, 0)), r"are 0 to 7, got \[8\]"),
        (lambda: pulses.constant([0], 2.0), "analogue level in V of it must be from -1 to 1"),
        (lambda: setattr(pulses, "trigger", "now"), "must be one of immediate, software"),
        (lambda: setattr(pulses, "clock_source", "11 MHz"), "must be one of internal"),
    ):
        with pytest.raises(RequestError, match=complaint) as caught:
            act()
        assert str(caught.value).startswith(("it: ", "the analogue"))
    assert sim.model.pattern is None


def test_somebody_else_at_the_address():
    with pytest.raises(IdentityMismatch):
        in_front_of(SimPulseStreamer(World(1), "it"), PulseStreamer).check_identity("firmware 9")
