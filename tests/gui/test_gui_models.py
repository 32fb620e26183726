"""What the window shows, without a window: fields, sweeps, tables, maps, thinning, layouts."""

from __future__ import annotations

import contextlib
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.benchfile import Connection
from labctl.live import Curve, HeatMap
from labctl.run import safing
from labctl.run.folder import RunFolder
from labctl.viewing import words
from labctl.viewing.decimate import PIECE, any_finite, envelope, rises, visible
from labctl.viewing.diagram import plan
from labctl.viewing.estimate import Experience, Pace
from labctl.viewing.feed import Feed
from labctl.viewing.fields import Field
from labctl.viewing.gridmap import GridMap, edges, is_even
from labctl.viewing.panels import Histogram, Layouts, Shown, Trace, from_document, usual
from labctl.viewing.planning import Wish, preview
from labctl.viewing.quantity import evaluate
from labctl.viewing.sweeps import combinations, values
from labctl.viewing.table import Table

LEVEL = Field("level", "Level", "number", "V", 0.5, "of the supply", -1.0, 2.0)
PAIR = Field("pair", "Pair", "integer", "", 16, "mode number", 5, 35)
SHAPE = Field("shape", "Shape", "choice", "", "round", "", choices=("round", "square"))
PHASES = Field("phases", "Phases", "numbers", "rad", [0.0], "", -4, 4)


# Quantities


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("500 mV", "V", 0.5), ("1.2 GHz", "Hz", 1.2e9), ("2*pi*3", "", 6 * math.pi),
        ("(1550 + 0.5) nm", "um", 1.5505), ("1/3", "", 1 / 3), ("1 V + 20 mV", "V", 1.02),
        ("-2 V", "V", -2.0), ("2**-3", "", 0.125), ("2^3^2", "", 512.0), ("-2**2", "", -4.0),
        ("3 V / 2", "V", 1.5), ("sqrt(16) * 1 nm", "nm", 4.0), ("5 %", "%", 5.0), ("1e3", "", 1e3),
        (".5", "", 0.5), ("2 − 1", "", 1.0), ("3 × 4", "", 12.0), ("abs(-3 V)", "V", 3.0),
        ("1 MHz/s", "kHz/s", 1000.0), ("+7", "", 7.0), ("6 mV / 2 mV", "V", 3.0),
        ("2pi", "", 2 * math.pi), ("(π/2) rad", "rad", math.pi / 2), ("–5", "V", -5.0),
        ("100 1/s", "1/s", 100.0), ("1e5/s", "1/s", 1e5), ("3·4", "", 12.0),
        ("500\u00a0mV", "V", 0.5), ("500 µV", "V", 5e-4), ("500 μV", "V", 5e-4),
    ],
)  # fmt: skip
def test_what_people_write(text, unit, value):
    assert evaluate(text, unit) == pytest.approx(value, rel=1e-12)


def test_all_digits_survive():
    assert evaluate("1550.1234567890123", "nm") == 1550.1234567890123
    assert evaluate("1550.1234567890123 nm", "nm") == 1550.1234567890123
    assert evaluate("700 nm", "um") == 0.7  # 700 * 0.001 is one bit more
    assert evaluate("1550123.4567890123 pm", "nm") == 1550.1234567890123
    assert math.copysign(1.0, evaluate("-0", "V")) == -1.0


@pytest.mark.parametrize(
    "text",
    ["", "1 V + 2", "import os", "9**9**9**9", "2 V * 3 V", "3 K", "1/0", "(" * 50 + "1" + ")" * 50,
     "sqrt(-1)", "2 3", "__class__", "abc", "nan", "inf", "1 / 2 V", "2 V ** 2", "sin(1 V)", "1 +",
     "(1", "1)", "log(0)", "(-8)**0.5", "1e999", "exp(1e6)", "5 V V", "9" * 300, "1;2", "a.b",
     "1 if 1 else 2", "[1]", "lambda: 1", "1,5", "1,500.0", "10–20", "9**9**9"],
)  # fmt: skip
def test_what_is_no_quantity_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        evaluate(text, "V")


