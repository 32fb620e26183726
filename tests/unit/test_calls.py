"""Calls of vendors' libraries: lines there and back, real, simulated, recorded and replayed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.adapter import ByteAdapter
from labctl.clock import VirtualClock
from labctl.errors import ConnectionLost, InstrumentError, RequestError, TransportTimeout
from labctl.instrument import LibraryInstrument
from labctl.transport.calls import (
    LibraryTransport,
    answer,
    decode_call,
    decode_result,
    encode_call,
    encode_result,
)
from labctl.transport.link import Link
from labctl.transport.opening import open_transport
from labctl.transport.replaying import Transcript
from labctl.transport.wirelog import WireLog, recording
from simulated_instruments.faults import plan, wrap
from simulated_instruments.protocol.calls import CallEndpoint, Until
from simulated_instruments.world import World


class Sums:
    """A library of some vendor."""

    def __init__(self, offset: str = "0") -> None:
        self.offset = float(offset)
        self.closed = False

    def Add(self, *numbers):
        return self.offset + sum(numbers)

    def Half(self, values):
        return values / 2

    def Fail(self):
        raise OSError("no device\nattached")

    def Object(self):
        return object()

    def _secret(self):
        return 1

    def close(self):
        self.closed = True


class NoDevice:
    def __init__(self):
        raise OSError("wlmData.dll: cannot open\nshared object file")


def driver_over(open_one, clock=None):
    adapter = ByteAdapter(open_one, clock or VirtualClock(), name="lib")
    return LibraryInstrument(adapter, "lib")


@pytest.fixture
def driver():
    return driver_over(lambda: LibraryTransport(Sums()))


def test_a_call_is_one_readable_line():
    assert encode_call("GetFrequencyNum", 1, 0.0) == b'["GetFrequencyNum",1,0.0]\n'
    assert encode_result(193.4145) == b'{"result":193.4145}\n'


def test_numbers_texts_lists_and_arrays_come_back(driver):
    assert driver.call("Add", 1, 2.5) == 3.5
    assert driver.call("Add", True) == 1
    np.testing.assert_array_equal(driver.call("Half", np.array([2.0, 3.0])), [1.0, 1.5])
    whole = driver.call("Half", np.arange(6, dtype=">i8").reshape(2, 3))
    np.testing.assert_array_equal(whole, np.arange(6).reshape(2, 3) / 2)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(min_size=6), inner),
    max_leaves=8,
)


@given(st.text(), st.lists(plain))
def test_what_is_called_is_what_is_said(name, arguments):
    line = encode_call(name, *arguments)
    assert line.count(b"\n") == 1
    assert line.isascii()
    assert decode_call(line) == (name, arguments)
    assert decode_result(encode_result(arguments)) == (arguments, None)


@pytest.mark.parametrize("kind", ["bool", "uint8", "int16", "int64", "uint64", "float32"])
def test_arrays_keep_their_type(kind):
    values = np.array([0, 1, 1, 0], dtype=kind)
    again, _ = decode_result(encode_result({"tags": values}))
    assert again["tags"].dtype == values.dtype
    np.testing.assert_array_equal(again["tags"], values)


@given(st.binary())
def test_nonsense_is_answered_and_never_executed(junk):
    reply = answer(lambda name, arguments: 0, junk.replace(b"\n", b""))
    assert set(json.loads(reply)) in ({"result"}, {"error"})


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b"[1]",
        b'"Add"',
        b'["Add",{"array":"O","shape":[1],"data":""}]',
        b'["Add",{"array":"<i8","shape":[9],"data":"AA=="}]',
        b"[" * 100_000,
    ],
)
def test_what_is_no_call_is_an_error(line):
    said, failure = decode_result(answer(lambda name, arguments: name, line))
    assert said is None
    assert "is no call" in failure or "'O'" in failure


def test_failures_are_one_line_and_name_the_function(driver):
    with pytest.raises(InstrumentError, match=r"^lib: Fail failed: OSError: no device attached$"):
        driver.call("Fail")
    with pytest.raises(InstrumentError, match=r"^lib: Object failed: TypeError: object cannot be"):
        driver.call("Object")
    with pytest.raises(InstrumentError, match="no function 'Hald', did you mean 'Half'"):
        driver.call("Hald")
    for hidden in ("_secret", "__class__", "offset"):
        with pytest.raises(InstrumentError, match="no function"):
            driver.call(hidden)


def test_an_answer_that_makes_no_sense_is_an_error():
    class Mumbling(LibraryTransport):
        def receive(self, timeout):
            return super().receive(timeout).replace(b"result", b"resolt")

    with pytest.raises(InstrumentError, match=r"^lib: 'Add' was answered with"):
        driver_over(lambda: Mumbling(Sums())).call("Add", 1)


# ---- addresses


def test_an_address_names_a_class_and_its_options():
    transport = open_transport(f"lib://{__name__}:Sums?offset=40", VirtualClock())
    transport.send(b'["Add",2]\n')
    assert transport.receive(1.0) == b'{"result":42.0}\n'
    library = transport._library
    transport.close()
    transport.close()
    assert library.closed
    with pytest.raises(ConnectionLost):
        transport.send(b"\n")


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("lib://", "names no class"),
        ("lib://wlmData.dll", "names no class"),
        ("lib://nowhere.at_all:Sums", "cannot be imported"),
        (f"lib://{__name__}:Sum", "has no class 'Sum', did you mean 'Sums'"),
        (f"lib://{__name__}:Sums?of=1", "unexpected keyword argument 'of'"),
    ],
)
def test_bad_addresses_say_what_is_wrong(address, complaint):
    with pytest.raises(RequestError) as caught:
        open_transport(address, VirtualClock())
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_library_that_cannot_be_loaded_is_a_connection_that_fails():
    with pytest.raises(ConnectionLost, match=r"cannot be loaded \(OSError: .* shared object file"):
        open_transport(f"lib://{__name__}:NoDevice", VirtualClock())


# ---- simulated


class Device:
    """Functions of a simulated library, one of which blocks."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.functions = {"Now": self.now, "Measure": self.measure, "Never": self.never}

    def now(self):
        return self.world.now

    def measure(self, seconds):
        return Until(self.world.now + seconds, lambda: [self.world.now, "done"])

    def never(self):
        return Until(float("inf"), self.now)

    def connect(self):
        return CallEndpoint(self.world, self.functions)


