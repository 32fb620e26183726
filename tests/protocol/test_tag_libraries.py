"""Time taggers behind vendors' libraries: simulated, recorded, and over fakes of their API."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import types

import numpy as np
import pytest

from drivers.idq_id900 import Id900
from drivers.picoquant_snapi import PicoQuantTagger
from drivers.swabian_timetagger import SwabianTimeTagger
from labctl import benchfile
from labctl.adapter import ByteAdapter
from labctl.bench import Bench
from labctl.clock import VirtualClock
from labctl.errors import ConnectionLost, InstrumentError, RequestError
from labctl.transport.link import Link
from labctl.transport.opening import open_transport
from labctl.transport.replaying import Transcript
from labctl.transport.wirelog import WireLog
from simulated_instruments.physics.tagger import TaggerModel
from simulated_instruments.tag_library import SimPicoQuant, SimSwabian
from simulated_instruments.world import World

DRIVERS = {SimSwabian: SwabianTimeTagger, SimPicoQuant: PicoQuantTagger}


class Train:
    period_ps, first_ps = 2 * 10**9, 0


def every_ms(t0, t1):
    """A pulse n ns after each millisecond at input n."""
    found = []
    for n in range(1, 5):
        numbers = np.arange(-(-(t0 - 1000 * n) // 10**9), -(-(t1 - 1000 * n) // 10**9))
        found.append(numbers[numbers >= 0] * 10**9 + 1000 * n)
    return found


def tagger(simulator=SimSwabian, **options):
    options = {"clicks": every_ms, "jitter_ps": 0.0, "reference": Train(), **options}
    world, clock = World(), VirtualClock()
    world.parts["tagger"] = TaggerModel(world.seed_of, "tagger", **options)
    device, driver = simulator(world, "tagger"), DRIVERS[simulator]
    adapter = ByteAdapter(
        lambda: Link(device.connect(), clock), clock, name="tagger", framing=driver.FRAMING
    )
    return driver(adapter, "tagger")


@pytest.mark.parametrize("simulator", DRIVERS)
def test_settings(simulator):
    device = tagger(simulator)
    assert device.check_identity().startswith(simulator.NAME)
    device.input_1.threshold = 0.25
    device.inputs[2].delay = -700
    assert device.snapshot() == {"thresholds": (0.25, 0.1, 0.1, 0.1), "delays": (0, -700, 0, 0)}


@pytest.mark.parametrize("simulator", DRIVERS)
def test_recordings_counts_and_streams(simulator):
    device = tagger(simulator)
    device.input_3.delay = -5000
    block = device.record(2.0)
    assert {n: len(tags) for n, tags in block.tags.items()} == dict.fromkeys((1, 2, 3, 4), 2000)
    assert block.overflow_count == 0
    one, three = block.tags[1], block.tags[3]
    assert one.dtype == np.int64
    assert set((np.diff(one)).tolist()) == {10**9}
    assert (three[0] - one[0]) % 10**9 == 2000 - 5000 + 10**9
    assert device.count(1.5) == dict.fromkeys((1, 2, 3, 4), 1500)
    with device.stream((2, 4)) as stream:
        blocks = [stream.collect(0.3), stream.collect(0.0), stream.collect(1.2), stream.rest()]
    for n in (2, 4):
        tags = np.concatenate([b.tags[n] for b in blocks])
        assert set(np.diff(tags).tolist()) == {10**9}
        assert 1499 <= len(tags) <= 1502
    assert len(blocks[0]) == pytest.approx(600, abs=2)


def test_pulses_of_the_reference_are_counted_over_blocks():
    device = tagger(SimPicoQuant)
    with device.stream((1, 2), with_index=True) as stream:
        blocks = [stream.collect(0.3), stream.collect(0.5), stream.rest()]
    for n in (1, 2):
        index = np.concatenate([b.indices[n] for b in blocks])
        times = np.concatenate([b.tags[n] for b in blocks])[index > 0]
        assert set(np.diff(index).tolist()) == {0, 1}  # two pulses in each period of 2 ms
        assert set(times.tolist()) == {1000 * n, 1000 * n + 10**9}


def test_lost_tags_are_an_error_or_a_number():
    device = tagger(max_rate=1000.0, buffer=100)
    with pytest.raises(InstrumentError, match=r"^tagger: tags were lost \(\d+ of channel 1"):
        device.record(1.0)
    block = device.record(1.0, on_overflow="report")
    assert block.overflow_count + len(block) == 4000
    assert block.overflow_count > 2000


def test_wrong_requests_are_refused():
    device = tagger()
    for wrong in (
        lambda: device.stream((1, 1)),
        lambda: device.stream((9,)),
        lambda: device.stream(()),
        lambda: device.stream((1,), on_overflow="ignore"),
        lambda: device.record(0.0),
        lambda: setattr(device.input_1, "threshold", 9.0),
        lambda: setattr(device.input_1, "delay", 2e12),
        lambda: SwabianTimeTagger(device.adapter, "tagger", colour=1),
    ):
        with pytest.raises((RequestError, ValueError)):
            wrong()
    with pytest.raises(InstrumentError, match=r"tagger: threshold failed: .*no channel 11"):
        _ = device.input_11.threshold
    with device.stream((1,)), pytest.raises(RequestError, match="end of the open stream"):
        device.stream((2,))
    assert len(device.record(0.1, (1,))) == 100


# ------------------------------------------------------------------ another tagger, same bench

BENCH = """
[bench]
[instruments.tagger]
driver = "{driver}"
address = "{address}"
simulator = "{simulator}"
"""
TAGGERS = {
    "ID900": (
        "drivers.idq_id900:Id900", "tcp://t:5555", "simulated_instruments.idq_id900:SimIdqId900",
    ),
    "Swabian": (
        "drivers.swabian_timetagger:SwabianTimeTagger",
        "lib://drivers.swabian_library:TimeTagger",
        "simulated_instruments.tag_library:SimSwabian",
    ),
    "PicoQuant": (
        "drivers.picoquant_snapi:PicoQuantTagger",
        "lib://drivers.picoquant_library:SnApi",
        "simulated_instruments.tag_library:SimPicoQuant",
    ),
}  # fmt: skip


def measure(bench):
    """What a procedure would do, without a word on the make of the tagger."""
    device, found = bench["tagger"], []
    device.input_1.threshold = 0.2
    device.input_2.delay = 1500
    found.append(device.count(1.0))
    with device.stream((1, 2)) as stream:
        for _ in range(3):
            found.append({n: t.tolist() for n, t in stream.collect(0.2).tags.items()})
        found.append({n: t.tolist() for n, t in stream.rest().tags.items()})
    block = device.record(0.5, (3, 4))
    return found, {n: len(t) for n, t in block.tags.items()}, device.snapshot(), bench.clock.now()


@pytest.mark.parametrize("make", TAGGERS)
def test_taggers_are_swapped_in_the_bench_file_alone_and_replay(tmp_path, make):
    driver, address, simulator = TAGGERS[make]
    text = BENCH.format(driver=driver, address=address, simulator=simulator)
    file = benchfile.parse(text, tmp_path / "bench.toml")
    log = WireLog(tmp_path / "wire.jsonl")
    with Bench.open(file, "sim", seed=1, record=log) as bench:
        first = measure(bench)
    log.close()
    counts, blocks = first[0][0], first[0][1:]
    assert all(50 < count < 150 for count in counts.values())  # dark counts at 100 /s
    assert sum(len(tags) for block in blocks for tags in block.values()) > 60
    replayed = Bench.open(file, "replay", replay=Transcript(tmp_path / "wire.jsonl"))
    assert measure(replayed) == first


def test_all_makes_have_the_same_methods():
    for name in ("stream", "record", "count", "thresholds", "delays", "inputs", "make_safe"):
        for driver in (Id900, SwabianTimeTagger, PicoQuantTagger):
            assert hasattr(driver, name), (driver, name)


# ------------------------------------------------------------------ over the libraries themselves


@pytest.mark.parametrize(
    ("address", "module", "hint"),
    [
        ("lib://drivers.swabian_library:TimeTagger", "Swabian", "pip install Swabian-TimeTagger"),
        ("lib://drivers.picoquant_library:SnApi", "snAPI", "pip install snAPI"),
    ],
)
def test_without_the_library_one_line_says_what_to_install(monkeypatch, address, module, hint):
    for name in [*(n for n in sys.modules if n.split(".")[0] == module), module, "TimeTagger"]:
        monkeypatch.setitem(sys.modules, name, None)
    driver = SwabianTimeTagger if "swabian" in address else PicoQuantTagger
    clock = VirtualClock()
    with pytest.raises(ConnectionLost, match=f"^tagger: .* is not installed; run: {hint}$"):
        ByteAdapter(
            lambda: open_transport(address, clock), clock, name="tagger", framing=driver.FRAMING
        )


def fake_swabian(calls):
    """A fake of the vendor's module, by its names only: what a device does is not known here."""

    class Buffer:
        def __init__(self, rows):
            self.rows = np.array(rows, dtype=np.int64).reshape(-1, 4)

        def getTimestamps(self):
            return self.rows[:, 0]

        def getChannels(self):
            return self.rows[:, 1].astype(np.int32)

        def getEventTypes(self):
            return self.rows[:, 2].astype(np.uint8)

        def getMissedEvents(self):
            return self.rows[:, 3].astype(np.uint16)

    class TimeTagStream:
        def __init__(self, tagger, n_max_events, channels):
            calls.append(("stream", n_max_events, channels))
            self.buffers = [[[10, 1, 0, 0], [20, 2, 0, 0], [25, 2, 4, 7]], [[30, 1, 0, 0]]]

        def startFor(self, capture_duration, clear=True):
            calls.append(("startFor", capture_duration))

        def clear(self):
            calls.append(("clear",))

        def isRunning(self):
            return len(self.buffers) > 1

        def getData(self):
            return Buffer(self.buffers.pop(0) if self.buffers else [])

        def stop(self):
            calls.append(("stop",))

    class Tagger:
        levels, delays = {}, {}

        def getModel(self):
            return "Time Tagger X"

        def getSerial(self):
            return "2233"

        def getChannelList(self, kind):
            return [1, 2, 3] if kind == "rising" else [1, 2, 3, -1, -2, -3]

        def setTriggerLevel(self, channel, voltage):
            self.levels[channel] = voltage

        def getTriggerLevel(self, channel):
            return self.levels.get(channel, 0.5)

        def setInputDelay(self, channel, delay):
            self.delays[channel] = delay

        def getInputDelay(self, channel):
            return self.delays.get(channel, 0)

        def sync(self):
            return True

    def create(serial=""):
        if serial == "0000":
            raise RuntimeError("No Time Tagger attached\nor already in use.")
        return Tagger()

    module = types.ModuleType("Swabian.TimeTagger")
    module.createTimeTagger = create
    module.createTimeTaggerNetwork = lambda server: Tagger()
    module.freeTimeTagger = lambda tagger: calls.append(("free",))
    module.TimeTagStream = TimeTagStream
    module.ChannelEdge = types.SimpleNamespace(Rising="rising")
    return module


