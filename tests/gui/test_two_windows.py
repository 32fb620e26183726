"""Two windows on one folder of runs: whatever one does, both tell the truth."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from labctl.gui import app as gui_app
from labctl.gui.cards import FailureCard, OfferCard
from labctl.gui.stopcard import StopCard

pytestmark = pytest.mark.usefixtures("no_strays")


@pytest.fixture
def pair(gui, place):
    """Two windows, both of which look at their queue."""
    first = gui.open()
    second = gui_app.open_window(gui.runs, str(place / "toy.toml"), "light")
    gui.until(second.conductor._fast.isActive)
    for window in (first, second):
        window.tabs.setCurrentWidget(window.queue)
    yield first, second
    second.close()
    gui.spin()


def titles(window):
    return [item.request["title"] for item in window.queue.table.queued if item.waits]


def both(gui, pair, condition):
    gui.until(lambda: all(condition(window) for window in pair))


def test_queue_reorder_pause_resume_and_stop_from_either(gui, pair):
    first, second = pair
    gui.choose("patient", steps="3000", wait="10")
    first.form.title.setText("long")
    gui.until(first.form.queue_button.isEnabled)
    first.form.queue_button.click()
    both(gui, pair, lambda window: titles(window) == ["long"])
    for title in ("b", "c"):
        gui.manager.submit(gui.watch(title))
    both(gui, pair, lambda window: titles(window) == ["long", "b", "c"])
    second.queue.table.selectRow(2)
    QTest.keyClick(second.queue.table, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    both(gui, pair, lambda window: titles(window) == ["long", "c", "b"])

    first.commands.start_queue()
    both(gui, pair, lambda w: w.statebar.state.text() == "running" and titles(w) == ["c", "b"])
    assert not first.queue.start_button.isEnabled()
    assert not second.queue.start_button.isEnabled()
    assert not second.session.start_queue()  # one process works it off
    first.statebar.pause_button.click()
    both(gui, pair, lambda window: window.statebar.pause_button.text() == "Resume")
    assert second.statebar.state.text() == "paused"
    second.statebar.pause_button.click()
    both(gui, pair, lambda window: window.statebar.state.text() == "running")
    both(gui, pair, lambda window: window.statebar.pause_button.text() == "Pause")

    second.statebar.stop_button.click()
    both(gui, pair, lambda window: window.statebar.state.text().startswith("aborted"))
    both(gui, pair, lambda window: window.queue.state.text() == "2 waiting, not being worked off")
    gui.until(lambda: "every instrument safe" in second.deck.cards[0].heading.text())
    assert [type(card) for card in second.deck.cards] == [StopCard]  # who pressed it knows why
    gui.until(lambda: first.deck.cards)
    (card,) = first.deck.cards  # who sits elsewhere is told
    assert isinstance(card, FailureCard)
    assert card.failure.reason == "STOP ALL SAFE in the window"
    assert "safe" in card.failure.safety
    assert titles(first) == ["c", "b"]

    run = first.conductor.active.path
    second.commands.resume_runs([str(run)])  # the rest goes on: the other one offers it no longer
    both(gui, pair, lambda window: window.statebar.state.text() == "running")
    both(gui, pair, lambda w: not any(isinstance(c, FailureCard | OfferCard) for c in w.deck.cards))
    first.statebar.stop_button.click()  # after an abort the others would follow
    both(gui, pair, lambda window: window.statebar.state.text().startswith("aborted"))
