"""When all that waits will be finished: from the queue and earlier runs, without anybody's code."""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import replace
from datetime import datetime

import pytest
from commandline import call

from labctl.jsonline import decode, encode
from labctl.manager import Item, Manager, Policy
from labctl.manager.delays import moment
from labctl.run.folder import RunFolder
from labctl.run.request import Request
from labctl.viewing import estimate
from labctl.viewing.estimate import Experience
from labctl.viewing.outlook import expected, glance, outlook, rest

NOW = datetime(2026, 11, 20, 21, 0).timestamp()


def waiting(*delays):
    return [Item(n, {}, policy=Policy(not_before=delay)) for n, delay in enumerate(delays, 1)]


def after(items, seconds, **options):
    return outlook(items, dict(enumerate(seconds, 1)), NOW, **options)


def test_items_follow_each_other():
    found = after(waiting(0, 0, 0), [3600, 1800, 60], rest=70)
    assert (found.waiting, found.seconds, found.unknown) == (3, 5460, 0)
    assert found.end == NOW + 70 + 5460
    assert found.sentence(NOW, worked_off=True) == "1 h 31 in all; finished about 22:32"
    assert found.sentence(NOW, worked_off=False).endswith(" about 22:32 if started now")
    assert after([], []).sentence(NOW, worked_off=False) == ""


def test_a_delayed_item_is_passed_and_then_waited_for():
    late, later = NOW + 7200, NOW + 9000
    assert after(waiting(late, 0), [600, 3600]).end == late + 600
    assert after(waiting(late, 0), [600, 8000]).end == NOW + 8600  # it is due by then
    assert after(waiting(later, late), [600, 600]).end == later + 600
    assert after(waiting(later, late), [600, 3600]).end == late + 3600 + 600
    assert after(waiting(NOW - 60), [600]).end == NOW + 600
    assert after(waiting(late), [600], rest=8000).end == NOW + 8600


def test_what_is_unknown_is_said():
    items = waiting(0, 0, 0, 0)
    found = after(items, [7200, math.nan, 4800], rest=0)  # and nothing of the last one
    assert (found.seconds, found.unknown) == (12000, 2)
    said = "at least 3 h 20, 2 items unknown; finished not before Sat 21 Nov 00:20"
    assert found.sentence(NOW, worked_off=True) == said
    nothing = after(items[:2], [])
    assert nothing.sentence(NOW, worked_off=True) == "time unknown, no earlier run tells"
    delayed = after(waiting(NOW + 3600), [])
    assert delayed.sentence(NOW, worked_off=True).endswith("; finished not before 22:00")
    hanging = after(items[:1], [60], rest=math.nan)
    assert hanging.sentence(NOW, worked_off=True) == "1:00 min in all; finished not before 21:01"


@pytest.mark.parametrize(
    ("now", "at", "end"),
    [("2026-10-24T20:00:00+00:00", "07:00", "Sun 25 Oct 07:30"),  # 22:00; an hour twice
     ("2026-10-24T20:00:00+00:00", "9 h", "Sun 25 Oct 06:30"),
     ("2026-03-28T21:00:00+00:00", "9 h", "Sun 29 Mar 08:30"),  # 22:00; an hour never
     ("2026-03-28T22:50:00+00:00", "00:10", "Sun 29 Mar 00:40")],
)  # fmt: skip
def test_over_midnight_and_when_the_clock_is_changed(in_berlin, now, at, end):
    begin = datetime.fromisoformat(now).timestamp()
    found = outlook(waiting(moment(at, begin)), {1: 1800.0}, begin)
    assert found.sentence(begin, worked_off=True) == f"30:00 min in all; finished about {end}"


def watch(**parameters):
    return Request("toybench:Watch", parameters, "toy.toml")


def ended(place, procedure, rows, mode="sim", **parameters):
    """A recorded run."""
    start = {"parameters": parameters, "mode": mode, "bench": {"name": "toy"}, "points": rows}
    run = RunFolder.create(place / "runs", procedure, start)
    run.opened({"t": 0.0})
    for index in range(rows):
        run.emit({"index": index}, float(index))
    run.stop("finished")
    run.close()


@pytest.fixture
def paced(monkeypatch):
    """Every earlier run took 2 s a point."""
    plain = estimate.measure

    def measured(path, number=0):
        pace = plain(path, number)
        return pace and replace(pace, seconds=2.0)

    monkeypatch.setattr(estimate, "measure", measured)


@pytest.mark.usefixtures("paced")
def test_items_know_their_points_from_when_they_were_queued(place, monkeypatch):
    manager = Manager(place / "runs")
    usual = {"pause": 1.0, "kill_at": -1, "fail_at": -1}
    ended(place, "watch", 10, steps=10, **usual)
    manager.submit_all([watch(steps="5"), watch(steps=7, pause="200 ms"), watch(), watch(steps=3)])
    manager.edit(4, watch(steps=4))
    manager.edit(4, policy=Policy(on_failure="stop"))
    manager.duplicate(1)
    monkeypatch.setattr(  # nobody's code is asked any more
        "labctl.run.loading.load_procedure", lambda *_: pytest.fail("loaded a procedure")
    )
    found = expected(manager.items(), Experience(manager.runs_dir, patient=False))
    assert found == {1: 10.0, 5: 10.0, 2: 14.0, 3: 20.0, 4: 8.0}
    removed = [(manager.find(2), 2)]
    manager.remove(2)
    (number,) = manager.restore(removed)
    assert expected(manager.items(), Experience(manager.runs_dir))[number] == 14.0


