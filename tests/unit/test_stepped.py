"""The stepped clock and transport against a time port played by the test, byte by byte."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from labctl.clock import VirtualClock
from labctl.errors import ClockError, ConnectionLost, LabError
from labctl.transport.stepped import SteppedClock, SteppedTransport, open_stepped_transport

Answer = Callable[[dict[str, Any]], list[dict[str, Any] | bytes]]


class TimePort:
    """Answers with what the test says, and remembers the questions."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"stepped://127.0.0.1:{self.listener.getsockname()[1]}"
        self.questions: list[dict[str, Any]] = []
        self.answer: Answer = self.plain
        self.now = 0.0
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def plain(self, question: dict[str, Any]) -> list[dict[str, Any] | bytes]:
        self.now = max(self.now, question.get("to", 0.0))
        return [{"id": question["id"], "now": self.now, "pace": 0, "expect": 0}]

    def serve(self) -> None:
        connection, _ = self.listener.accept()
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                self.questions.append(json.loads(line))
                for part in self.answer(self.questions[-1]):
                    if isinstance(part, dict):
                        part = json.dumps(part).encode() + b"\n"
                    connection.sendall(part)
                    if part == b"":
                        return


@pytest.fixture
def port():
    port = TimePort()
    yield port
    port.listener.close()


@pytest.fixture
def clock(port):
    clock = SteppedClock(port.address)
    yield clock
    clock.close()


@pytest.fixture
def far_end():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        yield listener


def verbs(port: TimePort) -> list[str]:
    return [question["do"] for question in port.questions]


def test_asks_for_the_time_and_is_a_virtual_clock(port):
    port.now = 12.5
    clock = SteppedClock(port.address)
    assert clock.now() == 12.5
    assert isinstance(clock, VirtualClock)
    assert verbs(port) == ["now"]
    clock.close()
    clock.close()


def test_sleep_and_wait_move_the_server_to_the_exact_time(port, clock):
    clock.sleep(0.1)
    clock.wait(0.2)
    clock.sleep(0.0)
    assert [q["to"] for q in port.questions[1:]] == [0.1, 0.1 + 0.2]
    assert clock.now() == 0.1 + 0.2


def test_sleep_stops_at_callbacks_in_order(port, clock):
    seen = []
    clock.every(1.0, lambda: seen.append(("a", clock.now())))
    cancel = clock.every(0.75, lambda: seen.append(("b", clock.now())))
    clock.sleep(1.6)
    cancel()
    clock.sleep(1.0)
    assert seen == [("b", 0.75), ("a", 1.0), ("b", 1.5), ("a", 2.0)]
    assert [q["to"] for q in port.questions[1:]] == [0.75, 1.0, 1.5, 1.6, 2.0, 2.6]


def test_yield_hooks_run_in_sleep_and_may_end_it(port, clock):
    def stop() -> None:
        raise KeyboardInterrupt

    clock.at_yield(stop)
    with pytest.raises(KeyboardInterrupt):
        clock.sleep(1.0)
    assert verbs(port) == ["now"]


def test_names_what_was_sent_in_order_and_once(port, clock, far_end):
    number = far_end.getsockname()[1]
    a, b = (SteppedTransport("127.0.0.1", number, clock) for _ in "ab")
    names = [q["connection"] for q in port.questions if q["do"] == "attach"]
    for transport, data in ((a, b"123"), (b, b"4"), (a, b""), (a, b"56")):
        transport.send(data)
    clock.sleep(1.0)
    clock.sleep(1.0)
    assert [q["sent"] for q in port.questions[-2:]] == [
        [[*names[0], 3], [*names[1], 1], [*names[0], 2]],
        [],
    ]
    assert all(name[1] == number for name in names)
    a.send(b"7")
    a.close()
    a.close()
    assert port.questions[-1]["do"] == "detach"
    assert port.questions[-1]["sent"] == [[*names[0], 1]]


