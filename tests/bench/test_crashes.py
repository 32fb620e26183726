"""What can go wrong during a run: signals, kills, full disks, damage, broken code, other threads.

Whatever happens: the bench is safe, the status is true, recorded rows stay, the run can be
finished, and its replay is the same to the last bit.
"""

from __future__ import annotations

import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import toybench

from labctl.bench import Bench
from labctl.cli import main
from labctl.clock import RealClock
from labctl.errors import ClockError, InterlockTripped, RequestError, SafetyError, StorageError
from labctl.journal import Journal
from labctl.run import control, replay, runner
from labctl.run.folder import RunFolder
from labctl.run.request import Request
from labctl.transport.link import Link

SUPPORT = Path(toybench.__file__).parent
LABCTL = str(Path(runner.__file__).parent.parent)


@pytest.fixture
def bench_file(tmp_path):
    path = tmp_path / "toy.toml"
    path.write_text(toybench.BENCH, encoding="utf-8")
    return str(path)


@pytest.fixture(autouse=True)
def benches(monkeypatch):
    """The simulated benches that were opened."""
    opened = []
    init = Bench.__init__

    def remembered(self, *arguments):
        init(self, *arguments)
        if self.mode == "sim":
            opened.append(self)

    monkeypatch.setattr(Bench, "__init__", remembered)
    return opened


def request(bench_file, **parameters):
    parameters = {"steps": "3", **{name: str(value) for name, value in parameters.items()}}
    return Request("toybench:Watch", parameters=parameters, bench=bench_file)


def begin(bench_file, tmp_path, listener=None, **parameters):
    return runner.start(request(bench_file, **parameters), tmp_path / "runs", listener)


def contents(path):
    """Rows with the bytes of their traces."""
    folder = RunFolder.open(path)
    return [
        (row, [folder.trace(n, i).tobytes() for n in folder.trace_names if folder.has_trace(n, i)])
        for i, row in enumerate(folder.rows)
    ]


def require_safe(benches):
    for bench in benches:
        for simulator in bench.simulators.values():
            assert simulator.heater == 0


def require_resumable(path, kept=()):
    assert RunFolder.open(path).status != "finished"
    assert runner.resume(path).status == "finished"
    folder = RunFolder.open(path)
    assert [row["index"] for row in folder.rows] == list(range(folder.start["points"]))
    assert contents(path)[: len(kept)] == list(kept)
    assert set(folder.result) == {"mean", "warm"}
    assert folder.verify() == []
    for mode in ("wire", "sim"):
        assert replay.replay(path, mode).difference == ""


# Signals


class Presses:
    """Sends SIGINT to this process when the n-th line of labctl or the toy bench is reached."""

    def __init__(self, *lines):
        self.lines = frozenset(lines)
        self.count = 0

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self.begin)
        return self

    def __exit__(self, *failure):
        sys.settrace(self.before)

    def begin(self, frame, event, argument):
        ours = frame.f_code.co_filename.startswith((LABCTL, str(SUPPORT)))
        return self.line if ours else None

    def line(self, frame, event, argument):
        if event == "line":
            self.count += 1
            if self.count in self.lines:
                signal.raise_signal(signal.SIGINT)
        return self.line


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_at_any_line(bench_file, tmp_path, benches, presses):
    with Presses() as all_lines:
        path = begin(bench_file, tmp_path, steps=2).path
    reference = contents(path)
    choose = random.Random(presses)
    ends = set()
    for number in range(35):
        first = choose.randint(1, all_lines.count)
        lines = [first + n * choose.randint(1, 40) for n in range(presses)]
        runs = tmp_path / f"runs-{number}"  # the same line may come twice
        benches.clear()
        try:
            with Presses(*lines):
                outcome = runner.start(request(bench_file, steps=2), runs)
        except KeyboardInterrupt:  # before there was a run, or after it had ended
            outcome = None
        require_safe(benches)
        for path in runs.glob("*-*"):
            if not (path / "run.jsonl").exists():
                continue  # killed by the second one while it was being removed
            folder = RunFolder.open(path)
            rows = contents(path)
            assert rows == reference[: len(rows)]
            assert folder.status in ("finished", "aborted", "interrupted")
            if outcome is not None:
                assert (folder.status, outcome.status) in {("finished",) * 2, ("aborted",) * 2}
                assert outcome.exit_code == (0 if outcome.status == "finished" else 3)
                ends.add(outcome.reason)
            if folder.status != "finished":
                require_resumable(path, rows)
    assert ends >= {"", "interrupted by Ctrl-C"}