@given(st.text(max_size=40))
def test_no_text_does_anything_but_be_a_number_or_refused(text):
    with contextlib.suppress(ValueError):
        assert math.isfinite(evaluate(text, "V"))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_comes_back(value):
    assert evaluate(repr(value)) == value
    assert LEVEL.evaluate(LEVEL.text(value)) == value


# Fields and sweeps


def test_a_field_reads_what_its_kind_takes():
    assert LEVEL.read("500 mV") == 0.5
    assert PAIR.read("2*8") == 16
    assert SHAPE.read("square") == "square"
    assert PHASES.read("[0, pi/2, 1 deg]") == pytest.approx([0, math.pi / 2, math.pi / 180])
    assert Field("b", "B", "boolean", "", False, "").read("yes") is True
    assert Field("t", "T", "text", "", "", "").read("any text") == "any text"
    assert Field("n", "N", "integer", "", 0, "").read("9007199254740993") == 9007199254740993
    assert LEVEL.limits == "-1 to 2 V"
    assert Field("x", "X", "number", "", 0, "", minimum=0).limits == "at least 0"


@pytest.mark.parametrize(
    ("field", "text", "reason"),
    [(LEVEL, "2.1", "2.1.* V is above the maximum 2 V"), (LEVEL, "-2 V", "below the minimum"),
     (LEVEL, " ", "a value is needed, -1 to 2 V"), (PAIR, "16.5", "16.5 is not an integer"),
     (SHAPE, "oval", "none of round, square"), (PHASES, "0, 9", "above the maximum 4 rad")],
)  # fmt: skip
def test_a_field_says_why_not(field, text, reason):
    with pytest.raises(ValueError, match=reason):
        field.read(text)


@pytest.mark.parametrize(
    ("field", "text", "found"),
    [(LEVEL, "0 to 1 V, 5 points", [0, 0.25, 0.5, 0.75, 1]), (LEVEL, "1, 500 mV,0", [1, 0.5, 0]),
     (LEVEL, "0 to 1 step 0.25", [0, 0.25, 0.5, 0.75, 1]), (LEVEL, "1 to 0 step -0.5", [1, 0.5, 0]),
     (LEVEL, "log 0.01 to 1, 3 points", [0.01, 0.1, 1]), (PAIR, "5 to 9 step 2", [5, 7, 9]),
     (PAIR, "5 to 35 in 4 steps", [5, 15, 25, 35]), (LEVEL, "0.1 to 0.3 step 0.1", [0.1, 0.2, 0.3]),
     (LEVEL, "5 to 10 mV, 6 points", [0.005, 0.006, 0.007, 0.008, 0.009, 0.01]),
     (LEVEL, "1, 2, 5 mV", [0.001, 0.002, 0.005]), (LEVEL, "0 to 10 mV step 5", [0, 0.005, 0.01]),
     (PHASES, "0, 1; 2", [[0, 1], [2]]), (PHASES, "0, 1", [[0, 1]])],
)  # fmt: skip
def test_sweeps_of_one_parameter(field, text, found):
    assert values(text, field) == found  # to the bit: runs are searched by these numbers


@pytest.mark.parametrize(
    ("field", "text", "reason"),
    [(LEVEL, "0 to 3 V, 5 points", "above the maximum"), (LEVEL, "0 to 1 step -1", "do not lead"),
     (LEVEL, "0 to 1 step 1e-9", "more than 10000"), (LEVEL, "0 to 1, 1 points", "outside 2 to"),
     (LEVEL, "log 0 to 1, 3 points", "positive ends"), (SHAPE, "a to b, 3 points", "no range"),
     (LEVEL, "", "write"), (SHAPE, "round, oval", "none of"), (LEVEL, "x to 1, 3 points", "x"),
     (LEVEL, "0 to 1", "11 points"), (LEVEL, "0:1:11", "11 points"),
     (PAIR, "5 to 6, 5 points", "fewer than 5 integers")],
)  # fmt: skip
def test_wrong_sweeps(field, text, reason):
    with pytest.raises(ValueError, match=reason):
        values(text, field)


