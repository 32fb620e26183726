"""The server must survive its clients, keep time, and leave nothing behind."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulated_instruments.server import Server, address_of, serving
from simulated_instruments.world import World


@pytest.fixture
def one(toy):
    """One toy called "a"."""
    return {"a": toy(World(1), "a")}


def test_addresses_name_instrument_protocol_and_address(toy, serial_toy):
    world = World(1)
    with serving({"a": toy(world, "a"), "b": serial_toy(world, "b")}) as addresses:
        by_port = {(entry["instrument"], entry["port"]): entry for entry in addresses}
        assert [*by_port] == [
            ("a", "main"), ("a", "single"), ("a", "web"), ("b", "line"), ("clock", "time"),
        ]  # fmt: skip
        main = by_port["a", "main"]
        number = main["address"].rpartition(":")[2]
        assert main == {
            "instrument": "a",
            "protocol": "scpi",
            "address": f"tcp://127.0.0.1:{number}",
            "transport": "tcp",
            "port": "main",
            "visa": f"TCPIP::127.0.0.1::{number}::SOCKET",
        }
        assert by_port["a", "web"]["address"].startswith("http://127.0.0.1:")
        assert by_port["clock", "time"]["protocol"] == "labctl-time"
        assert "visa" not in by_port["a", "single"]


def test_greets_and_answers(one, dial):
    with serving(one) as addresses:
        client = dial(addresses, "a")
        assert client.line() == b"hello\n"
        assert client.ask("NAME?") == "a"


def test_several_clients_have_their_own_lines(one, dial):
    with serving(one) as addresses:
        clients = [dial(addresses, "a") for _ in range(20)]
        for client in clients:
            assert client.line() == b"hello\n"
        for number, client in enumerate(clients):
            client.send(b"NA" if number % 2 else b"TOT")
        for number, client in enumerate(clients):
            client.send(b"ME?\n" if number % 2 else b"AL?\n")
        for number, client in enumerate(clients):
            assert client.line() == (b"a\n" if number % 2 else b"0.0\n")


def test_two_instruments_share_one_world(toy, dial):
    world = World(1)
    with serving({"a": toy(world, "a"), "b": toy(world, "b")}, pace=0) as addresses:
        a, b, clock = dial(addresses, "a"), dial(addresses, "b"), dial(addresses, "clock")
        assert (a.line(), b.line()) == (b"hello\n", b"hello\n")
        a.send(b"HEAT 2\n")
        assert a.ask("NAME?") == "a"
        clock.ask('{"do": "move", "to": 1.5}')
        b.send(b"TOTAL?\n")
        clock.ask('{"do": "move", "to": 1.6}')
        assert b.line() == b"3.0\n"


def test_refuses_more_clients_than_the_port_has_and_takes_one_again(one, dial):
    with serving(one) as addresses:
        first = dial(addresses, "a", "single")
        assert first.line() == b"hello\n"
        assert dial(addresses, "a", "single").rest() == b""
        assert dial(addresses, "a", "main").line() == b"hello\n"
        assert first.ask("NAME?") == "a"
        first.send(b"BYE\n")
        assert first.rest() == b"bye\n"
        assert dial(addresses, "a", "single").line() == b"hello\n"


def test_a_vanished_client_leaves_room_for_the_next(one, dial):
    with serving(one) as addresses:
        for half in (b"NAME", b"SLOW? 1000\n", b"BLOCK? 3000000\n", b"\xff\x00\n" * 50):
            client = dial(addresses, "a", "single")
            assert client.line() == b"hello\n"
            client.send(half)
            # a reset instead of an orderly end
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
            # the free place shows when somebody gets the greeting; the loop needs its turn first
            for _ in range(100):
                if (new := dial(addresses, "a", "single")).line() == b"hello\n":
                    break
            assert new.ask("NAME?") == "a"
            new.send(b"BYE\n")
            assert new.rest() == b"bye\n"


def test_endpoints_are_told_that_their_client_is_gone(one, dial):
    with serving(one, pace=0) as addresses:
        for _ in range(3):
            client = dial(addresses, "a", "single")
            assert client.line() == b"hello\n"
            client.send(b"BYE\n")
            assert client.rest() == b"bye\n"
        assert dial(addresses, "a", "single").line() == b"hello\n"
        assert one["a"].hung_up == 3
    assert one["a"].hung_up == 4


def test_a_client_that_has_finished_sending_still_gets_its_replies(one, dial):
    with serving(one, pace=10) as addresses:
        client = dial(addresses, "a")
        client.send(b"NAME?\nSLOW? 0.5\nSLOW? 1000\n")
        client.socket.shutdown(socket.SHUT_WR)
        greeting, name, slow = client.rest().splitlines()
        assert (greeting, name) == (b"hello", b"a")
        assert slow.startswith(b"asked at ")


def test_a_failing_simulator_loses_its_connection_and_nothing_else(one, dial, caplog):
    with serving(one) as addresses:
        bystander = dial(addresses, "a")
        assert bystander.line() == b"hello\n"
        client = dial(addresses, "a")
        client.send(b"BREAK\n")
        assert client.rest() in (b"", b"hello\n")
        assert bystander.ask("NAME?") == "a"
    assert "a bug of the simulator" in caplog.text


def test_a_failing_simulator_on_a_serial_line_starts_anew(serial_toy, caplog):
    serial = pytest.importorskip("serial", reason="pyserial is not installed")
    with (
        serving({"a": serial_toy(World(1), "a")}) as addresses,
        serial.serial_for_url(address_of(addresses, "a"), timeout=0.05) as port,
    ):
        port.write(b"BREAK\nNAME?\n")  # one write: the bug takes the rest with it
        for _ in range(100):
            port.write(b"NAME?\n")
            if port.readline() == b"a\n":
                break
        else:
            pytest.fail("the line is dead")
    assert "a bug of the simulator" in caplog.text


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals on this system")
def test_serial_port_is_a_pseudo_terminal(serial_toy):
    serial = pytest.importorskip("serial", reason="pyserial is not installed")
    with serving({"a": serial_toy(World(1), "a")}) as addresses:
        entry = addresses[0]
        assert entry["transport"] == "serial"
        assert entry["visa"] == f"ASRL{entry['address']}::INSTR"
        for _ in range(3):  # clients come and go on the same line
            with serial.Serial(entry["address"], 115200, timeout=10) as port:
                port.write(b"NAME?\n")
                while (line := port.readline()) == b"hello\n":
                    pass
                assert line == b"a\n"
                port.write(b"BLOCK? 3000\n")  # every byte value passes a raw line
                assert port.read(3001) == bytes(3000) + b"\n"


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals on this system")
def test_pseudo_terminals_are_closed_at_the_end(serial_toy):
    with serving({"a": serial_toy(World(1), "a")}) as addresses:
        line = os.open(address_of(addresses, "a"), os.O_RDWR | os.O_NOCTTY)
        os.write(line, b"NAME?\n")
        assert os.read(line, 1)
    try:
        while os.read(line, 4096):
            pass
    except OSError as error:
        assert error.errno == errno.EIO  # noqa: PT017  # hung up; other systems report the end
    finally:
        os.close(line)


def test_serial_line_that_nobody_reads_loses_bytes_and_goes_on(serial_toy):
    serial = pytest.importorskip("serial", reason="pyserial is not installed")
    with serving({"a": serial_toy(World(1), "a")}, pseudo_terminals=True) as addresses:
        with serial.Serial(address_of(addresses, "a"), timeout=10) as port:
            port.write(b"BLOCK? 5000\n" * 40)
            port.write(b"NAME?\n")
        with serial.Serial(address_of(addresses, "a"), timeout=0.2) as port:
            while port.read(4096):
                pass
            port.timeout = 10
            port.write(b"NAME?\n")
            assert port.readline() == b"a\n"


def test_serial_port_without_pseudo_terminals_is_a_socket(serial_toy):
    serial = pytest.importorskip("serial", reason="pyserial is not installed")
    toys = {"a": serial_toy(World(1), "a")}
    with serving(toys, pseudo_terminals=False) as addresses:
        address = address_of(addresses, "a")
        assert address.startswith("socket://127.0.0.1:")
        with serial.serial_for_url(address, timeout=10) as port:
            port.write(b"NAME?\n")
            while (line := port.readline()) == b"hello\n":  # pyserial may or may not discard it
                pass
            assert line == b"a\n"


def test_pace_scales_time(one, dial):
    with serving(one, pace=200) as addresses:
        client = dial(addresses, "a")
        assert client.line() == b"hello\n"
        began = time.monotonic()
        first = float(client.ask("WHEN?"))
        assert client.ask("SLOW? 20").startswith("asked at")
        second = float(client.ask("WHEN?"))
        real = time.monotonic() - began
    assert 20 <= second - first <= 200 * real
    assert real >= 0.1


def test_pushes_come_unasked(one, dial):
    with serving(one, pace=10) as addresses:
        client = dial(addresses, "a")
        assert client.line() == b"hello\n"
        client.send(b"PUSH 0.25\n")
        times = [float(client.line().split()[1]) for _ in range(5)]
    assert times == [times[0] + 0.25 * k for k in range(5)]


def test_at_pace_0_only_the_time_port_moves_time(one, dial):
    with serving(one, pace=0) as addresses:
        client, clock = dial(addresses, "a"), dial(addresses, "clock")
        assert client.line() == b"hello\n"
        client.send(b"WHEN?\nSLOW? 5\n")
        assert client.line() == b"0.0\n"
        answer = json.loads(clock.ask('{"id": 7, "do": "move", "to": 4.5}'))
        assert answer == {"id": 7, "now": 4.5, "pace": 0}
        client.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.socket.recv(1)
        client.socket.settimeout(10)
        clock.ask('{"do": "move", "to": 5.5}')
        assert client.line() == b"asked at 0.0\n"
        assert json.loads(clock.ask('{"do": "move", "to": 1}'))["now"] == 5.5
        assert client.ask("WHEN?") == "5.5"


@pytest.mark.parametrize(
    "question",
    [
        "", "nonsense", "[]", "1", '{"do": "fly"}', '{"do": "move"}', '{"do": "move", "to": "x"}',
        '{"do": "move", "to": NaN}', '{"do": "move", "to": Infinity}', '{"do": "move", "to": [1]}',
        '{"do": "receive", "connection": [1, 2], "timeout": 1}', '{"do": "receive"}',
        '{"do": "attach", "connection": 5}', '{"do": "attach", "connection": ["x", null]}',
        '{"do": "move", "to": 1, "sent": 3}', '{"do": "move", "to": 1, "sent": [[1, 2, -3]]}',
        '{"do": "move", "sent": {"a": 1}}', '{"do": "move", "to": 1, "sent": [[[], 2, 3]]}',
        '{"do": "receive", "connection": [1, 2], "timeout": -1}', "[" * 100_000,
    ],
)  # fmt: skip
def test_time_port_refuses_nonsense_and_goes_on(one, dial, question):
    with serving(one, pace=0) as addresses:
        clock = dial(addresses, "clock")
        answer = json.loads(clock.ask(question))
        assert answer["error"]
        assert answer["now"] == 0
        assert json.loads(clock.ask('{"do": "now"}')) == {"id": None, "now": 0.0, "pace": 0}


def test_a_busy_instrument_goes_on_at_the_exact_time(one, dial):
    with serving(one, pace=0) as addresses:
        client, clock = dial(addresses, "a"), dial(addresses, "clock")
        assert client.line() == b"hello\n"
        client.send(b"BUSY 2.5\nWHEN?\nBUSY 0.5\nWHEN?\nNAME?\n")
        assert json.loads(clock.ask('{"do": "move", "to": 10}'))["now"] == 10
        assert [client.line() for _ in range(3)] == [b"2.5\n", b"3.0\n", b"a\n"]


def test_a_busy_instrument_answers_in_real_time(one, dial):
    with serving(one, pace=100) as addresses:
        client = dial(addresses, "a")
        assert client.line() == b"hello\n"
        before = float(client.ask("WHEN?"))
        client.send(b"BUSY 5\nWHEN?\n")
        assert float(client.line()) >= before + 5


def test_faults_strike_replies_not_the_end_of_being_busy(one, dial):
    with serving(one, pace=0, faults={"a": {"drop": [2], "double": [3]}}) as addresses:
        client, clock = dial(addresses, "a"), dial(addresses, "clock")
        assert client.line() == b"hello\n"
        client.send(b"BUSY 1\nNAME?\nBUSY 1\nWHEN?\n")
        clock.ask('{"do": "move", "to": 3}')
        assert (client.line(), client.line()) == (b"2.0\n", b"2.0\n")


def test_time_that_runs_by_itself_is_not_moved(one, dial):
    with serving(one, pace=2) as addresses:
        clock = dial(addresses, "clock")
        assert "pace 2" in json.loads(clock.ask('{"do": "move", "to": 1e6}'))["error"]
        assert json.loads(clock.ask('{"do": "now"}'))["pace"] == 2


def test_a_reader_that_is_too_slow_is_cut_off(one, dial):
    with serving(one) as addresses:
        greedy, modest = dial(addresses, "a"), dial(addresses, "a")
        assert modest.line() == b"hello\n"
        greedy.send(b"BLOCK? 1000000\n" * 100)  # one hundred times more than buffers hold
        for _ in range(3):
            assert modest.ask("NAME?") == "a"
        assert len(greedy.rest()) < 60_000_000


def test_a_client_that_reads_gets_any_amount(one, dial):
    with serving(one) as addresses:
        client = dial(addresses, "a")
        assert client.line() == b"hello\n"
        for size in (1, 70_000, 9_999_999):
            client.send(b"BLOCK? %d\n" % size)
            assert client.file.read(size + 1) == bytes(size) + b"\n"


def test_a_client_that_only_writes_is_held_back(one, dial):
    """Commands are left unread while replies wait, so the server's memory stays bounded."""
    with serving(one, pace=0) as addresses:
        client = dial(addresses, "a")
        client.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.send(b"SLOW? 1000\n" * 10_000_000)
        assert dial(addresses, "a").ask("NAME?") == "hello"


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(chunks=st.lists(st.binary(min_size=1, max_size=300), max_size=8))
def test_byte_soup_never_stops_the_server(served, dial, chunks):
    for instrument, port in (("a", "main"), ("clock", "time")):
        client = dial(served, instrument, port)
        try:
            for chunk in chunks:
                client.send(chunk)
        except ConnectionError:
            pass  # it may well hang up on us
        client.close()
    probe = dial(served, "a", "main")
    assert probe.line() == b"hello\n"
    assert probe.ask("NAME?") == "a"
    probe.close()