def over_library(driver, address):
    clock = VirtualClock()
    adapter = ByteAdapter(
        lambda: open_transport(address, clock), clock, name="tagger", framing=driver.FRAMING
    )
    return driver(adapter, "tagger")


@pytest.fixture
def swabian(monkeypatch):
    calls = []
    package = types.ModuleType("Swabian")
    package.TimeTagger = fake_swabian(calls)
    monkeypatch.setitem(sys.modules, "Swabian", package)
    monkeypatch.setitem(sys.modules, "Swabian.TimeTagger", package.TimeTagger)
    return calls


def test_swabian_calls(swabian):
    device = over_library(SwabianTimeTagger, "lib://drivers.swabian_library:TimeTagger?buffer=1000")
    assert device.check_identity() == "Swabian Time Tagger X, 2233"
    assert device.present == (1, 2, 3)
    device.input_2.threshold = -0.4
    device.input_3.delay = 250
    assert device.thresholds == (0.5, -0.4, 0.5)
    assert device.delays == (0, 0, 250)
    block = device.record(0.4, (1, 2), on_overflow="report")
    assert {n: tags.tolist() for n, tags in block.tags.items()} == {1: [10, 30], 2: [20]}
    assert block.lost == {1: 0, 2: 7}
    assert swabian[:2] == [("stream", 1000, [1, 2]), ("startFor", 400_000_000_000)]
    with pytest.raises(InstrumentError, match=r"tagger: tags were lost .7 of channel 2"):
        device.record(0.4, (1, 2))
    device.adapter.close()
    assert swabian[-1] == ("free",)