def test_combinations_and_pairs():
    swept = {"a": [1, 2], "b": ["x", "y", "z"]}
    assert len(combinations(swept)) == 6
    assert combinations(swept)[1] == {"a": 1, "b": "y"}  # the last is the fastest
    assert combinations({"a": [1, 2], "b": [3, 4]}, together=True)[1] == {"a": 2, "b": 4}
    assert combinations({}) == [{}]
    with pytest.raises(ValueError, match="a has 2, b has 3"):
        combinations(swept, together=True)
    with pytest.raises(ValueError, match="runs are more than"):
        combinations({name: list(range(100)) for name in "abc"})


def test_requests_of_a_sweep_say_in_their_title_what_differs():
    wish = Wish("p", "b", "", {"n": 1}, {"level": [0.1, 0.2]}, title="night", seed=3)
    assert [r["title"] for r in wish.requests()] == ["night: level=0.1", "night: level=0.2"]
    assert wish.requests()[1]["parameters"] == {"n": 1, "level": 0.2}


def test_the_preview_says_points_time_and_disk():
    pace = Pace(7, "sim", 0.5, 60.0, 1e6, {})
    text = preview([10, 20], 2, pace, "sim", 10**10, 0.0, 0.0)
    assert text.startswith("2 runs, 30 points, about 15 s (until ")
    assert "on hardware 30:00 min, 30 MB of 10 GB free; as fast as run 7" in text
    assert "30:00 min (until" in preview([30], 1, pace, "real", 10**10, 0.0, 0.0)
    assert "NOT ENOUGH DISK" in preview([30], 1, pace, "sim", 10**6, 0.0, 0.0)
    assert "about 200 points" in preview([10, 30], 10, None, "sim", 0, 0.0, 0.0)
    assert "not known" in preview([None], 1, pace, "sim", 0, 0.0, 0.0)
    text = preview([30], 1, pace, "sim", 10**10, 3600.0, 0.0, ["a", "b", "c"])
    assert text.startswith("begins ")
    assert text.endswith("which had another a, b and 1 more")


def test_hardware_says_nothing_of_its_simulation():
    pace = Pace(7, "real", 60.0, 60.0, 1e6, {})
    assert "a dry run says" in preview([30], 1, pace, "sim", 10**10, 0.0, 0.0)
    assert "30:00 min" in preview([30], 1, pace, "real", 10**10, 0.0, 0.0)


def test_the_earlier_run_is_the_one_most_alike(tmp_path):
    def make(pause, mode):
        start = {"parameters": {"pause": pause}, "mode": mode, "bench": {"name": "b"}}
        run = RunFolder.create(tmp_path, "scan", start)
        run.opened({"t": 0.0})
        run.emit({"index": 0}, 7.0 * pause)
        run.stop("finished")
        run.close()
        return run.path

    for pause, mode in ((1.0, "sim"), (2.0, "sim"), (2.0, "real"), (3.0, "real")):
        make(pause, mode)
    dry = make(4.0, "sim")

    def find(pause, mode, dry=None):
        found = Experience(tmp_path).pace("scan", {"pause": pause}, mode, dry)
        return (found.run, found.unlike({"pause": pause}), found.seconds_for(mode))

    assert find(1.0, "sim")[:2] == (1, [])
    assert find(2.0, "sim")[:2] == (2, [])
    assert find(2.0, "real")[:2] == (3, [])
    assert find(1.0, "real") == (1, [], 7.0)  # simulated, but with these parameters
    assert find(9.0, "real")[:2] == (4, ["pause"])
    dry = dry.rename(tmp_path.parent / f"{tmp_path.name}-dry")
    assert find(4.0, "sim", dry)[:2] == (0, [])
    assert find(2.0, "sim", dry)[:2] == (2, [])


# Tables, thinning, maps


def test_a_table_keeps_numbers_texts_and_gaps():
    table = Table()
    table.append({"a": 1, "kind": "x"})
    table.append({"a": 2.5, "kind": "y", "late": True})
    table.append({"a": None, "kind": "x", "late": [1]})
    table.append({"a": 10**400})
    np.testing.assert_array_equal(table.column("a"), [1, 2.5, np.nan, np.nan])
    np.testing.assert_array_equal(table.column("late"), [np.nan, 1, np.nan, np.nan])
    assert table.texts("kind") == ["x", "y"]
    assert dict(table.objects())["kind"].tolist() == ["x", "y", "x", None]
    view = table.column("a")
    for _ in range(5000):
        table.append({"a": 0.0})
    assert view.tolist()[:2] == [1, 2.5]  # what is drawn does not change under the drawer


