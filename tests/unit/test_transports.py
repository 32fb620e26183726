"""Every transport moves the same bytes, and says in one line what is wrong."""

import os
import socket
import sys
import threading
import time

import pytest

from labctl.adapter import ByteAdapter, Framing
from labctl.clock import RealClock, VirtualClock
from labctl.errors import ConnectionLost, RequestError, TransportTimeout
from labctl.transport.link import Link
from labctl.transport.opening import host_and_port, open_transport
from labctl.transport.tcp import TcpTransport
from simulated_instruments.faults import wrap

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")


@pytest.fixture
def peer():
    """A listening socket and the address of it."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(5.0)
    yield server
    server.close()


def port_of(server):
    return server.getsockname()[1]


@pytest.fixture
def pair(peer):
    """A TcpTransport and the socket at its other end."""
    transport = open_transport(f"tcp://127.0.0.1:{port_of(peer)}", RealClock())
    theirs, _ = peer.accept()
    yield transport, theirs
    transport.close()
    theirs.close()


def send_often(transport):
    """Until the system notices that nobody is there."""
    for _ in range(100):
        transport.send(b"x" * 100_000)


# ---- addresses


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("10.0.0.5:5025", "has no scheme"),
        ("tpc://10.0.0.5:5025", "unknown scheme 'tpc', did you mean 'tcp'"),
        ("tcp://10.0.0.5", "needs a port from 1 to 65535, got ''"),
        ("tcp://10.0.0.5:0", "needs a port from 1 to 65535, got '0'"),
        ("tcp://10.0.0.5:99999", "got '99999'"),
        ("tcp://10.0.0.5:50a", "got '50a'"),
        ("tcp://:5025", "names no valid host"),
        ("tcp://ho st:5025", "names no valid host"),
        ("tcp://[::1:5025", "lacks a closing bracket"),
        ("tcp://user@host:1", "names no valid host"),
        ("http://", "names no valid host"),
        ("http://host/path", "names no valid host"),
        ("serial://", "names no serial port"),
        ("serial://COM3?baud=9600", "unknown option 'baud', did you mean 'baudrate'"),
        ("serial://COM3?baudrate=fast", "baudrate cannot be 'fast'"),
        ("serial://COM3?rtscts=maybe", "rtscts cannot be 'maybe'"),
        ("visa://", "names no VISA resource"),
    ],
)
def test_bad_addresses_say_what_is_wrong(address, complaint):
    with pytest.raises(RequestError) as caught:
        open_transport(address, VirtualClock())
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "default", "expected"),
    [
        ("tcp://esa.example:5025", None, ("esa.example", 5025)),
        ("tcp://[fe80::1]:1998", None, ("fe80::1", 1998)),
        ("http://ws.local", 80, ("ws.local", 80)),
        ("http://ws.local/", 80, ("ws.local", 80)),
        ("http://[::1]", 80, ("::1", 80)),
        ("http://127.0.0.1:8080/", 80, ("127.0.0.1", 8080)),
    ],
)
def test_hosts_and_ports(address, default, expected):
    assert host_and_port(address, default) == expected


# ---- TCP


def test_tcp_moves_bytes_without_delay(pair):
    ours, theirs = pair
    assert ours._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    ours.send(b"\x00WAV?\n")
    assert theirs.recv(100) == b"\x00WAV?\n"
    theirs.sendall(b"1550\n")
    assert ours.receive(5.0) == b"1550\n"
    assert ours.receive(0.0) == b""
    assert ours.arrived() == b""
    started = time.perf_counter()
    assert ours.receive(0.02) == b""
    assert 0.015 < time.perf_counter() - started < 20.0


def test_tcp_sends_more_than_the_buffers_hold(pair):
    ours, theirs = pair
    data = bytes(range(256)) * 40_000
    got = []

    def drain():
        while sum(map(len, got)) < len(data):
            got.append(theirs.recv(1 << 16))

    thread = threading.Thread(target=drain)
    thread.start()
    ours.send(data)
    thread.join(10.0)
    assert b"".join(got) == data


def test_tcp_end_of_the_other_side(pair):
    ours, theirs = pair
    theirs.sendall(b"bye")
    theirs.close()
    assert ours.receive(5.0) == b"bye"
    with pytest.raises(ConnectionLost, match=r"^127.0.0.1:\d+ closed the connection$"):
        ours.receive(5.0)
    with pytest.raises(ConnectionLost, match=r"^the connection to 127.0.0.1:\d+ broke"):
        send_often(ours)


def test_tcp_after_close(pair):
    ours, _ = pair
    ours.close()
    ours.close()
    for use in (lambda: ours.send(b"x"), lambda: ours.receive(0.1), ours.arrived):
        with pytest.raises(ConnectionLost, match="closed on our side"):
            use()


def test_tcp_refused_names_place_and_remedy(peer):
    port = port_of(peer)
    peer.close()
    with pytest.raises(ConnectionLost) as caught:
        open_transport(f"tcp://127.0.0.1:{port}", RealClock())
    text = str(caught.value)
    assert f"no connection to 127.0.0.1:{port} (Connection refused)" in text
    assert "check that the instrument is on" in text
    assert "\n" not in text


def test_http_and_visa_sockets_are_tcp(peer):
    for address in (
        f"http://127.0.0.1:{port_of(peer)}",
        f"visa://TCPIP0::127.0.0.1::{port_of(peer)}::SOCKET",
    ):
        transport = open_transport(address, RealClock())
        assert isinstance(transport, TcpTransport)
        transport.close()


# ---- a server that dies and comes back


def test_adapter_survives_a_restart_of_the_instrument(peer):
    """Closed while idle, then served again: no question is lost or asked twice."""
    heard, hung_up = [], threading.Event()

    def serve(answers):
        connection, _ = peer.accept()
        with connection, connection.makefile("rwb") as file:
            for _ in range(answers):
                line = file.readline()
                heard.append(line)
                file.write(line)
                file.flush()
        hung_up.set()

    thread = threading.Thread(target=lambda: [serve(2), serve(2)])
    thread.start()
    port = port_of(peer)
    a = ByteAdapter(lambda: TcpTransport("127.0.0.1", port), RealClock(), name="dut")
    for n in range(4):
        assert a.query(f"{n}?") == f"{n}?"
        if n == 1:
            assert hung_up.wait(5.0)
    assert a.reconnects == 1
    assert heard == [b"0?\n", b"1?\n", b"2?\n", b"3?\n"]
    a.close()
    thread.join(5.0)


# ---- serial


@POSIX
def test_serial_over_a_pseudo_terminal():
    import tty

    master, slave = os.openpty()
    tty.setraw(slave)
    name = os.ttyname(slave)
    transport = open_transport(f"serial://{name}?baudrate=115200&parity=N&stopbits=1", RealClock())
    assert transport._serial.baudrate == 115200
    transport.send(b"\x12\x03ID?\r")
    assert os.read(master, 100) == b"\x12\x03ID?\r"
    os.write(master, b"\x00\xffreply\r\n")
    got = b""
    while len(got) < 9:
        got += transport.receive(5.0)
    assert got == b"\x00\xffreply\r\n"
    assert transport.receive(0.01) == b""
    assert transport.receive(0.0) == b""
    a = ByteAdapter(lambda: transport, RealClock(), name="tec", framing=Framing(timeout=0.02))
    with pytest.raises(TransportTimeout, match=r"^tec: "):
        a.query("T?")
    os.close(master)
    with pytest.raises(ConnectionLost, match=f"^serial port {name} broke"):
        send_often(transport)
    transport.close()
    transport.close()
    os.close(slave)


def test_serial_over_a_socket(peer):
    transport = open_transport(f"serial://socket://127.0.0.1:{port_of(peer)}", RealClock())
    theirs, _ = peer.accept()
    transport.send(b"ID?\n")
    assert theirs.recv(100) == b"ID?\n"
    theirs.sendall(b"a" * 5000)
    got = b""
    while len(got) < 5000:
        got += transport.receive(5.0)
    assert got == b"a" * 5000
    assert transport.receive(0.01) == b""
    theirs.close()
    with pytest.raises(ConnectionLost, match=r"^serial port socket://127.0.0.1:\d+ broke"):
        transport.receive(1.0)
    transport.close()


def test_serial_port_that_does_not_exist():
    with pytest.raises(
        ConnectionLost, match=r"^cannot open serial port /dev/no-such-port \(No such"
    ):
        open_transport("serial:///dev/no-such-port?baudrate=9600", RealClock())


# ---- VISA


@POSIX
def test_visa_serial_through_pyvisa_py():
    import tty

    master, slave = os.openpty()
    tty.setraw(slave)
    transport = open_transport(f"visa://ASRL{os.ttyname(slave)}::INSTR", RealClock())
    transport.send(b"ID?\n")
    assert os.read(master, 100) == b"ID?\n"
    os.write(master, b"\x00\nreply\r\n")
    got = b""
    while len(got) < 9:
        got += transport.receive(5.0)
    assert got == b"\x00\nreply\r\n"
    assert transport.receive(0.01) == b""
    assert transport.arrived() == b""
    assert not hasattr(transport, "clear")
    transport.close()
    os.close(master)
    os.close(slave)


class Bus:
    """A message based VISA resource: what pyvisa's GPIB and USBTMC resources offer."""

    timeout = 2000.0

    def __init__(self):
        self.said, self.messages, self.cleared, self.closed = [], [], 0, False

    def write_raw(self, data):
        self.said.append(data)
        if data == b"BREAK\n":
            import pyvisa

            raise pyvisa.VisaIOError(pyvisa.constants.StatusCode.error_connection_lost)
        if data.endswith(b"?\n") and data != b"NEVER?\n":
            self.messages.append(b"reply to " + data[:-2])  # without a line end: END marks it

    def read_raw(self):
        import pyvisa

        if not self.messages:
            raise pyvisa.VisaIOError(pyvisa.constants.StatusCode.error_timeout)
        return self.messages.pop(0)

    def clear(self):
        self.cleared += 1
        self.messages.clear()

    def close(self):
        self.closed = True


