"""Our ZeroMQ codec against the real one, both ways, over sockets."""

from __future__ import annotations

import socket as plain
import threading
from urllib.parse import urlsplit

import pytest
import zmq

from labctl.adapter import ByteAdapter
from labctl.clock import RealClock
from labctl.errors import InstrumentError
from labctl.transport.opening import open_transport
from labctl.zmtp import REQUESTS, STREAM, PairSocket, RequestSocket
from simulated_instruments.instrument import Port, SimulatedInstrument
from simulated_instruments.protocol.zmtp import PairEndpoint, RepEndpoint
from simulated_instruments.server import address_of, serving
from simulated_instruments.world import World

PATIENCE = 30_000  # ms


class Speaker(SimulatedInstrument):
    """Answers in capitals, and streams a hundred messages to whoever pairs with it."""

    PORTS = {"rep": Port("zmq-rep"), "pair": Port("zmq-pair", connections=1)}

    def connect(self, port=""):
        if port == "pair":
            left = [bytes([n]) * n * 50 for n in range(100, 0, -1)]

            def source(now):
                sent, left[:] = left[:], []
                return [*sent, b""] if sent else []

            return PairEndpoint(self.world, source)
        return RepEndpoint(self.world, lambda request, now: (0.0, request.upper()))


@pytest.fixture(scope="module")
def served():
    with serving({"speaker": Speaker(World(), "speaker")}) as addresses:
        yield addresses


@pytest.fixture
def context():
    context = zmq.Context()
    context.setsockopt(zmq.LINGER, 0)
    context.setsockopt(zmq.RCVTIMEO, PATIENCE)
    yield context
    context.destroy()


def test_pyzmq_asks_our_server(served, context):
    with context.socket(zmq.REQ) as client:
        client.connect(address_of(served, "speaker", "rep"))
        for text in ("abc", "", "x" * 255, "y" * 256, "z" * 100_000):
            client.send_string(text)
            assert client.recv_string() == text.upper()


def test_many_clients_at_once_and_one_that_never_speaks(served, context):
    where = address_of(served, "speaker", "rep")
    parts = urlsplit(where)
    with plain.create_connection((parts.hostname, parts.port)):
        clients = [context.socket(zmq.REQ) for _ in range(5)]
        for number, client in enumerate(clients):
            client.connect(where)
            client.send_string(f"client {number}")
        for number, client in enumerate(clients):
            assert client.recv_string() == f"CLIENT {number}"


def test_a_dealer_gets_its_envelope_back(served, context):
    with context.socket(zmq.DEALER) as client:
        client.connect(address_of(served, "speaker", "rep"))
        client.send_multipart([b"one", b"", b"abc"])
        assert client.recv_multipart() == [b"one", b"", b"ABC"]


def test_heartbeats_keep_the_connection(served, context):
    with context.socket(zmq.REQ) as client:
        client.setsockopt(zmq.HEARTBEAT_IVL, 20)
        client.setsockopt(zmq.HEARTBEAT_TIMEOUT, 10_000)
        monitor = client.get_monitor_socket()
        client.connect(address_of(served, "speaker", "rep"))
        client.send_string("abc")
        assert client.recv_string() == "ABC"
        assert monitor.poll(200) >= 0  # some heartbeats pass
        client.send_string("def")
        assert client.recv_string() == "DEF"


def test_pyzmq_pairs_with_our_server(served, context):
    with context.socket(zmq.PAIR) as client:
        client.connect(address_of(served, "speaker", "pair"))
        received = []
        while not received or received[-1]:
            received.append(client.recv())
    assert received == [*[bytes([n]) * n * 50 for n in range(100, 0, -1)], b""]


# ------------------------------------------------------------------ our client


def adapter(address, framing):
    clock = RealClock()
    return ByteAdapter(
        lambda: open_transport(address, clock), clock, name="far", framing=framing, address=address
    )


def bound(context, kind):
    server = context.socket(kind)
    port = server.bind_to_random_port("tcp://127.0.0.1")
    return server, f"tcp://127.0.0.1:{port}"


@pytest.mark.parametrize("kind", [zmq.REP, zmq.ROUTER])
def test_our_requests_reach_pyzmq(context, kind):
    server, address = bound(context, kind)

    def work():
        for _ in range(4):
            *envelope, request = server.recv_multipart()
            server.send_multipart([*envelope, request + request])

    thread = threading.Thread(target=work)
    thread.start()
    line = adapter(address, REQUESTS)
    try:
        client = RequestSocket(line)
        for text in ("abc", "", "x" * 256, "µ" * 50_000):
            assert client.request(text, timeout=30.0) == 2 * text
    finally:
        thread.join(timeout=30.0)
        line.close()


def test_our_pair_listens_to_pyzmq(context):
    server, address = bound(context, zmq.PAIR)
    sent = [bytes([n]) * n * 999 for n in range(50)]
    line = adapter(address, STREAM)
    try:
        client = PairSocket(line)
        client.connect(timeout=30.0)
        for message in sent:
            server.send(message)
        assert [client.receive(timeout=30.0) for _ in sent] == sent
    finally:
        line.close()


def test_heartbeats_of_pyzmq_are_answered(context):
    server = context.socket(zmq.PAIR)
    server.setsockopt(zmq.HEARTBEAT_IVL, 20)
    server.setsockopt(zmq.HEARTBEAT_TIMEOUT, 2_000)
    port = server.bind_to_random_port("tcp://127.0.0.1")
    line = adapter(f"tcp://127.0.0.1:{port}", STREAM)
    try:
        client = PairSocket(line)
        client.connect(timeout=30.0)
        timer = threading.Timer(0.3, server.send, (b"after some beats",))
        timer.start()
        assert client.receive(timeout=30.0) == b"after some beats"
        timer.join()
    finally:
        line.close()


def test_a_publisher_is_no_instrument(context):
    _, address = bound(context, zmq.PUB)
    line = adapter(address, REQUESTS)
    try:
        with pytest.raises(InstrumentError, match=r"far: .*(cannot answer REQ|malformed)"):
            RequestSocket(line).request("*IDN?", timeout=30.0)
    finally:
        line.close()
