"""A run from request to folder: rows, status, safety, resume, replay, control, whatever happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import toybench

from labctl.bench import Bench, find_bench
from labctl.errors import InterlockTripped, RequestError
from labctl.procedure import standalone
from labctl.run import control, replay, run, runner
from labctl.run.folder import RunFolder
from labctl.run.request import Request

SUPPORT = str(Path(toybench.__file__).parent)


@pytest.fixture
def bench_file(tmp_path):
    path = tmp_path / "toy.toml"
    path.write_text(toybench.BENCH, encoding="utf-8")
    return str(path)


def request(bench_file, procedure="toybench:Watch", **options):
    return Request(procedure=procedure, bench=bench_file, **options)


def started(bench_file, tmp_path, listener=None, **options):
    outcome = runner.start(request(bench_file, **options), tmp_path / "runs", listener)
    return outcome, RunFolder.open(outcome.path)


def last_heater(folder):
    lines = (folder.path / "wire.jsonl").read_text(encoding="utf-8").splitlines()
    sent = [e["s"] for e in map(json.loads, lines) if e.get("d") == ">" and "s" in e]
    return [s for s in sent if s.startswith("HEAT ")][-1]


def test_a_finished_run_holds_everything(bench_file, tmp_path):
    outcome, folder = started(bench_file, tmp_path, parameters={"steps": "4"}, title="first")
    assert (outcome.status, outcome.exit_code, outcome.reason) == ("finished", 0, "")
    assert folder.status == "finished"
    assert [row["index"] for row in folder.rows] == [0, 1, 2, 3]
    assert folder.times[-1] > 4.0
    assert folder.trace("trace (K)", 2)[1] == folder.rows[2]["temperature (K)"] + 1
    start = folder.start
    assert start["parameters"]["steps"] == 4
    assert start["units"]["pause"] == "s"
    assert start["bench"]["text"] == toybench.BENCH
    assert (start["title"], start["mode"], start["seed"], start["points"]) == ("first", "sim", 0, 4)
    assert start["versions"]["labctl"]
    (opened,) = [event for event in folder.events if event["entry"] == "opened"]
    assert opened["identities"] == {"thermometer": "TOY,THERMOMETER,1,1.0"}
    assert opened["settings"] == {"thermometer": {"heater": 0}}
    mean = folder.result["mean"]
    assert mean["unit"] == "K"
    assert mean["value"] == pytest.approx(20.25, abs=0.02)
    assert mean["uncertainty"] > 0
    assert folder.result["warm"]["value"] is True
    assert list(folder.derived()["sorted"]) == sorted(folder.columns()["temperature (K)"])
    assert last_heater(folder) == "HEAT 0\n"  # shutdown said 1, make_safe came after it


def test_same_seed_same_rows_other_seed_other_rows(bench_file, tmp_path):
    rows = [started(bench_file, tmp_path, seed=seed)[1].columns() for seed in (3, 3, 4)]
    assert (rows[0]["temperature (K)"] == rows[1]["temperature (K)"]).all()
    assert (rows[0]["draw"] == rows[1]["draw"]).all()
    assert not (rows[0]["temperature (K)"] == rows[2]["temperature (K)"]).any()


@pytest.mark.parametrize("mode", ["wire", "sim"])
def test_replay_is_identical(bench_file, tmp_path, mode):
    outcome, _ = started(bench_file, tmp_path, seed=5)
    comparison = replay.replay(outcome.path, mode)
    assert comparison.difference == ""
    assert (comparison.rows, comparison.compared) == (10, 10)


def test_replay_finds_a_changed_byte(bench_file, tmp_path):
    outcome, folder = started(bench_file, tmp_path)
    wire = outcome.path / "wire.jsonl"
    lines = wire.read_text(encoding="utf-8").splitlines(keepends=True)
    value = f"{folder.rows[6]['temperature (K)']:.9f}"
    (number,) = [n for n, line in enumerate(lines) if value in line]
    from labctl.journal import Journal

    entry = json.loads(lines[number])
    entry.pop("crc")
    entry["s"] = entry["s"].replace(value, "77.000000000")
    other = tmp_path / "one.jsonl"
    with Journal(other) as journal:
        journal.append(entry)
    lines[number] = other.read_text(encoding="utf-8")
    wire.write_text("".join(lines), encoding="utf-8")
    comparison = replay.replay(outcome.path, "wire")
    assert comparison.compared == 6
    assert comparison.difference.startswith("point 6: 'temperature (K)' was ")
    assert "is 77.0" in comparison.difference


def test_replay_finds_a_changed_procedure(bench_file, tmp_path, monkeypatch):
    outcome, _ = started(bench_file, tmp_path)
    monkeypatch.setattr(toybench.Thermometer, "heater", property(lambda self: 0, lambda s, v: None))
    comparison = replay.replay(outcome.path, "wire")
    assert not comparison.identical
    assert "thermometer" in comparison.difference


def test_a_broken_procedure_fails_in_one_line_and_leaves_the_bench_safe(bench_file, tmp_path):
    outcome, folder = started(bench_file, tmp_path, parameters={"fail_at": 3})
    assert (outcome.status, outcome.exit_code) == ("failed", 1)
    assert outcome.reason.startswith("ZeroDivisionError: the procedure is broken (toybench.py:")
    assert "\n" not in outcome.reason
    assert folder.status == "failed"
    assert len(folder.rows) == 3
    assert last_heater(folder) == "HEAT 0\n"
    assert any("Traceback" in str(e) for e in folder.events if e["entry"] == "note")


def test_resume_measures_only_what_is_missing(bench_file, tmp_path, monkeypatch):
    outcome, before = started(bench_file, tmp_path, parameters={"fail_at": 3})
    kept = list(before.rows)
    monkeypatch.setattr(
        toybench.Watch, "measure_point", _without_failure(toybench.Watch.measure_point)
    )
    resumed = runner.resume(outcome.path)
    folder = RunFolder.open(outcome.path)
    assert resumed.status == folder.status == "finished"
    assert [row["index"] for row in folder.rows] == list(range(10))
    assert list(folder.rows)[:3] == kept
    assert (folder.times[1:] > folder.times[:-1]).all()  # bench time goes on where it stopped
    draws = folder.columns()["draw"]
    assert len(set(draws)) == 10  # no random number twice
    comparison = replay.replay(outcome.path, "wire")
    assert comparison.difference == ""
    assert comparison.rows == 10
    with pytest.raises(RequestError, match="nothing to resume"):
        runner.resume(outcome.path)


def _without_failure(measure_point):
    def measured(self, point):
        fail_at, self.fail_at = self.fail_at, -1
        try:
            return measure_point(self, point)
        finally:
            self.fail_at = fail_at

    return measured


def test_killed_run_is_interrupted_and_can_be_resumed(bench_file, tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from labctl.cli import main\n"
        "main(['run', 'toybench:Watch', '--bench', sys.argv[2], '--runs', sys.argv[3],"
        " '--set', 'kill_at=6'])"
    )
    runs = tmp_path / "runs"
    done = subprocess.run(
        [sys.executable, "-c", code, SUPPORT, bench_file, str(runs)], check=False, timeout=60
    )
    assert done.returncode == 9
    (path,) = [p for p in runs.iterdir() if p.is_dir()]
    assert RunFolder.open(path).status == "interrupted"
    assert len(RunFolder.open(path).rows) == 6
    # The recorded parameters would kill us as well, so resume as a person would: elsewhere.
    done = subprocess.run(
        [sys.executable, "-c",
         ("import os, sys; sys.path.insert(0, sys.argv[1]); os._exit = lambda code: None\n"
          "from labctl.cli import main\nsys.exit(main(['resume', sys.argv[2]]))"),
         SUPPORT, str(path)], check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    folder = RunFolder.open(path)
    assert folder.status == "finished"
    assert [row["index"] for row in folder.rows] == list(range(10))


def test_interlock_stops_the_run_and_makes_safe(tmp_path):
    path = tmp_path / "toy.toml"
    path.write_text(
        toybench.BENCH + '\n[[interlocks]]\nread = "thermometer.temperature"\n'
        'max = 20.5\nunit = "K"\nperiod = 0.5\n',
        encoding="utf-8",
    )
    outcome, folder = started(str(path), tmp_path)
    assert (outcome.status, outcome.exit_code) == ("aborted", 3)
    assert isinstance(outcome.error, InterlockTripped)
    assert "interlock thermometer.temperature: 20.5" in outcome.reason
    assert "allowed -inf to 20.5 K" in outcome.reason
    assert 3 <= len(folder.rows) <= 6
    assert last_heater(folder) == "HEAT 0\n"
    comparison = replay.replay(outcome.path, "wire")  # unarmed, and its exchanges are skipped
    assert comparison.difference == ""


def test_abort_by_file_takes_effect_at_a_yield_point(bench_file, tmp_path, monkeypatch):
    monkeypatch.setattr("labctl.clock.LOOK_EVERY", 0.0)

    def listener(event):
        if event.kind == "point" and event.value["index"] == 2:
            (path,) = [p for p in (tmp_path / "runs").iterdir() if p.is_dir()]
            control.send(path, "abort", "enough for today")

    outcome, folder = started(bench_file, tmp_path, listener)
    assert (outcome.status, outcome.reason, outcome.exit_code) == ("aborted", "enough for today", 3)
    assert len(folder.rows) == 3
    assert folder.status == "aborted"
    assert runner.resume(outcome.path).status == "finished"  # the old request is history


def test_pause_and_continue_by_file(bench_file, tmp_path, monkeypatch):
    monkeypatch.setattr("labctl.clock.LOOK_EVERY", 0.0)
    seen = []

    def listener(event):
        path = next(iter(p for p in (tmp_path / "runs").iterdir() if p.is_dir()))
        if event.kind == "point" and event.value["index"] == 2:
            control.send(path, "pause", "coffee")
        elif event.kind == "paused":
            seen.append((RunFolder.open(path).status, len(RunFolder.open(path).rows), event.value))
            control.send(path, "resume")

    outcome, folder = started(bench_file, tmp_path, listener)
    assert outcome.status == "finished"
    assert seen == [("paused", 3, "paused: coffee")]
    kinds = [e["entry"] for e in folder.events]
    assert kinds.index("paused") < kinds.index("resumed")
    reasons = [e["reason"] for e in folder.events if e["entry"] in ("paused", "resumed")]
    assert reasons == ["coffee", ""]


def test_the_state_that_make_safe_could_not_reach_is_on_record(bench_file, tmp_path, monkeypatch):
    def broken(self):
        raise OSError("cable unplugged")

    monkeypatch.setattr(toybench.Thermometer, "make_safe", broken)
    outcome, folder = started(bench_file, tmp_path)
    assert outcome.status == folder.status == "failed"
    assert "NOT SAFE, check by hand: thermometer: cable unplugged" in outcome.reason
    assert len(folder.rows) == 10


def test_a_plain_pymeasure_procedure_runs_unchanged(tmp_path):
    outcome, folder = started("", tmp_path, procedure="toybench:Ramp", parameters={"steps": 3})
    assert outcome.status == "finished"
    assert [row["level (V)"] for row in folder.rows] == [0.0, 0.1, 0.2]
    with pytest.raises(RequestError, match="cannot be resumed"):
        runner.resume(outcome.path)


def test_a_plain_pymeasure_driver_works_on_the_bench(bench_file):
    text = toybench.BENCH.replace("toybench:Thermometer", "toybench:PlainThermometer")
    Path(bench_file).write_text(text, encoding="utf-8")
    with Bench.open(bench_file) as bench:
        assert bench["thermometer"].temperature == pytest.approx(20, abs=0.1)
        simulator = bench.simulators["thermometer"]
        simulator.heater = 5
    assert simulator.heater == 0  # its shutdown() is what makes it safe


@pytest.mark.parametrize("cls", [toybench.Watch, toybench.Clicks])
def test_a_lab_procedure_runs_in_pymeasures_own_worker(bench_file, tmp_path, cls):
    from pymeasure.experiment import Procedure, Results, Worker

    procedure = standalone(cls, bench_file)(steps=3)
    results = Results(procedure, str(tmp_path / "rows.csv"))
    worker = Worker(results)
    worker.start()
    worker.join(timeout=30)
    assert procedure.status == Procedure.FINISHED
    assert len(results.data) == 3


def test_a_script_can_interrupt_and_continue(bench_file, tmp_path):
    with Bench.open(bench_file) as bench:
        assert len(run(toybench.Watch(steps=8), bench, tmp_path / "runs", stop_after=3)) == 3
        rows = run(toybench.Watch(steps=8), bench, tmp_path / "runs")
    assert [row["index"] for row in rows] == list(range(8))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"procedure": "toybench:Wach"}, "did you mean 'Watch'"),
        ({"procedure": "squeezing-spectrun"}, "did you mean 'squeezing-spectrum'"),
        ({"procedure": "no_such_module:X"}, "cannot be imported"),
        ({"parameters": {"setps": 3}}, "did you mean 'steps'"),
        ({"parameters": {"steps": 0}}, "below the minimum"),
        ({"world": {"rat": 3}}, "unknown world parameter 'rat', did you mean 'rate'"),
        ({"world": {"start": "5 V"}}, "cannot be converted to K"),
        ({"world": {"start": 2000}}, "is outside 0 to 1000 K"),
        ({"procedure": "toybench:Ramp", "parameters": {"slope": "x"}}, "parameter 'slope'"),
    ],
)
def test_a_wrong_request_leaves_no_trace(bench_file, tmp_path, options, complaint):
    with pytest.raises(RequestError, match=complaint) as caught:
        started(bench_file, tmp_path, **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("toybench:Thermometer", "toybench:Thermometre", r"toy.toml:9: driver: .* did you mean 'Thermometer'"),
        ("toybench:Thermometer", "toybenhc:Thermometer", r"toy.toml:9: driver 'toybenhc:Thermometer' cannot be imported"),
        ("toybench:SimThermometer", "toybench:SimNone", r"toy.toml:11: simulator"),
        ("[instruments.thermometer]", "[instruments.thermo]", "has no instrument 'thermometer' that .* needs, did you mean 'thermo'"),
    ],
)  # fmt: skip
def test_a_wrong_bench_is_named(bench_file, tmp_path, old, new, complaint):
    import re

    Path(bench_file).write_text(toybench.BENCH.replace(old, new, 1), encoding="utf-8")
    try:
        outcome, _ = started(bench_file, tmp_path)
        message, code = outcome.reason, outcome.exit_code
    except RequestError as error:
        message, code = str(error), error.exit_code
    assert re.search(complaint, message), message
    assert code == 2


def test_another_instrument_is_refused(bench_file, tmp_path):
    Path(bench_file).write_text(
        toybench.BENCH + 'identity = "TOY,THERMOMETER,2"\n', encoding="utf-8"
    )
    outcome, folder = started(bench_file, tmp_path)
    assert outcome.status == "failed"
    assert "identifies as 'TOY,THERMOMETER,1,1.0'" in outcome.reason
    assert folder.status == "failed"


def test_unreachable_hardware_fails_by_name(bench_file, tmp_path):
    outcome, _ = started(bench_file, tmp_path, mode="real")
    assert outcome.status == "failed"
    assert "thermometer" in outcome.reason
    assert "127.0.0.1:9" in outcome.reason
    assert "\n" not in outcome.reason


def test_hardware_needs_no_world(tmp_path):
    """A laboratory's bench file may name a world that is not there, or takes long to import."""
    text = toybench.BENCH.replace("toybench:ToyWorld", "no_such_module:World")
    path = tmp_path / "toy.toml"
    path.write_text(text.replace(':World"', ':World"\nrate = 2'), encoding="utf-8")
    outcome, folder = started(str(path), tmp_path, mode="real")
    assert "127.0.0.1:9" in outcome.reason  # it got as far as the instrument
    assert folder.start["world"] == {}
    with pytest.raises(RequestError, match="no_such_module"):
        started(str(path), tmp_path, mode="sim")
    with pytest.raises(RequestError, match="no_such_module"):
        started(str(path), tmp_path, mode="real", world={"rate": 3})


def test_mixed_bench_uses_real_time(tmp_path):
    text = toybench.BENCH.replace('mode = "sim"', 'mode = "real"') + 'mode = "sim"\n'
    path = tmp_path / "toy.toml"
    path.write_text(text, encoding="utf-8")
    with Bench.open(find_bench(str(path))) as bench:
        assert bench["thermometer"].temperature == pytest.approx(20, abs=0.1)


def test_second_writer_is_refused(bench_file, tmp_path):
    complaints = []

    def listener(event):
        if event.kind == "point" and event.value["index"] == 1:
            (path,) = [p for p in (tmp_path / "runs").iterdir() if p.is_dir()]
            try:
                runner.resume(path)
            except RequestError as error:
                complaints.append(str(error))

    outcome, _ = started(bench_file, tmp_path, listener)
    assert outcome.status == "finished"
    assert len(complaints) == 1
    assert f"process {os.getpid()}" in complaints[0] or str(os.getpid()) in complaints[0]