def simulated(faults=None, open_one=lambda opened: opened):
    clock, device = VirtualClock(), Device(World())

    def link():
        endpoint = device.connect()
        return Link(wrap(endpoint, faults) if faults else endpoint, clock)

    return driver_over(open_one(link), clock), clock


def test_simulated_calls_take_virtual_time():
    driver, clock = simulated()
    clock.sleep(3.0)
    assert driver.call("Now") == 3.0
    assert driver.call("Measure", 2.0, timeout=5.0) == [pytest.approx(5.0, abs=1e-4), "done"]
    assert clock.now() == pytest.approx(5.0, abs=1e-4)
    with pytest.raises(InstrumentError, match="never return"):
        driver.call("Never")
    with pytest.raises(InstrumentError, match="no function 'Then'"):
        driver.call("Then")
    with pytest.raises(InstrumentError, match="Now failed: TypeError"):
        driver.call("Now", 1)


def test_calls_behind_one_that_blocks_wait_for_it():
    endpoint = Device(World()).connect()
    assert endpoint.feed(b'["Measure",1.0]\n["Now"]\n["No', 0.0) == [(1.0, b"")]
    assert endpoint.feed(b'w"]\n', 0.5) == [(1.0, b"")]
    lines = [line for _, line in endpoint.feed(b"", 1.0)]
    assert lines == [b'{"result":[1.0,"done"]}\n', b'{"result":1.0}\n', b'{"result":1.0}\n']


def test_a_lost_or_late_answer_does_not_shift_the_next():
    driver, clock = simulated(plan({"drop": [1], "late": [2], "late_by": 12.0}))
    for _ in range(2):
        with pytest.raises(TransportTimeout):
            driver.call("Now")
    clock.sleep(100.0)
    assert driver.call("Now") == pytest.approx(clock.now(), abs=1e-3)


def test_recorded_calls_replay_to_the_bit(tmp_path):
    log = WireLog(tmp_path / "wire.jsonl")
    clock, device = VirtualClock(), Device(World())
    opened = recording(lambda: Link(device.connect(), clock), clock, log, "lib")
    driver = driver_over(opened, clock)

    def session(driver):
        times = [driver.call("Measure", 0.25), driver.call("Now")]
        driver.clock.sleep(1.0)
        return [*times, driver.call("Now"), driver.clock.now()]

    first = session(driver)
    log.close()
    assert '"s":"[\\"Measure\\",0.25]\\n"' in (tmp_path / "wire.jsonl").read_text()
    transcript = Transcript(tmp_path / "wire.jsonl")
    again = VirtualClock()
    assert session(driver_over(lambda: transcript.transport("lib", again), again)) == first


def test_calls_of_a_real_library_are_recorded_and_replayed(tmp_path):
    log = WireLog(tmp_path / "wire.jsonl")
    clock = VirtualClock()
    opened = recording(lambda: LibraryTransport(Sums()), clock, log, "lib")

    def session(driver):
        values = driver.call("Half", np.arange(2000.0))
        with pytest.raises(InstrumentError, match="no device attached"):
            driver.call("Fail")
        return values.tolist(), driver.call("Add", 1, 2)

    first = session(driver_over(opened, clock))
    log.close()
    transcript = Transcript(tmp_path / "wire.jsonl")
    again = VirtualClock()
    assert session(driver_over(lambda: transcript.transport("lib", again), again)) == first
