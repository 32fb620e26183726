"""Interlocks by themselves: limits, what is no number, and what they are told apart by."""

from __future__ import annotations

import math

import pytest

from labctl.clock import VirtualClock
from labctl.errors import InterlockTripped
from labctl.interlock import Interlock


def interlock(value: float) -> Interlock:
    return Interlock("tec.temperature", lambda: value, 15.0, 45.0, 2.0, "degC")


@pytest.mark.parametrize("value", [15.0, 30.0, 45.0])
def test_limits_are_allowed(value):
    assert interlock(value).check() == value


@pytest.mark.parametrize("value", [14.999, -math.inf, 45.001, math.inf, math.nan])
def test_what_lies_outside_trips_in_one_line(value):
    with pytest.raises(InterlockTripped) as caught:
        interlock(value).check()
    said = f"interlock tec.temperature: {value:g} degC, allowed 15 to 45 degC; run stopped"
    assert str(caught.value) == said


def test_it_is_checked_at_once_and_then_every_period():
    clock, readings = VirtualClock(), []

    def read() -> float:
        readings.append(clock.now())
        return 20.0 if len(readings) < 4 else 50.0

    cancel = Interlock("tec.temperature", read, 15.0, 45.0, 2.0).arm(clock)
    clock.sleep(5.0)
    assert readings == [0.0, 2.0, 4.0]
    with pytest.raises(InterlockTripped):
        clock.sleep(60.0)
    assert clock.now() == 6.0
    cancel()
    clock.sleep(60.0)
    assert len(readings) == 4
