"""The queue: kept in a journal, changed and worked off by several processes, killed and damaged."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import toybench

from labctl.cli import main
from labctl.errors import RequestError, RunLocked
from labctl.manager import Manager
from labctl.run import runner
from labctl.run.folder import RunFolder
from labctl.run.request import Request

SUPPORT = str(Path(toybench.__file__).parent)


@pytest.fixture
def bench(tmp_path):
    path = tmp_path / "toy.toml"
    path.write_text(toybench.BENCH, encoding="utf-8")
    return str(path)


@pytest.fixture
def manager(tmp_path):
    return Manager(tmp_path / "runs")


def watch(bench, title="", **parameters):
    parameters = {"steps": "2", **{name: str(value) for name, value in parameters.items()}}
    return Request("toybench:Watch", parameters=parameters, bench=bench, title=title)


def titles(manager):
    return [(item.request["title"], item.status) for item in manager.items()]


def started(tmp_path, code, *arguments):
    """Another process that has `manager` (of the same queue) and `watch`."""
    head = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\nfrom pathlib import Path\n"
        "import toybench\nfrom labctl.manager import Manager\n"
        "manager = Manager(Path(sys.argv[2]))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", head + code, SUPPORT, str(tmp_path / "runs"), *arguments],
        stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_items_run_in_order_and_stay_on_record(manager, bench):
    numbers = [manager.submit(watch(bench, title)) for title in "abc"]
    assert numbers == [1, 2, 3]
    manager.move(3, 1)
    assert [t for t, _ in titles(manager)] == ["c", "a", "b"]
    manager.remove(1)
    assert [o.status for o in manager.work_off()] == ["finished"] * 2
    again = Manager(manager.runs_dir)
    assert titles(again) == [("c", "finished"), ("b", "finished")]
    for item in again.items():
        assert RunFolder.open(item.run).start["title"] == item.request["title"]
    assert again.submit(watch(bench)) == 4  # numbers are never used twice
    assert manager.run_next().status == "finished"
    assert manager.run_next() is None


def test_a_wrong_request_never_enters_the_queue(manager, bench):
    with pytest.raises(RequestError, match="below the minimum"):
        manager.submit(watch(bench, steps=0))
    assert manager.items() == []
    for wrong in (lambda: manager.move(7, 1), lambda: manager.remove(7)):
        with pytest.raises(RequestError, match="has no item 7"):
            wrong()


def test_a_bench_file_is_found_from_elsewhere(manager, bench, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    manager.submit(watch("toy.toml"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert manager.run_next().status == "finished"


@pytest.mark.parametrize("stop", [False, True])
def test_a_failure_does_not_stop_the_queue_unless_asked(manager, bench, stop):
    manager.submit(watch(bench, "bad", fail_at=1))
    manager.submit(watch(bench, "good"))
    outcomes = manager.work_off(stop_on_failure=stop)
    assert [o.status for o in outcomes] == ["failed"] + ["finished"] * (not stop)
    assert titles(manager) == [("bad", "failed"), ("good", "waiting" if stop else "finished")]
    assert "the procedure is broken" in manager.items()[0].reason


def test_an_item_that_cannot_even_begin_does_not_stop_the_queue(manager, bench, monkeypatch):
    manager.submit(watch(bench, "bad"))
    manager.submit(watch(bench, "good"))
    begin = runner.start

    def broken(request, *others, **options):
        if request.title == "bad":
            raise ZeroDivisionError("nobody thought of this")
        return begin(request, *others, **options)

    monkeypatch.setattr(runner, "start", broken)
    assert [o.status for o in manager.work_off()] == ["failed", "finished"]
    assert manager.items()[0].reason == "ZeroDivisionError: nobody thought of this"


def test_ctrl_c_ends_the_run_and_the_queue(manager, bench):
    for title in "ab":
        manager.submit(watch(bench, title, steps=500, pause=0.0))
    pressed = []

    def press(event):
        if event.kind == "point" and not pressed:
            pressed.append(True)
            signal.raise_signal(signal.SIGINT)

    manager.subscribe(press)
    (outcome,) = manager.work_off()
    assert (outcome.status, outcome.exit_code) == ("aborted", 3)
    assert titles(manager) == [("a", "aborted"), ("b", "waiting")]


def test_an_abort_of_one_run_lets_the_next_begin(manager, bench):
    manager.submit(watch(bench, "a", steps=100_000, pause=0.0))
    manager.submit(watch(bench, "b"))

    def look(event):
        if event.kind == "point" and event.value["index"] == 3:
            helper = threading.Thread(target=manager.abort, args=("interrupted by a colleague",))
            helper.start()
            helper.join()

    manager.subscribe(look)
    assert [o.status for o in manager.work_off()] == ["aborted", "finished"]
    assert manager.items()[0].reason == "interrupted by a colleague"
    with pytest.raises(RequestError, match="nothing runs"):
        manager.abort("too late")


def test_a_run_can_be_aborted_while_its_bench_is_being_opened(manager, bench):
    manager.submit(watch(bench, "a"))
    seen = []

    def look(event):
        seen.append(event.kind)
        if event.kind == "opening":
            manager.abort("never mind")

    manager.subscribe(look)
    outcome = manager.run_next()
    assert (outcome.status, outcome.reason) == ("aborted", "never mind")
    assert "point" not in seen


def test_a_killed_process_leaves_its_item_interrupted_and_the_queue_usable(
    manager, bench, tmp_path
):
    manager.submit(watch(bench, "killed", steps=5, kill_at=2))
    manager.submit(watch(bench, "next"))
    process = started(tmp_path, "manager.work_off()")
    process.communicate(timeout=60)
    assert process.returncode == 9
    assert titles(manager) == [("killed", "interrupted"), ("next", "waiting")]
    (item, _) = manager.items()
    assert item.reason == "its process died"
    assert len(RunFolder.open(item.run).rows) == 2
    assert [o.status for o in manager.work_off()] == ["finished"]
    assert titles(manager) == [("killed", "interrupted"), ("next", "finished")]


def test_a_run_that_ended_before_its_process_was_killed_is_not_called_interrupted(
    manager, bench, monkeypatch
):
    manager.submit(watch(bench))
    note = Manager._status

    def killed(self, item, status, run="", reason=""):
        if status == "finished":
            raise KeyboardInterrupt  # stands for a kill between the run's end and this entry
        note(self, item, status, run, reason)

    monkeypatch.setattr(Manager, "_status", killed)
    with pytest.raises(KeyboardInterrupt):
        manager.run_next()
    monkeypatch.undo()
    assert [item.status for item in manager.items()] == ["finished"]
    assert manager.work_off() == []
    assert [item.status for item in Manager(manager.runs_dir).items()] == ["finished"]


def test_two_processes_share_one_queue(manager, bench, tmp_path):
    """While one runs an item, another may add, look and remove, but not run."""
    manager.submit(watch(bench, "first"))
    manager.submit(watch(bench, "unwanted"))
    process = started(
        tmp_path,
        "def wait(event):\n"
        "    if event.kind == 'point' and event.value['index'] == 0:\n"
        "        print('running', flush=True); sys.stdin.readline()\n"
        "manager.subscribe(wait)\n"
        "print([o.status for o in manager.work_off()])\n",
    )
    assert process.stdout.readline() == "running\n"
    assert titles(manager) == [("first", "running"), ("unwanted", "waiting")]
    for run in (manager.work_off, manager.run_next):
        with pytest.raises(RunLocked, match=rf"process {process.pid} .* work the queue off"):
            run()
    with pytest.raises(RequestError, match="runs now"):
        manager.remove(1)
    with pytest.raises(RequestError, match="does not wait any more: running"):
        manager.move(1, 1)
    manager.remove(2)
    manager.submit(watch(bench, "late"))
    # The second item waits at its first point too: standard input is closed then.
    output, _ = process.communicate("go on\n", timeout=60)
    assert output == "running\n['finished', 'finished']\n"
    assert titles(manager) == [("first", "finished"), ("late", "finished")]


def test_damage_is_named_and_costs_nothing_else(manager, bench, caplog):
    for title in "abc":
        manager.submit(watch(bench, title))
    path = manager.runs_dir / "queue.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"title":"b"', b'"title":"B"')
    path.write_bytes(b"".join(lines) + b'{"entry":"ad')
    assert titles(manager) == [("a", "waiting"), ("c", "waiting")]
    assert caplog.text.count("queue.jsonl: line 2") == 1
    assert manager.submit(watch(bench, "d")) == 4
    assert [o.status for o in manager.work_off()] == ["finished"] * 3


def test_the_command_line_shows_and_runs_the_queue(bench, tmp_path, monkeypatch, capsys):
    runs = ["--runs", str(tmp_path / "runs")]
    assert main(["queue", "list", *runs]) == 0
    assert main(["queue", "run", *runs]) == 0
    add = ["queue", "add", "toybench:Watch", "--bench", bench, "--set", "steps=2", *runs]
    assert main([*add, "--set", "fail_at=1"]) == 0
    assert main(add) == 0
    capsys.readouterr()
    assert main(["queue", "run", *runs]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "the procedure is broken" in captured.err
    assert main(["queue", "list", "--json", *runs]) == 0
    items = json.loads(capsys.readouterr().out)
    assert [item["status"] for item in items] == ["failed", "finished"]
