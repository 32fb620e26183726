"""How the window looks: contrasts, colour-blind eyes, sizes, names for who cannot see, restyling."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QGraphicsView,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QSlider,
    QTableView,
    QTextBrowser,
    QWidget,
)

from labctl.benchfile import Connection
from labctl.gui import axes
from labctl.gui import theme as themes
from labctl.gui.app import application
from labctl.gui.axes import label
from labctl.gui.bigview import BigView
from labctl.gui.curvepanel import CurvePanel, look
from labctl.gui.liveview import WAITING
from labctl.gui.mappanel import MapPanel
from labctl.gui.panelframe import PanelFrame
from labctl.gui.theme import DARK, LIGHT, MODES, THEMES
from labctl.journal import Journal
from labctl.live import Curve, HeatMap
from labctl.run.folder import RunFolder
from labctl.viewing.diagram import plan
from labctl.viewing.measures import base_unit, name_and_unit, quantity, unit_in
from labctl.viewing.panels import Shown
from labctl.viewing.table import CLOCK, Table

TEXT, GRAPHICAL, DISABLED = 4.5, 3.0, 3.0  # contrast ratios, WCAG 2.1 1.4.3 and 1.4.11
GROUNDS = ("ground", "panel", "raised")
#: What dichromats see of linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.
EYES = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
               [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
#: What people use; labels and frames need no name.
USED = (
    QPushButton, QCheckBox, QComboBox, QLineEdit, QAbstractSpinBox, QSlider, QTableView,
    QPlainTextEdit, QTextBrowser, QGraphicsView,
)  # fmt: skip
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour):
    """Linear red, green and blue of "#rrggbb" in sRGB."""
    values = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """Contrast ratio of WCAG 2.1."""
    bright, dark = sorted(
        (float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other)), reverse=True
    )
    return (bright + 0.05) / (dark + 0.05)


def distance(one, other, eyes):
    """CIE 1976 distance of two colours as these eyes see them."""

    def lab(colour):
        found = TO_XYZ @ np.clip(np.array(eyes) @ linear(colour), 0, 1) / [0.9505, 1.0, 1.089]
        x, y, z = np.where(found > 0.008856, np.cbrt(found), 7.787 * found + 16 / 116)
        return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])

    return float(np.linalg.norm(lab(one) - lab(other)))


@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
def test_contrasts(theme):
    for ground in (getattr(theme, name) for name in GROUNDS):
        for name in ("text", "dim", "good", "warn", "bad"):
            assert contrast(getattr(theme, name), ground) >= TEXT, (name, ground)
        for name in ("accent", "edge"):
            assert contrast(getattr(theme, name), ground) >= GRAPHICAL, (name, ground)
    assert contrast(theme.dim, theme.ground) >= DISABLED  # text of what is disabled
    assert contrast(theme.on_accent, theme.accent) >= TEXT
    for under in (theme.done, theme.groove):
        assert contrast(theme.text, under) >= TEXT
    assert contrast(theme.done, theme.groove) >= GRAPHICAL
    for curve in theme.curves:
        assert contrast(curve, theme.panel) >= GRAPHICAL, curve
    for colour, word in MODES.values():
        assert contrast(colour, theme.ground) >= GRAPHICAL, word
        assert contrast("#ffffff", colour) >= TEXT, word


@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
@pytest.mark.parametrize("eyes", EYES.values(), ids=list(EYES))
def test_curves_stay_apart_for_colour_blind_eyes(theme, eyes):
    for one, other in itertools.combinations(theme.curves, 2):
        assert distance(one, other, eyes) > 12.0, (one, other)  # 2.3 is just seen


def test_curves_of_one_colour_have_other_symbols():
    assert len({(number % 6, look(number)) for number in range(18)}) == 18


@pytest.mark.parametrize(
    ("value", "error", "unit", "text"),
    [
        (3.65302e-07, 4.75695e-10, "mW", "365.30 ± 0.48 pW"), (9.2412, 0.1234, "dB", "9.24 ± 0.12 dB"),
        (5000.0, math.nan, "s", "5000 s"), (1e7, 1e5, "Hz", "10.00 ± 0.10 MHz"),
        (-1e-5, 2e-7, "rad", "-10.00 ± 0.20 µrad"), (0.0, math.nan, "W", "0 W"),
        (1550.12345, 1e-5, "nm", "1550.123450 ± 0.000010 nm"), (137914.0, math.nan, "", "137\u202f914"),
        (12345.678, 0.2, "MHz", "12.34568 ± 0.00020 GHz"), (math.nan, 1.0, "V", "–"),
    ],
)  # fmt: skip
def test_values_have_the_digits_of_their_error_and_a_prefix(value, error, unit, text):
    assert quantity(value, error, unit) == text


def test_units_in_the_names_of_columns():
    assert name_and_unit("signal error (mW)") == ("signal error", "mW")
    assert name_and_unit("index") == ("index", "")
    assert base_unit("µs") == ("s", -6)
    assert [base_unit(unit) for unit in ("dBm", "nm", "1/s", "degC", "")] == [None] * 5


@pytest.mark.parametrize(
    ("meaning", "unit"),
    [
        ("Control the set point of the wavelength in nm; see `tune`.", "nm"),
        ("Get the photodiode's responsivity in A/W at the wavelength that is set (float).", "A/W"),
        ("Control the ramp in degC/s (float).", "degC/s"), ("Get what is in memory.", ""),
        ("Control the resolution bandwidth in Hz.", "Hz"), ("Get the mode in words.", ""),
    ],
)  # fmt: skip
def test_descriptions_name_units(meaning, unit):
    assert unit_in(meaning) == unit


def test_axes_take_the_prefix_of_what_is_shown(app):
    panel = CurvePanel(Curve("c", "detuning (MHz)", "power (mW)"), DARK)
    left = panel.plot.getAxis("left")
    for low, high, words in ((0, 4e-7, "power (pW)"), (0, 20, "power (mW)"), (0, 5e4, "power (W)")):
        panel.plot.setYRange(low, high, padding=0)
        assert words in left.labelString()
    label(left, "noise (dB)")
    panel.plot.setYRange(0, 1e-4)
    assert "noise (dB)" in left.labelString()
    assert left.autoSIPrefixScale == 1.0


def test_a_spike_of_one_sample_in_a_million_is_drawn(app):
    count, at = 1_000_000, 618_034
    y = np.random.default_rng(4).normal(0, 0.1, count)
    y[at] = 50.0
    table = Table()
    table.extend({"index": np.arange(float(count)), "y": y})
    panel = CurvePanel(Curve("c", "index", "y"), DARK)
    panel.refresh(table)
    (curve,) = panel._curves.values()
    x, drawn = curve.getData()
    assert len(x) <= 4 * panel.area.width() + 4
    assert drawn.max() == 50.0
    assert x[drawn.argmax()] == at


@pytest.fixture
def app():
    """Plots need an application, but no window."""
    application()
    themes.apply(DARK)
    return application()


def record(runs):
    """A run that is over, with an interlock's readings."""
    with RunFolder.create(runs, "p", {"columns": ["index", "v (mW)"], "points": 5, "mode": "sim",
                                      "parameters": {}}) as run:  # fmt: skip
        run.opened({})
        for i in range(5):
            run.emit({"index": i, "v (mW)": 0.1 * i}, 1.0 + i)
        run.stop("finished")
    lines = [{"entry": "watched", "name": "tec.temperature", "unit": "K", "maximum": 4.0}]
    lines += [{"entry": "reading", "name": "tec.temperature", "t": t, "value": 3.0} for t in (0, 6)]
    with Journal(run.path / "health.jsonl") as journal:
        for line in lines:
            journal.append(line)


