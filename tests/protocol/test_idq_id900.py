"""Time controller ID900: messages of the maker's programs, and the driver through the wire."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.idq_id900 import Id900
from labctl import benchfile
from labctl.adapter import ByteAdapter
from labctl.bench import Bench
from labctl.clock import VirtualClock
from labctl.errors import (
    ConnectionLost,
    IdentityMismatch,
    InstrumentError,
    LabError,
    RequestError,
    TransportTimeout,
)
from labctl.transport.link import Link
from labctl.transport.replaying import Transcript
from labctl.transport.wirelog import WireLog
from labctl.zmtp import REQUESTS, STREAM, PairSocket, RequestSocket
from simulated_instruments import faults
from simulated_instruments.idq_id900 import SimIdqId900
from simulated_instruments.physics.tagger import PS, TaggerModel
from simulated_instruments.world import World

NS = 1000


@dataclass
class Train:
    period_ps: float
    first_ps: int | None


def periodic(*trains):
    """Clicks at first + n period (ps) at each input."""

    def clicks(t0, t1):
        found = []
        for first, period in trains:
            low, high = -(-(t0 - first) // period), -(-(t1 - first) // period)
            found.append(first + period * np.arange(max(low, 0), max(high, 0), dtype=np.int64))
        return found

    return clicks


EVERY_MS = periodic(*[(n * NS, PS // 1000) for n in range(1, 5)])


class Setup:
    """A simulated tagger on a virtual clock, with a line to each of its ports."""

    def __init__(self, plan=None, **options):
        options.setdefault("clicks", EVERY_MS)
        options.setdefault("jitter_ps", 0.0)
        options.setdefault("zero_ps", None)
        self.world, self.clock = World(), VirtualClock()
        self.model = TaggerModel(self.world.seed_of, "tagger", **options)
        self.world.parts["tagger"] = self.model
        self.simulator = SimIdqId900(self.world, "tagger")
        self.plan = faults.plan(plan or {})

    def opener(self, port, usual=""):
        return lambda: Link(faults.wrap(self.simulator.connect(port), self.plan), self.clock)

    def line(self, port, framing=REQUESTS):
        return ByteAdapter(self.opener(port), self.clock, name=port, framing=framing)

    def scpi(self):
        return RequestSocket(self.line("scpi")).request

    def datalink(self):
        ask = RequestSocket(self.line("datalink")).request
        return lambda text: json.loads(ask(text))

    def driver(self, **settings):
        adapter = ByteAdapter(
            self.opener(""), self.clock, name="tagger", framing=Id900.FRAMING,
            open_port=self.opener,
        )  # fmt: skip
        return Id900(adapter, "tagger", **settings)


# ------------------------------------------------------------------ messages


@pytest.mark.parametrize(
    ("message", "reply"),
    [  # messages as the maker's example programs send them
        ("REC:STAGe?", "STOPPED"),
        ("DEVI:RES:BWID?", "1"),
        ("DELA2:VALU?", "0TB"),
        ("DEVI:CONFI:LOAD COUNT", ""),
        ("DELA6:VALU 1000", ""),
        ("TSCO6:WIND:BEGI:DELA 500", ""),
        ("TSCO24:COUN:MODE CYCL;INTE 1000;RESEt", ""),
        ("REC:TRIG:ARM:MODE MANUal", ""),
        ("REC:DURation 1000000000000.0", ""),
        ("HIST1:BCOUnt 16384", ""),
        ("TSCO1:FIR:LINK REC", ""),
        ("TSCO1:OPIN ONLYFIR;OPOUt ONLYFIR;WIND:ENAB OFF", ""),
        ("HIST1:REF:LINK TSCO1", ""),
        ("RAW1:ERRORS:CLEAR", ""),
        ("INPU1:HIRES:ERROR:CLEAR", ""),
        ("INPU1:HIRES:ERROR?", "0"),
        ("INPUt2:COUPling AC;COUP?", "AC"),
        ("INPUt2:SELEct SHAPED;SELE?", "SHAPED"),
        ("DEVIce:SAMPling:RECAlibrate", ""),
        ("HIST1:ENAB:LINK REC", ""),
        ("REC:NUM 0;NUMber?", "0"),
        ("RAW1:ERRORS?", "0"),
        ("STAR:COUNter?;:INPU1:COUNter?", "0\n0"),
        # the manual: no matter which case, units, long and short forms
        ("input1:enable?", "ON"),
        ("INPUt1:THREshold 1000mV;THRE?", "1V"),
        ("INPU1:THRE 1V;:INPU1:THRE?;EDGE?", "1V\nRISING"),
        ("RECord:DURation 3000 GTB;DUR?", "3000000000000TB"),
    ],
)
def test_messages_of_the_makers_programs(message, reply):
    assert Setup().scpi()(message) == reply


@pytest.mark.parametrize(
    "message",
    [
        "FOO?", "INPU5:ENAB ON", "INPU1:THRE 9", "INPU1:THRE x", "DELA1:VALU 1e30", "HIST1:BCOU 0",
        "HIST1:BWID 99999999999999", "DELA9:VALU?", "INPU1:EDGE UP", "TSCO6:OPIN AND",
        "HIST1:STOP:LINK NOWHERE", "RAW1:REF:LINK INPU1", "DEVI:CONF:LOAD NONE", "REC:DUR 0",
        "REC:ENAB OFF;PLAY", "INPU1", "TSCO3:FIR:LINK TSCO3", "DELA1:LINK TSCO5", "é", ":", "INPU1:COUN:INTE inf",
    ],
)  # fmt: skip
def test_what_it_does_not_understand_is_said_in_the_reply(message):
    ask = Setup().scpi()
    reply = ask(message)
    assert reply.startswith("SCPI_ERR_") or message == ":"
    assert "\n" not in reply
    assert ask("*IDN?").startswith("IDQ,ID900,")


def test_the_service_answers_json():
    setup = Setup()
    ask = setup.datalink()
    start = "start-stream --channel 1 --address 10.0.0.8 --stream-port 4242"
    assert ask("list") == []
    identity = ask(start)["id"]
    assert ask("list") == [identity]
    assert ask(start) == {"error": {"description": "channel 1 is already being acquired"}}
    status = ask(f"status --id {identity}")
    assert (status["acquisitions_count"], status["timestamps_count"]) == (0, 0)
    assert ask(f"stop --id {identity}")["status"]["timestamps_count"] == 0
    for wrong in ("", "status", "status --id 9", "start-stream --channel 7 --address x", "x --y",
                  "start-stream --channel one --address x --stream-port 1", 'list "',
                  'start-save --address x --channel 1 --filename "C:\\\\x.bin" --format bin'):  # fmt: skip
        assert set(ask(wrong)) == {"error"}


def test_frames_are_packed_tags_and_an_empty_one_is_the_end():
    setup = Setup()
    scpi, ask = setup.scpi(), setup.datalink()
    scpi("REC:DUR 10000000000;NUM 1")  # 10 ms
    identity = ask("start-stream --channel 2 --address x --stream-port 4243")["id"]
    tags = PairSocket(setup.line("stream2", STREAM))
    tags.connect()
    scpi("RAW2:SEND ON")
    scpi("REC:PLAY")
    begin = setup.clock.now()
    assert scpi("REC:STAGe?") == "PLAYING"
    setup.clock.sleep(0.02)
    assert scpi("REC:STAGe?") != "PLAYING"
    status = ask(f"status --id {identity}")
    assert (status["acquisitions_count"], status["timestamps_count"]) == (1, 10)
    assert 0.005 < status["inactivity"] < 0.02
    assert ask(f"stop --id {identity}")["status"]["errors"] == []
    frames = b""
    while frame := tags.receive():
        frames += frame
    assert len(frames) == 80  # 10 tags of 64 bits
    found = np.frombuffer(frames, "<u8")
    # pulses are 2 ns after each millisecond; tags count from the begin of the acquisition
    assert set(np.diff(found).tolist()) == {10**9}
    assert (found[0] + begin * PS - 2000) % 10**9 == pytest.approx(0, abs=PS * 4.1e-4)


def test_files_of_the_service(tmp_path):
    setup = Setup(reference=Train(10**10, 0))
    setup.simulator.save_folder = tmp_path
    scpi, ask = setup.scpi(), setup.datalink()
    scpi("REC:DUR 10000000000")
    scpi("RAW1:REF:LINK STAR;:RAW2:REF:LINK STAR")
    names = {1: ("C:\\\\data\\\\a.bin", "bin"), 2: ("../b.txt", "ascii")}
    ids = {
        n: ask(f'start-save --address x --channel {n} --filename "{name}" --format {form} '
               "--with-ref-index")["id"]
        for n, (name, form) in names.items()
    }  # fmt: skip
    scpi("RAW1:SEND ON;:RAW2:SEND ON;:REC:PLAY")
    setup.clock.sleep(0.1)
    for identity in ids.values():
        assert ask(f"stop --id {identity}")["status"]["timestamps_count"] == 10
    pairs = np.fromfile(tmp_path / "a.bin", [("timestamp", "<u8"), ("refIndex", "<u8")])
    assert len(pairs) == 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "b.txt"]
    assert len((tmp_path / "b.txt").read_text().splitlines()[0].split(";")) == 2


# ------------------------------------------------------------------ driver: settings, counters


def test_identity_and_settings():
    tagger = Setup().driver()
    assert tagger.check_identity().startswith("IDQ,ID900,")
    tagger.input_1.threshold = -0.25
    tagger.inputs[2].delay = -1500
    tagger.input_3.enabled = False
    tagger.input_4.edge = "falling"
    assert tagger.input_4.edge == "falling"
    assert tagger.snapshot() == {
        "resolution": 1,
        "thresholds": (-0.25, 0.1, 0.1, 0.1),
        "delays": (0, -1500, 0, 0),
        "enabled_inputs": (1, 2, 4),
    }


def test_driver_says_what_the_makers_programs_say():
    """Short forms of the same commands, one frame each; windows of input 3 begin 1 ns later."""
    tagger, said = Setup().driver(), []
    ask = tagger.ask
    tagger.ask = lambda command, *rest, **more: said.append(command) or ask(command, *rest, **more)
    tagger.histogram(2, 0.01, start=1, bin_width=1000, bins=16, minimum=0)
    histogram = [
        "DEVI:CONF:LOAD HISTO",
        "HIST2:REF:LINK DELA1;:HIST2:STOP:LINK DELA2",
        "HIST2:MIN 0;BWID 1000;BCOU 16;FLUS",
        "REC:TRIG:ARM:MODE MANU;:REC:ENAB ON",
        "REC:STOP",
        "REC:NUM 1;DUR 10000000000",
        "REC:PLAY",
        "REC:STAG?",
        "HIST2:DATA?",
    ]
    assert list(dict.fromkeys(said)) == histogram
    said.clear()
    tagger.count(0.25)
    cycles = [f"INPU{n}:COUN:MODE CYCL;INTE 250;RESE" for n in range(1, 5)]
    assert said == [*cycles, "INPU1:COUN?;:INPU2:COUN?;:INPU3:COUN?;:INPU4:COUN?"]
    said.clear()
    tagger.coincidences(1000, 0.1)
    assert said[4:8] == [  # after the delays were read
        "DEVI:CONF:LOAD COUNT", "DELA6:VALU 1000", "DELA7:VALU 2000", "DELA8:VALU 3000",
    ]  # fmt: skip
    # combiners of the maker's configuration: pairs 12, 13, 14, 23, 24, 34
    windows = [line.partition(":")[0] for line in said if ":WIND:BEGI:DELA" in line]
    assert windows == ["TSCO6", "TSCO7", "TSCO8", "TSCO3", "TSCO4", "TSCO5"]
    said.clear()
    tagger.input_2.threshold = 0.25
    tagger.input_2.delay = -1500
    assert said[0].startswith("INPU2:THRE 0.25")
    assert "DELA2:VALU -1500" in said


def test_wrong_requests_are_refused_before_anything_is_sent():
    setup = Setup()
    tagger = setup.driver()
    for wrong in (
        lambda: setattr(tagger.input_1, "threshold", 3.0),
        lambda: setattr(tagger.input_1, "delay", float("nan")),
        lambda: setattr(tagger.input_1, "enabled", "yes"),
        lambda: setattr(tagger.input_1, "edge", "up"),
        lambda: tagger.stream((1, 1)),
        lambda: tagger.stream((0,)),
        lambda: tagger.stream(()),
        lambda: tagger.stream(on_overflow="ignore"),
        lambda: tagger.record(-1.0),
        lambda: tagger.count(float("inf")),
        lambda: tagger.histogram(5, 1.0),
        lambda: tagger.coincidences(0, 1.0),
        lambda: Id900(tagger.adapter, "tagger", stream_port=0),
        lambda: Id900(tagger.adapter, "tagger", datalink="somewhere"),
    ):
        with pytest.raises((RequestError, ValueError)):
            wrong()
    assert tagger.snapshot()["thresholds"] == (0.1, 0.1, 0.1, 0.1)


def test_a_refusal_of_the_instrument_is_one_line():
    tagger = Setup().driver()
    with pytest.raises(InstrumentError, match=r"^tagger: 'HIST1:BWID 0' was refused: SCPI_ERR_"):
        tagger.write("HIST1:BWID 0")


def test_another_zeromq_instrument_is_noticed():
    setup = Setup()
    setup.simulator.tree.add("*IDN?", lambda _: "ACME,ROCKET,1,1")
    with pytest.raises(IdentityMismatch, match="ROCKET"):
        setup.driver().check_identity()


def test_counters_count_whole_integration_times():
    clicks = periodic((0, PS // 1000), (0, PS // 2000), (0, PS), (0, PS // 10))
    tagger = Setup(clicks=clicks).driver()
    assert tagger.count(0.5) == {1: 500, 2: 1000, 3: 0, 4: 5}
    tagger.clock.sleep(100.0)
    assert tagger.count(2.0) == {1: 2000, 2: 4000, 3: 2, 4: 20}


def test_accumulating_counters_and_start_input():
    setup = Setup(reference=Train(PS // 500, 0))
    ask = setup.scpi()
    ask("INPU1:COUN:MODE ACCU;RESE;:STAR:COUN:MODE ACCU;RESE")
    setup.clock.sleep(3.0)
    counts = [int(n) for n in ask("INPU1:COUN?;:STAR:COUN?").splitlines()]
    assert counts[0] - 3000 in (0, 1)
    assert counts[1] - 1500 in (0, 1)


def test_coincidences_need_to_be_inside_the_window():
    # inputs 1 and 2 are 3 ns apart, 3 is 40 ns later, 4 far away; every 10 us for 0.1 s
    clicks = periodic(*[(offset, 10**7) for offset in (0, 3 * NS, 43 * NS, 900 * NS)])
    tagger = Setup(clicks=clicks).driver()
    found = tagger.coincidences(10 * NS, 0.1)
    assert found == {(1, 2): 10_000, (1, 3): 0, (1, 4): 0, (2, 3): 0, (2, 4): 0, (3, 4): 0}
    assert tagger.coincidences(5 * NS, 0.1)[1, 2] == 0  # +-2.5 ns
    tagger.input_3.delay = -41 * NS
    assert tagger.coincidences(10 * NS, 0.1)[1, 3] == 10_000


def test_threefold_coincidences_of_the_preset():
    clicks = periodic(*[(offset, 10**7) for offset in (0, NS, 2 * NS, 900 * NS)])
    setup = Setup(clicks=clicks)
    tagger, ask = setup.driver(), setup.scpi()
    tagger.coincidences(10 * NS, 0.001)
    for n, begin in ((13, 0), (14, 1), (15, 0), (16, 0), (24, 1)):  # of the example programs
        ask(
            f"TSCO{n}:WIND:BEGI:DELA {begin * 10 * NS};:TSCO{n}:WIND:END:DELA {(begin + 2) * 10 * NS}"
        )
        ask(f"TSCO{n}:COUN:MODE ACCU;RESE")
    setup.clock.sleep(0.1)
    counts = [int(line) for line in ask("TSCO13:COUN?;:TSCO14:COUN?;:TSCO24:COUN?").splitlines()]
    assert 10_000 <= counts[0] < 10_300  # 1/2/3; the exchanges take 2 ms
    assert counts[1:] == [0, 0]


def test_histogram_of_two_inputs_and_of_the_start_input():
    clicks = periodic((0, 10**7), (2550, 10**7), (0, PS), (0, PS))
    setup = Setup(clicks=clicks, reference=Train(10**7, 100))
    tagger = setup.driver()
    counts = tagger.histogram(2, 0.01, start=1, bin_width=100, bins=50)
    assert np.flatnonzero(counts).tolist() == [25]
    assert counts[25] == 1000
    counts = tagger.histogram(2, 0.01, bin_width=10, bins=1000, minimum=2000)
    assert np.flatnonzero(counts).tolist() == [(2550 - 100 - 2000) // 10]
    autocorrelation = tagger.histogram(1, 0.01, start=1, bin_width=10**6, bins=20)
    assert autocorrelation[10] == pytest.approx(1000, abs=1)


# ------------------------------------------------------------------ driver: tags


def test_a_recording_has_every_tag():
    setup = Setup(zero_ps=0)
    tagger = setup.driver()
    block = tagger.record(2.0)
    assert {n: len(tags) for n, tags in block.tags.items()} == dict.fromkeys((1, 2, 3, 4), 2000)
    assert block.overflow_count == 0
    assert len(block) == 8000
    for n, tags in block.tags.items():
        assert tags.dtype == np.int64
        assert set((tags % 10**9).tolist()) == {n * NS}  # world time 0 is tag time 0


def poisson(rate, seed=0):
    """Random clicks, block by block of 10 ms."""

    def block(number, n):
        rng = np.random.default_rng([seed, number, n])
        return np.sort(rng.integers(10**10, size=rng.poisson(rate / 100))) + number * 10**10

    def clicks(t0, t1):
        numbers = range(t0 // 10**10, (t1 - 1) // 10**10 + 1)
        found = [np.concatenate([block(b, n) for b in numbers]) for n in range(4)]
        return [t[np.searchsorted(t, t0) : np.searchsorted(t, t1)] for t in found]

    return clicks


def test_blocks_are_complete_up_to_one_time_and_lose_nothing():
    setup = Setup(clicks=poisson(20_000.0), jitter_ps=50.0, zero_ps=0)
    tagger = setup.driver()
    blocks = []
    with tagger.stream((1, 3)) as stream:
        for seconds in (0.1, 0.0, 0.3, 0.05):
            blocks.append(stream.collect(seconds))
        blocks.append(stream.rest())
    ends = [max((tags[-1] for tags in b.tags.values() if len(tags)), default=0) for b in blocks]
    for earlier, later in pairwise(blocks):
        last = max((t[-1] for t in earlier.tags.values() if len(t)), default=0)
        assert all(t[0] >= last for t in later.tags.values() if len(t))
    assert ends[0] > 0.09 * PS
    whole = {n: np.concatenate([b.tags[n] for b in blocks]) for n in (1, 3)}
    single = Setup(clicks=poisson(20_000.0), jitter_ps=50.0, zero_ps=0)
    again = single.driver()
    with again.stream((1, 3)) as stream:
        again.clock.sleep(0.4)
        rest = stream.rest()
    for n in (1, 3):
        common = whole[n][whole[n] < 0.4 * PS]
        assert np.array_equal(common, rest.tags[n][: len(common)])
        assert len(common) > 7000


def test_reference_index_of_sparse_events():
    """A click every 7th trial of 2 ms, 123 ns after the trigger; three days of trials."""
    clicks = periodic(
        (123_000, 14 * 10**9), (456_000, 14_000 * 10**9), (0, PS * 10**6), (1, PS * 10**6)
    )
    setup = Setup(clicks=clicks, reference=Train(2 * 10**9, 0))
    tagger = setup.driver()
    with tagger.stream((1, 2), with_index=True) as stream:
        block = stream.collect(40_000.0)
    assert set(block.tags[1].tolist()) == {123_000}
    assert set(np.diff(block.indices[1]).tolist()) == {7}
    assert len(block.tags[1]) == pytest.approx(40_000 / 0.014, abs=2)
    assert set(block.tags[2].tolist()) == {456_000}
    assert set(((block.indices[2] - block.indices[1][0]) % 7).tolist()) == {0}


def test_lost_tags_are_an_error_or_a_number():
    setup = Setup(clicks=poisson(3000.0), max_rate=6000.0, buffer=300)
    tagger = setup.driver()
    with pytest.raises(InstrumentError, match=r"^tagger: its buffer overflowed .* of channel 4\)"):
        tagger.record(1.0)
    block = tagger.record(1.0, on_overflow="report")
    assert block.overflow_count > 1000
    lost = block.overflow_count / (block.overflow_count + len(block))
    assert lost == pytest.approx(0.5, abs=0.06)  # 12000 /s come, 6000 /s leave, 300 wait
    assert len(tagger.record(0.5, (1,))) == pytest.approx(1500, abs=160)


def test_one_stream_at_a_time_and_a_new_one_after_it():
    tagger = Setup().driver()
    with tagger.stream((1,)) as stream:
        for wish in (lambda: tagger.stream((2,)), lambda: tagger.histogram(1, 1.0)):
            with pytest.raises(RequestError, match="end of the open stream"):
                wish()
        assert len(stream.collect(0.1)) > 90
    with pytest.raises(RequestError, match="not open"):
        stream.collect()
    assert len(tagger.record(0.1, (1, 2))) == 200


def test_an_exception_inside_ends_the_stream():
    setup = Setup()
    tagger = setup.driver()
    with pytest.raises(ZeroDivisionError), tagger.stream((1,)):
        1 / 0  # noqa: B018
    assert setup.datalink()("list") == []
    assert len(tagger.record(0.1, (1,))) == 100


def test_make_safe_ends_what_goes_on():
    setup = Setup()
    tagger = setup.driver()
    tagger.stream((1,)).start()
    tagger.make_safe()
    assert setup.scpi()("REC:STAG?") != "PLAYING"
    assert setup.datalink()("list") == []


def test_without_the_service_the_message_says_what_to_start():
    setup = Setup()

    def refused(port, usual):
        def fail():
            raise ConnectionLost("no connection to localhost:6060 (refused)")

        return fail

    adapter = ByteAdapter(
        setup.opener(""), setup.clock, name="tagger", framing=Id900.FRAMING, open_port=refused
    )
    with pytest.raises(ConnectionLost, match=r"DataLinkTargetService does not run at tcp://local"):
        Id900(adapter, "tagger").record(1.0)


# ------------------------------------------------------------------ bench: record, replay, faults

BENCH = """
[bench]
[instruments.tagger]
driver = "drivers.idq_id900:Id900"
address = "tcp://tagger.example:5555"
simulator = "simulated_instruments.idq_id900:SimIdqId900"
"""


def measure(bench):
    tagger = bench["tagger"]
    found = [tagger.count(0.5), tagger.histogram(1, 0.1, start=2, bin_width=10**9, bins=4).tolist()]
    with tagger.stream((1, 2)) as stream:
        for _ in range(3):
            bench.clock.sleep(0.2)
            found.append({n: tags.tolist() for n, tags in stream.collect(0.1).tags.items()})
        found.append({n: tags.tolist() for n, tags in stream.rest().tags.items()})
    return found, bench.clock.now()


def test_a_recording_replays(tmp_path):
    file = benchfile.parse(BENCH, tmp_path / "bench.toml")
    log = WireLog(tmp_path / "wire.jsonl")
    with Bench.open(file, "sim", seed=4, record=log) as bench:
        first = measure(bench)
    log.close()
    replayed = Bench.open(file, "replay", replay=Transcript(tmp_path / "wire.jsonl"))
    assert measure(replayed) == first
    assert sum(len(tags) for block in first[0][2:] for tags in block.values()) > 100


def stubborn(bench):
    """Counts, asked again as often as it takes, and when that was."""
    failures = []
    for _ in range(9):
        try:
            return bench["tagger"].count(0.1), failures, bench.clock.now()
        except LabError as error:
            failures.append(str(error))
    return None, failures, bench.clock.now()


@pytest.mark.parametrize("kind", sorted(faults.KINDS))
def test_a_recording_of_a_bad_line_replays(tmp_path, kind):
    text = BENCH + f"faults = {{ {kind} = [4, 7, 12, 19] }}\n"
    file = benchfile.parse(text, tmp_path / "bench.toml")
    log = WireLog(tmp_path / "wire.jsonl")
    with Bench.open(file, "sim", seed=4, record=log) as bench:
        first = stubborn(bench)
    log.close()
    replayed = Bench.open(file, "replay", replay=Transcript(tmp_path / "wire.jsonl"))
    assert stubborn(replayed) == first
    assert first[1] or kind in ("double", "split", "late", "disconnect")


@pytest.mark.parametrize("kind", ["drop", "garble", "late", "truncate", "disconnect", "hang"])
@pytest.mark.parametrize("reply", [3, 9, 14, 19, 22, 26])
def test_a_bad_line_is_an_error_or_does_no_harm(kind, reply):
    """Whatever the line does to one reply: right tags, or one clear line."""
    good = Setup(zero_ps=0).driver().record(0.1, (1, 2))
    setup = Setup(zero_ps=0, plan={kind: [reply]})
    block, told = None, ""
    try:
        block = setup.driver().record(0.1, (1, 2))
    except LabError as error:
        told = str(error)
    assert told.startswith("tagger") or block is not None
    assert "\n" not in told
    for n, tags in block.tags.items() if block else ():
        assert len(tags) == len(good.tags[n]) == 100
        assert set((tags % 10**9).tolist()) == {n * NS}


@pytest.mark.parametrize("kind", ["double", "split"])
@pytest.mark.parametrize("reply", [5, 12, 19, 22])
def test_doubled_and_scattered_replies_do_no_harm(kind, reply):
    setup = Setup(zero_ps=0, plan={kind: [reply]})
    try:
        block = setup.driver().record(0.1, (1, 2))
    except (InstrumentError, TransportTimeout):
        assert kind == "double"  # a frame of tags that came twice cannot pass as new tags
    else:
        assert [len(tags) for tags in block.tags.values()] == [100, 100]


@pytest.mark.parametrize("kind", sorted(faults.KINDS))
@pytest.mark.parametrize("reply", [1, 2, 3])
def test_a_bad_stream_never_passes_damaged_tags(kind, reply):
    """Greeting, READY and the first frame of tags, on the stream alone."""
    setup = Setup(zero_ps=0)
    plan, plain = faults.plan({kind: [reply]}), setup.opener

    def opener(port, usual=""):
        if port != "stream1":
            return plain(port, usual)
        return lambda: Link(faults.wrap(setup.simulator.connect(port), plan), setup.clock)

    setup.opener = opener
    tagger, tags, told = setup.driver(), None, ""
    try:
        tags = tagger.record(0.1, (1, 2)).tags
    except LabError as error:
        told = str(error)
    assert told.startswith("tagger") or tags is not None
    assert "\n" not in told
    for n, found in tags.items() if tags else ():
        assert len(found) == 100
        assert set((found % 10**9).tolist()) == {n * NS}
    assert len(tagger.record(0.1, (1, 2))) == 200  # and the next recording is a good one


# ------------------------------------------------------------------ the page about time taggers

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "time-taggers.md").read_text("utf-8")


def test_the_page_s_code_runs():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    names = {"tagger": Setup().driver()}
    exec(code, names)
    assert sorted(names["block"].tags) == sorted(names["rest"].tags) == [1, 2]


def test_the_page_s_bench_is_one(tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
    file = benchfile.parse("[bench]\n" + text, tmp_path / "bench.toml")
    Bench.rehearse(file, "real")
    with Bench.open(file, "sim") as bench:
        assert bench["tagger_b"].stream_address(1) == "tcp://localhost:4246"


# ------------------------------------------------------------------ nonsense


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=60) | st.binary(max_size=60))
def test_no_message_breaks_the_instrument(message):
    setup = Setup()
    data = message.encode("utf-8", "surrogatepass") if isinstance(message, str) else message
    _, reply = setup.simulator._command(data, 0.0)
    assert isinstance(reply, bytes)
    _, answer = setup.simulator._request(data, 0.0)
    json.loads(answer)


WORDS = st.sampled_from(
    ["INPU1", "INPU9", "DELA3", "TSCO24", "HIST1", "RAW2", "REC", "STAR", "COUN", "MODE", "INTE",
     "VALU", "LINK", "WIND", "BEGI", "END", "DELA", "BWID", "MIN", "PLAY", "STOP", "STAG", "NUM",
     "DUR", "SEND", "ERRORS", "CLEAR", "ENAB", "THRE", "FLUS", "DATA", "DEVI", "CONF", "LOAD"]
)  # fmt: skip
VALUES = st.sampled_from(
    ["", "ON", "OFF", "1", "-1", "0", "1e18", "99999999999999999999", "nan", "inf", "1e400", "TB",
     "3 GTB", "NONE", "INPU1", "TSCO24", "TSCO0", "ACCU", "CYCL", "REC", "HISTO", "COUNT", "1V"]
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.lists(WORDS, min_size=1, max_size=4), st.booleans(), VALUES), max_size=25)
)
def test_no_setting_breaks_what_follows(commands):
    """Whatever was set, time goes on and the instrument answers."""
    setup = Setup()
    scpi = setup.scpi()
    for words, asks, value in commands:
        reply = scpi(f"{':'.join(words)}{'?' * asks} {value}".strip())
        assert isinstance(reply, str)
        setup.clock.sleep(0.01)
    scpi("REC:PLAY")
    setup.clock.sleep(0.05)
    assert scpi("*IDN?").startswith("IDQ,ID900,")
