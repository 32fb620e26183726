"""The watcher makes served instruments safe on STOP, kill -9 and hang, and leaves when all is well.

Runs are processes of their own; the simulators live in the test, which sees what reached them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toybench
from commandline import call

from labctl import benchfile
from labctl.bench import find_bench, simulators
from labctl.run import safety, safing
from labctl.run.control import send
from labctl.run.folder import RunFolder
from labctl.run.locate import numbered
from labctl.run.watcher import takes_several
from simulated_instruments.server import address_of, serving

COMMAND = (sys.executable, "-c", "from labctl.cli import script; script()")
#: Two instruments: the second is opened because an interlock reads it, once.
TWO = (
    toybench.BENCH
    + """
[instruments.heater]
driver = "toybench:Thermometer"
address = "tcp://127.0.0.1:9"
simulator = "toybench:SimThermometer"
timeout = 0.5

[[interlocks]]
read = "heater.temperature"
max = 1e6
period = 1e5
"""
)
#: What the heater of an instrument stands at once it is safe, and before.
SAFE, WORKING = 0, 3
BOUND = 60.0  # s; much more than anything here takes


def until(condition, what):
    end = time.monotonic() + BOUND
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"never: {what}")


class Lab:
    """The toy bench on sockets and runs of it in processes of their own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.runs = place / "runs"
        self.mark = f"test-{os.getpid()}-{time.monotonic_ns()}"
        self.processes: list[subprocess.Popen] = []
        self.simulators: dict = {}

    @contextlib.contextmanager
    def served(self, text=toybench.BENCH, **faults):
        file = benchfile.parse(text, self.place / "bench.toml")
        self.simulators = simulators(file, 1, {})
        with serving(self.simulators, faults=faults) as addresses:
            for name in self.simulators:
                pattern = rf'(?s)(\[instruments\.{name}\].*?\naddress = )"[^"]*"'
                text = re.sub(pattern, rf'\1"{address_of(addresses, name)}"', text, count=1)
            file.path.write_text(text, encoding="utf-8")
            yield self

    def start(self, *words, mode="real", rows=1, **environment):
        """Start a run and wait until it has recorded rows; its process and its folder."""
        support = str(Path(toybench.__file__).parent)
        path = os.pathsep.join([support, *filter(None, [os.environ.get("PYTHONPATH")])])
        process = subprocess.Popen(
            [*COMMAND, "run", "toybench:Watch", "--bench", "bench.toml", "--mode", mode,
             "--runs", str(self.runs), *words],
            cwd=self.place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PYTHONPATH": path, "LABCTL_TEST_MARK": self.mark, **environment},
        )  # fmt: skip
        self.processes.append(process)

        def recorded():
            for _, folder in numbered(self.runs):
                if (folder / "run.jsonl").exists() and RunFolder.open(folder).row_count >= rows:
                    return folder
            if process.poll() is not None:
                raise AssertionError(process.stdout.read())
            return None

        return process, until(recorded, "a row")

    def states(self):
        return {name: simulator.heater for name, simulator in self.simulators.items()}

    def left(self):
        """Processes that this test started, directly or not, and that still live."""
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                zombie = ") Z " in (environ.parent / "stat").read_text()
                if self.mark.encode() in environ.read_bytes() and not zombie:
                    found.append(int(environ.parent.name))
        return found


def account(folder):
    """The closed account of what each instrument answered, and how it ended."""
    lines = until(lambda: closed(folder), "an account that is closed")
    return {e["instrument"]: e for e in lines if "instrument" in e}, lines


def closed(folder):
    lines = safety.read(folder)
    return lines if lines and "ended" in lines[-1] else None


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path)
    yield lab
    for process in lab.processes:
        process.kill()
        process.communicate()


needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into /proc")


@needs_proc
def test_a_run_that_ends_leaves_neither_watcher_nor_account(lab):
    with lab.served():
        process, folder = lab.start("--set", "steps=3", "--set", "pause=0.2")
        assert process.wait(BOUND) == 0
        until(lambda: not lab.left(), "the watcher's end")
        assert lab.states() == {"thermometer": SAFE}
    assert RunFolder.open(folder).status == "finished"
    assert not (folder / safety.FILE).exists()


@needs_proc
def test_stop_on_the_command_line_prints_each_confirmation(lab, capsys):
    with lab.served(TWO):
        process, _ = lab.start("--set", "pause=0.1", "--set", "steps=10000")
        lab.simulators["heater"].heater = WORKING
        code, out, err = call(capsys, "stop", "--runs", str(lab.runs))
        assert (code, err) == (0, "")
        assert "thermometer: safe" in out
        assert "heater: safe" in out
        assert process.wait(BOUND) == 3
        assert lab.states() == {"thermometer": SAFE, "heater": SAFE}
        until(lambda: not lab.left(), "the watcher's end")
    ((_, folder),) = numbered(lab.runs)
    run = RunFolder.open(folder)
    assert run.status == "aborted"
    assert "STOP ALL SAFE" in run.stop_entry["reason"]
    code, _, err = call(capsys, "stop", "1", "--runs", str(lab.runs))
    assert code == 2
    assert "does not run (aborted)" in err