def test_a_full_table_stays_bounded_and_keeps_every_peak():
    table = Table(most_rows=4096)
    rng = np.random.default_rng(1)
    peaks = {3000: 100.0, 12_345: -50.0, 77_000: 200.0}
    for i in range(100_000):
        table.append({"t": float(i), "y": peaks.get(i, rng.normal())})
    assert table.seen == 100_000
    assert table.rows <= 4096
    t, y = table.column("t"), table.column("y")
    assert (np.diff(t) > 0).all()
    for i, value in peaks.items():
        assert y[t == i] == value
    assert t[-1] == 99_999
    assert np.diff(t[t < 60_000]).max() < 60_000 / 100  # the beginning is as fine as the rest
    assert table.generation > 0


@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), max_size=300), st.integers(1, 40)
)  # fmt: skip
def test_the_envelope_has_the_extremes_and_is_small(found, buckets):
    y = np.array(found, dtype=float)
    x = np.arange(float(len(y)))
    thin_x, thin_y = envelope(x, y, buckets)
    assert (
        len(thin_x) == len(thin_y) <= max(len(y) if len(y) <= 4 * buckets else 0, 4 * buckets + 4)
    )
    assert (np.diff(thin_x) >= 0).all()
    np.testing.assert_array_equal(thin_y, y[thin_x.astype(int)])
    if np.isfinite(y).any():
        assert np.nanmin(thin_y) == np.nanmin(y)
        assert np.nanmax(thin_y) == np.nanmax(y)


def test_the_visible_part_has_a_neighbour_on_each_side():
    x = np.arange(10.0)
    assert x[visible(x, 3.5, 5.5)].tolist() == [3, 4, 5, 6]
    assert x[visible(x, -5, 50)].tolist() == x.tolist()


@pytest.mark.parametrize("symmetric", [False, True])
def test_a_growing_map_equals_the_one_drawn_at_once(symmetric):
    panel = HeatMap("m", "x", "y", "v", symmetric=symmetric)
    rng = np.random.default_rng(2)
    table, grid = Table(), GridMap(panel)
    for i in range(400):
        table.append({"x": float(rng.integers(9)), "y": float(rng.integers(7)) * 0.1,
                      "v": None if i % 50 == 7 else float(i)})  # fmt: skip
        if i % 13 == 0:
            grid.update(table)
    grid.update(table)
    assert not grid.update(table)
    x, y, found = panel.grid(dict(table.objects()))
    np.testing.assert_array_equal(grid.x, x)
    np.testing.assert_array_equal(grid.y, y)
    np.testing.assert_array_equal(grid.values, found)


def test_a_map_of_named_places_has_its_size_from_the_start():
    panel = HeatMap("m", "x", "y", "v", x_labels=("a", "b", "c"), y_labels=("d", "e"))
    grid, table = GridMap(panel), Table()
    assert grid.values.shape == (2, 3)
    table.append({"x": 2.0, "y": 1.0, "v": 5.0})
    table.append({"x": 7.0, "y": 1.0, "v": 6.0})  # outside
    grid.update(table)
    assert grid.values[1, 2] == 5.0
    assert np.isnan(grid.values).sum() == 5


def test_borders_of_a_map():
    assert edges(np.array([0.0, 1.0, 3.0])).tolist() == [-0.5, 0.5, 2.0, 4.0]
    assert edges(np.array([2.0])).tolist() == [1.5, 2.5]
    assert is_even(np.linspace(0, 1, 11))
    assert not is_even(np.array([1.0, 10.0, 100.0]))


# Panels and layouts


def test_usual_panels_are_declared_ones_or_made_from_the_columns():
    declared = [{"kind": "HeatMap", "title": "m", "x": "a", "y": "b", "value": "c"},
                {"kind": "Curve", "title": "c", "x": "a", "y": "b", "only": ["x"]},
                {"kind": "Sound"}]  # fmt: skip
    assert [one.panel for one in usual(declared, [])] == [
        HeatMap("m", "a", "b", "c"), Curve("c", "a", "b", only=("x",))
    ]  # fmt: skip
    made = [one.panel for one in usual([], ["index", "x", "y", "z"], ["trace"])]
    assert made == [Curve("y", "index", "y"), Curve("z", "index", "z"), Trace("trace", "trace")]
    assert [one.panel for one in usual([], ["only"])] == [Curve("only", "only", "only")]