@pytest.mark.usefixtures("paced")
def test_the_rest_of_a_run_takes_what_its_missing_points_take(place):
    manager = Manager(place / "runs")
    manager.submit(watch(steps=10, fail_at=4))
    (outcome,) = manager.work_off()
    assert expected(manager.items(), Experience(manager.runs_dir)) == {}
    number = manager.submit_resume(outcome.path)
    assert expected(manager.items(), Experience(manager.runs_dir)) == {number: 12.0}


@pytest.mark.usefixtures("paced")
def test_a_plain_procedure_takes_what_the_same_took_before(place):
    manager = Manager(place / "runs")
    for steps in (4, 5):
        manager.submit(Request("toybench:Ramp", {"steps": steps}))
    ended(place, "toybench:Ramp", 4, mode="", **manager.find(1).parameters)
    one, other = expected(manager.items(), Experience(manager.runs_dir)).values()
    assert one == 8.0
    assert math.isnan(other)


BROKEN = """\
import toybench


class Mine(toybench.Watch):
    def points(self):
        if self.steps == 6:
            raise SystemExit("not yet")
        yield from super().points()
"""


def test_a_procedure_that_cannot_count_or_broke_since_costs_only_its_own_time(
    place, capsys, monkeypatch
):
    monkeypatch.syspath_prepend(place)
    (place / "minebroken.py").write_text(BROKEN)
    add = ("queue", "add", "--bench", "toy.toml", "--set")
    for steps in (2, 6, 3):
        assert call(capsys, *add, f"steps={steps}", "minebroken:Mine")[0] == 0
    assert call(capsys, *add, "steps=4", "toybench:Watch")[0] == 0
    manager = Manager(place / "runs")
    assert [item.planned.points for item in manager.items()] == [2, None, 3, 4]
    assert manager.run_next().status == "finished"
    (place / "minebroken.py").write_text("def broken(:")
    code, out, err = call(capsys, "queue", "list")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [bool(re.search(r"about \d", line)) for line in lines[1:4]] == [False, True, False]
    assert sum("time unknown" in line for line in lines) == 2
    assert re.match(r"3 waiting: at least [\d.]+ s, 2 items unknown; finished not before", lines[4])
    _, out, _ = call(capsys, "queue", "list", "--json")
    times = [item["expected"] for item in json.loads(out)]
    assert times[0] is times[1] is times[3] is None
    assert times[2] > 0


def test_a_queue_of_an_older_version_is_read_and_its_times_are_unknown(place):
    manager = Manager(place / "runs")
    manager.submit(watch(steps=2))
    path = manager.runs_dir / "queue.jsonl"
    entry = decode(path.read_bytes())
    entry["planned"]["colour"] = "of a newer version"
    path.write_bytes(encode({n: v for n, v in entry.items() if n not in ("crc", "planned")}))
    (item,) = manager.items()
    assert item.planned is None
    assert math.isnan(expected([item], Experience(manager.runs_dir))[1])
    path.write_bytes(encode({n: v for n, v in entry.items() if n != "crc"}))
    assert manager.find(1).planned.points == 2
    assert [o.status for o in manager.work_off()] == ["finished"]


def test_the_run_that_goes_on_counts_with_what_is_left_of_it(place):
    manager = Manager(place / "runs")
    for steps in (4, 2):
        manager.submit(watch(steps=steps))
    seen = []

    def look(event):
        if event.kind == "point" and event.value["index"] == 1:
            items = manager.items()
            feed = glance(items)
            seen.append((feed.table.seen, rest(items, {1: 8.0}, feed), rest(items, {1: 8.0}, None)))
            seen.append(rest(items, {}, None))
            feed.table.seen = feed._rows_before  # before its first row
            seen.append(rest(items, {1: 8.0}, feed))

    manager.subscribe(look)
    manager.run_next()
    (rows, left, whole), nothing, begun = seen
    assert rows == 2
    assert 0.0 < left < 8.0
    assert whole == 8.0
    assert math.isnan(nothing)
    assert 7.0 < begun < 8.0
    assert rest(manager.items(), {}, None) == 0.0
    assert glance(manager.items()) is None


def test_two_hundred_items_and_fifty_runs_are_looked_at_in_a_moment(place):
    for steps in range(1, 52):
        ended(place, "watch", 3, steps=steps, pause=1.0, kill_at=-1, fail_at=-1)
    manager = Manager(place / "runs")
    manager.submit_all([watch(steps=k) for k in range(1, 201)])
    items = manager.items()
    experience = Experience(manager.runs_dir, patient=False)
    expected(items[:1], experience)  # builds the index
    begin = time.perf_counter()
    found = expected(items, experience)
    assert time.perf_counter() - begin < 3.0
    assert all(math.isfinite(seconds) for seconds in found.values())
    begin = time.perf_counter()
    outlook([Item(n, {}, policy=Policy(not_before=NOW + n % 7)) for n in range(10_000)], {}, NOW)
    assert time.perf_counter() - begin < 1.0


def test_a_large_folder_is_not_indexed_while_somebody_waits(place, monkeypatch):
    manager = Manager(place / "runs")
    ended(place, "watch", 3, steps=3)
    manager.submit(watch(steps=3))
    monkeypatch.setattr(estimate, "FEW", 1)
    assert math.isnan(expected(manager.items(), Experience(manager.runs_dir, patient=False))[1])
    assert math.isfinite(expected(manager.items(), Experience(manager.runs_dir))[1])
    found = expected(manager.items(), Experience(manager.runs_dir, patient=False))
    assert math.isfinite(found[1])  # there is an index now
