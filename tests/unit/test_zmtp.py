"""ZeroMQ's wire protocol: the bytes of the RFCs, the two ends of ours together, and bad lines."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.adapter import ByteAdapter
from labctl.clock import VirtualClock
from labctl.errors import ConnectionLost, InstrumentError, TransportTimeout
from labctl.transport.link import Link
from labctl.zmtp import (
    COMMAND,
    GREETING,
    MORE,
    REQUESTS,
    STREAM,
    FrameReader,
    Malformed,
    PairSocket,
    RequestSocket,
    decode_ready,
    encode_frame,
    encode_ready,
)
from simulated_instruments import faults
from simulated_instruments.protocol.zmtp import PairEndpoint, Peer, RepEndpoint, frame
from simulated_instruments.world import World

# RFC 23 and RFC 37: greeting = signature %xFF 8OCTET %x7F, version %x03 minor, mechanism padded
# with zeros to 20 octets, as-server, 31 octets of zeros.
HELLO = bytes.fromhex("ff00000000000000017f 0301 4e554c4c" + "00" * 16 + "00" + "00" * 31)
# command = flags %x04, size, "READY", then properties: name of size OCTET, value of size 4OCTET.
READY_REQ = bytes.fromhex("0419 055245414459 0b536f636b65742d54797065 00000003 524551")
READY_REP = READY_REQ[:-3] + b"REP"


def test_what_we_say_is_what_the_rfcs_say():
    assert GREETING == HELLO
    assert encode_ready("REQ") == READY_REQ
    assert encode_frame(b"REC:STAGe?") == b"\x00\x0aREC:STAGe?"
    assert encode_frame(b"", MORE) == b"\x01\x00"
    long = encode_frame(bytes(256))
    assert long[:9] == bytes.fromhex("020000000000000100")
    assert len(long) == 265


def test_the_server_says_what_the_rfcs_say():
    world = World()
    endpoint = RepEndpoint(world, lambda request, now: (0.0, request[::-1]))
    assert endpoint.feed(b"", 0.0) == [(0.0, HELLO)]
    assert endpoint.feed(HELLO, 0.0) == [(0.0, READY_REP)]
    assert endpoint.feed(READY_REQ, 0.0) == []
    assert endpoint.feed(b"\x01\x00\x00\x03abc", 0.0) == [(0.0, b"\x01\x00\x00\x03cba")]
    assert not endpoint.closed


def test_pings_of_31_are_answered():
    peer = Peer(b"REP", (b"REQ",))
    peer.read(HELLO + READY_REQ)
    assert peer.read(b"\x04\x0a\x04PING\x00\x1ehey")[0] == b"\x04\x08\x04PONGhey"


@given(
    messages=st.lists(st.binary(max_size=600), max_size=6),
    sizes=st.lists(st.integers(1, 400), min_size=1),
)
def test_frames_survive_any_cutting(messages, sizes):
    wire = b"".join(encode_frame(m) for m in messages)
    assert wire == b"".join(frame(m) for m in messages)
    reader, found, place, turn = FrameReader(), [], 0, 0
    while place < len(wire):
        reader.feed(wire[place : place + sizes[turn % len(sizes)]])
        place += sizes[turn % len(sizes)]
        turn += 1
        while (got := reader.frame()) is not None:
            found.append(got)
    assert found == [(2 if len(m) > 255 else 0, m) for m in messages]


@given(
    messages=st.lists(st.lists(st.binary(max_size=300), min_size=1, max_size=3), max_size=4),
    sizes=st.lists(st.integers(1, 200), min_size=1),
)
def test_the_server_survives_any_cutting(messages, sizes):
    wire = HELLO + READY_REQ
    for parts in messages:
        wire += b"".join(encode_frame(p, MORE) for p in parts[:-1]) + encode_frame(parts[-1])
    peer, found, place, turn = Peer(b"REP", (b"REQ",)), [], 0, 0
    while place < len(wire):
        found += peer.read(wire[place : place + sizes[turn % len(sizes)]])[1]
        place += sizes[turn % len(sizes)]
        turn += 1
    assert found == messages
    assert not peer.broken


@given(st.binary(max_size=300), st.booleans())
def test_nonsense_never_raises_in_the_server_and_only_malformed_in_the_client(noise, greeted):
    peer = Peer(b"PAIR", (b"PAIR",))
    peer.read((HELLO if greeted else b"") + noise)
    reader = FrameReader()
    reader.feed(noise)
    try:
        while (got := reader.frame()) is not None:
            if got[0] & COMMAND:
                decode_ready(got[1])
    except Malformed:
        pass


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n",
        HELLO[:10] + b"\x01" + HELLO[11:],  # ZMTP 2
        HELLO[:12] + b"CURVE" + HELLO[17:],
        HELLO + b"\x00\x03abc",  # a message before READY
        HELLO + READY_REQ[:-3] + b"PUB",
        HELLO + READY_REQ + b"\xff",
        HELLO + READY_REQ + b"\x02\x7f" + bytes(7),  # a frame of 2^62 bytes
    ],
)
def test_whoever_speaks_something_else_is_cut_off(said):
    endpoint = RepEndpoint(World(), lambda request, now: (0.0, request))
    endpoint.feed(said, 0.0)
    assert endpoint.closed
    assert endpoint.feed(b"more", 0.0) == []


# ------------------------------------------------------------------ both ends together


class Echo:
    """A REP socket that repeats; requests that say so are answered late."""

    def __init__(self, plan=None):
        self.world = World()
        self.clock = VirtualClock()
        self.heard = []
        self.links = 0
        plan = faults.plan(plan or {})

        def connect():
            self.links += 1
            endpoint = RepEndpoint(self.world, self.answer)
            return Link(faults.wrap(endpoint, plan), self.clock)

        adapter = ByteAdapter(
            connect, self.clock, name="echo", framing=REQUESTS, address="tcp://echo:5555"
        )
        self.socket = RequestSocket(adapter)

    def answer(self, request, now):
        self.heard.append(request)
        return (10.0 if b"late" in request else 0.01), request.upper()


def test_requests_and_their_answers():
    echo = Echo()
    assert echo.socket.request("abc") == "ABC"
    assert echo.clock.now() == 0.01
    assert echo.socket.request("") == ""
    assert echo.socket.request("x" * 1000) == "X" * 1000
    assert echo.links == 1


def test_a_late_answer_never_meets_the_next_request():
    echo = Echo()
    with pytest.raises(TransportTimeout, match="echo: 'late' got no complete answer in 5 s"):
        echo.socket.request("late")
    assert echo.socket.request("abc") == "ABC"
    assert echo.links == 2


@pytest.mark.parametrize("kind", ["double", "split"])
def test_doubled_and_scattered_bytes_do_no_harm(kind):
    echo = Echo({kind: [3]})  # 1: greeting, 2: READY, 3: the first answer
    assert echo.socket.request("abc") == "ABC"
    assert echo.socket.request("def") == "DEF"
    assert echo.heard == [b"abc", b"def"]


def test_a_garbled_answer_is_an_error_and_the_next_one_is_not():
    echo = Echo({"garble": [3]})
    with pytest.raises(InstrumentError, match="echo: 'abc' got a malformed reply"):
        echo.socket.request("abc")
    assert echo.socket.request("def") == "DEF"


def test_a_broken_connection_repeats_only_what_may_be_repeated():
    echo = Echo({"disconnect": [3]})
    assert echo.socket.request("abc?", repeatable=True) == "ABC?"
    assert echo.links == 2
    echo = Echo({"disconnect": [3]})
    with pytest.raises(ConnectionLost, match="echo"):
        echo.socket.request("abc")
    assert echo.heard == [b"abc"]
    assert echo.socket.request("def") == "DEF"


def test_the_wrong_end_is_named():
    world, clock = World(), VirtualClock()
    endpoint = PairEndpoint(world, lambda now: [])
    adapter = ByteAdapter(
        lambda: Link(endpoint, clock), clock, name="tags", framing=REQUESTS, address="tcp://h:1"
    )
    with pytest.raises(InstrumentError, match=r"tags: .*a socket 'PAIR' cannot answer REQ"):
        RequestSocket(adapter).request("list")


class Ticks:
    """A PAIR socket that sends its number of seconds every second."""

    def __init__(self):
        self.world, self.clock, self.sent = World(), VirtualClock(), 0

    def source(self, now):
        due = range(self.sent + 1, int(now) + 1)
        self.sent = max(self.sent, int(now))
        return [str(n).encode() * 1000 for n in due]

    def socket(self):
        endpoint = PairEndpoint(self.world, self.source)
        adapter = ByteAdapter(
            lambda: Link(endpoint, self.clock), self.clock, name="tags", framing=STREAM
        )
        return PairSocket(adapter)


def test_a_pair_hands_out_message_after_message():
    ticks = Ticks()
    socket = ticks.socket()
    socket.connect()
    ticks.clock.sleep(3.5)
    assert [socket.receive()[:1] for _ in range(3)] == [b"1", b"2", b"3"]
    with pytest.raises(TransportTimeout, match="tags"):
        socket.receive(0.1)
    with pytest.raises(ConnectionLost, match="tags"):  # what was missed is lost
        socket.receive(1.0)


class Canned:
    """An endpoint that says fixed bytes, whatever it hears."""

    def __init__(self, *said):
        self.said = list(said)

    def feed(self, data, now):
        return [(now, self.said.pop(0))] if self.said else []


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\nX: 123456\r\n\r\n"],
         "greeting"),
        ([HELLO[:10] + b"\x01" + HELLO[11:]], "greeting"),
        ([HELLO[:12] + b"PLAIN" + HELLO[17:]], "mechanism 'PLAIN' is not NULL"),
        ([HELLO, READY_REQ[:-3] + b"PUB"], "a socket 'PUB' cannot answer REQ"),
        ([HELLO, encode_frame(b"\x05ERROR\x04busy", COMMAND)], "it refuses: 'busy'"),
        ([HELLO, encode_frame(b"\x05READY\x0bSocket", COMMAND)], "READY is cut off"),
        ([HELLO, encode_frame(b"hello")], "a socket '' cannot answer REQ"),
        ([HELLO, READY_REP, b"", b"\xffxx"], "a frame begins with 0xff"),
        ([HELLO, READY_REP, b"", b"\x02" + b"\x7f" + bytes(7)], "a frame of 9151314442816847872 by"),
        ([HELLO, READY_REP, b"", encode_frame(b"one")], "1 frames instead of an empty one and"),
        ([HELLO, READY_REP, b"", b"\x01\x00" + encode_frame(b"\xff\xfe")], "no UTF-8 text"),
    ],
)  # fmt: skip
def test_peers_that_speak_something_else_are_told_in_one_line(said, why):
    clock = VirtualClock()
    endpoint = Canned(*said)
    adapter = ByteAdapter(
        lambda: Link(endpoint, clock), clock, name="far", framing=REQUESTS, address="tcp://h:5555"
    )
    with pytest.raises(InstrumentError) as caught:
        RequestSocket(adapter).request("abc?", repeatable=True)
    assert str(caught.value).startswith("far: 'abc?' got a malformed reply (")
    assert why in str(caught.value)
    assert str(caught.value).endswith("; check that tcp://h:5555 speaks ZeroMQ")


def test_silence_is_told_with_what_was_asked():
    clock = VirtualClock()
    adapter = ByteAdapter(lambda: Link(Canned(HELLO), clock), clock, name="far", framing=REQUESTS)
    with pytest.raises(TransportTimeout, match=r"^far: 'abc' got no complete answer in 2 s"):
        RequestSocket(adapter).request("abc", timeout=2.0)


@given(st.binary(max_size=200), st.integers(0, 2))
def test_whatever_a_peer_says_is_an_answer_or_one_of_our_errors(noise, good):
    clock = VirtualClock()
    said = [HELLO, READY_REP][:good]
    adapter = ByteAdapter(
        lambda: Link(Canned(*said, noise), clock), clock, name="far", framing=REQUESTS
    )
    with contextlib.suppress(InstrumentError, TransportTimeout):
        assert isinstance(RequestSocket(adapter).request("abc"), str)