@needs_proc
def test_killed_run_is_made_safe_and_can_be_resumed(lab):
    with lab.served():
        process, folder = lab.start("--set", "pause=0.05", "--set", "steps=40", rows=3)
        assert lab.states() == {"thermometer": WORKING}
        process.kill()
        confirmed, lines = account(folder)
        assert confirmed["thermometer"]["state"] == "safe"
        assert "TOY,THERMOMETER" in confirmed["thermometer"]["detail"]
        assert "died" in lines[0]["stop"]
        assert lab.states() == {"thermometer": SAFE}
        process.wait(BOUND)
        until(lambda: not lab.left(), "the watcher's end")
        run = RunFolder.open(folder)
        assert run.status == "interrupted"
        assert "made the bench safe" in run.events[-1]["text"]
        resumed = subprocess.run(
            [*COMMAND, "resume", "1", "--runs", str(lab.runs)], timeout=BOUND, cwd=lab.place,
            env={**os.environ, "PYTHONPATH": str(Path(toybench.__file__).parent)},
            capture_output=True, check=False,
        )  # fmt: skip
        assert resumed.returncode == 0, resumed.stderr
    assert [row["index"] for row in RunFolder.open(folder).rows] == list(range(40))
    assert [e for e in safety.read(folder) if "instrument" in e] == []  # said of a time before


def test_stop_while_a_driver_call_hangs(lab):
    """The run waits for an answer that never comes; it is killed, and everything made safe."""
    text = toybench.BENCH + "timeout = 500\n"
    with lab.served(text, thermometer={"hang": [6]}):
        process, folder = lab.start("--set", "pause=0", "--set", "steps=10000", rows=2)
        send(folder, "stop", "now")
        confirmed, lines = account(folder)
        assert confirmed["thermometer"]["state"] == "safe"
        assert lab.states() == {"thermometer": SAFE}
        assert process.wait(BOUND) == -signal.SIGKILL
    run = RunFolder.open(folder)
    assert run.status == "aborted"
    assert run.stop_entry["reason"].startswith("stopped: now; did not end")
    assert "the watcher made the bench safe" in run.stop_entry["reason"]
    assert lines[0]["expected"] == ["thermometer"]


def test_a_run_without_yield_points_hangs(lab):
    text = toybench.BENCH + "timeout = 500\n"
    with lab.served(text, thermometer={"hang": [6]}):
        process, folder = lab.start(
            "--set", "pause=0", "--set", "steps=10000", rows=2, LABCTL_HANG_AFTER="2"
        )
        confirmed, lines = account(folder)
        assert "no yield point for 2 s" in lines[0]["stop"]
        assert confirmed["thermometer"]["state"] == "safe"
        assert lab.states() == {"thermometer": SAFE}
        assert process.wait(BOUND) == -signal.SIGKILL
    assert RunFolder.open(folder).status == "aborted"


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no way to freeze a process here")
def test_a_frozen_process_is_noticed(lab):
    with lab.served():
        process, folder = lab.start(
            "--set", "pause=0.1", "--set", "steps=10000", LABCTL_HANG_AFTER="2"
        )
        process.send_signal(signal.SIGSTOP)
        confirmed, lines = account(folder)
        assert "no sign of life for 2 s" in lines[0]["stop"]
        assert confirmed["thermometer"]["state"] == "safe"
        assert lab.states() == {"thermometer": SAFE}


def test_an_instrument_that_does_not_answer_holds_up_no_other(lab):
    """Its replies are lost from the fourth on: identity, setting and interlock came through."""
    with lab.served(TWO, heater={"drop": list(range(4, 1000))}):
        process, folder = lab.start("--set", "pause=0.1", "--set", "steps=10000")
        time_of_kill = time.time()
        process.kill()
        confirmed, _ = account(folder)
        assert confirmed["thermometer"]["state"] == "safe"
        assert confirmed["heater"]["state"] == "unreachable"
        assert confirmed["thermometer"]["time"] < confirmed["heater"]["time"]
        assert confirmed["thermometer"]["time"] - time_of_kill < 0.5 * BOUND
        assert lab.states()["thermometer"] == SAFE
    run = RunFolder.open(folder)
    assert run.status == "interrupted"
    assert "NOT SAFE, check by hand: heater" in run.events[-1]["text"]