@pytest.fixture(scope="module")
def served(toy):
    logging.getLogger("simulated_instruments").setLevel(logging.CRITICAL)
    with serving({"a": toy(World(1), "a")}, pace=0) as addresses:
        yield addresses
    logging.getLogger("simulated_instruments").setLevel(logging.NOTSET)


def test_faults_strike_the_named_instrument(toy, dial):
    world = World(1)
    toys = {"a": toy(world, "a"), "b": toy(world, "b")}
    with serving(toys, faults={"b": {"double": [1], "disconnect": [3]}}) as addresses:
        a, b = dial(addresses, "a"), dial(addresses, "b")
        assert a.line() == b"hello\n"
        assert (b.line(), b.line()) == (b"hello\n", b"hello\n")
        assert b.ask("NAME?") == "b"
        assert b.ask("NAME?") == ""
        assert b.rest() == b""
        assert a.ask("NAME?") == "a"


def test_an_unknown_fault_is_refused(one):
    with pytest.raises(ValueError, match="unknown fault 'explode'"):
        Server(one, faults={"a": {"explode": 1}})


def test_stop_event_ends_it_and_frees_the_ports(one, dial):
    stop = threading.Event()
    server = Server(one)
    thread = threading.Thread(target=server.serve_forever, args=(stop,))
    thread.start()
    client = dial(server.addresses(), "a")
    assert client.line() == b"hello\n"
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert client.rest() == b""
    with pytest.raises(OSError, match="refused"):
        dial(server.addresses(), "a")


