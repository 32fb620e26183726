"""Whole runs over a bad line: right rows or none, one line that says what happened, a safe bench."""

from __future__ import annotations

import dataclasses
import logging
import re

import numpy as np
import pytest
import toybench

from labctl.bench import Bench, shipped_benches
from labctl.benchfile import BenchFile
from labctl.errors import BenchFileError
from labctl.run import replay, runner
from labctl.run.folder import RunFolder
from labctl.run.request import Request, rebuild

KINDS = ("drop", "garble", "late", "double", "truncate", "split", "disconnect", "hang")
#: Replies of the toy bench: who it is, its setting, then one reading for each row.
REPLIES = (1, 2, 3, 5, 6)
STEPS = 4
RATE = 0.1  # K/s of the toy world

SIMULATORS = {
    "laser": "simulated_instruments.toptica_dlcpro:SimTopticaDlcPro",
    "shaper": "simulated_instruments.waveshaper:SimWaveShaper",
    "lock": "simulated_instruments.redpitaya_pyrpl:SimRedPitaya",
    "analyser": "simulated_instruments.spectrum_analyser:SimSpectrumAnalyser",
}


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.WARNING)  # what the adapters threw away
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def benches(monkeypatch):
    """The benches that were opened, to look at what their simulators were left with."""
    opened = []
    init = Bench.__init__

    def remembered(self, *arguments):
        init(self, *arguments)
        if self.mode == "sim":
            opened.append(self)

    monkeypatch.setattr(Bench, "__init__", remembered)
    return opened


def mended(start):
    """What `rebuild` gives once somebody has changed the cable."""
    procedure, file = rebuild(start)
    assert isinstance(file, BenchFile)
    whole = {n: dataclasses.replace(e, faults={}) for n, e in file.instruments.items()}
    return procedure, dataclasses.replace(file, instruments=whole)


def toy_run(tmp_path, faults, **parameters):
    path = tmp_path / "toy.toml"
    path.write_text(f"{toybench.BENCH}timeout = 2.0\nfaults = {faults}\n", encoding="utf-8")
    parameters = {"steps": str(STEPS), "pause": "10", **parameters}
    request = Request("toybench:Watch", parameters=parameters, bench=str(path))
    return runner.start(request, tmp_path / "runs")


def contents(path):
    """Rows with the bytes of their traces."""
    folder = RunFolder.open(path)
    names = folder.trace_names
    return [
        (row, [folder.trace(name, i).tobytes() for name in names if folder.has_trace(name, i)])
        for i, row in enumerate(folder.rows)
    ]


def require_one_line(outcome, *words):
    assert "\n" not in outcome.reason
    for word in words:
        assert re.search(word, outcome.reason), outcome.reason


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_of_every_reply(tmp_path, monkeypatch, benches, kind, reply):
    """A reading that belonged to another row would be 1 K off; its noise is 0.01 K."""
    outcome = toy_run(tmp_path, f"{{ {kind} = [{reply}], late_by = 3.0 }}")
    rows = contents(outcome.path)
    if outcome.status != "finished":
        assert (outcome.status, outcome.exit_code) == ("failed", 1)
        require_one_line(outcome, "^thermometer: ", r"TEMP\?|\*IDN\?|HEAT\?", "; ")
        assert len(rows) == max(0, reply - 3)
    assert RunFolder.open(outcome.path).status == outcome.status
    if benches[-1].simulators["thermometer"].world.readings:
        assert benches[-1].simulators["thermometer"].heater == 0
    if outcome.status != "finished" and reply > 1:
        assert replay.replay(outcome.path, "wire").difference == ""
        assert replay.replay(outcome.path, "sim").difference == ""
    if outcome.status != "finished":
        monkeypatch.setattr(runner, "rebuild", mended)
        assert runner.resume(outcome.path).status == "finished"
        assert contents(outcome.path)[: len(rows)] == rows
    folder = RunFolder.open(outcome.path)
    assert [row["index"] for row in folder.rows] == list(range(STEPS))
    for row, t in zip(folder.rows, folder.times, strict=True):
        assert row["temperature (K)"] == pytest.approx(20 + RATE * t, abs=0.06 + RATE * 0.1)
    assert replay.replay(outcome.path, "wire").difference == ""


def test_what_changes_no_time_changes_no_bit(tmp_path):
    rows = contents(toy_run(tmp_path, "{}").path)
    assert contents(toy_run(tmp_path, "{ split = 1.0 }").path) == rows


def test_replies_are_counted_over_all_connections(tmp_path):
    """The third reply is lost and the connection with it; the third of the next one is not."""
    outcome = toy_run(tmp_path, "{ disconnect = [3] }")
    assert "the simulator closed the connection instead of the answer to 'TEMP?'" in outcome.reason
    wire = (outcome.path / "wire.jsonl").read_text(encoding="utf-8")
    assert wire.count('"d":"open"') == 2  # make_safe has reconnected, and was not cut off again


def test_faults_differ_between_instruments_but_not_between_runs(tmp_path):
    first, again = (toy_run(tmp_path, "{ garble = 0.2 }") for _ in range(2))
    assert first.reason == again.reason
    assert contents(first.path) == contents(again.path)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("{ dorp = [1] }", r"toy.toml:13: unknown fault 'dorp'; there are drop, "),
        ("{ drop = [0] }", r"toy.toml:13: drop = \[0\] must be numbers of replies"),
        ("{ drop = 1.5 }", r"toy.toml:13: drop = 1.5 must be"),
    ],
)
def test_a_wrong_table_is_named(tmp_path, table, words):
    with pytest.raises(BenchFileError, match=words) as caught:
        toy_run(tmp_path, table)
    assert not (tmp_path / "runs").exists()
    assert "\n" not in str(caught.value)


