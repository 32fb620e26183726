"""What every simulated instrument must stand: any bytes, in any portions, at any length."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from traffic import SEED, Event, drivers, in_front, names_of, read, recorded, simulators

from simulated_instruments.protocol import calls
from simulated_instruments.world import World

ALL = simulators()
PORTS = [(name, port) for name, simulator in ALL.items() for port in simulator.PORTS]
#: Bytes that a connection keeps of a message that never ends.
USUAL, LARGE = 70_000, 1_100_000  # of most, and where whole tables are sent as one expression


def checked(replies: list[tuple[float, bytes]], now: float) -> list[tuple[float, bytes]]:
    """Replies as an endpoint may give them: in order, not in the past, a wish only at the end."""
    assert isinstance(replies, list)
    for place, (due, reply) in enumerate(replies):
        assert isinstance(reply, bytes)
        assert now <= due < math.inf
        assert reply or place == len(replies) - 1
    return replies


def settled(endpoint: Any, data: bytes, now: float, until: float) -> list[tuple[float, bytes]]:
    """All that an endpoint says to some bytes before `until`; it is fed again when it asks."""
    said = []
    while True:
        replies = checked(endpoint.feed(data, now), now)
        said += [reply for reply in replies if reply[1]]
        if not replies or replies[-1][1] or not replies[-1][0] < until:
            return said
        assert replies[-1][0] > now or data, "it asks again and again at one time"
        data, now = b"", replies[-1][0]


def heard(name: str, cuts: np.random.Generator | None) -> dict[int, list[tuple[float, bytes]]]:
    """What a simulator answers to the traffic of its driver, as a whole or cut at random."""
    simulator = ALL[name](World(SEED), "it")
    events = [*recorded(name), Event(recorded(name)[-1].time + 100.0, -1)]
    endpoints: dict[int, Any] = {}
    found: dict[int, list[tuple[float, bytes]]] = {}
    for event, following in pairwise(events):
        until = following.time
        if event.data is None:
            endpoints[event.connection] = simulator.connect(event.port)
            pieces = [b""]
        elif cuts is None or len(event.data) < 2:
            pieces = [event.data]
        else:
            count = min(int(cuts.integers(1, 9)), len(event.data) - 1)
            places = np.sort(cuts.choice(np.arange(1, len(event.data)), count, replace=False))
            ends = [0, *places.tolist(), len(event.data)]
            pieces = [event.data[a:b] for a, b in pairwise(ends)]
        endpoint, said = endpoints[event.connection], found.setdefault(event.connection, [])
        for piece in pieces[:-1]:
            said += [r for r in checked(endpoint.feed(piece, event.time), event.time) if r[1]]
        said += settled(endpoint, pieces[-1], event.time, until)
    return found


def joined(said: list[tuple[float, bytes]]) -> list[tuple[float, bytes]]:
    """The same, with what is due at one time together."""
    found: list[tuple[float, bytes]] = []
    for due, reply in said:
        if found and found[-1][0] == due:
            found[-1] = due, found[-1][1] + reply
        else:
            found.append((due, reply))
    return found


@pytest.mark.parametrize("name", ALL)
def test_portions_of_the_driver_s_traffic_do_not_matter(name):
    whole = heard(name, None)
    assert sum(len(reply) for said in whole.values() for _, reply in said) > 0
    for seed in range(4):
        parts = heard(name, np.random.default_rng(seed))
        assert {n: joined(said) for n, said in parts.items()} == {
            n: joined(said) for n, said in whole.items()
        }


@pytest.mark.parametrize("name", ALL)
def test_drivers_know_their_name_and_take_no_text_for_a_number(name):
    """Properties that come from pymeasure, too: there, what is not cast is a number."""
    instrument = in_front(name)
    assert instrument.name == "it"
    values = {attribute: read(instrument, attribute) for attribute in names_of(instrument)}
    assert not {
        attribute: str(value)
        for attribute, value in values.items()
        if isinstance(value, Exception) and "not with float" in str(value)
    }
    assert not [attribute for attribute, value in values.items() if isinstance(value, KeyError)]


def messages(name: str) -> list[bytes]:
    return sorted({event.data for event in recorded(name) if event.data})


def spoilt(name: str) -> st.SearchStrategy[bytes]:
    """Messages of the driver, cut, doubled, or with bytes that are others."""

    def change(message: bytes, place: int, put: bytes, kind: str) -> bytes:
        place %= len(message)
        if kind == "cut":
            return message[:place] + message[place + 1 + len(put) :]
        if kind == "put":
            return message[:place] + put + message[place:]
        return message[:place] + put + message[place + len(put) :]

    return st.builds(
        change,
        st.sampled_from(messages(name)),
        st.integers(0, 1 << 16),
        st.binary(max_size=4) | st.sampled_from([b"9" * 30, b"1e999", b"nan", b"-", b"?", b"\xff"]),
        st.sampled_from(["cut", "put", "instead"]),
    )


@pytest.mark.parametrize("name", ALL)
def test_no_bytes_break_it(name):
    """Any bytes to any port, with good messages in between; then it still talks to a new client."""
    simulator_class, ports = ALL[name], list(ALL[name].PORTS)

    @settings(max_examples=25, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(ports),
                st.binary(max_size=40) | st.sampled_from(messages(name)) | spoilt(name),
                st.sampled_from([0.0, 1e-4, 0.3]),
            ),
            max_size=12,
        )
    )
    def run(pieces):
        simulator, now, endpoints = simulator_class(World(SEED), "it"), 0.0, {}
        for port, data, wait in pieces:
            now += wait
            endpoint = endpoints.get(port)
            if endpoint is None or getattr(endpoint, "closed", False):
                endpoint = endpoints[port] = simulator.connect(port)
                settled(endpoint, b"", now, now + 1.0)
            settled(endpoint, data, now, now)
        for endpoint in endpoints.values():
            if (close := getattr(endpoint, "close", None)) is not None:
                close()
        fresh, said = simulator.connect(""), []
        for event in recorded(name):
            if event.connection == 0:
                now += 60.0
                said += settled(fresh, event.data or b"", now, now + 60.0)
        assert said

    run()


def size(value: Any, seen: set[int], depth: int = 0) -> int:
    """Bytes in buffers that an object holds, itself and through what only it knows."""
    if id(value) in seen or depth > 6:
        return 0
    seen.add(id(value))
    if isinstance(value, bytes | bytearray | str):
        return len(value)
    if isinstance(value, dict):
        return sum(size(item, seen, depth + 1) for item in value.values())
    if isinstance(value, list | tuple) or type(value).__name__ == "deque":
        return 8 * len(value) + sum(size(item, seen, depth + 1) for item in list(value)[:1000])
    if isinstance(value, World) or callable(value):
        return 0
    names = {**getattr(value, "__dict__", {})}
    for owner in type(value).__mro__:
        for slot in getattr(owner, "__slots__", ()):
            names[slot] = getattr(value, slot, None)
    return sum(size(item, seen, depth + 1) for item in names.values())


@pytest.mark.parametrize(("name", "port"), PORTS)
def test_a_message_that_never_ends_does_not_fill_the_memory(name, port, monkeypatch):
    monkeypatch.setattr(calls, "LONGEST", 1 << 16)  # of a call with arrays: 64 MB
    large = ALL[name].PORTS[port].protocol.startswith("toptica")
    for junk in (b"A", b"\0", b"(", b'"', b"#"):
        simulator = ALL[name](World(SEED), "it")
        endpoint = simulator.connect(port)
        settled(endpoint, b"", 0.0, 1.0)
        before = size(endpoint, {id(simulator)})
        for n in range(20 if large else 6):
            replies = endpoint.feed(junk * 65536, 1.0 + n)
            if len(replies) > 1000 or getattr(endpoint, "closed", False):
                break  # it takes these bytes for messages, or has hung up
        assert size(endpoint, {id(simulator)}) - before <= (LARGE if large else USUAL), junk


def test_every_simulator_has_a_driver_whose_traffic_is_played():
    assert set(ALL) == set(drivers())
