"""Numbers taken out of a run as a description says, and the time left of a reproduction."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from labctl.reproduction.measured import Absent, ours, points
from labctl.reproduction.papers import RowSpec, Series, Source
from labctl.reproduction.running import Job, Progress
from labctl.run.request import Request
from labctl.run.stretch import Event

TABLE = np.array([[1.0, 10.0, 0.5], [3.0, 30.0, 0.7], [2.0, math.nan, 0.6]])


class Folder:
    """A run folder as far as numbers are taken from it."""

    result = {
        "level": {"value": 2.0, "uncertainty": 0.1, "unit": "dB"},
        "held": {"value": True, "uncertainty": None, "unit": ""},
        "none": {"value": math.nan, "uncertainty": None, "unit": ""},
        "bare": {"value": 4, "uncertainty": math.nan, "unit": ""},
        "name": {"value": "B-D", "uncertainty": None, "unit": ""},
    }
    derived_names = ["table"]

    def derived_array(self, name):
        return {"table": TABLE}[name]

    def columns(self):
        return {
            "x": np.array([3.0, 1.0, 2.0, 4.0]),
            "y (dB)": np.array([30.0, 10.0, 20.0, math.nan]),
            "pair": np.array(["a", "b", "a", "a"], dtype=object),
        }


def row(kind, name, at=(), error_at=(), take="mean", scale=1.0):
    source = Source(kind, name, tuple(at), tuple(error_at), take)
    return RowSpec("row", source, "", scale, None, "", None, "", "follows", True, "", "")


@pytest.mark.parametrize(
    ("spec", "value", "error"),
    [
        (row("result", "level"), 2.0, 0.1), (row("result", "level", scale=-1e3), -2000.0, 100.0),
        (row("result", "held"), 1.0, None), (row("result", "bare"), 4.0, None),
        (row("result", "name"), None, None),
        (row("array", "table", [1, 0]), 3.0, None),
        (row("array", "table", [0, 1], [0, 2]), 10.0, 0.5),
        (row("column", "x", take="first"), 3.0, None), (row("column", "x", take="last"), 4.0, None),
        (row("column", "x", take="min"), 1.0, None), (row("column", "x", take="max"), 4.0, None),
        (row("column", "y (dB)"), 20.0, 10 / math.sqrt(3)),
        (row("column", "y (dB)", take="std"), 10.0, 5.0),
    ],
)  # fmt: skip
def test_values(spec, value, error):
    found = ours(Folder(), spec)
    assert found.value == value
    assert found.error == pytest.approx(error)


def test_what_is_no_number_is_not_known():
    assert not ours(Folder(), row("result", "none")).known


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (row("result", "lever"), "no result 'lever'"),
        (row("array", "tables", [0]), "no array 'tables'"),
        (row("array", "table", [9, 0]), "'table' has no element [9, 0]"),
        (row("array", "table", [0]), "'table' has no element [0]"),  # it is a row of three
        (row("column", "z"), "no array or column 'z'"),
    ],
)
def test_what_is_absent_is_named(spec, message):
    with pytest.raises(Absent) as caught:
        ours(Folder(), spec)
    assert message in str(caught.value)


def series(x, y, error="", **changes):
    values = {"line": False, "only": {}, "x_scale": 1.0, "y_scale": 1.0} | changes
    return Series("s", x, y, error, **values)


def test_points_are_in_order_and_without_gaps():
    x, y, error = points(Folder(), series("table[:,0]", "table[:,1]", "table[:, 2]"))
    assert (x.tolist(), y.tolist(), error.tolist()) == ([1.0, 3.0], [10.0, 30.0], [0.5, 0.7])
    x, y, error = points(Folder(), series("x", "y (dB)", x_scale=2.0, y_scale=0.1))
    assert (x.tolist(), y.tolist(), error) == ([2.0, 4.0, 6.0], [1.0, 2.0, 3.0], None)
    x, y, _ = points(Folder(), series("x", "y (dB)", only={"pair": "a"}))
    assert x.tolist() == [2.0, 3.0]
    x, y, _ = points(Folder(), series("table[0]", "table[1,:]"))
    assert (x.tolist(), y.tolist()) == ([0.5, 1.0, 10.0], [0.7, 3.0, 30.0])


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [("x", "nothing", "'nothing'"), ("x", "table[:,9]", "table[:,9]"), ("x", "table", "one length"),
     ("x", "table[:,0]", "one length")],
)  # fmt: skip
def test_points_that_are_not_there(x, y, message):
    with pytest.raises(Absent) as caught:
        points(Folder(), series(x, y))
    assert message in str(caught.value)


def test_the_time_left_follows_the_pace_so_far():
    jobs = [
        Job(name, Request("p"), (f"paper/{name}",), cost)
        for name, cost in (("a", 10.0), ("b", 30.0), ("c", 60.0))
    ]
    now, told = [0.0], []
    progress = Progress(jobs, told.append, lambda: now[0])

    def begin(name):
        folder = SimpleNamespace(start={"title": f"reproduction: paper/{name}"})
        progress(Event("opening", SimpleNamespace(folder=folder)))
        assert told[-1].kind == "opening"
        return told[-2].value

    assert begin("a") == "run 1 of 3: paper/a, about 2 min left in all"
    now[0] = 20.0  # twice as slow as the descriptions say
    assert begin("b") == "run 2 of 3: paper/b, about 3 min left in all"
    now[0] = 80.0
    assert begin("c") == "run 3 of 3: paper/c, about 2 min left in all"
    assert not progress._left
