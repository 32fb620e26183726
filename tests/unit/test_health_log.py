"""What interlocks read is kept with the run, also the reading that trips."""

from __future__ import annotations

import math

import pytest

from labctl.clock import VirtualClock
from labctl.errors import InterlockTripped
from labctl.interlock import Interlock
from labctl.journal import Journal
from labctl.run.health import HealthLog


def test_every_reading_is_recorded_with_its_time_and_limits(tmp_path):
    clock, log = VirtualClock(), HealthLog(tmp_path)
    values = iter([20.0, 21.0, math.nan])
    Interlock("tec.temperature", lambda: next(values), 15.0, 45.0, 2.0, "degC").arm(clock, log.note)
    Interlock("laser.power", lambda: 3.0, -math.inf, math.inf, 10.0, "mW").arm(clock, log.note)
    with pytest.raises(InterlockTripped):
        clock.sleep(60.0)
    log.close()
    log.close()
    found = list(Journal.read(tmp_path / "health.jsonl"))
    watched = [entry for entry in found if entry["entry"] == "watched"]
    assert watched[0] == {"entry": "watched", "name": "tec.temperature", "unit": "degC",
                          "minimum": 15.0, "maximum": 45.0}  # fmt: skip
    assert watched[1] == {"entry": "watched", "name": "laser.power", "unit": "mW"}
    readings = [(e["name"], e["t"], e["value"]) for e in found if e["entry"] == "reading"]
    assert readings[:3] == [("tec.temperature", 0.0, 20.0), ("laser.power", 0.0, 3.0),
                            ("tec.temperature", 2.0, 21.0)]  # fmt: skip
    assert readings[3][:2] == ("tec.temperature", 4.0)
    assert math.isnan(readings[3][2])


def test_without_interlocks_there_is_no_file(tmp_path):
    HealthLog(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_ends_nothing(tmp_path):
    log = HealthLog(tmp_path / "missing")
    Interlock("laser.power", lambda: 3.0, 0.0, 5.0).arm(VirtualClock(), log.note)
    log.close()
