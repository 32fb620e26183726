"""Panels: what a window draws from the rows so far, from the first row on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labctl import live
from labctl.live import Curve, HeatMap, Trace


def test_a_curve_for_each_value_of_a_column() -> None:
    columns = {
        "x": np.array([2.0, 1.0, 3.0, 1.5]),
        "y": np.array([20.0, 10.0, 30.0, 15.0]),
        "kind": np.array(["a", "a", "b", "c"], dtype=object),
        "e": np.array([0.1, np.nan, 0.3, 0.2]),
    }
    found = Curve("", "x", "y", "e", by="kind", only=("a", "b")).series(columns)
    assert list(found) == ["a", "b"]
    x, y, error = found["a"]
    assert x.tolist() == [1, 2]
    assert y.tolist() == [10, 20]
    assert error.tolist() == [0, 0.1]
    everything = Curve("", "x", "y", by="kind").series(columns)
    assert list(everything) == ["a", "b", "c"]


def test_decibels_of_values_and_errors() -> None:
    columns = {"x": np.arange(3), "y": np.array([10.0, 0.0, -1.0]), "e": np.array([1.0, 1.0, 1.0])}
    ((x, y, error),) = Curve("", "x", "y", "e", decibel=True).series(columns).values()
    assert (x.tolist(), y.tolist()) == ([0], [10])  # what has no logarithm is left out
    assert error == pytest.approx([10 / np.log(10) / 10])


def test_errors_that_an_older_run_does_not_have() -> None:
    columns = {"x": np.arange(2), "y": np.array([1.0, 2.0])}
    ((x, _, error),) = Curve("", "x", "y", "y error").series(columns).values()
    assert (x.tolist(), error.tolist()) == ([0, 1], [0, 0])


def test_the_latest_of_several_rows_at_one_place() -> None:
    columns = {
        "delay": np.array([30.0, 60.0, 30.0, 60.0, 100.0]),
        "g2": np.array([8.0, 3.0, 4.0, np.nan, 5.0]),
        "g2 error": np.array([4.0, 3.0, 2.0, np.nan, 1.0]),
    }
    ((x, y, error),) = Curve("", "delay", "g2", "g2 error", latest=True).series(columns).values()
    assert x.tolist() == [30, 60, 100]
    assert y.tolist() == [4, 3, 5]
    assert error.tolist() == [2, 3, 1]


def test_only_the_rows_of_one_state() -> None:
    columns = {
        "x": np.arange(3), "y": np.arange(3.0),
        "state": np.array(["nominal", "weaker", "nominal"], dtype=object),
    }  # fmt: skip
    ((x, *_),) = Curve("", "x", "y", where=("state", "nominal")).series(columns).values()
    assert x.tolist() == [0, 2]


def test_an_array_as_one_line() -> None:
    assert Trace("", "level (dBm)", floor=-90).line(np.array([-20, -210])).tolist() == [-20, -90]
    assert Trace("", "s").line(np.array([[1, 2], [3j, -4]])).tolist() == [3, 4]


def test_marks_scales_and_arrays_are_drawn() -> None:
    columns = {"x": np.array([1.0, 10.0]), "y": np.array([1.0, 100.0])}
    arrays = {"at": np.array([5.0, 7.0]), "level": np.array([1.0, 2.0])}
    panels = (
        Curve("curve", "x", "y", levels=(2.0,), log_x=True, log_y=True),
        Trace("over another", "level", x="at"), Trace("over samples", "level"), Curve("", "x", "y"),
    )  # fmt: skip
    figure = live.figure(panels, columns, "so far", arrays.__getitem__)
    curve, over, samples, _ = figure.axes
    assert (curve.get_xscale(), curve.get_yscale()) == ("log", "log")
    assert [line.get_ydata()[0] for line in curve.get_lines()].count(2.0) == 1
    assert over.get_lines()[0].get_xdata().tolist() == [5, 7]
    assert over.get_xlabel() == "at"
    assert samples.get_lines()[0].get_xdata().tolist() == [0, 1]
    assert len({axes.get_subplotspec().rowspan.start for axes in figure.axes}) == 2


def test_before_the_first_row_there_is_nothing() -> None:
    assert Curve("", "x", "y").series({}) == {}
    wide, high, values = HeatMap("", "x", "y", "v", x_labels=("a", "b"), y_labels=("c",)).grid({})
    assert (len(wide), len(high)) == (2, 1)
    assert np.isnan(values).all()
    assert HeatMap("", "x", "y", "v").grid({})[2].size == 0


def test_a_map_of_what_is_known_and_of_what_is_not() -> None:
    columns = {
        "x": np.array([0.0, 2.0, 2.0, np.nan]),
        "y": np.array([1.0, 0.0, 0.0, 0.0]),
        "v": np.array([5.0, 6.0, 7.0, 8.0]),
    }
    _, _, values = HeatMap("", "x", "y", "v", x_labels=("a", "b", "c"), y_labels=("d", "e")).grid(
        columns
    )
    assert values[1, 0] == 5
    assert values[0, 2] == 7  # the last row counts
    assert np.isnan(values).sum() == 4
    free = HeatMap("", "x", "y", "v").grid(columns)
    assert free[0].tolist() == [0, 2]
    assert free[1].tolist() == [0, 1]


def test_a_symmetric_map_is_filled_on_both_sides_in_order_of_rows() -> None:
    columns = {"x": np.array([0, 1]), "y": np.array([1, 0]), "v": np.array([3.0, 4.0])}
    labels = ("a", "b")
    _, _, values = HeatMap(
        "", "x", "y", "v", x_labels=labels, y_labels=labels, symmetric=True
    ).grid(columns)
    assert values[0, 1] == values[1, 0] == 4
    assert np.isnan(np.diag(values)).all()


def test_limits_of_the_colours() -> None:
    plain, signed = HeatMap("", "x", "y", "v"), HeatMap("", "x", "y", "v", signed=True)
    values = np.array([[np.nan, -3.0], [1.0, 2.0]])
    assert plain.limits(values) == (-3, 2)
    assert signed.limits(values) == (-3, 3)
    assert HeatMap("", "x", "y", "v", signed=True, bound=0.5).limits(values) == (-0.5, 0.5)
    nothing = np.full((2, 2), np.nan)
    assert plain.limits(nothing)[0] < plain.limits(nothing)[1]


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_both_kinds_are_drawn_at_any_time(rows: int, tmp_path: Path) -> None:
    columns = {
        "x": np.arange(float(rows)), "y": np.arange(float(rows)), "v": np.ones(rows),
        "kind": np.full(rows, "one", dtype=object),
    }  # fmt: skip
    labels = tuple("abcdefgh")
    panels = (
        Curve("curve", "x", "v", by="kind"),
        HeatMap("map", "x", "y", "v", x_labels=labels, y_labels=labels),
        HeatMap("free", "x", "y", "v"),
    )
    figure = live.figure(panels, columns if rows else {}, "so far")
    figure.savefig(tmp_path / "live.png", dpi=40)
    assert [axes.get_title() for axes in figure.axes[:3]] == ["curve", "map", "free"]
    texts = [axes.get_ylabel() for axes in figure.axes[3:]]
    assert any("hatched: not measured" in text for text in texts)
