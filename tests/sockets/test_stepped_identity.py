"""Stepped over sockets equals in-process, bit for bit, whatever a client does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.adapter import ByteAdapter, Framing
from labctl.clock import VirtualClock
from labctl.errors import ConnectionLost
from labctl.transport.link import Link
from labctl.transport.stepped import SteppedClock, open_stepped_transport
from simulated_instruments.faults import plan, wrap
from simulated_instruments.server import address_of, serving
from simulated_instruments.world import World

SECONDS = st.sampled_from([0.0, 1e-3, 0.1, 1 / 3, 2.0])
COMMANDS = st.sampled_from(
    [b"NAME?\n", b"WHEN?\n", b"TOTAL?\n", b"HEAT 3\n", b"HEAT 0.7\n", b"SLOW? 0.05\n", b"NA",
     b"ME?", b"\n", b"SLOW? 1.7\n", b"PUSH 0.3\n", b"PUSH 0\n", b"BUSY 0.4\n", b"BYE\n", b"BLOCK? 200000\n", b"\x00\xff\n",
     b"WHEN?\nTOTAL?\nWHEN?\n"]
)  # fmt: skip
WHO = st.sampled_from(["a", "b", "a again"])
STEPS = st.one_of(
    st.tuples(st.just("send"), WHO, COMMANDS),
    st.tuples(st.just("receive"), WHO, SECONDS),
    st.tuples(st.just("sleep"), st.none(), SECONDS),
    st.tuples(st.just("wait"), st.none(), SECONDS),
    st.tuples(st.just("every"), WHO, st.sampled_from([0.1, 0.25])),
    st.tuples(st.just("reopen"), WHO, st.none()),
)


def play(steps, clock, connect):
    """Do what the steps say; everything that can be seen, with its time."""
    names = ("a", "b", "a again")
    transports = {who: connect(who[0]) for who in names}
    seen = []

    def reopen(who):
        transports[who].close()
        transports[who] = connect(who[0])

    def send(who, data):
        """As drivers do: look first whether the line is clean and open."""
        try:
            while stray := transports[who].arrived():
                seen.append(stray)
        except ConnectionLost:
            seen.append("hung up")
            reopen(who)
        transports[who].send(data)

    def receive(who, timeout):
        try:
            seen.append((who, transports[who].receive(timeout), clock.now()))
        except ConnectionLost:
            seen.append((who, "hung up", clock.now()))
            reopen(who)

    def beat(who):
        def ask():
            send(who, b"TOTAL?\n")
            receive(who, 0.01)

        return ask

    for verb, who, what in steps:
        if verb == "send":
            send(who, what)
        elif verb == "receive":
            receive(who, what)
        elif verb == "every":
            clock.every(what, beat(who))
        elif verb == "reopen":
            reopen(who)
        else:
            getattr(clock, verb)(what)
        seen.append((verb, clock.now()))
    for who in names:
        receive(who, 1.0)
        transports[who].close()
    return seen


FAULTS = {"b": {"drop": 0.1, "late": 0.1, "late_by": 0.2, "double": [4], "disconnect": 0.05}}


@pytest.mark.parametrize("faults", [{}, FAULTS], ids=["sound", "faulty"])
@settings(max_examples=80, deadline=None)
@given(steps=st.lists(STEPS, max_size=25))
def test_any_sequence_is_the_same_as_in_process(toy, faults, steps):
    world = World(3)
    toys = {name: toy(world, name) for name in "ab"}
    plans = {name: plan(faults.get(name, {}), world.seed) for name in toys}
    clock = VirtualClock()
    expected = play(steps, clock, lambda name: Link(wrap(toys[name].connect(), plans[name]), clock))

    world = World(3)
    toys = {name: toy(world, name) for name in "ab"}
    with serving(toys, pace=0, faults=faults) as addresses:
        stepped = SteppedClock(address_of(addresses, "clock"))
        got = play(
            steps,
            stepped,
            lambda name: open_stepped_transport(address_of(addresses, name), stepped),
        )
        stepped.close()
    assert got == expected


def drive(clock, connect):
    """Two stacks of adapters on one bench; what they read and when."""
    framing = Framing(banner=b"hello\n", timeout=2.0)
    a, b = (ByteAdapter(connect(name), clock, name=name, framing=framing) for name in "ab")
    seen = [a.query("NAME?"), b.query("NAME?")]
    clock.every(0.5, lambda: seen.append(b.query("TOTAL?")))
    for power in range(40):
        a.write(f"HEAT {power}")
        clock.sleep(0.13)
        seen += [a.query("TOTAL?"), b.query("WHEN?"), b.query("SLOW? 0.07"), clock.now()]
    b.close()
    a.close()
    return seen


def test_two_adapters_are_the_same_as_in_process(toy):
    world = World(3)
    toys = {name: toy(world, name) for name in "ab"}
    clock = VirtualClock()
    expected = drive(clock, lambda name: lambda: Link(toys[name].connect(), clock))
    world = World(3)
    with serving({name: toy(world, name) for name in "ab"}, pace=0) as addresses:
        stepped = SteppedClock(address_of(addresses, "clock"))
        got = drive(
            stepped,
            lambda name: lambda: open_stepped_transport(address_of(addresses, name), stepped),
        )
        stepped.close()
    assert got == expected


def test_what_was_sent_before_closing_reaches_the_instrument(toy):
    world = World(3)
    with serving({"a": toy(world, "a")}, pace=0) as addresses:
        clock = SteppedClock(address_of(addresses, "clock"))
        transport = open_stepped_transport(address_of(addresses, "a"), clock)
        transport.send(b"HEAT 2\n")
        transport.close()
        clock.sleep(3.0)
        other = open_stepped_transport(address_of(addresses, "a"), clock)
        other.send(b"TOTAL?\n")
        assert (other.receive(1.0), other.receive(1.0)) == (b"hello\n", b"6.0\n")
        other.close()
        clock.close()


def test_large_messages_arrive_whole(toy):
    """More than the buffers of the operating system hold, both ways."""
    with serving({"a": toy(World(3), "a")}, pace=0) as addresses:
        clock = SteppedClock(address_of(addresses, "clock"))
        transport = open_stepped_transport(address_of(addresses, "a"), clock)
        assert transport.receive(0.0) == b"hello\n"
        transport.send(b"x" * 20_000_000 + b"\n")
        assert transport.receive(1.0) == b"error\n"
        transport.send(b"BLOCK? 9000000\n")
        assert transport.receive(1.0) == bytes(9_000_000) + b"\n"
        transport.close()
        clock.close()


def test_a_port_without_room_is_a_lost_connection(toy):
    with serving({"a": toy(World(3), "a")}, pace=0) as addresses:
        clock = SteppedClock(address_of(addresses, "clock"))
        address = address_of(addresses, "a", "single")
        first = open_stepped_transport(address, clock)
        assert first.receive(0.0) == b"hello\n"
        with pytest.raises(ConnectionLost):
            open_stepped_transport(address, clock).receive(1.0)
        assert first.receive(0.5) == b""
        assert clock.now() == 0.5
        first.close()
        third = open_stepped_transport(address, clock)
        assert third.receive(0.0) == b"hello\n"
        clock.close()


def test_a_failing_simulator_is_a_lost_connection(toy, caplog):
    with serving({"a": toy(World(3), "a")}, pace=0) as addresses:
        clock = SteppedClock(address_of(addresses, "clock"))
        transport = open_stepped_transport(address_of(addresses, "a"), clock)
        transport.send(b"BREAK\n")
        with pytest.raises(ConnectionLost, match="closed"):
            transport.receive(1.0)
        clock.sleep(1.0)
        clock.close()
    assert "a bug of the simulator" in caplog.text


def test_bytes_of_a_client_that_died_still_count(toy, dial):
    world = World(3)
    with serving({"a": toy(world, "a")}, pace=0) as addresses:
        dying = SteppedClock(address_of(addresses, "clock"))
        transport = open_stepped_transport(address_of(addresses, "a"), dying)
        transport.send(b"HEAT 5\n")
        transport._socket.close()  # without a word on the time port, as a killed process does
        dying.close()
        observer = dial(addresses, "a")
        clock = dial(addresses, "clock")
        assert observer.line() == b"hello\n"
        clock.ask('{"do": "move", "to": 2}')
        observer.send(b"TOTAL?\n")
        clock.ask('{"do": "move", "to": 3}')
        assert observer.line() == b"10.0\n"
