"""Threads that share an instrument must get their own answers; without the lock they do not."""

import socket
import threading

import pytest
from pymeasure.instruments import Instrument

from labctl.adapter import ByteAdapter, Framing
from labctl.clock import RealClock
from labctl.instrument import LabInstrument, adopt
from labctl.transport.link import Link
from labctl.transport.tcp import TcpTransport

QUERIES = 300


class Echo:
    """`N?` is answered with N, after a short while, so that threads meet in between."""

    def __init__(self):
        self.rest = b""

    def feed(self, data, now):
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [(now + 5e-5, line[:-1] + b"\n") for line in lines if line.endswith(b"?")]


@pytest.fixture
def echo_port():
    """A TCP server with the same instrument, one line at a time."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection):
        with connection, connection.makefile("rwb") as file:
            for line in file:
                if line.endswith(b"?\n"):
                    file.write(line[:-2] + b"\n")
                    file.flush()

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


class Plain(Instrument):
    """A driver as people write them for pymeasure: write, then read."""

    def __init__(self, adapter, name="plain", **kwargs):
        super().__init__(adapter, name, includeSCPI=False, **kwargs)

    def get(self, number):
        self.write(f"{number}?")
        return float(self.read())


class Ours(LabInstrument):
    def get(self, number):
        return self.values(f"{number}?")[0]


def swaps(driver):
    """How many answers two threads get wrong, or not at all."""
    wrong = []
    start = threading.Barrier(2)

    def ask(first):
        start.wait()
        for number in range(first, first + QUERIES):
            try:
                if driver.get(number) != number:
                    wrong.append(number)
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=ask, args=(first,)) for first in (10_000, 20_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(wrong)


def opened(transport, port, clock):
    return lambda: TcpTransport("127.0.0.1", port) if transport == "tcp" else Link(Echo(), clock)


@pytest.mark.parametrize("transport", ["tcp", "link"])
@pytest.mark.parametrize("driver", [Plain, Ours, adopt(Plain)])
def test_no_answer_is_swapped(driver, transport, echo_port):
    clock = RealClock()
    a = ByteAdapter(opened(transport, echo_port, clock), clock, name="dut")
    assert swaps(driver(a, name="dut")) == 0
    assert a.discarded == a.reconnects == 0
    a.close()


@pytest.mark.parametrize("transport", ["tcp", "link"])
def test_without_the_lock_answers_are_swapped(transport, echo_port):
    """The test above can fail: the same threads on a bare transport mix up their answers."""
    clock = RealClock()
    connection = opened(transport, echo_port, clock)()

    class Bare:
        def get(self, number):
            connection.send(b"%d?\n" % number)
            return float(connection.receive(0.2).split(b"\n")[0] or -1)

    assert swaps(Bare()) > 0
    connection.close()


def test_a_set_and_its_check_are_one_transaction():
    """A second thread never gets between a setting and the reading of the error queue."""

    class Checked(LabInstrument):
        level = Instrument.control("LEV?", "LEV %g", "Level in V.", check_set_errors=True)

        def check_set_errors(self):
            assert self.ask("77?") == "77"
            return []

    log = []

    class Logging(Echo):
        def feed(self, data, now):
            log.extend(data.split())
            return super().feed(data, now)

    clock = RealClock()
    a = ByteAdapter(lambda: Link(Logging(), clock), clock, name="dut")
    driver, stop = Checked(a, "dut"), threading.Event()

    def disturb():
        while not stop.is_set():
            driver.ask("5?")

    thread = threading.Thread(target=disturb)
    thread.start()
    for _ in range(200):
        driver.level = 1
    stop.set()
    thread.join()
    after = [log[i + 2] for i, word in enumerate(log) if word == b"LEV"]
    assert len(after) == 200
    assert set(after) == {b"77?"}
    assert log.count(b"5?") > 5


def test_a_transaction_keeps_other_threads_out():
    clock = RealClock()
    a = ByteAdapter(lambda: Link(Echo(), clock), clock, name="dut")
    order = []

    def other():
        a.query("2?")
        order.append("other")

    with a.transaction(), a.transaction():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.05)
        order.append("mine")
    thread.join()
    assert order == ["mine", "other"]


def test_an_answer_that_nobody_reads_blocks_others_only_for_the_timeout():
    clock = RealClock()
    a = ByteAdapter(lambda: Link(Echo(), clock), clock, name="dut", framing=Framing(timeout=0.05))
    thread = threading.Thread(target=a.write, args=("1?",))
    thread.start()
    thread.join()
    started = clock.now()
    assert a.query("2?") == "2"
    assert 0.04 < clock.now() - started < 2.0
    assert a.discarded == 2