@pytest.mark.parametrize("place", ["send", "receive", "after"])
def test_two_presses_in_the_middle_of_an_exchange(
    bench_file, tmp_path, benches, monkeypatch, place
):
    """The answer that nobody waited for must not answer what makes the bench safe."""
    plain = {"send": Link.send, "receive": Link.receive}
    count = 0

    def pressing(name):
        def call(self, data):
            nonlocal count
            count += 1
            result = plain[name](self, data) if place == "after" else None
            if count == 9:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
            return plain[name](self, data) if place != "after" else result

        return call

    patched = "send" if place == "send" else "receive"
    monkeypatch.setattr(Link, patched, pressing(patched))
    outcome = begin(bench_file, tmp_path, steps=20)
    assert (outcome.status, outcome.reason) == ("aborted", "interrupted by Ctrl-C")
    require_safe(benches)
    monkeypatch.undo()
    require_resumable(outcome.path, contents(outcome.path))


def test_ctrl_c_right_after_a_row_was_recorded_leaves_it_its_arrays(
    bench_file, tmp_path, monkeypatch
):
    append = Journal.append

    def pressed(self, entry, **options):
        append(self, entry, **options)
        if entry["entry"] == "row":
            press()
            press()

    monkeypatch.setattr(Journal, "append", pressed)
    outcome = begin(bench_file, tmp_path)
    assert outcome.status == "aborted"
    monkeypatch.undo()
    rows = contents(outcome.path)
    assert [len(traces) for _, traces in rows] == [1]
    require_resumable(outcome.path, rows)


def press(number=signal.SIGINT):
    signal.raise_signal(number)


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"])
def test_every_signal_that_asks_to_end(bench_file, tmp_path, benches, number):
    if not hasattr(signal, number):
        pytest.skip(f"no {number} on this system")
    handler = signal.getsignal(getattr(signal, number))

    def listener(event):
        if event.kind == "point" and event.value["index"] == 1:
            press(getattr(signal, number))

    outcome = begin(bench_file, tmp_path, listener, steps=10_000, pause=0)
    assert (outcome.status, outcome.exit_code) == ("aborted", 3)
    assert outcome.reason == f"interrupted by {'Ctrl-C' if number == 'SIGINT' else number}"
    assert signal.getsignal(getattr(signal, number)) == handler
    require_safe(benches)
    assert len(RunFolder.open(outcome.path).rows) < 10_000