def test_swabian_without_a_device(swabian):
    address = "lib://drivers.swabian_library:TimeTagger?serial=0000"
    with pytest.raises(
        ConnectionLost, match=r"^tagger: no Time Tagger at 0000 .No Time Tagger att"
    ):
        over_library(SwabianTimeTagger, address)


@pytest.mark.skipif(importlib.util.find_spec("Swabian") is None, reason="not installed")
def test_the_fake_has_no_name_that_the_vendor_has_not(tmp_path):
    classes = "t, t.TimeTagger, t.TimeTagStream, t.TimeTagStreamBuffer"
    script = f"import json; from Swabian import TimeTagger as t; print(json.dumps(list(map(dir, ({classes})))))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    if done.returncode:
        pytest.skip(f"it does not run here: {done.stderr[-200:]}")
    module, tagger_names, stream_names, buffer_names = json.loads(done.stdout.splitlines()[-1])
    fake = fake_swabian([])
    assert {n for n in vars(fake) if not n.startswith("_")} <= set(module)
    assert {n for n in dir(type(fake.createTimeTagger())) if n[0] != "_"} - {
        "levels",
        "delays",
    } <= set(tagger_names)
    assert {n for n in vars(fake.TimeTagStream) if n[0] != "_"} <= set(stream_names)
    stream = fake.TimeTagStream(None, 1, [])
    assert {n for n in dir(type(stream.getData())) if n[0] != "_"} <= set(buffer_names)


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "cannot be read .No such file"), (b"hello", "is no PTU file: it beg")],
)
def test_what_is_no_recording_does_not_reach_picoquants_library(
    tmp_path, monkeypatch, content, why
):
    for name in ("snAPI", "snAPI.Main", "snAPI.Constants"):
        fake = types.ModuleType(name)
        fake.snAPI = fake.MeasMode = None
        monkeypatch.setitem(sys.modules, name, fake)
    path = tmp_path / "x.ptu"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConnectionLost, match=f"^tagger: .*x.ptu {why}"):
        over_library(PicoQuantTagger, f"lib://drivers.picoquant_library:SnApi?file={path}")