INTERLOCK = """
[[interlocks]]
read = "thermometer.heater"
max = 5
period = 5.0
"""


@pytest.mark.parametrize("reply", range(2, 12))
@pytest.mark.parametrize("kind", ["drop", "double", "late", "disconnect", "truncate"])
def test_an_interlock_that_meets_the_fault_leaves_the_replay_right(tmp_path, kind, reply):
    """A replay has no interlocks, so they may not clear away what the run left, nor vice versa."""
    path = tmp_path / "toy.toml"
    faults = f"timeout = 2.0\nfaults = {{ {kind} = [{reply}], late_by = 1.5 }}\n"
    path.write_text(toybench.BENCH + faults + INTERLOCK, encoding="utf-8")
    request = Request("toybench:Watch", parameters={"steps": "3", "pause": "7"}, bench=str(path))
    outcome = runner.start(request, tmp_path / "runs")
    require_one_line(outcome)
    if outcome.status == "aborted":
        assert outcome.exit_code == 3
        assert "interlock thermometer.heater: cannot be read: thermometer: " in outcome.reason
    assert replay.replay(outcome.path, "wire").difference == ""


# The four instruments of the microcomb bench, each fault at a reply in the middle of a run.

SHORT = {"scan_steps": "5", "sweep_time": "1", "trace_points": "101"}


def microcomb_run(tmp_path, instrument="", faults=""):
    text = shipped_benches()["cluster-microcomb"].read_text(encoding="utf-8")
    if instrument:
        line = f'simulator = "{SIMULATORS[instrument]}"\n'
        assert line in text
        text = text.replace(line, f"{line}faults = {faults}\n")
    path = tmp_path / "bench.toml"
    path.write_text(text, encoding="utf-8")
    return runner.start(
        Request("squeezing-spectrum", parameters=SHORT, bench=str(path), mode="sim", seed=1),
        tmp_path / "runs",
    )


def require_dark(bench):
    """Laser off, filter closed, lock's outputs off: asked of the models, not over the wire."""
    world = bench.world
    assert not world.parts["laser"].emitting
    lines = np.linspace(191.5, 196.0, 500)
    for port in (1, 2):
        assert np.abs(world.parts["shaper"].transfer(port, lines, world.now + 10)).max() < 1e-3
    outputs = [0x40300000 + n * 0x10000 + 4 for n in (0, 1, 2, 5, 6, 8, 9)]
    assert not any(world.parts["lock"].read(address, 1, world.now)[0] for address in outputs)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return contents(microcomb_run(tmp_path_factory.mktemp("reference")).path)


@pytest.mark.parametrize(
    ("instrument", "kind", "reply", "ends", "words"),
    [
        ("laser", "drop", 30, "failed", "param-ref"),
        ("laser", "garble", 41, "failed", "param-set!"),
        ("laser", "hang", 46, "aborted", "interlock laser.power: cannot be read"),
        ("laser", "late", 31, "finished", ""),
        ("shaper", "drop", 17, "failed", "GET /waveshaper/getprofile"),
        ("shaper", "garble", 12, "failed", "POST /waveshaper/loadprofile"),
        ("shaper", "disconnect", 20, "finished", ""),
        ("lock", "truncate", 140, "failed", "of 1 word at 0x"),
        ("lock", "hang", 97, "failed", "of 1 word at 0x"),
        ("lock", "disconnect", 151, "failed", "of 3 words at 0x"),
        ("lock", "double", 113, "finished", ""),
        ("lock", "garble", 131, "finished", ""),
        ("analyser", "drop", 40, "failed", "TRAC:DATA"),
        ("analyser", "garble", 36, "failed", "OPC"),
        ("analyser", "disconnect", 53, "failed", "SENS"),
        ("analyser", "double", 45, "finished", ""),
    ],
)
def test_faults_of_each_instrument(
    tmp_path, monkeypatch, benches, reference, instrument, kind, reply, ends, words
):
    outcome = microcomb_run(tmp_path, instrument, f"{{ {kind} = [{reply}], late_by = 0.5 }}")
    rows = contents(outcome.path)
    assert outcome.status == ends, outcome.reason
    require_one_line(outcome, words)
    require_dark(benches[-1])
    if ends != "finished":
        require_one_line(outcome, f"{instrument}: ", "; ")
        assert rows == reference[: len(rows)]
        assert len(rows) < len(reference)
        monkeypatch.setattr(runner, "rebuild", mended)
        assert runner.resume(outcome.path).status == "finished"
        require_dark(benches[-1])
        assert contents(outcome.path)[: len(rows)] == rows
    indices = [row["index"] for row, _ in contents(outcome.path)]
    assert indices == list(range(len(reference)))
    assert replay.replay(outcome.path, "wire").difference == ""


@pytest.mark.parametrize("instrument", SIMULATORS)
def test_replies_in_pieces_change_no_bit(tmp_path, reference, instrument):
    outcome = microcomb_run(tmp_path, instrument, "{ split = 0.05 }")
    assert outcome.status == "finished"
    assert contents(outcome.path) == reference