def test_a_signal_that_was_ignored_stays_ignored(bench_file, tmp_path):
    if not hasattr(signal, "SIGHUP"):
        pytest.skip("no SIGHUP on this system")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        outcome = begin(bench_file, tmp_path, lambda e: e.kind == "point" and press(signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert outcome.status == "finished"


def test_ctrl_c_while_the_bench_is_being_opened_ends_at_once(
    bench_file, tmp_path, benches, monkeypatch
):
    monkeypatch.setattr(toybench.Thermometer, "identify", lambda self: press())
    outcome = begin(bench_file, tmp_path)
    assert (outcome.status, outcome.reason) == ("aborted", "interrupted by Ctrl-C")
    monkeypatch.undo()
    require_resumable(outcome.path)


def test_ctrl_c_while_the_bench_is_made_safe_waits_but_is_not_forgotten(
    bench_file, tmp_path, benches, monkeypatch
):
    make_safe = toybench.Thermometer.make_safe

    def pressed(self):
        press()
        press()
        make_safe(self)

    monkeypatch.setattr(toybench.Thermometer, "make_safe", pressed)
    outcome = begin(bench_file, tmp_path)
    require_safe(benches)
    assert outcome.status == "aborted"
    assert outcome.reason == "all data recorded, but the analysis was interrupted by Ctrl-C"
    monkeypatch.undo()
    require_resumable(outcome.path, contents(outcome.path))


def test_ctrl_c_in_an_analysis_ends_it_and_resuming_only_analyses(
    bench_file, tmp_path, benches, monkeypatch
):
    monkeypatch.setattr(toybench.Watch, "analyse", lambda self, data: press())
    outcome = begin(bench_file, tmp_path)
    assert (outcome.status, outcome.exit_code) == ("aborted", 3)
    assert outcome.reason == "all data recorded, but the analysis was interrupted by Ctrl-C"
    require_safe(benches)
    monkeypatch.undo()
    opened = len(benches)
    assert runner.resume(outcome.path).status == "finished"
    assert len(benches) == opened
    assert RunFolder.open(outcome.path).result["mean"]["unit"] == "K"
    assert replay.replay(outcome.path).difference == ""


def test_ctrl_c_while_results_are_written_keeps_them(bench_file, tmp_path, monkeypatch):
    stop = RunFolder.stop

    def pressed(self, *what):
        press()
        stop(self, *what)

    monkeypatch.setattr(RunFolder, "stop", pressed)
    outcome = begin(bench_file, tmp_path)
    assert outcome.status == RunFolder.open(outcome.path).status == "finished"


def test_a_plain_procedure_that_stops_when_asked_is_not_finished(tmp_path, monkeypatch):
    def listener(event):
        if event.kind == "progress" and event.value >= 20:
            press()

    outcome = runner.start(
        Request("toybench:Ramp", parameters={"steps": 10}), tmp_path / "runs", listener
    )
    assert outcome.status == "aborted"
    assert 1 < len(RunFolder.open(outcome.path).rows) < 10


# Kills

KILLED = """
import json, os, signal, sys
sys.path.insert(0, sys.argv[1])
import pyarrow, toybench
from pathlib import Path
from labctl.bench import Bench
from labctl.run import runner, stretch
from labctl.run.folder import RunFolder
from labctl.run.request import Request

def before(owner, name, times=1):
    plain = getattr(owner, name)
    def call(*arguments, **options):
        nonlocal times
        times -= 1
        if not times:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(*arguments, **options)
    setattr(owner, name, call)

PLACES = {
    "opening": lambda: before(toybench.Thermometer, "check_identity"),
    "opened": lambda: before(RunFolder, "opened"),
    "startup": lambda: before(toybench.Watch, "startup"),
    "first point": lambda: before(toybench.Watch, "measure_point"),
    "second row": lambda: before(RunFolder, "emit", 2),
    "shutdown": lambda: before(toybench.Watch, "shutdown"),
    "analysis": lambda: before(stretch, "analyse"),
    "array of the analysis": lambda: before(RunFolder, "save_derived"),
    "results": lambda: before(RunFolder, "results"),
    "stop": lambda: before(RunFolder, "stop"),
    "cache": lambda: before(RunFolder, "_build_cache"),
}
request = Request("toybench:Watch", parameters={"steps": 4}, bench=sys.argv[2])
runs = Path(sys.argv[3])

def life(place, path):
    said, say = os.pipe()
    if child := os.fork():
        os.close(say)
        told = b"".join(iter(lambda: os.read(said, 65536), b"")).decode().splitlines()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, place
        return [json.loads(line) for line in told]
    PLACES[place]()
    def tell(event):
        if event.kind == "point":
            os.write(say, (json.dumps(event.value["index"]) + "\\n").encode())
    runner.resume(path, tell) if path else runner.start(request, runs / place, tell)
    os._exit(0)

for place in PLACES:
    acknowledged = life(place, None)
    (path,) = (runs / place).glob("*-*")
    if place != "cache":
        acknowledged += life({"second row": "opened", "shutdown": "analysis"}.get(place, place), path)
    print(json.dumps([place, str(path), acknowledged]), flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_9_at_every_step(bench_file, tmp_path):
    """And again at the same step of the resumed run, hence also before its first new row."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(SUPPORT), bench_file, str(tmp_path / "runs")],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lives = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lives) == 11
    for place, name, acknowledged in lives:
        path = Path(name)
        folder = RunFolder.open(path)
        rows = contents(path)
        assert {row["index"] for row, _ in rows} >= set(acknowledged), place
        assert folder.damage == []
        assert folder.status == ("finished" if place == "cache" else "interrupted")
        if place == "cache":
            assert len(rows) == 4
            continue
        require_resumable(path, rows)
        wire = [json.loads(s) for s in (path / "wire.jsonl").read_text("utf-8").splitlines()]
        sent = [e["s"] for e in wire if e.get("d") == ">"]
        assert sent[-2:] == ["HEAT 0\n", "HEAT?\n"], place


# Broken code


def test_sys_exit_in_a_procedure_fails_in_order(bench_file, tmp_path, benches, monkeypatch):
    monkeypatch.setattr(toybench.Watch, "measure_point", lambda self, point: sys.exit("bye"))
    outcome = begin(bench_file, tmp_path)
    assert outcome.status == "failed"
    assert outcome.reason.startswith("SystemExit: bye (test_crashes.py:")
    require_safe(benches)
    monkeypatch.undo()
    require_resumable(outcome.path)


@pytest.mark.parametrize("failure", [OSError("gone"), KeyboardInterrupt(), SystemExit(1)])
def test_a_failing_shutdown_does_not_keep_the_bench_from_being_made_safe(
    bench_file, tmp_path, benches, monkeypatch, failure
):
    def shutdown(self):
        raise failure

    monkeypatch.setattr(toybench.Watch, "shutdown", shutdown)
    outcome = begin(bench_file, tmp_path)
    require_safe(benches)
    assert outcome.status == RunFolder.open(outcome.path).status == "failed"
    assert outcome.reason.startswith(f"shutdown: {type(failure).__name__}: ")
    assert len(RunFolder.open(outcome.path).rows) == 3


def test_an_aborted_run_stays_aborted_although_its_shutdown_fails(
    bench_file, tmp_path, benches, monkeypatch
):
    monkeypatch.setattr(toybench.Watch, "startup", lambda self: press())
    outcome = begin(bench_file, tmp_path)  # shutdown misses what startup has not made
    assert (outcome.status, outcome.exit_code) == ("aborted", 3)
    assert outcome.reason.startswith("interrupted by Ctrl-C; shutdown: AttributeError: ")
    require_safe(benches)


TWO = (
    toybench.BENCH
    + """
[instruments.second]
driver = "toybench:Thermometer"
simulator = "toybench:SimThermometer"
"""
)


def two_thermometers(tmp_path):
    path = tmp_path / "two.toml"
    path.write_text(TWO, encoding="utf-8")
    return Bench.open(str(path))


@pytest.mark.parametrize("failure", [OSError("cable"), KeyboardInterrupt("cable")])
def test_making_safe_tries_every_instrument_twice(tmp_path, benches, monkeypatch, failure):
    make_safe = toybench.Thermometer.make_safe
    asked = []

    def broken(self):
        asked.append(self.name)
        if self.name == "second":
            raise failure
        make_safe(self)

    bench = two_thermometers(tmp_path)
    bench["thermometer"].heater = bench["second"].heater = 5
    monkeypatch.setattr(toybench.Thermometer, "make_safe", broken)
    with pytest.raises(SafetyError) as caught:
        bench.make_safe()
    assert str(caught.value) == "NOT SAFE, check by hand: second: cable"
    assert asked == ["second", "thermometer", "second"]
    assert benches[0].simulators["thermometer"].heater == 0
    monkeypatch.setattr(toybench.Thermometer, "make_safe", make_safe)
    bench.close()


def test_what_spoilt_making_safe_once_may_work_the_second_time(tmp_path, benches, monkeypatch):
    make_safe = toybench.Thermometer.make_safe
    failures = [OSError("once")]

    def flaky(self):
        if self.name == "second" and failures:
            raise failures.pop()
        make_safe(self)

    monkeypatch.setattr(toybench.Thermometer, "make_safe", flaky)
    with two_thermometers(tmp_path) as bench:
        bench["thermometer"].heater = bench["second"].heater = 5
    require_safe(benches)


def test_who_watches_a_run_cannot_harm_it(bench_file, tmp_path):
    told = []

    def listener(event):
        told.append(event.kind)
        if event.kind == "point":
            raise BrokenPipeError("the terminal has gone")

    outcome = begin(bench_file, tmp_path, listener)
    assert outcome.status == "finished"
    assert told.count("point") == 1
    (note,) = [e for e in RunFolder.open(outcome.path).events if e["entry"] == "note"]
    assert "the terminal has gone" in note["text"]


def test_a_broken_figure_is_one_line(bench_file, tmp_path, monkeypatch, capsys):
    outcome = begin(bench_file, tmp_path)
    monkeypatch.setattr(toybench.Watch, "figures", lambda self, data: {"x": 1 / 0})
    monkeypatch.delenv("LABCTL_DEBUG", raising=False)
    assert main(["plot", str(outcome.path)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "ZeroDivisionError" in error


# Interlocks


def watched(tmp_path, read="temperature", **limits):
    values = "".join(f"{name} = {value}\n" for name, value in limits.items())
    path = tmp_path / "watched.toml"
    path.write_text(
        f'{toybench.BENCH}\n[[interlocks]]\nread = "thermometer.{read}"\n{values}',
        encoding="utf-8",
    )
    return str(path)


def test_an_interlock_that_trips_at_once_keeps_the_run_from_starting(
    tmp_path, benches, monkeypatch
):
    monkeypatch.setattr(toybench.Watch, "startup", lambda self: pytest.fail("was started"))
    outcome = begin(watched(tmp_path, max=10.0), tmp_path)
    assert (outcome.status, outcome.exit_code) == ("aborted", 3)
    # And no complaint of a shutdown without startup.
    assert re.fullmatch(
        r"interlock thermometer.temperature: [\d.]+, allowed -inf to 10; run stopped",
        outcome.reason,
    )
    require_safe(benches)


def test_an_interlock_trips_during_startup(tmp_path, benches, monkeypatch):
    startup = toybench.Watch.startup

    def slow(self):
        startup(self)
        self.bench.clock.sleep(60.0)
        pytest.fail("went on")

    monkeypatch.setattr(toybench.Watch, "startup", slow)
    outcome = begin(watched(tmp_path, max=21.0), tmp_path)
    assert isinstance(outcome.error, InterlockTripped)
    assert 9.0 < benches[-1].clock.now() < 12.0
    require_safe(benches)


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        (float("nan"), "nan, allowed -inf to 50; run stopped"),
        (None, "cannot be read: TypeError: "),
        ("warm", "cannot be read: ValueError: "),
        (OSError("unplugged"), "cannot be read: OSError: unplugged"),
        (KeyError("x"), "cannot be read: KeyError: 'x'"),
    ],
)
def test_what_an_interlock_cannot_read_trips_it(tmp_path, benches, monkeypatch, reading, words):
    readings = [20.0, 20.0, reading]

    def read(self):
        value = readings.pop(0)
        if isinstance(value, Exception):
            raise value
        return value

    monkeypatch.setattr(toybench.Thermometer, "oven", property(read), raising=False)
    outcome = begin(watched(tmp_path, "oven", max=50.0), tmp_path, pause=0.9)
    assert (outcome.status, outcome.exit_code) == ("aborted", 3)
    assert outcome.reason.startswith("interlock thermometer.oven: ")
    assert words in outcome.reason
    assert len(RunFolder.open(outcome.path).rows) == 2
    require_safe(benches)
    monkeypatch.setattr(toybench.Thermometer, "oven", property(lambda self: 20.0), raising=False)
    require_resumable(outcome.path, contents(outcome.path))


# A full disk


@pytest.mark.parametrize("part", [0.1, 0.25, 0.55, 0.6, 0.7, 0.8, 0.9, 0.98])
def test_a_full_disk_fails_the_run_and_not_the_bench(
    bench_file, tmp_path, benches, monkeypatch, part
):
    """As the system does it: the last write is cut short, the next ones fail."""
    whole = begin(bench_file, tmp_path / "whole", steps=5).path
    files = (whole / "run.jsonl", whole / "arrays" / "trace_K.arrows")
    left = int(part * sum(file.stat().st_size for file in files))
    write = os.write

    def limited(descriptor, data):
        nonlocal left
        if left <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(descriptor, memoryview(data)[:left])
        left -= written
        return written

    monkeypatch.setattr(os, "write", limited)
    if part < 0.44:  # not even what says what the run is
        with pytest.raises(StorageError, match="disk full"):
            begin(bench_file, tmp_path, steps=5)
        assert not list((tmp_path / "runs").glob("*-*"))
        return
    outcome = begin(bench_file, tmp_path, steps=5)
    assert (outcome.status, outcome.exit_code) == ("failed", 1)
    assert outcome.reason.count("disk full; what was written before is safe, free some space") >= 1
    assert "\n" not in outcome.reason
    require_safe(benches)
    rows = contents(outcome.path)
    assert RunFolder.open(outcome.path).status == "interrupted"
    monkeypatch.setattr(os, "write", write)
    require_resumable(outcome.path, rows)


@pytest.mark.skipif(sys.platform != "linux", reason="needs tmpfs")
def test_a_disk_that_is_really_full(bench_file, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(disk)]
    if (
        not shutil.which("mount")
        or subprocess.run(mount, check=False, capture_output=True).returncode
    ):
        pytest.skip("may not mount")
    try:
        outcome = runner.start(request(bench_file, steps=60), disk)
        assert outcome.status == "failed"
        assert "disk full" in outcome.reason
        rows = contents(outcome.path)
        assert 0 < len(rows) < 60
        subprocess.run(["mount", "-o", "remount,size=1M", str(disk)], check=True)
        require_resumable(outcome.path, rows)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=False)  # arrays may still be mapped


# Damage


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of runs with one that was aborted and resumed, and a queue."""
    place = tmp_path_factory.mktemp("whole")
    bench = place / "toy.toml"
    bench.write_text(toybench.BENCH, encoding="utf-8")
    outcome = begin(str(bench), place, lambda e: e.kind == "start" and press(), steps=4)
    assert outcome.status == "aborted"
    assert runner.resume(outcome.path).status == "finished"
    assert main(["runs", "--runs", str(place / "runs")]) == 0
    assert main(["queue", "add", "toybench:Watch", "--bench", str(bench),
                 "--runs", str(place / "runs")]) == 0  # fmt: skip
    control.send(outcome.path, "abort", "too late")
    return place / "runs"


def damaged(data, how, choose):
    data = bytearray(data)
    place = choose.randrange(len(data))
    if how == "flip":
        data[place] ^= 1 << choose.randrange(8)
    elif how == "cut":
        del data[place:]
    elif how == "zero":
        data[place : place + 600] = bytes(len(data[place : place + 600]))
    elif how == "garbage":
        data[place : place + 20] = choose.randbytes(30)
    elif how == "append":
        data += choose.randbytes(30)
    return bytes(data)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "name",
    ["run.jsonl", "wire.jsonl", "rows.arrow", "control.jsonl", "arrays/trace_K.arrows",
     "derived/sorted.npy", "catalogue.sqlite", "queue.jsonl"],
)  # fmt: skip
def test_a_damaged_folder_gives_what_is_intact_and_nothing_wrong(
    whole, tmp_path, monkeypatch, capsys, name, seed
):
    monkeypatch.setenv("LABCTL_DEBUG", "1")  # a traceback would fail the test
    runs = tmp_path / "runs"
    shutil.copytree(whole, runs)
    (path,) = (p for p in runs.iterdir() if p.is_dir())
    reference = {row["index"]: (row, traces) for row, traces in contents(path)}
    derived = RunFolder.open(path).derived()["sorted"].tobytes()
    victim = path / name if (path / name).exists() else runs / name
    choose = random.Random(f"{name}/{seed}")
    how = choose.choice(["flip", "flip", "cut", "zero", "garbage", "append"])
    victim.write_bytes(damaged(victim.read_bytes(), how, choose))

    def call(*arguments):
        capsys.readouterr()
        code = main(list(arguments))
        out, error = capsys.readouterr()
        lines = [line for line in error.splitlines() if line.startswith("labctl:")]
        assert sum("left out" not in line for line in lines) == (code != 0), error
        return code, out, error

    assert call("runs", "--runs", str(runs), "--json")[0] == 0
    assert call("queue", "list", "--runs", str(runs))[0] == 0
    code, out, error = call("show", str(path), "--json")
    if code:  # both start entries are gone
        assert name == "run.jsonl"
        assert "run.jsonl" in error
        return
    folder = RunFolder.open(path)
    lost = set(reference) - {row["index"] for row in folder.rows}
    assert not lost or (name == "run.jsonl" and (how == "cut" or json.loads(out)["damage"]))
    for number, row in enumerate(folder.rows):
        expected, traces = reference[row["index"]]
        assert row == expected
        if not any("arrows" in line for line in folder.verify()):
            assert folder.trace("trace (K)", number).tobytes() == traces[0]
    if folder.derived_names and not any("sorted.npy" in line for line in folder.verify()):
        assert folder.derived()["sorted"].tobytes() == derived
    assert call("export", str(path), "--format", "csv", "-o", str(tmp_path / "x.csv"))[0] == 0
    exported = (tmp_path / "x.csv").read_text(encoding="utf-8")
    assert len([s for s in exported.splitlines() if not s.startswith("#")]) == 1 + len(folder.rows)
    for mode in ("wire", "sim"):
        code, _, error = call("replay", str(path), "--mode", mode)
        assert code == 0 or name.startswith(("run", "wire", "arrays")), error
    code, _, error = call("resume", str(path))
    assert code == (0 if lost or folder.status != "finished" else 2), error
    assert {row["index"] for row in RunFolder.open(path).rows} == set(reference)


# Other processes, other threads


CONTROLLED = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import labctl.clock, labctl.run.control
from labctl.run import runner
from labctl.run.request import Request

def tell(event):
    if event.kind in ("start", "paused", "resumed", "stop"):
        print(event.kind, flush=True)
    elif event.kind == "point":
        sys.stdin.readline()

labctl.clock.LOOK_EVERY = labctl.run.control.LOOK_EVERY = 0.001
request = Request("toybench:Watch", {"steps": 1000}, sys.argv[2])
sys.exit(runner.start(request, Path(sys.argv[3]), tell).exit_code)
"""


def test_another_process_pauses_continues_and_aborts(bench_file, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", CONTROLLED, str(SUPPORT), bench_file, str(tmp_path / "runs")],
        stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "start\n"
    runs = ["last", "--runs", str(tmp_path / "runs")]
    (path,) = (tmp_path / "runs").glob("*-*")
    with pytest.raises(RequestError, match=f"process {process.pid}"):
        runner.resume(path)
    for line in (b"\x00\xff no json", b'["do"]', b"[" * 100_000, b'{"do": "explode"}\n', b'{"do"'):
        with (path / control.FILE).open("ab") as file:
            file.write(line)  # half a line before each request
        assert main(["pause", *runs]) == 0
        process.stdin.write("\n" * 20)  # goes on to the next yield points
        process.stdin.flush()
        assert process.stdout.readline() == "paused\n"
        assert RunFolder.open(path).status == "paused"
        assert main(["continue", *runs]) == 0
        assert process.stdout.readline() == "resumed\n"
    assert main(["abort", *runs, "--reason", "enough"]) == 0
    assert process.communicate("\n" * 1000, timeout=60)[0] == "stop\n"
    assert process.returncode == 3
    folder = RunFolder.open(path)
    assert folder.status == "aborted"
    assert folder.stop_entry["reason"] == "enough"


def test_a_second_thread_on_a_virtual_clock_is_refused_and_changes_nothing(
    bench_file, tmp_path, monkeypatch, benches
):
    path = begin(bench_file, tmp_path).path
    complaints = []

    def listener(event):
        def meddle():
            bench = benches[-1]
            for act in (lambda: bench.clock.sleep(1.0), lambda: bench["thermometer"].temperature):
                try:
                    act()
                except ClockError as error:
                    complaints.append(str(error))

        if event.kind == "point":
            thread = threading.Thread(target=meddle, name="window")
            thread.start()
            thread.join()

    again = begin(bench_file, tmp_path, listener)
    assert again.status == "finished"
    assert contents(again.path) == contents(path)
    assert len(complaints) == 6
    assert all("thread 'window' moves a virtual clock" in text for text in complaints)


def test_threads_on_one_instrument_get_their_own_answers(bench_file, monkeypatch):
    wrong = []
    monkeypatch.setattr("labctl.bench._clock", lambda *arguments: RealClock())
    with Bench.open(bench_file) as bench:
        thermometer = bench["thermometer"]

        def work(what, right):
            for _ in range(40):
                value = getattr(thermometer, what)
                if not right(value):
                    wrong.append((what, value))

        threads = [
            threading.Thread(target=work, args=("temperature", lambda v: 19 < v < 30)),
            threading.Thread(target=work, args=("heater", lambda v: v == 0)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_simulators_of_one_world_act_one_at_a_time():
    inside = threading.Semaphore(1)
    started, go_on = threading.Event(), threading.Event()
    clashes = []

    class Slow:
        def feed(self, data, now):
            if not inside.acquire(blocking=False):
                clashes.append(data)
            started.set()
            go_on.wait(10)
            inside.release()
            return []

    lock = threading.RLock()
    links = [Link(Slow(), RealClock(), lock) for _ in range(2)]
    threads = [threading.Thread(target=link.send, args=(b"x",)) for link in links]
    for thread in threads:
        thread.start()
    assert started.wait(10)
    threads[1].join(0.05)  # would clash by now
    go_on.set()
    for thread in threads:
        thread.join()
    assert clashes == []


def test_a_thread_beside_the_experiment_runs_no_interlocks():
    clock = RealClock()
    seen = []
    clock.every(1e-6, lambda: seen.append(threading.current_thread().name))
    clock.at_yield(lambda: seen.append(threading.current_thread().name))
    other = threading.Thread(target=clock.sleep, args=(0.002,), name="window")
    other.start()
    other.join()
    assert seen == []
    clock.sleep(0.0)
    assert set(seen) == {threading.current_thread().name}


# The same seed gives the same rows


def polled_procedure(cls, count):
    """`cls`, with every property of every instrument read in the middle of each long sleep."""
    skipped = ("complete", "next_error", "id", "options", "status")  # they wait, or take away

    class Polled(cls):
        def startup(self):
            clock = self.bench.clock
            plain = clock.sleep

            def poll():
                for name in ("chip", "laser", "shaper", "lock", "analyser"):  # no answer takes time
                    kind = type(self.bench[name])
                    for attribute in dir(kind):
                        public = not attribute.startswith("_") and attribute not in skipped
                        if public and isinstance(getattr(kind, attribute), property):
                            getattr(self.bench[name], attribute)
                            count.append(attribute)

            def sleep(seconds):
                if seconds < 1.0:
                    return plain(seconds)
                cancel = clock.every(0.4 * seconds, poll)
                try:
                    return plain(seconds)
                finally:
                    cancel()

            clock.sleep = sleep
            super().startup()

    for name in ("__name__", "__qualname__", "__module__"):
        setattr(Polled, name, getattr(cls, name))
    return Polled


def test_neither_polling_nor_recording_changes_a_bit(tmp_path, monkeypatch):
    import procedures.squeezing_spectrum as module

    def rows(**options):
        wanted = Request(
            "squeezing-spectrum", {"scan_steps": 5, "sweep_time": 2.0, "trace_points": 101},
            "cluster-microcomb", seed=4, **options,
        )  # fmt: skip
        outcome = runner.start(wanted, tmp_path / "runs")
        assert outcome.status == "finished", outcome.reason
        lines = (outcome.path / "run.jsonl").read_bytes().splitlines()
        return [s for s in lines if s.startswith(b'{"entry":"row"')], contents(outcome.path)

    reference = rows()
    assert len(reference[0]) >= 10
    assert rows() == reference
    assert rows(record=False) == reference
    polls = []
    monkeypatch.setattr(
        module, "SqueezingSpectrum", polled_procedure(module.SqueezingSpectrum, polls)
    )
    assert rows() == reference
    assert len(polls) > 1000


def test_every_stretch_has_its_own_noise_and_is_repeatable(bench_file, tmp_path):
    def run(name):
        def stop_at(index):
            return lambda e: e.kind == "point" and e.value["index"] == index and press()

        slow = request(bench_file, steps=3000, pause=0)
        outcome = runner.start(slow, tmp_path / name, stop_at(2))
        assert outcome.status == "aborted"
        return outcome.path

    path = run("a")
    first = len(RunFolder.open(path).rows)
    assert 3 <= first < 3000
    assert runner.resume(path).status == "finished"
    folder = RunFolder.open(path)
    temperatures = folder.columns()["temperature (K)"]
    assert len(set(temperatures)) == 3000  # no noise twice
    assert folder.stretches == 2
    assert replay.replay(path, "sim").difference == ""


def test_a_stretch_without_rows_counts_in_a_replay(bench_file, tmp_path, monkeypatch):
    def measure_point(self, point):
        press()
        self.bench.clock.sleep(1.0)

    monkeypatch.setattr("labctl.clock.LOOK_EVERY", 0.0)
    monkeypatch.setattr(toybench.Watch, "measure_point", measure_point)
    outcome = begin(bench_file, tmp_path)
    assert outcome.status == "aborted"
    assert len(RunFolder.open(outcome.path).rows) == 0
    monkeypatch.undo()
    require_resumable(outcome.path)


def test_a_run_that_never_opened_its_bench_has_nothing_to_replay(bench_file, tmp_path, monkeypatch):
    monkeypatch.setattr(toybench.Thermometer, "identify", lambda self: "somebody else")
    outcome = begin(bench_file, tmp_path)
    assert outcome.status == "failed"
    with pytest.raises(RequestError, match="ended before its bench was open"):
        replay.replay(outcome.path)


def test_nothing_stays_open(bench_file, tmp_path, monkeypatch):
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")

    def count():
        links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        return sum(str(link.readlink()).startswith(str(tmp_path)) for link in links)

    begin(bench_file, tmp_path)
    begin(bench_file, tmp_path, fail_at=1)
    begin(bench_file, tmp_path, lambda e: e.kind == "start" and press())
    monkeypatch.setattr(toybench.Thermometer, "identify", lambda self: press())
    begin(bench_file, tmp_path)
    assert count() == 0
