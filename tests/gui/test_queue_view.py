"""The queue's view while items begin under it, and what it says of when all will be finished."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from labctl.manager import Manager, Policy
from labctl.run.request import Request
from labctl.viewing import words
from labctl.viewing.feed import Feed

pytestmark = pytest.mark.usefixtures("no_strays")


# What began while it was being looked at


def test_an_item_that_begins_meanwhile_does_not_spoil_where_others_are_dropped(gui):
    for title in "abcd":
        gui.manager.submit(gui.watch(title))
    window = gui.open()
    window.tabs.setCurrentWidget(window.queue)
    queue = window.queue
    gui.until(lambda: len(queue.table.queued) == 4)
    gui.select("bc")  # several move together and stop at the end
    for step, found in ((-1, "bcad"), (-1, "bcad"), (+1, "abcd"), (+1, "adbc"), (+1, "adbc")):
        queue.move_by(step)
        assert gui.order() == found
    queue.move_by(-1)
    assert gui.order() == "abcd"
    window.conductor.end()  # the table is as old as it gets
    assert Manager(gui.runs).run_next().status == "finished"
    gui.select("d")
    for number, place in queue.table.moves_to(2):  # before c
        queue.table.moved.emit(number, place)
    assert gui.order() == "bdc"
    assert Manager(gui.runs).run_next().status == "finished"
    gui.select("c")
    queue.move_by(-1)
    assert gui.order() == "cd"
    queue.move_by(-1)
    assert gui.order() == "cd"
    gui.manager.run_next()
    gui.select("c")
    queue.table.moved.emit(3, 1)  # it has begun itself
    assert "item 3 does not wait any more: finished" in window.message.text()
    assert gui.order() == "d"


def test_an_item_that_began_while_it_was_edited_is_left_as_it_is(gui):
    gui.manager.submit(gui.watch("a"))
    window = gui.open()
    window.tabs.setCurrentWidget(window.queue)
    gui.until(lambda: window.queue.table.queued)
    window.queue.table.selectRow(0)
    QTest.keyClick(window.queue.table, Qt.Key.Key_E)
    gui.idle()
    gui.until(lambda: "steps" in window.form.rows and window.form.rows["steps"].text == "3")
    window.form.rows["steps"].set_text("4")
    gui.idle()
    gui.until(window.form.save_button.isEnabled)
    assert Manager(gui.runs).run_next().status == "finished"
    window.form.save_button.click()
    gui.idle()
    assert "item 1 does not wait any more: finished; queue it anew" in window.message.text()
    (item,) = gui.manager.items()
    assert item.request["parameters"]["steps"] == "3"
    assert window.form.rows["steps"].text == "4"  # what was typed is still there
    gui.until(window.form.cancel_button.isEnabled)
    window.form.cancel_button.click()
    gui.until(window.form.queue_button.isEnabled)
    window.form.queue_button.click()
    gui.until(lambda: len(gui.manager.items()) == 2)
    assert gui.manager.items()[1].request["parameters"]["steps"] == 4


# When all of it will be finished


def test_the_queue_says_when_it_will_be_finished(gui):
    window = gui.open()
    window.tabs.setCurrentWidget(window.queue)
    queue = window.queue
    assert not queue.outlook.isVisible()
    gui.manager.submit(gui.watch("a"))
    gui.manager.submit(gui.watch("b", steps=4))
    gui.manager.submit(Request("toybench:Ramp", {"steps": 5}, title="c"))
    gui.until(lambda: queue.outlook.text() == "time unknown, no earlier run tells")
    assert [queue.table.item(row, 6).text() for row in range(3)] == ["unknown"] * 3
    Manager(gui.runs).run_next()
    gui.until(lambda: "a" not in gui.order())
    queue._asked_at = -math.inf  # as after a while
    gui.until(lambda: queue.outlook.text().startswith("at least 0"))
    assert "s, 1 item unknown; finished not before " in queue.outlook.text()
    assert queue.outlook.text().endswith(" if started now")
    assert queue.table.item(0, 6).text() == ""
    assert queue.table.item(1, 6).text().endswith(" s")
    assert queue.table.item(1, 6).toolTip() == "as fast as run 1, which had another steps"
    gui.manager.remove(3)
    gui.until(lambda: " in all; finished about " in queue.outlook.text())
    gui.manager.edit(2, policy=Policy(not_before=time.time() + 3 * 86400))
    gui.until(lambda: re.search(r"about \w{3} \d\d \w{3} \d\d:\d\d if", queue.outlook.text()))
    gui.manager.remove(2)
    gui.until(lambda: not queue.outlook.isVisible())
    for title in "de":
        gui.manager.submit(gui.watch(title))
    gui.until(lambda: len(queue.table.queued) == 3)
    window.conductor.end()
    seen = []

    def look(event):
        """What is said with the run that goes on, and while nobody follows it."""
        if event.kind == "point" and event.value["index"] == 1:
            for feed in (Feed(Path(manager.find(4).run)), None):
                if feed is not None:
                    feed.poll(1.0)
                queue.feed = feed
                queue.refresh()
                queue.show_times([(4, 9000.0, ""), (5, 3600.0, "")])
                queue._looked = -math.inf  # as after a second
                queue.refresh()
                seen.append(queue.outlook.text())

    manager = Manager(gui.runs)
    manager.subscribe(look)
    now = time.time()
    manager.run_next()
    for text, hours in zip(seen, (1.0, 3.5), strict=True):
        ends = {words.clock_time(now + 3600 * hours + late) for late in (0, 30)}
        assert text in {f"1 h 00 in all; finished about {end}" for end in ends}


def test_what_cannot_be_found_out_is_unknown_and_holds_up_nothing(gui):
    gui.manager.submit(gui.watch("a"))
    window = gui.open()
    gui.until(lambda: not window.indexer.busy)
    asked = []
    window.indexer.ask = lambda what, done, failed, **_: asked.append((what, failed))
    window.tabs.setCurrentWidget(window.queue)
    gui.until(lambda: asked)
    assert [what for what, _ in asked] == ["expected"]
    assert window.queue.table.item(0, 6).text() == ""
    for _ in range(3):
        window.queue.refresh()
    assert len(asked) == 1
    asked[0][1]("the process ended")
    assert window.queue.table.item(0, 6).text() == "unknown"
    assert window.queue.outlook.text() == "time unknown, no earlier run tells"