@pytest.fixture
def bus(monkeypatch):
    resource = Bus()

    class Manager:
        def open_resource(self, name):
            if name != "GPIB0::7::INSTR":
                raise ValueError(f"no such resource {name}")
            return resource

    monkeypatch.setattr("labctl.transport.visa.resource_manager", Manager)
    return resource


def test_message_based_bus(bus):
    a = ByteAdapter(
        lambda: open_transport("visa://GPIB0::7::INSTR", RealClock()), RealClock(), name="source"
    )
    assert a.query("FREQ?", timeout=1.5) == "reply to FREQ"
    assert bus.timeout == 1500.0
    with pytest.raises(TransportTimeout):
        a.query("NEVER?")
    assert a.query("PHAS?") == "reply to PHAS"
    assert bus.cleared == 1
    assert a.connection.arrived() == b""
    with pytest.raises(ConnectionLost, match=r"^source: VISA resource GPIB0::7::INSTR broke"):
        a.write("BREAK")
    a.close()
    assert bus.closed


def test_visa_resource_that_does_not_exist(bus):
    with pytest.raises(ConnectionLost, match=r"cannot open VISA resource USB0::1::INSTR \(no such"):
        open_transport("visa://USB0::1::INSTR", RealClock())


def test_without_a_vendor_library_pyvisa_py_is_used(monkeypatch):
    import pyvisa

    asked = []

    def manager(library):
        asked.append(library)
        if library == "@ivi":
            raise OSError("Could not open VISA library")
        return "a manager"

    monkeypatch.setattr(pyvisa, "ResourceManager", manager)
    from labctl.transport.visa import resource_manager

    assert resource_manager() == "a manager"
    assert asked == ["@ivi", "@py"]