def test_an_instrument_is_not_called_safe_before_it_has_answered(lab):
    text = toybench.BENCH.replace("toybench:Thermometer", "toybench:HastyThermometer")
    text = text.replace("simulator =", "timeout = 0.5\nsimulator =")
    for first, expected in ((1000, safety.SAFE), (2, safety.UNREACHABLE)):  # 1 says who it is
        with lab.served(text, thermometer={"drop": list(range(first, 1001))}):
            lab.simulators["thermometer"].heater = WORKING
            file = find_bench(str(lab.place / "bench.toml"))
            state, detail = safing.one(file, "real", "thermometer")
            assert (state, detail.startswith("TOY")) == (expected, expected == safety.SAFE)
            assert lab.states() == {"thermometer": SAFE} or expected != safety.SAFE


@needs_proc
def test_stop_of_a_run_that_died_together_with_its_watcher(lab, capsys, monkeypatch):
    with lab.served():
        process, _ = lab.start("--set", "pause=0.1", "--set", "steps=10000")
        assert len(lab.left()) == 2  # the run and its watcher
        for number in lab.left():  # the watcher, too: what only the machine's end does
            if number != process.pid:
                os.kill(number, signal.SIGKILL)
        process.kill()
        process.wait(BOUND)
        assert lab.states() == {"thermometer": WORKING}
        monkeypatch.chdir(lab.place)
        code, out, err = call(capsys, "stop", "--runs", str(lab.runs))
        assert code == 2
        assert "name one that died" in err
        code, out, err = call(capsys, "stop", "1", "--runs", str(lab.runs))
        assert (code, err) == (0, "")
        assert "thermometer: safe" in out
        assert lab.states() == {"thermometer": SAFE}


@needs_proc
def test_a_run_says_that_its_watcher_is_gone_and_goes_on(lab):
    with lab.served():
        process, folder = lab.start("--set", "pause=0.1", "--set", "steps=10000")
        (watcher,) = set(lab.left()) - {process.pid}
        os.kill(watcher, signal.SIGKILL)
        until(
            lambda: [e for e in RunFolder.open(folder).events if "watcher" in e.get("text", "")],
            "a remark",
        )
        send(folder, "stop")
        assert process.wait(BOUND) == 3
        assert lab.states() == {"thermometer": SAFE}


def test_stop_of_a_simulation_ends_it(lab, capsys):
    (lab.place / "bench.toml").write_text(toybench.BENCH, encoding="utf-8")
    process, folder = lab.start("--set", "steps=1000000", mode="sim")
    code, out, err = call(capsys, "stop", "--runs", str(lab.runs), "--reason", "enough")
    assert (code, err) == (0, "")
    assert "thermometer: safe (simulated: ended with the run)" in out
    assert process.wait(BOUND) == 3
    run = RunFolder.open(folder)
    assert (run.status, run.stop_entry["reason"]) == ("aborted", "enough")


def test_stop_is_refused_where_nothing_runs(tmp_path, capsys):
    code, _, err = call(capsys, "stop", "--runs", str(tmp_path))
    assert code == 2
    assert "no run goes on" in err
    code, _, err = call(capsys, "stop", "1", "--all", "--runs", str(tmp_path))
    assert (code, err.count("\n")) == (2, 1)


def test_an_account_survives_half_a_line(tmp_path):
    safety.begin(tmp_path, "earlier", ["laser"])
    safety.confirm(tmp_path, "laser", safety.FAILED, "old")
    assert safety.count(tmp_path) == 1
    safety.begin(tmp_path, "now", ["laser"])
    with (tmp_path / safety.FILE).open("a") as file:
        file.write('{"instrument": "las\n[1]\n')
    safety.confirm(tmp_path, "laser", safety.SAFE, "two\nlines")
    (head, line) = safety.read(tmp_path, skip=1)
    assert head["stop"] == "now"
    assert (line["state"], line["detail"]) == ("safe", "two lines")
    assert json.loads((tmp_path / safety.FILE).read_text().splitlines()[0])["stop"] == "earlier"
    assert safety.read(tmp_path, skip=2) == []
    safety.outdate(tmp_path)
    assert safety.read(tmp_path) == []
    assert safety.count(tmp_path) == 3


@pytest.mark.parametrize(
    ("address", "expected"),
    [("tcp://laser:1998", True), ("http://shaper", True), ("visa://TCPIP0::esa::INSTR", True),
     ("visa://USB0::1::2::INSTR", False), ("serial:///dev/ttyUSB0", False), ("lib://a:B", False)],
)  # fmt: skip
def test_what_is_not_touched_while_the_run_lives(address, expected):
    assert takes_several(address) is expected