def test_a_taken_port_is_said_in_one_line(toy):
    class Fixed(toy):
        pass

    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        port = type(toy.PORTS["main"])("scpi", default=number)
        Fixed.PORTS = {"main": port}
        with pytest.raises(ValueError, match=rf"127.0.0.1:{number} for a \(main\)") as caught:
            Server({"a": Fixed(World(1), "a")}, vendor_ports=True)
        assert "\n" not in str(caught.value)
    with serving({"a": Fixed(World(1), "a")}, vendor_ports=True) as addresses:
        assert address_of(addresses, "a") == f"tcp://127.0.0.1:{number}"


@pytest.mark.parametrize("pace", [-1, float("nan"), float("inf")])
def test_impossible_pace_is_refused(one, pace):
    with pytest.raises(ValueError, match="pace"):
        Server(one, pace=pace)


PROGRAM = """
import json, sys
sys.path.insert(0, {folder!r})
import conftest
from simulated_instruments.server import Server
from simulated_instruments.world import World
world = World(1)
server = Server({{"a": conftest.Toy(world, "a"), "b": conftest.SerialToy(world, "b")}})
print(json.dumps(server.addresses()), flush=True)
server.serve_forever()
print("closed", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals cannot be sent to one process on Windows")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly(number, dial):
    folder = str(Path(__file__).parent)
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(folder=folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        addresses = json.loads(process.stdout.readline())
        client = dial(addresses, "a")
        assert client.line() == b"hello\n"
        process.send_signal(number)
        assert process.stdout.readline() == "closed\n"
        assert process.wait(10) == 0
        assert client.rest() == b""
