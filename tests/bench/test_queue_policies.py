"""Items of the queue that wait for a time, are tried again, edited, duplicated or resumed."""

from __future__ import annotations

import time
from datetime import datetime

import pytest
from commandline import call

from labctl.bench import Bench
from labctl.errors import RequestError
from labctl.manager import Manager, Policy, worker
from labctl.manager.delays import moment
from labctl.run.control import send
from labctl.run.folder import RunFolder
from labctl.run.request import Request

NOW = datetime(2026, 11, 20, 21, 0).timestamp()


@pytest.fixture
def manager(place):
    return Manager(place / "runs")


def watch(title="", **parameters):
    parameters = {"steps": "3", **{name: str(value) for name, value in parameters.items()}}
    return Request("toybench:Watch", parameters=parameters, bench="toy.toml", title=title)


def titles(manager):
    return [(item.request["title"], item.status) for item in manager.items()]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("", None), ("21:30", 1800), ("20:59", 86400 - 60), ("90 min", 5400), ("+2 h", 7200),
     ("30 s", 30), ("2026-11-21 08:00", 11 * 3600), ("2026-11-20T21:00:10", 10)],
)  # fmt: skip
def test_times_and_delays(text, seconds):
    assert moment(text, NOW) == (0.0 if seconds is None else NOW + seconds)


@pytest.mark.parametrize(
    "text", ["25:00", "soon", "3 K", "2026-13-01", "400 days", "2020-01-01", "30", "22.30"]
)
def test_what_is_no_time(text):
    with pytest.raises(RequestError, match=r"no time|not within"):
        moment(text, NOW)


@pytest.mark.parametrize(
    ("now", "text", "hours"),
    [("2026-03-29T00:30:00+00:00", "04:00", 1.5),  # 01:30; an hour later the clock jumps to 03:00
     ("2026-03-28T22:30:00+00:00", "12 h", 12.0), ("2026-03-28T22:30:00+00:00", "12:00", 11.5),
     ("2026-10-25T00:10:00+00:00", "02:30", 1 / 3),  # 02:10, the first time
     ("2026-10-25T01:10:00+00:00", "02:30", 1 / 3),  # 02:10 again
     ("2026-10-24T22:00:00+00:00", "23:00", 24.0)],
)  # fmt: skip
def test_times_of_day_when_the_clock_is_changed(in_berlin, now, text, hours):
    begin = datetime.fromisoformat(now).timestamp()
    assert moment(text, begin) == pytest.approx(begin + 3600 * hours)


def test_a_delayed_item_lets_others_pass_and_then_runs(manager, monkeypatch):
    real = time.time()
    clock = [real]
    monkeypatch.setattr(worker.time, "time", lambda: clock[0])

    def sleep(seconds):
        if seconds == worker.LOOK_EVERY:  # not that of a lock which is waited for
            clock[0] += 1800

    monkeypatch.setattr(worker.time, "sleep", sleep)
    manager.submit(watch("late"), Policy(not_before=real + 3600))
    manager.submit(watch("now"))
    assert manager.run_next().status == "finished"
    assert titles(manager) == [("now", "finished"), ("late", "waiting")]
    assert manager.run_next() is None
    assert [o.status for o in manager.work_off()] == ["finished"]
    assert clock[0] >= real + 3600


def test_a_failed_item_is_resumed_as_often_as_asked(manager):
    manager.submit(watch("bad", fail_at=1), Policy(on_failure="retry", retries=2))
    manager.submit(watch("good"))
    outcomes = manager.work_off()
    assert [o.status for o in outcomes] == ["failed"] * 3 + ["finished"]
    assert len({o.path for o in outcomes[:3]}) == 1  # the same run, resumed
    assert RunFolder.open(outcomes[0].path).stretches == 3
    bad, good = manager.items()
    assert (bad.status, bad.failures, good.status) == ("failed", 3, "finished")


def test_one_that_never_became_a_run_is_begun_again(manager, monkeypatch):
    from labctl.run import runner

    begin, calls = runner.start, []

    def once_broken(*arguments, **options):
        calls.append(1)
        if len(calls) == 1:
            raise RequestError("the file server is away")
        return begin(*arguments, **options)

    monkeypatch.setattr(runner, "start", once_broken)
    manager.submit(watch("a"), Policy(on_failure="retry"))
    assert [o.status for o in manager.work_off()] == ["failed", "finished"]
    assert manager.items()[0].failures == 1


def test_a_failure_stops_the_queue_where_the_item_says_so(manager):
    manager.submit(watch("bad", fail_at=1), Policy(on_failure="stop"))
    manager.submit(watch("good"))
    assert [o.status for o in manager.work_off()] == ["failed"]
    assert titles(manager) == [("bad", "failed"), ("good", "waiting")]


def test_halt_lets_the_run_finish_and_begins_no_other(manager):
    with pytest.raises(RequestError, match="nobody works this queue off"):
        manager.halt()
    manager.submit(watch("a"))
    manager.submit(watch("b"))
    halted = []

    def halt(event):
        if event.kind == "point" and not halted:
            halted.append(Manager(manager.runs_dir).halt())

    manager.subscribe(halt)
    assert [o.status for o in manager.work_off()] == ["finished"]
    assert titles(manager) == [("a", "finished"), ("b", "waiting")]
    assert [o.status for o in manager.work_off()] == ["finished"]


