"""STOP ALL SAFE at any moment of a run's beginning: the bench is safe soon, and stays so.

LABCTL_STOPS sets how many times it is pressed (4 unless told). The simulators live in the test, so
it sees what reached them.
"""

from __future__ import annotations

import os
import random
import re
import time
from pathlib import Path

import pytest
import toybench

from labctl import benchfile
from labctl.bench import simulators
from labctl.manager import Manager
from labctl.run import safety
from labctl.run.folder import RunFolder
from labctl.run.locate import numbered
from labctl.run.request import Request
from labctl.viewing.session import Session
from simulated_instruments.server import address_of, serving

STOPS = int(os.environ.get("LABCTL_STOPS", "4"))
SAFE, WORKING = 0, 3
#: Seconds; much more than it takes: 2 s on a machine that has nothing else to do.
BOUND = 60.0


def until(condition, what):
    end = time.monotonic() + BOUND
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError(f"never: {what}")


@pytest.fixture
def served(tmp_path, monkeypatch):
    """The toy bench on a socket, as a bench file, and its simulators."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(toybench.__file__).parent))
    file = benchfile.parse(toybench.BENCH, tmp_path / "bench.toml")
    built = simulators(file, 1, {})
    with serving(built) as addresses:
        address = address_of(addresses, "thermometer")
        text = re.sub(r'address = "[^"]*"', f'address = "{address}"', toybench.BENCH)
        file.path.write_text(text.replace('mode = "sim"', 'mode = "real"'), encoding="utf-8")
        yield file.path, built["thermometer"]


def press(runs, bench, thermometer, after, again):
    """Begin a run from the queue, press STOP after some seconds; how long it took, and the run."""
    manager, session = Manager(runs), Session(runs)
    if not manager.waiting():
        parameters = {"steps": "100000", "pause": "0.01"}
        manager.submit(Request("toybench:Watch", parameters, str(bench)))
    before = {path for _, path in numbered(runs)}
    thermometer.heater = WORKING  # whoever had it before left it like this
    assert session.start_queue()
    time.sleep(after)  # the moment is what is drawn here
    asked = time.monotonic()
    places = session.stop_all("STOP", str(bench), "real")
    if again:
        session.stop_all("STOP", str(bench), "real")  # who is afraid presses twice
    accounts = until(
        lambda: (found := [safety.read(*p) for p in places])
        and all(map(safety.is_closed, found)) and found, "closed accounts",
    )  # fmt: skip
    took = time.monotonic() - asked
    for account in accounts:
        said = {line["instrument"]: line["state"] for line in account if "instrument" in line}
        assert said == {"thermometer": safety.SAFE}
    assert thermometer.heater == SAFE
    until(lambda: not manager.worked_off() and session.ended(), "the end of what was started")
    assert thermometer.heater == SAFE  # and nobody switched it on again
    assert not {item.status for item in manager.items()} & {"running", "finished", "failed"}
    return took, {path for _, path in numbered(runs)} - before


def test_stop_at_any_moment_of_the_beginning(served, tmp_path):
    bench, thermometer = served
    rng = random.Random(5)
    took, opened = [], []
    for number in range(STOPS):
        seconds, found = press(
            tmp_path / "runs", bench, thermometer, rng.uniform(0.0, 3.0), again=number % 2
        )
        took.append(seconds)
        opened += [RunFolder.open(path) for path in found]
    assert max(took) < 0.5 * BOUND
    assert all(run.status in ("aborted", "interrupted") for run in opened)


def test_a_run_that_was_stopped_before_it_began_opens_no_instrument(served, tmp_path, monkeypatch):
    """Somebody asks while procedures are being imported, long before there is a folder."""
    from labctl.run import runner, stopping

    bench, thermometer = served
    monkeypatch.syspath_prepend(Path(toybench.__file__).parent)
    runs = tmp_path / "runs"
    check = runner.check

    def slow_check(request):
        stopping.ask_all(runs, "fire")
        return check(request)

    monkeypatch.setattr(runner, "check", slow_check)
    runs.mkdir()
    manager = Manager(runs)
    for _ in range(2):
        manager.submit(Request("toybench:Watch", {"steps": "3"}, str(bench)))
    thermometer.heater = WORKING
    (outcome,) = manager.work_off()  # the second is not begun
    assert (outcome.status, outcome.stopped) == ("aborted", True)
    assert thermometer.heater == WORKING
    run = RunFolder.open(outcome.path)
    assert run.stretches == 0
    assert safety.read(outcome.path)[-1]["ended"] == "the run had not opened any instrument"
    assert [item.status for item in manager.items()] == ["aborted", "waiting"]
    outcome = runner.resume(outcome.path, asked=stopping.asked(runs))
    assert outcome.status == "finished"