def filled():
    table = Table()
    rng = np.random.default_rng(1)
    rows = [(i % 20, i // 20, k, rng.normal()) for i in range(60) for k in ("x", "p")]
    for number, (a, b, kind, value) in enumerate(rows):
        table.append({"a (nm)": a, "b (K)": b, "kind": kind, "v (mW)": value * 1e-4,
                      "v error (mW)": 1e-5, CLOCK: 3.0 * number})  # fmt: skip
    return table


def test_other_colours_keep_zoom_cursors_and_legend(app):
    table = filled()
    shown = Shown(Curve("c", CLOCK, "v (mW)", "v error (mW)", by="kind"), cursors=True)
    frame = PanelFrame(shown, DARK, table.names, [])
    frame.plot.refresh(table)
    frame.plot.plot.setXRange(30, 70, padding=0)
    before = frame.plot.plot.viewRange()[0]
    assert DARK.curves[0] in frame.plot.legend.text()
    frame.restyle(LIGHT)
    assert frame.plot.plot.viewRange()[0] == before
    assert LIGHT.curves[0] in frame.plot.legend.text()
    assert frame.plot.area.backgroundBrush().color().name() == LIGHT.panel
    colours = {c.opts["pen"].color().name().upper() for c in frame.plot._curves.values()}
    assert colours == set(LIGHT.curves[:2])
    assert "± " in frame.plot.readout.text()
    assert "nW" in frame.plot.readout.text()


def test_cursors_and_cuts_are_moved_by_keys(app):
    table = filled()
    curve = CurvePanel(Curve("c", "a (nm)", "v (mW)"), DARK)
    curve.refresh(table)
    curve.set_cursors(True)
    a, b = (cursor.value() for cursor in curve._cursors)
    QTest.keyClick(curve.area, Qt.Key.Key_Right)
    QTest.keyClick(curve.area, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    assert curve._cursors[0].value() > a
    assert curve._cursors[1].value() < b
    grid = MapPanel(HeatMap("m", "a (nm)", "b (K)", "v (mW)"), DARK)
    grid.refresh(table)
    before = grid.line_x.value()
    QTest.keyClick(grid.area, Qt.Key.Key_Right)
    assert grid.line_x.value() == before + 1
    assert "mW" in grid.readout.text() or "nW" in grid.readout.text()


def test_health_follows_the_time_that_a_panel_over_the_clock_shows(gui):
    record(gui.runs)
    live = gui.open().live
    gui.until(lambda: live.frames and live.health.lamps)
    live.frames[0]._choose("x", CLOCK)
    gui.until(lambda: live.frames[0].shown.panel.x == CLOCK)
    live.frames[0].plot.plot.setXRange(0.25, 0.75, padding=0)
    assert live.health._plots[0].viewRange()[0] == pytest.approx([0.25, 0.75])


def test_every_control_has_a_name_and_takes_the_focus(gui):
    """Also what is made later: a run with panels, a map, and all views are open."""
    record(gui.runs)
    window = gui.open()
    gui.until(lambda: window.live.frames)
    for choice in (1, 2, 3):
        window.live._add(choice)
    nameless, unreachable = [], []
    buddies = [text.buddy() for text in window.findChildren(QLabel)]
    for widget in window.findChildren(QWidget):
        inside = isinstance(widget.parent(), QComboBox | QAbstractSpinBox)  # belongs to another one
        if not isinstance(widget, USED) or inside or widget.isHidden():
            continue
        if not widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
            unreachable.append(widget)
        words = widget.accessibleName() or widget.toolTip() or widget in buddies
        if isinstance(widget, QPushButton):
            words = words or any(letter.isalpha() for letter in widget.text())
        if not words:
            nameless.append(widget)
    assert not nameless
    assert not unreachable


def test_everything_fits_a_small_screen(gui):
    record(gui.runs)
    window = gui.open()
    gui.until(lambda: window.live.frames and window.form.start_button.isEnabled())
    for number in range(window.tabs.count()):
        window.tabs.setCurrentIndex(number)
        gui.spin()
        assert not window.statebar.stop_button.hasFocus()  # a Space would press it
        smallest = window.minimumSizeHint()
        assert smallest.width() <= 1024, window.tabs.tabText(number)
        assert smallest.height() <= 700, window.tabs.tabText(number)


def test_the_view_for_afar_is_read_from_three_metres(app):
    """Small letters are 20' high on a screen of 24 inches, 16:9, 1080 lines."""
    big = BigView(DARK)
    big.resize(1920, 1080)
    big._paint("#808080", DARK.text, again=True)
    height = 24 * 25.4 * 9 / math.hypot(16, 9) / 1080  # mm of a pixel
    for widget in (big.mode, big.title, big.state, big.left, big.progress, *big.cells):
        widget.ensurePolished()
        metrics = widget.fontMetrics()
        angle = math.degrees(metrics.capHeight() * height / 3000) * 60
        assert angle >= 20.0, widget


def test_a_diagram_has_a_way_around_boxes_for_long_connections():
    links = [("laser", "ring"), ("ring", "tagger"), ("laser", "tagger"), ("tagger", "lock"),
             ("lock", "ring")]  # fmt: skip
    laid = plan([], [Connection(*ends, "") for ends in links])
    ways = {(w.connection.source, w.connection.target): w.cells for w in laid.ways}
    assert len(ways["laser", "tagger"]) == 3  # one empty cell, beside the ring
    assert ways["lock", "ring"][0] == "ring"  # a loop runs back
    columns = {}
    for column, row in laid.cells.values():
        columns.setdefault(column, []).append(row)
    for rows in columns.values():
        assert all(b - a >= 0.6 - 1e-9 for a, b in itertools.pairwise(sorted(rows)))


@pytest.mark.parametrize("size", [20, 60, 115, 400])
@pytest.mark.parametrize("span", [3e-9, 0.0102, 0.9, 7.0, 4.4e5])
def test_numbers_of_a_narrow_axis_have_room(size, span):
    application()
    axis = axes.NarrowAxis("bottom")
    ((step, _),) = axis.tickSpacing(-0.3 * span, 0.7 * span, size)
    assert size * step / span >= 0.8 * min(axes.NUMBER, size)  # pixels from one to the next
    assert step <= 2.5 * span / max(1, size // axes.NUMBER)  # and some are left
    assert axis.tickSpacing(1.0, 1.0, size) == [(1.0, 0.0)]


def test_panels_wait_for_what_the_procedure_says(gui):
    record(gui.runs)
    live = gui.open().live
    gui.until(lambda: live.frames)
    live.follow(live.feed)
    assert not live.frames
    assert live.empty.text() == WAITING
    live.declare([])  # nothing, or it cannot be asked any more
    assert live.frames