def test_layouts_survive_and_nonsense_is_passed_over(tmp_path):
    path = tmp_path / "runs" / "window.json"
    layouts = Layouts.load(path)
    assert layouts.panels("p") is None
    layouts.keep_panels("p", [Shown(Histogram("h", "y"), log_y=True)])
    assert Layouts.load(path).panels("p") == [Shown(Histogram("h", "y"), log_y=True)]
    saved = json.loads(path.read_text())
    saved["panels"]["p"].insert(0, {"panel": {"kind": "Nothing"}})
    saved["panels"]["q"] = "nonsense"
    path.write_text(json.dumps(saved))
    assert len(Layouts.load(path).panels("p")) == 1
    assert Layouts.load(path).panels("q") is None
    path.write_text("{")
    assert Layouts.load(path).values == {}
    with pytest.raises(ValueError, match="incomplete panel"):
        from_document({"kind": "Curve", "title": "c"})


# Diagram and words


def test_the_diagram_follows_the_light_and_survives_loops():
    links = [("laser", "shaper"), ("shaper", "ring"), ("ring", "analyser"), ("analyser", "shaper"),
             ("chip", "ring"), ("ring", "ring")]  # fmt: skip
    laid = plan(["laser", "meter"], [Connection(*ends, "") for ends in links])
    found = laid.cells
    assert [found[n][0] for n in ("laser", "shaper", "ring", "analyser")] == [0, 1, 2, 3]
    assert found["chip"][0] == 1  # right before what it feeds
    assert len(set(found.values())) == len(found)
    assert found["meter"][1] > max(row for name, (_, row) in found.items() if name != "meter")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.52, "0.5 s"), (59.4, "59 s"), (187, "3:07 min"), (7500, "2 h 05"), (273_600, "3 d 4 h"),
     (math.nan, "?"), (math.inf, "?")],
)  # fmt: skip
def test_durations(seconds, text):
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (3.2e9, "3.2 GB"), (75.83e9, "75.8 GB"), (2e16, "2e+04 TB")],
)
def test_sizes(count, text):
    assert words.size(count) == text


@pytest.mark.parametrize("count", [0, 1, 2, PIECE, PIECE + 1, PIECE + 2, 2 * PIECE + 7])
def test_what_is_looked_at_in_pieces_is_what_is_looked_at_whole(count):
    x = np.arange(float(count))
    assert rises(x)
    assert any_finite(x, np.full(count, np.nan)) is False
    for place in {0, 1, count // 2, PIECE - 1, PIECE, PIECE + 1, count - 1}:
        if not 0 <= place < count:
            continue
        y = np.full(count, np.nan)
        y[place] = 1.0
        assert any_finite(x, y)
        bent = x.copy()
        bent[place] = count + 5.0  # only the last one may stand out
        assert rises(bent) is (place == count - 1)
        bent[place] = np.nan
        assert rises(bent) is (count == 1)


def test_a_run_that_died_is_followed_again_when_its_end_is_recorded_or_it_is_resumed(tmp_path):
    run = RunFolder.create(tmp_path, "p", {"columns": ["index"], "points": 3, "parameters": {}})
    run.opened({})
    run.emit({"index": 0}, 0.0)
    run._lock.release()  # as if it had been killed
    feed = Feed(run.path)
    feed.poll(1.0)
    assert (feed.complete, feed.status) == (True, "interrupted")
    assert not feed.poll(1.0)
    with RunFolder.resume(run.path) as again:
        again.opened({})
        again.emit({"index": 1}, 1.0)
        feed.poll(1.0)
        assert (feed.complete, feed.status, feed.table.seen) == (False, "running", 2)
    feed.poll(1.0)
    assert (feed.complete, feed.status) == (True, "interrupted")
    safing.record(run.path, "stopped", (), stopped=True)
    feed.poll(1.0)
    assert (feed.complete, feed.status) == (True, "aborted")
    assert feed.reason.startswith("stopped")
