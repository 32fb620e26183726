"""Clocks: order of callbacks, yield points, one sleeper per virtual clock."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.clock import RealClock, VirtualClock
from labctl.errors import Aborted, ClockError


def test_virtual_callbacks_run_on_time_in_order():
    clock, seen = VirtualClock(), []
    clock.every(1.0, lambda: seen.append(("a", clock.now())))
    clock.every(0.75, lambda: seen.append(("b", clock.now())))
    clock.sleep(2.3)
    assert seen == [("b", 0.75), ("a", 1.0), ("b", 1.5), ("a", 2.0), ("b", 2.25)]
    assert clock.now() == 2.3


@given(st.lists(st.floats(0, 5), min_size=1, max_size=20))
def test_callbacks_do_not_depend_on_how_a_sleep_is_cut(pieces):
    whole, cut = VirtualClock(), VirtualClock()
    calls: dict[str, list[float]] = {"whole": [], "cut": []}
    whole.every(0.7, lambda: calls["whole"].append(whole.now()))
    cut.every(0.7, lambda: calls["cut"].append(cut.now()))
    for piece in pieces:
        cut.sleep(piece)
    whole.sleep(cut.now())
    assert calls["cut"] == calls["whole"]


def test_wait_is_no_yield_point():
    clock, seen = VirtualClock(), []
    clock.every(1.0, lambda: seen.append(clock.now()))
    clock.at_yield(lambda: seen.append("hook"))
    clock.wait(5.0)
    assert seen == []
    clock.sleep(0.0)
    assert seen == ["hook", 5.0]


def test_late_periods_are_skipped_not_made_up_for():
    clock, seen = VirtualClock(), []
    clock.every(1.0, lambda: seen.append(clock.now()))
    clock.wait(3.5)
    clock.sleep(1.5)
    assert seen == [3.5, 4.5]


def test_callback_that_sleeps_does_not_call_itself():
    clock, seen = VirtualClock(), []

    def slow():
        seen.append(clock.now())
        clock.sleep(2.5)

    clock.every(1.0, slow)
    clock.sleep(3.0)
    assert seen == [1.0]
    assert clock.now() == 3.5


def test_cancelled_callbacks_do_not_run():
    clock, seen = VirtualClock(), []
    cancel = clock.every(1.0, lambda: seen.append(1))
    clock.sleep(1.0)
    cancel()
    clock.sleep(5.0)
    assert seen == [1]


def test_a_hook_may_raise_out_of_sleep():
    clock = VirtualClock()

    def stop():
        raise Aborted("enough")

    clock.at_yield(stop)
    with pytest.raises(Aborted, match="enough"):
        clock.sleep(1.0)
    assert clock.now() == 0.0


def in_thread(action):
    caught = []

    def target():
        try:
            action()
        except Exception as error:
            caught.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    return caught


@pytest.mark.parametrize("verb", ["sleep", "wait"])
def test_a_second_thread_may_not_move_a_virtual_clock(verb):
    clock = VirtualClock()
    clock.sleep(1.0)
    (error,) = in_thread(lambda: getattr(clock, verb)(1.0))
    assert isinstance(error, ClockError)
    assert "one experiment per bench" in str(error)
    assert clock.now() == 1.0


def test_a_clock_whose_thread_is_gone_may_be_taken_over():
    clock = VirtualClock()
    assert in_thread(lambda: clock.sleep(1.0)) == []
    clock.sleep(1.0)
    assert clock.now() == 2.0


@pytest.mark.parametrize("seconds", [float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [VirtualClock, RealClock])
def test_impossible_times_are_refused(kind, seconds):
    with pytest.raises(ClockError, match="cannot sleep"):
        kind().sleep(seconds)


def test_negative_sleep_is_none():
    clock = VirtualClock(3.0)
    clock.sleep(-1.0)
    assert clock.now() == 3.0


def test_move_to_never_goes_back():
    clock = VirtualClock(3.0)
    clock.move_to(2.0)
    assert clock.now() == 3.0
    clock.move_to(0.1 + 3.0)
    assert clock.now() == 0.1 + 3.0


class FakeTime:
    """The operating system's clock, as far as RealClock asks it; sleeping takes a bit longer."""

    def __init__(self):
        self.t = 1000.0

    def perf_counter(self):
        return self.t

    def sleep(self, seconds):
        assert seconds >= 0
        self.t += seconds + 1e-4


def test_real_clock_keeps_time_and_runs_callbacks(monkeypatch):
    monkeypatch.setattr("labctl.clock.time", FakeTime())
    clock, seen = RealClock(), []
    clock.every(0.2, lambda: seen.append(clock.now()))
    clock.sleep(1.05)
    assert 1.05 <= clock.now() < 1.06
    assert len(seen) == 5
    assert all(0.19 < b - a < 0.21 for a, b in pairwise([0.0, *seen]))
    clock.wait(0.5)
    assert len(seen) == 5


def test_real_clock_looks_at_its_hooks_while_it_sleeps(monkeypatch):
    monkeypatch.setattr("labctl.clock.time", FakeTime())
    monkeypatch.setattr("labctl.clock.LOOK_EVERY", 0.0)
    clock, looks = RealClock(), []

    def stop():
        looks.append(clock.now())
        if len(looks) == 3:
            raise Aborted("enough")

    clock.at_yield(stop)
    with pytest.raises(Aborted):
        clock.sleep(3600.0)