def test_reads_exactly_what_is_promised(port, clock, far_end):
    transport = open_stepped_transport(f"tcp://127.0.0.1:{far_end.getsockname()[1]}", clock)
    peer, _ = far_end.accept()
    assert peer.getpeername()[1] == port.questions[-1]["connection"][0]

    def answer(question: dict[str, Any]) -> list[dict[str, Any] | bytes]:
        # the rest follows only after the answer: the transport has to wait for it
        threading.Timer(0.02, peer.sendall, (b"56",)).start()
        return [{"id": question["id"], "now": 3.0, "pace": 0, "expect": 6}]

    peer.sendall(b"1234")
    port.answer = answer
    assert transport.receive(9.0) == b"123456"
    assert clock.now() == 3.0
    assert port.questions[-1] | {"id": 0} == {
        "id": 0,
        "do": "receive",
        "sent": [],
        "connection": [peer.getpeername()[1], far_end.getsockname()[1]],
        "timeout": 9.0,
    }
    port.answer = lambda q: [{"id": q["id"], "now": 4.0, "pace": 0, "expect": 6}]
    assert transport.receive(1.0) == b""
    transport.close()
    peer.close()


def test_answers_to_interrupted_questions_are_skipped(port, clock):
    port.answer = lambda q: [
        {"id": q["id"] - 1, "now": 0.5, "pace": 0},
        {"id": q["id"], "now": 2.0, "pace": 0},
    ]
    clock.sleep(2.0)
    assert clock.now() == 2.0


def test_refuses_a_server_whose_time_runs_by_itself(port):
    port.answer = lambda q: [{"id": q["id"], "now": 0.0, "pace": 2.0}]
    with pytest.raises(ClockError, match=r"pace 2.*--pace 0"):
        SteppedClock(port.address)


def test_a_second_thread_may_not_sleep(clock):
    clock.sleep(1.0)
    errors: list[Exception] = []

    def other() -> None:
        try:
            clock.sleep(1.0)
        except ClockError as error:
            errors.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert len(errors) == 1


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([b""], "closed by the server"),
        ([b"nonsense\n"], "Expecting value"),
        ([{"id": 2, "now": 0.0, "error": "connection 5 -> 6 is closed"}], "5 -> 6 is closed"),
    ],
)
def test_failures_are_one_line_that_names_the_time_port(port, clock, parts, said):
    port.answer = lambda q: parts
    with pytest.raises(ConnectionLost, match=said) as caught:
        clock.sleep(1.0)
    assert port.address in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nobody_at_the_address(port, clock, far_end):
    number = far_end.getsockname()[1]
    far_end.close()
    with pytest.raises(ConnectionLost, match=r"labctl serve BENCH --pace 0"):
        SteppedClock(f"stepped://127.0.0.1:{number}")
    with pytest.raises(ConnectionLost, match=f"127.0.0.1:{number} cannot be reached"):
        SteppedTransport("127.0.0.1", number, clock)


@pytest.mark.parametrize(
    "address", ["", "stepped://", "tcp://host", "tcp://host:x", "tcp://:99999"]
)
def test_malformed_addresses(address):
    with pytest.raises(LabError, match="HOST:PORT"):
        SteppedClock(address)


def test_closed_transports_say_so(port, clock, far_end):
    transport = SteppedTransport("127.0.0.1", far_end.getsockname()[1], clock)
    transport.close()
    with pytest.raises(ConnectionLost, match="is closed"):
        transport.send(b"x")
    with pytest.raises(ConnectionLost, match="is closed"):
        transport.receive(1.0)


def test_a_far_end_that_hangs_up_is_noticed(port, clock, far_end):
    transport = SteppedTransport("127.0.0.1", far_end.getsockname()[1], clock)
    far_end.accept()[0].close()
    port.answer = lambda q: [{"id": q["id"], "now": 0.0, "pace": 0, "expect": 5}]
    with pytest.raises(ConnectionLost, match=r"closed by the server|reset|broken"):
        transport.receive(1.0)
