"""The queue's process is killed at any line: no item is lost, and none runs twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import toybench

from labctl.filelock import FileLock
from labctl.manager import Manager, Policy
from labctl.manager.worker import Manager as Worker
from labctl.run import runner
from labctl.run.folder import RunFolder
from labctl.run.request import Request

SUPPORT = str(Path(toybench.__file__).parent)
#: Queues that are worked off among kills.
ROUNDS = int(os.environ.get("LABCTL_KILL_ROUNDS", "1"))

#: Works queues off in children, each killed at a line of its own, until nothing waits.
KILLED = """
import json, os, random, signal, sys
sys.path.insert(0, sys.argv[1])
import pyarrow, toybench
from pathlib import Path
import labctl.run.runner, labctl.run.stretch, labctl.run.loading, labctl.analysis
from labctl.filelock import FileLock
from labctl.manager import Manager, Policy

ROOT = str(Path(labctl.manager.__file__).parents[1])
FOLDERS = tuple(os.path.join(ROOT, name) for name in ("manager", "run", "journal", "filelock"))

class Killer:
    def __init__(self, at):
        self.left, self.count = at, 0
    def begin(self, frame, event, argument):
        return self.line if frame.f_code.co_filename.startswith(FOLDERS) else None
    def line(self, frame, event, argument):
        if event == "line":
            self.count += 1
            if self.count == self.left:
                os.kill(os.getpid(), signal.SIGKILL)
        return self.line

def life(runs, at):
    said, say = os.pipe()
    if child := os.fork():
        os.close(say)
        text = b"".join(iter(lambda: os.read(said, 65536), b"")).decode()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return (-1 if code == -signal.SIGKILL else int(text))
    killer = Killer(at)
    manager = Manager(runs)
    sys.settrace(killer.begin)
    manager.work_off()
    sys.settrace(None)
    os.write(say, str(killer.count).encode())
    os._exit(0)