# ---- in-process link


class Later:
    """Answers each byte with itself, 1 s later per byte."""

    closed = False

    def feed(self, data, now):
        return [(now + 1.0 + i, data[i : i + 1]) for i in range(len(data))]


def test_link_moves_virtual_time_to_the_answer():
    clock = VirtualClock(0.1)
    link = Link(Later(), clock)
    link.send(b"ab")
    assert link.receive(0.5) == b""
    assert clock.now() == 0.6
    assert link.arrived() == b""
    assert link.receive(5.0) == b"a"
    assert clock.now() == 1.1
    clock.sleep(1.0)
    assert link.arrived() == b"b"
    assert link.arrived() == b""


def test_link_delivers_what_was_said_before_the_simulator_hung_up():
    clock, device = VirtualClock(), Later()
    link = Link(device, clock)
    link.send(b"a")
    device.closed = True
    assert link.receive(5.0) == b"a"
    for use in (lambda: link.receive(1.0), lambda: link.send(b"b"), link.arrived):
        with pytest.raises(ConnectionLost, match="the simulator closed the connection"):
            use()
    link.close()
    with pytest.raises(ConnectionLost, match="the link to the simulator is closed"):
        link.receive(1.0)


def test_link_tells_the_simulator_once_that_its_client_is_gone():
    class Listening(Later):
        gone = 0

        def close(self):
            self.gone += 1

    device = Listening()
    link = Link(wrap(device, {}), VirtualClock())
    link.close()
    link.close()
    assert device.gone == 1
