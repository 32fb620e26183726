"""Form and queue as people handle them: several at a time, by mistake, and with afterthoughts."""

from __future__ import annotations

import os

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from labctl.gui.queueview import differing

pytestmark = pytest.mark.usefixtures("no_strays")


def test_the_queue_is_reordered_and_emptied_in_bulk(gui):
    for title in "abcde":
        gui.manager.submit(gui.watch(title, steps=ord(title)))
    window = gui.open()
    window.tabs.setCurrentWidget(window.queue)
    queue = window.queue
    gui.until(lambda: len(queue.table.queued) == 5)
    assert differing(gui.manager.items()) == {"toybench:Watch": ["steps"]}
    assert queue.table.item(2, 4).text().startswith("steps=99")  # that, in which they differ
    for titles, row, found in (("de", 1, "adebc"), ("ad", 5, "ebcad"), ("ea", 2, "beacd"),
                               ("b", 1, "beacd"), ("b", 2, "ebacd")):  # fmt: skip
        gui.select(titles)
        for number, place in queue.table.moves_to(row):
            queue.table.moved.emit(number, place)
        assert gui.order() == found, (titles, row)
        assert sorted(i.request["title"] for i in queue.table.chosen()) == sorted(titles)
    gui.select("bd")
    QTest.keyClick(queue.table, Qt.Key.Key_Delete)
    assert gui.order() == "eac"
    assert "removed 2 items" in window.message.text()
    for _ in range(2):  # the second time there is nothing to put back
        QTest.keyClick(queue.table, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        assert gui.order() == "ebacd"


def test_a_dry_run_can_be_stopped_and_leaves_nothing(gui):
    window = gui.open()
    gui.choose("patient", steps="2000", wait="10")
    gui.until(window.form.dry_button.isEnabled)
    window.form.dry_button.click()
    assert window.form.dry_button.text() == "Stop dry run"
    gui.until(lambda: window.conductor.view and window.conductor.view.table.seen > 2)
    assert "the dry run of patient" in window.looking_at.text()
    place = window.conductor.view.path.parent
    window.form.dry_button.click()
    gui.until(lambda: window.form.dry_button.text() == "Dry run")
    assert "the dry run aborted: stopped in the window" in window.message.text()
    gui.idle()
    gui.until(window.form.start_button.isEnabled)
    gui.close()
    assert not place.exists()
    assert gui.manager.items() == []


def test_modules_that_end_or_hold_up_the_helper_hide_no_others(gui, place, monkeypatch, spare):
    package = place / "mine"
    package.mkdir()
    for name, text in {
        "__init__": "", "exits": "import os; os._exit(3)", "leaves": "raise SystemExit('a script')",
        "stands": "import time; time.sleep(1000)", "typo": "def x(:",
        "works": "import toybench\nclass Works(toybench.Watch):\n    'First.'\n",
    }.items():  # fmt: skip
        (package / f"{name}.py").write_text(text)
    toy = (place / "toy.toml").read_text().replace('"toyprocedures"', '"mine"')
    (place / "toy.toml").write_text(toy)
    monkeypatch.setenv("PYTHONPATH", f"{os.environ['PYTHONPATH']}{os.pathsep}{place}")
    if process := spare.processes.pop(
        "labctl.gui.processes.helper", None
    ):  # it does not know this path
        process.kill()
    window = gui.open(ready=False)
    gui.until(lambda: window.helper._asked is not None and window.helper._asked.at == "mine.stands")
    window.helper._too_late()  # as the timer will
    gui.until(lambda: window.form.procedure.findData("works") >= 0)
    box = window.form.procedure
    listed = {box.itemData(i): box.itemData(i, 3) for i in range(box.count())}
    assert "mine.exits ended the process" in listed["exits"]
    assert "mine.stands seems to hang" in listed["stands"]
    assert "SystemExit: a script" in listed["leaves"]
    assert "SyntaxError: invalid syntax (typo.py, line 1)" in listed["typo"]
    gui.until(lambda: "First." in window.form.meaning.text())
    (package / "works.py").write_text("import toybench\nclass Works(toybench.Watch):\n    'Now.'\n")
    os.utime(package / "works.py", (1, 1))
    window.form_control.choose_procedure("works")
    gui.until(lambda: "Now." in window.form.meaning.text())  # what was edited is seen


def test_another_bench_keeps_what_was_typed_and_reasons_stand_at_their_field(gui, place):
    text = (place / "toy.toml").read_text()
    (place / "other.toml").write_text(text.replace("Toy bench", "Another"))
    window = gui.open()
    form = window.form
    gui.choose("patient", steps="7", level="250 mV")
    form.title.setText("night")
    form.rows["shape"].sweep.setChecked(True)
    assert form.rows["shape"].text == "round, square"  # all choices, to take some away
    form.rows["shape"].sweep.setChecked(False)
    assert form.rows["shape"].text == "round"
    gui.idle()
    form.bench.setEditText(str(place / "other.toml"))
    form.bench_chosen.emit(form.bench_name())
    assert "looking for" in form.plan.text()
    gui.until(lambda: not form.start_button.isEnabled())
    gui.until(form.start_button.isEnabled)
    assert form.procedure.currentData() == "patient"
    assert (form.rows["steps"].text, form.rows["level"].text) == ("7", "0.25")
    assert form.title.text() == "night"
    assert list(form.rows)[:4] == ["steps", "across", "level", "shape"]  # as they are declared
    window.form_control._plan_failed("level: 2 V is more than the supply has")
    assert form.rows["level"].hint.text() == "2 V is more than the supply has"
