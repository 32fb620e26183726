"""The catalogue in the window: half-typed searches, and what an overlay begins with."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from labctl.gui import runsview
from labctl.gui.overlay import OverlayDialog
from labctl.gui.theme import DARK, LIGHT
from labctl.live import Curve
from labctl.run.catalogue import list_runs
from labctl.run.folder import RunFolder
from labctl.viewing.panels import document

LOCK = {"class": "procedures.laser_lock:LaserLock", "bench": None,
        "columns": ["index", "time (s)", "deviation 1 (MHz)"]}  # fmt: skip


def make(runs, number):
    about = {"title": f"try {number}", "parameters": {}, "units": {}, **LOCK}
    with RunFolder.create(runs, "laser-lock", about) as run:
        for index in range(6):
            run.emit({
                "index": index, "lost": 0.0, "time (s)": float(index),
                "deviation 1 (MHz)": float(number * index), "deviation 1 error (MHz)": 0.5,
                "kind": "up" if index < 4 else "down", "power (W)": 10.0 ** (index - number),
            }, float(index))  # fmt: skip
        run.results({
            "power": {"value": 4.0 + number, "uncertainty": None, "unit": "mW"},
            "drift": {"value": 25.5 + number, "uncertainty": None, "unit": "degC"},
        })  # fmt: skip
        run.stop("finished")


@pytest.fixture
def view(gui):
    for number in (1, 2):
        make(gui.runs, number)
    window = gui.open()
    window.tabs.setCurrentWidget(window.runs)
    gui.until(lambda: len(window.runs.model.runs) == 2)
    gui.until(lambda: not window.indexer.busy)
    return window.runs


def test_while_something_is_typed_nothing_is_said_to_be_wrong(gui, view, monkeypatch):
    monkeypatch.setattr(runsview, "PATIENCE", 10**6)

    def typed(text):
        view.search.setText(text)
        gui.until(lambda: not view._timer.isActive())
        assert not view.wrong.isVisible()
        return [run.number for run in view.model.runs]

    assert typed("power>5.5") == [2]
    for half in ("power>5.5 m", "power>5.5m", "power>.", "is:fini", "since:2026-1", "power>5.5 s"):
        assert typed(half) == [2]  # what was listed stays
    assert typed("power<5500 µW") == [1]
    assert view.model.index(0, 8).data() == "power = 5 mW"
    typed("power>5 s")
    QTest.keyClick(view.search, Qt.Key.Key_Return)
    assert view.wrong.text() == "power>5 s: runs have power in mW, to which s does not convert"
    assert view.wrong.isVisible()
    assert typed("drift>300 K") == [2]
    assert view.model.index(0, 8).data() == "drift = 27.5 °C"
    monkeypatch.setattr(runsview, "PATIENCE", 1)
    view.search.setText("is:fini")
    gui.until(view.wrong.isVisible)  # nobody types any more
    assert "is:fini is unknown" in view.wrong.text()


def test_an_overlay_begins_with_the_first_curve_that_the_procedure_declares(gui, view):
    view.table.selectAll()
    dialog = view.overlay()
    assert dialog.up.currentText() == "deviation 1 (MHz)"  # the only one with an error
    assert dialog.along.currentText() == "lost"
    gui.until(lambda: dialog.along.currentText() == "time (s)")
    assert dialog.up.currentText() == "deviation 1 (MHz)"
    drawn = {name: curve.getData() for name, curve in dialog.curves.items()}
    np.testing.assert_array_equal(drawn["2 try 2"][1], 2.0 * np.arange(6))
    assert len(dialog._drawn) == 4  # and error bars
    dialog.restyle(LIGHT)
    dialog.close()
    gui.until(lambda: not view.findChildren(OverlayDialog))
    dialog = view.overlay()
    dialog.close()  # the answer comes too late
    gui.idle()
    assert not view.wrong.isVisible()


def test_an_overlay_selects_rows_and_axes_as_the_panel_does(gui, tmp_path):
    for number in (1, 2):
        make(tmp_path / "runs", number)
    dialog = OverlayDialog(list_runs(tmp_path / "runs"), DARK, None)
    missing = Curve("a", "time (s)", "no such column")
    panel = Curve("b", "time (s)", "power (W)", by="kind", log_y=True)
    dialog.propose([document(missing), {"kind": "Sound"}, document(panel)])
    assert [dialog.of.itemText(i) for i in range(dialog.of.count())] == ["kind: up", "kind: down"]
    assert [len(curve.getData()[0]) for curve in dialog.curves.values()] == [4, 4]
    np.testing.assert_allclose(dialog.curves["1 try 1"].getData()[1], [-1, 0, 1, 2])
    dialog.of.setCurrentIndex(1)
    dialog._chosen()
    assert [len(curve.getData()[0]) for curve in dialog.curves.values()] == [2, 2]
    dialog.up.setCurrentText("deviation 1 (MHz)")
    dialog._chosen()
    assert dialog.curves["1 try 1"].getData()[1].tolist() == [4.0, 5.0]  # not logarithmic
    dialog.propose([document(panel)])
    assert dialog.up.currentText() == "deviation 1 (MHz)"  # somebody chose it
    dialog.close()