whole = life(Path(sys.argv[2]), 0)
for place in sys.argv[3:]:
    choose, runs = random.Random(place), Path(place)
    kills, states = [], []
    for _ in range(40):
        # Now and then early, where items begin; the rest anywhere.
        at = choose.randint(1, whole // choose.choice((1, 2, 8)))
        ended = life(runs, at)
        kills.append(ended == -1)
        items = Manager(runs).items()
        states.append([(i.request["title"], i.status, i.run) for i in items])
        if not any(i.waits for i in items):
            break
    print(json.dumps([place, sum(kills), states]), flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_9_of_the_worker_at_any_line(place):
    def watch(title):
        return Request("toybench:Watch", {"steps": "2"}, "toy.toml", title=title)

    places = [place / f"{'abcde'[: 5 - n % 3]}-{n}" for n in range(ROUNDS)]
    reference = place / "whole"
    for runs in (reference, *places):
        titles = "abcde" if runs == reference else runs.name.partition("-")[0]
        Manager(runs).submit_all([watch(title) for title in titles])
    done = subprocess.run(
        [sys.executable, "-c", KILLED, SUPPORT, str(reference), *map(str, places)],
        capture_output=True, text=True, check=False, timeout=240 * ROUNDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(places)
    assert sum(kills for _, kills, _ in told) >= 2 * len(places)
    for name, _, states in told:
        runs = Path(name)
        titles = sorted(runs.name.partition("-")[0])
        over: dict[str, str] = {}
        for state in states:
            assert sorted(title for title, _, _ in state) == titles, runs
            for title, status, run in state:
                assert status in ("waiting", "finished", "interrupted"), (runs, title, status)
                assert over.setdefault(title, run) == run or not over[title]  # never another run
                if status != "waiting":
                    over[title] = run
        manager = Manager(runs)
        for item in manager.items():
            if item.status == "interrupted" and item.run:
                manager.submit_resume(Path(item.run))
            elif item.status == "interrupted":  # killed twice before it became a run
                manager.duplicate(item.number)
        manager.work_off()
        measured = [
            RunFolder.open(path) for path in runs.glob("0*-*") if (path / "run.jsonl").exists()
        ]
        measured = [run for run in measured if len(run.rows)]
        assert sorted(run.start["title"] for run in measured) == titles, runs
        for run in measured:
            assert run.status == "finished"
            assert [row["index"] for row in run.rows] == [0, 1]
            assert run.damage == []


def test_an_item_whose_process_died_before_it_became_a_run_waits_again_once(place, monkeypatch):
    manager = Manager(place / "runs")
    for title in "ab":
        manager.submit(Request("toybench:Watch", {"steps": "2"}, "toy.toml", title=title))
    note = Worker._status

    class Killed(BaseException):
        pass

    def killed(self, item, status, run="", reason=""):
        note(self, item, status, run, reason)
        if item.number == 1 and status == "running":
            monkeypatch.setattr(Worker, "_status", lambda *_, **__: None)
            raise Killed

    for expected in ("waiting", "interrupted"):
        monkeypatch.setattr(Worker, "_status", killed)
        with pytest.raises(Killed):
            manager.work_off()
        monkeypatch.setattr(Worker, "_status", note)
        items = manager.items()
        assert [(i.number, i.status) for i in items] == [(1, expected), (2, "waiting")]
    assert items[0].reason == "its process died"
    assert [o.status for o in manager.work_off()] == ["finished"]


def test_ctrl_c_before_there_is_a_run_leaves_the_item_waiting(place, monkeypatch):
    manager = Manager(place / "runs")
    manager.submit(Request("toybench:Watch", {"steps": "2"}, "toy.toml"))

    def pressed(*_, **__):
        raise KeyboardInterrupt

    begin = runner.start
    monkeypatch.setattr(runner, "start", pressed)
    with pytest.raises(KeyboardInterrupt):
        manager.work_off()
    (item,) = manager.items()
    assert (item.status, item.reason) == ("waiting", "the queue was stopped")
    monkeypatch.setattr(runner, "start", begin)
    assert [o.status for o in manager.work_off()] == ["finished"]


@pytest.mark.parametrize(("retries", "statuses"), [(2, ["failed", "failed"]), (1, ["failed"])])
def test_a_failure_that_was_not_noted_any_more_is_retried_all_the_same(
    place, monkeypatch, retries, statuses
):
    manager = Manager(place / "runs")
    request = Request("toybench:Watch", {"steps": "3", "fail_at": "1"}, "toy.toml")
    manager.submit(request, Policy(on_failure="retry", retries=retries))
    note = Worker._note_end

    def killed(*_):
        raise KeyboardInterrupt  # stands for a kill between the run's end and this entry

    monkeypatch.setattr(Worker, "_note_end", killed)
    with pytest.raises(KeyboardInterrupt):
        manager.work_off()
    monkeypatch.setattr(Worker, "_note_end", note)
    (item,) = manager.items()
    assert (item.status, item.failures, bool(item.run)) == ("waiting", 1, True)
    assert [o.status for o in manager.work_off()] == statuses
    (item,) = manager.items()
    assert (item.status, item.failures) == ("failed", retries + 1)
    assert len(list(manager.runs_dir.glob("0*-*"))) == 1


def test_a_halt_as_soon_as_the_queue_is_worked_off_counts(place, monkeypatch):
    manager = Manager(place / "runs")
    manager.submit(Request("toybench:Watch", {"steps": "2"}, "toy.toml"))
    locked = FileLock.sign

    def halted(lock):
        locked(lock)
        if lock.path.name == ".work-the-queue-off.lock":
            Manager(manager.runs_dir).halt()

    monkeypatch.setattr(FileLock, "sign", halted)
    assert manager.work_off() == []
    monkeypatch.undo()
    assert [o.status for o in manager.work_off()] == ["finished"]