def test_after_stop_no_other_run_begins_by_itself(manager):
    manager.submit(watch("a", steps=100_000, pause=0))
    manager.submit(watch("b"))
    stopped = []

    def stop(event):
        if event.kind == "point" and not stopped:
            stopped.append(send(manager._current, "stop", "something smells"))

    manager.subscribe(stop)
    assert [o.status for o in manager.work_off()] == ["aborted"]
    assert titles(manager) == [("a", "aborted"), ("b", "waiting")]
    assert [o.status for o in manager.work_off()] == ["finished"]  # when somebody starts it


def test_waiting_items_are_edited_and_duplicated(manager):
    manager.submit(watch("a"))
    manager.submit(watch("b"))
    manager.edit(1, watch("a2", steps=4), Policy(on_failure="retry"))
    assert manager.duplicate(1) == 3
    assert titles(manager) == [("a2", "waiting"), ("a2", "waiting"), ("b", "waiting")]
    assert manager.find(3).policy.on_failure == "retry"
    with pytest.raises(RequestError, match="below the minimum"):
        manager.edit(1, watch("a3", steps=0))
    assert manager.find(1).request["parameters"]["steps"] == "4"
    assert [o.status for o in manager.work_off()] == ["finished"] * 3
    with pytest.raises(RequestError, match="does not wait any more"):
        manager.edit(1, watch("too late"))
    assert manager.duplicate(1) == 4  # what ran can be queued once more
    assert titles(manager)[-1] == ("a2", "waiting")


def test_the_rest_of_a_run_is_queued_as_the_next_item(manager):
    manager.submit(watch("bad", steps=5, fail_at=2))
    (outcome,) = manager.work_off()
    manager.submit(watch("other"))
    number = manager.submit_resume(outcome.path)
    assert [item.number for item in manager.waiting()] == [number, 2]
    with pytest.raises(RequestError, match="waits in the queue already"):
        manager.submit_resume(outcome.path)
    with pytest.raises(RequestError, match="resumes"):
        manager.edit(number, watch("another"))
    manager.remove(2)
    (again,) = manager.work_off()
    assert (again.path, again.status) == (outcome.path, "failed")  # it is broken at that point
    assert RunFolder.open(again.path).stretches == 2
    manager.submit(watch("fine"))
    (fine,) = manager.work_off()
    with pytest.raises(RequestError, match="is finished; nothing to resume"):
        manager.submit_resume(fine.path)


def test_nothing_is_queued_if_one_of_a_sweep_is_wrong(manager):
    with pytest.raises(RequestError, match="below the minimum"):
        manager.submit_all([watch("a"), watch("b", steps=0)])
    assert manager.items() == []
    assert manager.submit_all([watch("a"), watch("b", steps=1)]) == [1, 2]


def test_a_policy_is_checked():
    with pytest.raises(RequestError, match="'never' is none of skip, stop, retry"):
        Policy(on_failure="never")
    with pytest.raises(RequestError, match="outside 0 to 100"):
        Policy(retries=-1)


def test_the_command_line_does_all_of_it(place, capsys):
    add = ("queue", "add", "toybench:Watch", "--bench", "toy.toml", "--set", "steps=2")
    assert call(capsys, *add, "--at", "2 h", "--on-failure", "retry", "--retries", "3")[0] == 0
    assert call(capsys, "queue", "edit", "1", "--set", "steps=3", "--title", "later")[0] == 0
    assert call(capsys, "queue", "duplicate", "1")[:2] == (0, "queued as item 2\n")
    code, out, _ = call(capsys, "queue", "list")
    first, second, total = out.splitlines()
    assert "not before" in first
    assert "  later  " in first
    assert first.endswith("  steps=3")
    assert "3 retries" in second
    assert total.startswith("2 waiting: time unknown, no earlier run tells; finished not before ")
    code, _, err = call(capsys, *add, "--at", "soon")
    assert (code, err.count("\n")) == (2, 1)
    assert call(capsys, "queue", "halt")[0] == 2
    call(capsys, "run", "toybench:Watch", "--bench", "toy.toml", "--set", "fail_at=1")
    assert call(capsys, "queue", "resume", "last")[:2] == (0, "queued as item 3\n")


def test_many_are_queued_and_removed_at_once(manager, monkeypatch):
    rehearsed = []
    rehearse = Bench.rehearse
    monkeypatch.setattr(
        Bench, "rehearse", lambda *a, **k: (rehearsed.append(1), rehearse(*a, **k))[1]
    )
    numbers = manager.submit_all([watch(f"{k}", steps=k + 1) for k in range(40)])
    assert numbers == list(range(1, 41))
    assert len(rehearsed) == 1  # one bench, one mode
    manager.remove(*range(3, 41))
    with pytest.raises(RequestError, match="no item 99"):
        manager.remove(1, 99)
    assert [item.number for item in manager.items()] == [1, 2]
    removed = [(manager.find(1), 1), (manager.find(2), 2)]
    manager.remove(1, 2)
    assert manager.restore(removed) == [41, 42]
    assert [item.request["title"] for item in manager.items()] == ["0", "1"]
    with pytest.raises(RequestError, match="below the minimum"):
        manager.submit_all([watch("good"), watch("wrong", steps=0)])
    assert len(manager.items()) == 2