@pytest.mark.skipif(importlib.util.find_spec("snAPI") is None, reason="not installed")
def test_a_recording_played_by_picoquants_own_library(tmp_path):
    """Through the real library: a file that we wrote is a device that our driver records from."""
    script = """
import sys
import numpy as np
from drivers.picoquant_snapi import PicoQuantTagger
tagger = PicoQuantTagger(f"lib://drivers.picoquant_library:SnApi?file={sys.argv[1]}", "tagger")
print(tagger.check_identity(), file=sys.stderr)
block = tagger.record(1.5, (1, 2, 5))
np.savez(sys.argv[2], *[block.tags[n] for n in (1, 2, 5)])
tagger.adapter.close()
"""
    from labctl.analysis.timetags import write_ptu

    rng = np.random.default_rng(5)
    times = np.cumsum(rng.integers(1, 3 * 10**8, 5000))
    channels = rng.integers(0, 6, 5000).astype(np.uint8)
    write_ptu(tmp_path / "t2.ptu", channels, times, sync=times[::50] + 1)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "t2.ptu"), str(tmp_path / "out.npz")],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    if not (tmp_path / "out.npz").exists() and "PicoQuant" not in done.stderr:
        pytest.skip(f"snAPI does not run here: {done.stderr[-200:]}")
    with np.load(tmp_path / "out.npz") as found:
        for name, channel in zip(("arr_0", "arr_1", "arr_2"), (0, 1, 4), strict=True):
            np.testing.assert_array_equal(found[name], times[channels == channel])
