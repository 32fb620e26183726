"""Keys, wheel and half-typed names do what the window shows, and nothing else."""

from __future__ import annotations

from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QInputDialog

from labctl.gui.keys import show_keys

CONTROL = Qt.KeyboardModifier.ControlModifier


def test_the_stop_key_works_in_dialogs_lists_and_from_afar(gui):
    window = gui.open()
    window.session.bench = ""  # nothing to make safe: what counts is that the key arrives
    asked = []
    window.commands.session.stop_all = lambda *_: asked.append(1) or []

    def pressed(widget):
        gui.until(lambda: QApplication.focusWindow() is widget.windowHandle())
        before = len(asked)
        QTest.keyClick(widget.windowHandle(), Qt.Key.Key_F12)
        gui.spin()
        return len(asked) - before

    assert pressed(window) == 1  # and not once by each of two ways
    big = window.commands.read_from_afar()
    assert pressed(big) == 1
    big.leave()
    page = show_keys(window)
    assert pressed(page) == 1
    page.close()
    question = QInputDialog(window)  # as the catalogue asks for a label
    question.setModal(True)
    question.show()
    assert pressed(question) == 1
    question.close()
    window.form.procedure.showPopup()
    gui.until(lambda: QApplication.activePopupWidget() is not None)
    assert pressed(QApplication.activePopupWidget()) == 1
    window.form.procedure.hidePopup()


def test_a_bench_that_is_being_typed_is_not_the_one_before(gui, place):
    (place / "other.toml").write_text(
        (place / "toy.toml").read_text().replace("Toy bench", "Other")
    )
    window = gui.open()
    gui.choose("patient", steps="4")
    gui.until(window.form.queue_button.isEnabled)
    line = window.form.bench.lineEdit()
    line.selectAll()
    QTest.keyClicks(line, str(place / "other.toml"))
    QTest.keyClick(window, Qt.Key.Key_Return, CONTROL)
    gui.idle()
    assert not gui.manager.items()
    assert "Return" in window.form.plan.text()
    QTest.keyClick(line, Qt.Key.Key_Return)
    gui.until(window.form.queue_button.isEnabled)
    assert window.form.rows["steps"].text == "4"
    QTest.keyClick(window, Qt.Key.Key_Return, CONTROL)
    gui.until(gui.manager.items)
    assert gui.manager.items()[0].request["bench"].endswith("other.toml")


def turn(widget):
    """Turn the wheel by one notch above a widget."""
    middle = QPointF(widget.rect().center())
    event = QWheelEvent(
        middle, QPointF(widget.mapToGlobal(widget.rect().center())), QPoint(), QPoint(0, -120),
        Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase,
        False,
    )  # fmt: skip
    QApplication.sendEvent(widget, event)


def test_wheel_keys_and_late_answers_queue_nothing_but_what_the_form_shows(gui):
    window = gui.open()
    gui.choose("patient", steps="4")
    form, control = window.form, window.form_control
    form.seed.setValue(1)  # from the least one no wheel leads further down
    before = form.wish(), form.policy()
    for widget in (form.rows["shape"].edit, form.mode, form.procedure, form.seed, form.failure):
        turn(widget)
    gui.idle()
    assert (form.wish(), form.policy()) == before

    form.rows["steps"].set_text("5")
    control._timer.stop()
    control._plan()  # asked, and not answered yet
    form.rows["steps"].set_text("6")
    gui.until(lambda: not window.helper.busy)
    assert not form.queue_button.isEnabled()
    gui.idle()
    assert form.queue_button.isEnabled()
    assert control.wish.values["steps"] == 6

    gui.manager.submit(gui.watch("one", steps=7))
    (item,) = gui.manager.items()
    control.load(item, editing=True)
    gui.until(lambda: "steps" in form.rows and form.rows["steps"].text == "7")
    form.rows["steps"].set_text("8")
    gui.until(form.save_button.isEnabled)
    gui.idle()
    QTest.keyClick(window, Qt.Key.Key_Return, CONTROL | Qt.KeyboardModifier.ShiftModifier)
    QTest.keyClick(window, Qt.Key.Key_Return, CONTROL)
    gui.idle()
    (item,) = gui.manager.items()
    assert item.request["parameters"]["steps"] == 8
