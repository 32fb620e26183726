"""What the window does is done to what it shows, and what happened elsewhere is shown, too."""

from __future__ import annotations

import sys
import tempfile
import time

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from labctl.errors import RequestError
from labctl.run.folder import RunFolder
from labctl.viewing import feed as feeds
from labctl.viewing import session as sessions
from labctl.viewing.feed import Feed
from labctl.viewing.session import Session

START = {"columns": ["index", "value"], "parameters": {}, "procedure": "patient", "points": 9}


def begin(gui, rows=1):
    """A run that goes on in this process."""
    run = RunFolder.create(gui.runs, "patient", START)
    run.opened({})
    for index in range(rows):
        run.emit({"index": index, "value": 1.0}, 0.1 * index)
    return run


def asked(run):
    path = run.path / "control.jsonl"
    return path.read_text() if path.exists() else ""


def test_only_the_run_that_is_shown_is_asked(gui):
    first = begin(gui)
    window = gui.open()
    gui.wait_for("running")
    window.conductor.end()  # nobody looks while the next run begins
    first.stop("finished")
    first.close()
    second = begin(gui)
    QTest.keyClick(
        window,
        Qt.Key.Key_A,
        Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier,
    )
    assert not asked(second)
    assert "goes on now and was not asked to abort" in window.message.text()
    window.conductor.look()
    window.commands.abort()
    assert "abort" in asked(second)

    window.conductor.begin()  # the focus does not go on to STOP when the run has ended
    gui.until(window.statebar.pause_button.isEnabled)
    window.statebar.pause_button.setFocus()
    second.stop("finished")
    second.close()
    gui.until(lambda: not window.statebar.abort_button.isEnabled())
    assert not window.statebar.stop_button.hasFocus()
    QTest.keyClick(QApplication.focusWidget() or window, Qt.Key.Key_Space)
    assert not window.deck.cards
    with pytest.raises(RequestError, match="no run goes on"):
        Session(gui.runs).control("abort", shown=second.path)


def test_the_end_of_a_run_beside_or_before_the_active_one_is_told(gui):
    first, second = begin(gui), begin(gui)
    window = gui.open()
    gui.wait_for("running")
    assert window.conductor.active.path == second.path
    first.stop("failed", "the first one broke")
    first.close()
    gui.until(lambda: window.deck.cards)
    assert window.deck.cards[0].failure.reason == "the first one broke"
    window.deck.put_away()
    window.conductor._fast.stop()  # the next run is found before the end of this one is read
    second.stop("failed", "the second one broke")
    second.close()
    third = begin(gui)
    gui.until(lambda: window.deck.cards)
    assert window.deck.cards[0].failure.reason == "the second one broke"
    assert window.conductor.active.path == third.path
    third.close()


def test_a_run_that_is_resumed_while_it_is_looked_at_is_followed(gui):
    old = begin(gui)
    old.stop("aborted", "enough")
    old.close()
    new = begin(gui)
    new.stop("finished")
    new.close()
    window = gui.open()
    gui.until(lambda: window.conductor.active is not None)
    window.commands.show_run(old.path)
    assert window.conductor.pinned
    again = RunFolder.resume(old.path)
    again.opened({})
    gui.until(lambda: window.conductor.active.path == old.path)
    again.emit({"index": 1, "value": 2.0}, 0.2)
    gui.until(lambda: window.conductor.view.table.seen == 2)
    assert not window.conductor.pinned
    again.close()


def test_long_words_make_nothing_wider_or_hidden(gui):
    window = gui.open()
    gui.choose("patient")
    word = "y" * 2000
    table = {
        name: {"label": text, "type": kind, "unit": unit, "default": default, "meaning": word,
               "choices": choices}
        for name, text, kind, unit, default, choices in (
            ("a", "T" * 120, "number", "nV/sqrt(Hz)/square-parsec", 1.0, None),
            ("b", "a name of many words " * 8, "text", "", word, None),
            ("c", "choice", "choice", "", word, [word, "short"]),
        )
    }  # fmt: skip
    window.form.set_fields(table)
    window.form.show_plan(word)
    window.say(f"{word}: an error", True)
    run = begin(gui)
    gui.wait_for("running")
    run.stop("failed", f"{word} broke")
    run.close()
    gui.until(lambda: window.deck.cards)
    gui.spin(0.1)
    assert window.minimumSizeHint().width() <= 1024
    assert window.width() <= 1480
    inside = window.form._area.viewport()
    for row in window.form.rows.values():
        for part in (row.edit, row.sweep):
            right = part.mapTo(inside, part.rect().topRight()).x()
            assert part.width() > 30
            assert right <= inside.width(), row.field.name


def test_a_clock_that_is_set_back_makes_no_time_vanish_and_hides_no_stall(tmp_path, monkeypatch):
    steady, wall = [1000.0], [time.time()]
    monkeypatch.setattr(feeds.time, "monotonic", lambda: steady[0])
    monkeypatch.setattr(feeds.time, "time", lambda: wall[0])

    def wait(seconds, back=0.0):
        steady[0] += seconds
        wall[0] += seconds - back

    run = RunFolder.create(tmp_path, "patient", START)
    run.opened({})
    feed = Feed(run.path)
    feed.poll()
    for index in range(3):
        wait(10.0, back=3600.0 if index == 1 else 0.0)
        run.emit({"index": index, "value": 1.0}, 10.0 * index)
        feed.poll()
    assert feed.elapsed() == pytest.approx(30.0, abs=1.0)
    assert feed.left() == pytest.approx(60.0, abs=2.0)
    assert not feed.stalled()
    wait(101.0, back=3600.0)
    assert feed.age() == pytest.approx(101.0)
    assert feed.stalled()
    run.close()
    feed.stop = {"status": "finished", "time": "2000-01-01T00:00:00+00:00"}
    assert feed.elapsed() == pytest.approx(30.0, abs=1.0)


def test_what_is_refused_or_cannot_begin_is_the_last_word(gui, monkeypatch):
    run = begin(gui)
    run.stop("finished")
    run.close()
    window = gui.open()
    said = window.message.text
    window.commands.resume_runs([str(run.path)])
    assert "nothing to resume" in said()
    QTest.keyClick(window, Qt.Key.Key_G, Qt.KeyboardModifier.ControlModifier)
    assert said() == "nothing waits in the queue"

    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(tempfile, "tempdir", str(gui.runs / "nowhere"))
        gui.until(window.form.dry_button.isEnabled)
        window.form.dry_button.click()
        assert said().startswith("no dry run: ")
        assert window.form.dry_button.text() == "Dry run"

    window.statebar.show_idle(0)  # a full disk, not an unknown one
    assert window.statebar.facts["disk left"].value.text() == "0 B"

    gui.manager.submit(gui.watch("one"))
    script = "import sys; sys.exit('labctl: no room on the disk')"
    monkeypatch.setattr(sessions, "COMMAND", (sys.executable, "-c", script))
    window.commands.start_queue()
    gui.until(lambda: said().startswith("the queue did not begin"))
    assert "no room on the disk" in said()
    window.commands.stop_all()
    (card,) = window.deck.cards
    gui.until(lambda: "CHECK BY HAND" in card.heading.text())
    assert "no room on the disk" in card.lines.text()
