"""The real window, driven as its user would: queue, run, pause, kill, rejoin, resume, stop, sweep."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from labctl.gui.stopcard import LATE, StopCard
from labctl.manager import Manager
from labctl.run import marks, safety
from labctl.run.catalogue import list_runs
from labctl.run.folder import RunFolder
from labctl.run.request import Request
from labctl.viewing import session as sessions

pytestmark = pytest.mark.usefixtures("no_strays")


def queue(gui, start=True, **texts):
    """Fill the form and press its button."""
    gui.choose("patient", **texts)
    gui.until(gui.window.form.start_button.isEnabled)
    (gui.window.form.start_button if start else gui.window.form.queue_button).click()


def test_a_run_is_queued_run_and_shown_to_its_end(gui):
    window = gui.open()
    assert window.statebar.badge.text() == "SIMULATED"
    queue(gui, steps="12", across="4", wait="20")
    gui.wait_for("finished")
    gui.until(lambda: window.results.pictures)
    active = window.conductor.active
    assert active.table.seen == 12
    assert window.results.table.item(0, 0).text() == "mean"
    curve, grid = (frame.plot for frame in window.live.frames)
    drawn = next(iter(curve._curves.values())).getData()
    np.testing.assert_array_equal(drawn[0], np.arange(12))
    assert grid.grid.values.shape == (3, 4)
    np.testing.assert_array_equal(grid.grid.values.ravel(), active.table.column("temperature (K)"))
    window._show_bar()
    assert window.statebar.progress.format() == "12 of 12"
    assert "finished" in window.statebar.state.text()
    assert [item.status for item in Manager(gui.runs).items()] == ["finished"]
    assert window.live.health.lamps  # the interlock's readings came with the run


def test_pause_resume_and_abort_from_the_bar(gui):
    window = gui.open()
    queue(gui, steps="2000", wait="10")
    gui.wait_for("running")
    gui.until(lambda: window.conductor.active.table.seen > 3)
    QTest.keyClick(window, Qt.Key.Key_P, Qt.KeyboardModifier.ControlModifier)
    gui.wait_for("paused")
    gui.until(lambda: window.statebar.pause_button.text() == "Resume")
    rows = window.conductor.active.table.seen
    gui.spin(0.3)
    assert window.conductor.active.table.seen == rows
    gui.until(window.statebar.pause_button.isEnabled)
    window.statebar.pause_button.click()
    gui.wait_for("running")
    gui.until(lambda: window.conductor.active.table.seen > rows)
    gui.until(window.statebar.abort_button.isEnabled)
    window.statebar.abort_button.click()
    gui.wait_for("aborted")
    gui.until(lambda: "aborted" in window.message.text())
    assert window.conductor.active.reason == "aborted in the window"
    assert not window.deck.cards  # whoever pressed the button knows why


def test_the_run_survives_the_window_and_a_killed_one_is_offered_again(gui):
    window = gui.open()
    queue(gui, steps="6000", wait="10")
    gui.until(lambda: window.conductor.active and window.conductor.active.table.seen > 3)
    gui.close()
    (path,) = gui.runs.glob("0001-*")
    rows = RunFolder.open(path).row_count
    window = gui.open()  # rejoin: it still runs, and all its rows are there
    gui.until(lambda: window.conductor.active.table.seen > rows)
    assert window.conductor.active.status == "running"
    assert window.conductor.active.points == 6000
    os.kill(int(window.conductor.active.table.column("process")[0]), signal.SIGKILL)
    gui.wait_for("interrupted")
    gui.until(lambda: window.deck.cards)
    (card,) = window.deck.cards
    assert card.failure.status == "interrupted"
    assert "UNKNOWN" in card.failure.safety
    gui.close()
    window = gui.open()
    gui.until(lambda: window.deck.cards)
    (offer,) = window.deck.cards
    assert "1 run was interrupted" in offer.heading.text()
    before = RunFolder.open(path).row_count
    offer.buttons.itemAt(0).widget().click()
    gui.until(lambda: RunFolder.open(path).row_count > before + 3)
    gui.wait_for("running")
    gui.until(window.statebar.abort_button.isEnabled)
    window.statebar.abort_button.click()
    gui.wait_for("aborted")
    found = RunFolder.open(path)
    assert [row["index"] for row in found.rows] == list(range(len(found.rows)))
    assert found.stretches == 2


def test_stop_all_safe_asks_the_run_and_shows_what_answers(gui):
    window = gui.open()
    queue(gui, steps="2000", wait="10")
    gui.wait_for("running")
    QTest.keyClick(window, Qt.Key.Key_F12)
    (card,) = window.deck.cards
    gui.until(lambda: window.conductor.active.status != "running")
    run = window.conductor.active.path
    assert '"stop"' in (run / "control.jsonl").read_text()
    gui.until(lambda: "every instrument safe" in card.heading.text())
    assert window.conductor.active.status == "aborted"


@contextlib.contextmanager
def served(place, more=""):
    """The toy bench as `real.toml`: its instrument is served by a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-c", "from labctl.cli import script; script()", "serve", "toy.toml",
         "--json"], stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        try:
            address = json.loads(server.stdout.readline())["address"]
            text = (place / "toy.toml").read_text()
            text = text.replace('mode = "sim"', 'mode = "real"').replace(
                "tcp://127.0.0.1:9", address
            )
            (place / "real.toml").write_text(text + more)
            yield
        finally:
            server.terminate()


def test_stop_reaches_instruments_of_a_run_that_hangs(gui, place):
    """On served simulators: the run's process never looks, the watcher confirms in its place."""
    with served(place):
        window = gui.open("real.toml")
        assert window.statebar.badge.text() == "REAL BENCH"
        queue(gui, steps="9", wait="0", pause="0", hang_at="2")
        gui.until(lambda: window.conductor.active and window.conductor.active.table.seen == 2)
        gui.spin(1.0)  # now it hangs, as a driver call that never comes back
        began = time.monotonic()
        window.statebar.stop_button.click()
        card = window.deck.cards[0]
        gui.until(lambda: "every instrument safe" in card.heading.text())
        assert time.monotonic() - began < 20.0  # 2 s on a machine that has nothing else to do
        gui.until(lambda: window.conductor.active.status == "aborted")
        assert window.mode() == "real"


def test_stop_ends_a_simulation_that_hangs(gui):
    """It has no watcher; what the window starts does what `labctl stop` does."""
    window = gui.open()
    queue(gui, steps="9", wait="0", pause="0", hang_at="2")
    gui.until(lambda: window.conductor.active and window.conductor.active.table.seen == 2)
    window.statebar.stop_button.click()
    card = window.deck.cards[0]
    longest, last = 0.0, time.monotonic()
    while not card.done:  # the window lives meanwhile
        gui.spin()
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert time.monotonic() - card.began < 60.0
        time.sleep(0.005)
    assert longest < 1.0
    assert "thermometer: safe" in card.lines.text()
    gui.wait_for("aborted")
    assert "did not end within 2 s and was killed" in window.conductor.active.reason
    gui.until(lambda: "aborted" in window.statebar.state.text())
    run = window.conductor.active.path
    window.renew_catalogue()
    gui.idle()
    (found,) = list_runs(gui.runs)
    assert (found.path, found.status, found.rows) == (run, "aborted", 2)
    gui.until(lambda: [item.status for item in gui.manager.items()] == ["aborted"])
    assert gui.manager.submit_resume(run) == 2  # and it can be finished


def test_stop_makes_the_bench_safe_also_when_nothing_runs(gui):
    window = gui.open()
    QTest.keyClick(window, Qt.Key.Key_F12)
    (card,) = window.deck.cards
    gui.until(lambda: "every instrument safe" in card.heading.text())
    assert "thermometer: safe" in card.lines.text()
    QTest.keyClick(window, Qt.Key.Key_Escape)
    gui.until(lambda: not window.deck.cards)


def test_a_bench_that_does_not_answer_names_the_instrument_and_lets_the_others_live(gui, place):
    text = (place / "toy.toml").read_text()
    text += """
[instruments.silent]
driver = "toybench:Thermometer"
address = "tcp://127.0.0.1:9"
simulator = "toybench:SimThermometer"
timeout = 0.2
faults = { drop = 1.0 }
"""
    (place / "half.toml").write_text(text)
    window = gui.open("half.toml")
    window.tabs.setCurrentWidget(window.bench)
    window.bench.connect_bench()
    gui.until(lambda: window.bench.states == {"thermometer": "good", "silent": "bad"})
    assert "silent" in window.bench.table.item(1, 2).text()
    window.bench.choose("thermometer")
    gui.until(lambda: window.bench.values.rows)


def test_stop_without_a_run_names_who_does_not_answer(gui, place):
    silent = """
[instruments.silent]
driver = "toybench:Thermometer"
address = "tcp://127.0.0.1:9"
"""
    with served(place, silent):
        window = gui.open("real.toml")
        window.tabs.setCurrentWidget(window.bench)
        window.bench.connect_bench()
        gui.until(lambda: window.bench.states == {"thermometer": "good", "silent": "bad"})
        window.commands.stop_all()
        card = window.deck.cards[0]
        assert "… silent: waiting" in card.lines.text()
        gui.until(lambda: card.done)
    assert "1 NOT SAFE, CHECK BY HAND" in card.heading.text()
    assert "✓ thermometer: safe – TOY,THERMOMETER" in card.lines.text()
    assert "✕ silent: unreachable" in card.lines.text()


def test_confirmations_are_shown_as_they_come(gui, tmp_path):
    safety.begin(tmp_path, "an older one", ["laser"])
    safety.confirm(tmp_path, "laser", safety.FAILED, "old")
    card = StopCard([(tmp_path, 1)], ["laser", "tec"], gui.open().theme)
    assert "asked 0.0 s ago" in card.heading.text()
    assert "… laser: waiting" in card.lines.text()
    safety.begin(tmp_path, "STOP", ["laser", "tec"])
    safety.confirm(tmp_path, "laser", safety.SAFE, "")
    card.look()
    assert "✓ laser: safe" in card.lines.text()
    assert "… tec: waiting" in card.lines.text()
    safety.confirm(tmp_path, "tec", safety.UNREACHABLE, "no <answer>")
    card.look()
    assert not card.done
    card.began -= LATE + 1.0
    safety.end(tmp_path, "the run ended in order")
    card.look()
    assert card.done
    assert "1 NOT SAFE, CHECK BY HAND" in card.heading.text()
    assert "✕ tec: unreachable – no &lt;answer&gt;" in card.lines.text()
    late = StopCard([(tmp_path, 2)], ["laser"], gui.window.theme)
    late.began -= LATE + 1.0
    late.look()
    assert "NOT EVERYTHING CONFIRMED" in late.heading.text()


def test_a_sweep_is_checked_whole_before_anything_is_queued(gui):
    window = gui.open()
    gui.choose("patient", steps="3", fast="True")
    form = window.form
    for name, text in (("level", "0 to 2 V, 5 points"), ("shape", "round, square")):
        form.rows[name].sweep.setChecked(True)
        form.rows[name].set_text(text)
    gui.idle()
    gui.until(lambda: "10 runs, 30 points" in form.plan.text())
    form.rows["level"].set_text("0 to 3 V, 5 points")
    gui.idle()
    assert "above the maximum" in form.rows["level"].hint.text()
    assert not form.queue_button.isEnabled()
    assert Manager(gui.runs).items() == []
    form.rows["level"].set_text("0 to 2000 mV step 500 mV")
    gui.idle()
    gui.until(form.queue_button.isEnabled)
    form.queue_button.click()
    gui.idle()
    items = Manager(gui.runs).items()
    assert [item.request["parameters"]["level"] for item in items] == [
        0.0, 0.0, 0.5, 0.5, 1.0, 1.0, 1.5, 1.5, 2.0, 2.0
    ]  # fmt: skip
    assert items[3].request["title"] == "level=0.5, shape=square"


def test_wrong_values_stay_in_the_field_with_the_reason(gui):
    window = gui.open()
    gui.choose("patient")
    row = window.form.rows["level"]
    for text, reason in (("5", "above the maximum"), ("3 K", "cannot be converted"),
                         ("1 +", "ends too early"), ("", "a value is needed")):  # fmt: skip
        row.set_text(text)
        assert row.text == text
        assert reason in row.hint.text()
    gui.idle()
    assert not window.form.start_button.isEnabled()
    row.set_text("2*250 mV")
    assert row.value() == 0.5
    assert "= 0.5 V" in row.hint.text()
    row.set_text("0.12345678901234567")
    assert row.value() == 0.12345678901234567


def test_a_broken_procedure_costs_one_line(gui):
    window = gui.open()
    names = [window.form.procedure.itemText(i) for i in range(window.form.procedure.count())]
    assert "broken  (broken)" in names
    window.form_control.choose_procedure("broken")
    gui.until(lambda: "somebody was interrupted" in window.form.plan.text())
    assert not window.form.start_button.isEnabled()
    window.form_control.choose_procedure("leaving")
    gui.until(lambda: "SystemExit" in window.form.plan.text())
    gui.choose("patient", steps="4")
    gui.until(lambda: "4 points" in window.form.plan.text())
    window.form_control.choose_procedure("endless")
    gui.until(lambda: window.helper._asked is not None and window.helper._asked.what == "plan")
    window.helper._too_late()  # as the timer will
    gui.until(lambda: "seems to hang" in window.form.plan.text())
    gui.choose("patient", steps="5")
    gui.until(lambda: "5 points" in window.form.plan.text())


def test_a_failure_card_names_instrument_command_and_answer_and_retries(gui):
    window = gui.open()
    queue(gui, steps="6", wait="0", complain_at="3")
    gui.until(lambda: window.deck.cards)
    (card,) = window.deck.cards
    failure = card.failure
    assert failure.instrument == "thermometer"
    assert failure.command == "TEMP?"
    assert "E12" in failure.reason
    assert 5 < len(failure.messages) <= 20
    assert "made safe" in failure.safety
    buttons = {card.buttons.itemAt(i).widget().text(): card.buttons.itemAt(i).widget()
               for i in range(3)}  # fmt: skip
    assert list(buttons) == ["Resume", "Retry", "Skip"]
    buttons["Retry"].click()
    gui.until(lambda: len(Manager(gui.runs).items()) == 2)
    gui.until(lambda: all(item.status == "failed" for item in Manager(gui.runs).items()))
    assert len(list(gui.runs.glob("000*"))) == 2


def test_the_queue_is_reordered_edited_and_duplicated_by_keys(gui):
    window = gui.open()
    for title in "abc":
        gui.manager.submit(gui.watch(title))
    window.tabs.setCurrentWidget(window.queue)
    gui.until(lambda: len(window.queue.table.queued) == 3)
    table = window.queue.table
    table.selectRow(2)
    QTest.keyClick(table, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    assert [item.request["title"] for item in gui.manager.items()] == ["a", "c", "b"]
    assert [item.request["title"] for item in table.chosen()] == ["c"]
    QTest.keyClick(table, Qt.Key.Key_D)
    assert [item.request["title"] for item in gui.manager.items()] == ["a", "c", "c", "b"]
    QTest.keyClick(table, Qt.Key.Key_Delete)
    assert [item.request["title"] for item in gui.manager.items()] == ["a", "c", "b"]
    table.moved.emit(gui.manager.items()[2].number, 1)  # what a drag does
    assert [item.request["title"] for item in gui.manager.items()] == ["b", "a", "c"]


def test_a_waiting_item_is_edited_in_the_form(gui):
    window = gui.open()
    queue(gui, start=False, steps="7", level="250 mV")
    gui.until(lambda: len(gui.manager.items()) == 1)
    window.tabs.setCurrentWidget(window.queue)
    gui.until(lambda: window.queue.table.queued)
    gui.choose("patient", steps="1")
    window.queue.table.selectRow(0)
    QTest.keyClick(window.queue.table, Qt.Key.Key_E)
    gui.idle()
    gui.until(lambda: window.form.rows["steps"].text == "7")
    assert window.form.rows["level"].text == "0.25"
    window.form.rows["steps"].set_text("8")
    window.form.at.setText("2 h")
    window.form.failure.setCurrentIndex(window.form.failure.findData("retry"))
    gui.idle()
    gui.until(window.form.save_button.isEnabled)
    window.form.save_button.click()
    gui.idle()
    (item,) = gui.manager.items()
    assert item.request["parameters"]["steps"] == 8
    assert item.policy.on_failure == "retry"
    assert item.policy.not_before == pytest.approx(time.time() + 7200, abs=120)


def test_a_dry_run_foretells_the_time_and_leaves_no_run(gui):
    window = gui.open()
    gui.choose("patient", steps="5", pause="2 s", fast="True")
    gui.until(window.form.dry_button.isEnabled)
    assert "a dry run says" in window.form.plan.text()
    window.form.dry_button.click()
    gui.until(lambda: window.conductor.view and window.conductor.view.status == "finished")
    window.form.mode.setCurrentIndex(window.form.mode.findData("real"))
    gui.until(lambda: "the dry run" in window.form.plan.text())
    assert "about 10 s" in window.form.plan.text()  # 5 points of 2 s on the bench's clock
    assert not list(gui.runs.glob("000*"))


def test_the_catalogue_is_searched_compared_marked_and_exported(gui, tmp_path):
    for title, level in (("first", 0.25), ("second", 0.75)):
        request = gui.watch(title, steps=4, pause=level)
        gui.manager.submit(request)
    gui.manager.work_off()
    window = gui.open()
    window.tabs.setCurrentWidget(window.runs)
    runs = window.runs
    gui.until(lambda: len(runs.model.runs) == 2)
    runs.search.setText("pause>0.5")
    gui.until(lambda: len(runs.model.runs) == 1)
    runs.table.selectRow(0)
    runs.star()
    runs.label("good")
    runs.remark("the door was open")
    (path,) = gui.runs.glob("0002-*")
    assert marks.read(path) == marks.Marks(("good",), True, ("the door was open",))
    gui.idle()
    runs.search.setText("label:good door is:starred")
    gui.until(lambda: len(runs.model.runs) == 1)
    runs.search.setText("")
    gui.until(lambda: len(runs.model.runs) == 2)
    runs.table.selectAll()
    runs.difference()
    text = runs.details.toPlainText()
    assert "pause" in text
    assert "0.25 s" in text
    assert "commit" not in text  # the same code
    dialog = runs.overlay()
    assert len(dialog.curves) == 2
    dialog.close()
    runs.table.selectRow(0)
    window.commands.show_run(path)
    gui.until(lambda: window.results.pictures)
    files = {file.name for file in window.commands.export(path, tmp_path)}
    assert {"manifest.json", "data.csv", "live-view.png"} <= files
    runs.repeat.emit(runs.model.runs[0])
    gui.until(lambda: window.form.title.text() == "second")


def test_the_bench_is_shown_read_set_and_locked_while_a_run_has_it(gui):
    window = gui.open()
    bench = window.bench
    window.tabs.setCurrentWidget(bench)
    assert set(bench.diagram.lamps) == {"thermometer"}
    bench.connect_bench()
    gui.until(lambda: bench.states.get("thermometer") == "good")
    assert "TOY,THERMOMETER" in bench.table.item(0, 2).text()
    bench.choose("thermometer")
    gui.until(lambda: bench.values.rows)
    bench.values.choose("heater")
    bench.values.edit.setText("5")
    QTest.keyClick(bench.values.edit, Qt.Key.Key_Return)
    gui.until(lambda: [r["value"] for r in bench.values.rows if r["name"] == "heater"] == [5])
    bench.make_safe()
    gui.until(lambda: [r["value"] for r in bench.values.rows if r["name"] == "heater"] == [0])
    queue(gui, steps="500", wait="10")
    gui.wait_for("running")
    gui.until(lambda: bench.owner is not None)
    assert bench.host is None
    assert not bench.connect_button.isEnabled()
    gui.until(lambda: bench.states["thermometer"] == "busy")
    gui.until(window.statebar.abort_button.isEnabled)
    window.statebar.abort_button.click()
    gui.wait_for("aborted")
    gui.until(bench.connect_button.isEnabled)


def test_panels_are_changed_and_remembered(gui):
    gui.manager.submit(gui.watch(steps=5))
    gui.manager.work_off()
    window = gui.open()
    gui.until(lambda: window.live.frames)
    live = window.live
    usual = len(live.frames)
    live._add(3)
    assert len(live.frames) == usual + 1
    frame = live.frames[0]
    frame.toggles["log_y"].click()
    frame.toggles["cursors"].click()
    assert "B − A" in frame.plot.readout.text()
    gui.close()
    live = gui.open().live
    gui.until(lambda: len(live.frames) == usual + 1)
    assert live.frames[0].shown.log_y
    assert live.frames[0].shown.cursors
    live._forget()
    assert len(live.frames) == usual


def test_dark_becomes_light_and_the_page_for_afar_opens(gui):
    window = gui.open()
    gui.choose("patient", steps="9")
    gui.until(lambda: window.form_control.wish is not None)
    QTest.keyClick(window, Qt.Key.Key_T, Qt.KeyboardModifier.ControlModifier)
    assert window.theme.name == "light"
    assert window.palette().window().color().name() == window.theme.ground
    assert window.form.rows["steps"].text == "9"
    big = window.commands.read_from_afar()
    assert big.mode.text() == "SIMULATED"
    gui.until(big.isActiveWindow)
    QTest.keyClick(big, Qt.Key.Key_F11)
    gui.until(lambda: not big.isVisible())


def test_an_old_run_that_is_resumed_in_a_terminal_is_followed(gui, place, monkeypatch):
    """Neither among the newest nor in the queue: the window has it all the same."""
    monkeypatch.setattr(sessions, "LATEST", 2)
    gui.manager.submit(
        Request("patient", {"steps": "2000", "fail_at": "3", "wait": "1"}, "toy.toml")
    )
    (outcome,) = gui.manager.work_off()
    for _ in range(3):
        run = RunFolder.create(gui.runs, "other", {"columns": [], "parameters": {}})
        run.stop("finished")
        run.close()
    window = gui.open()
    assert window.conductor.active.path == run.path
    script = (
        "import sys; "
        "from labctl.cli import main; from labctl.run import request; old = request.loading.build; "
        "request.loading.build = lambda c, p: old(c, {**p, 'fail_at': -1}); "
        "sys.exit(main(['resume', sys.argv[1]]))"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(outcome.path)]) as process:
        gui.until(lambda: window.conductor.active.path == outcome.path)
        gui.wait_for("running")
        window._show_bar()
        assert window.mode() == "sim"
        gui.until(lambda: window.conductor.active.table.seen > 4)
        gui.until(window.statebar.pause_button.isEnabled)
        window.statebar.pause_button.click()
        gui.wait_for("paused")
        gui.until(lambda: window.statebar.pause_button.text() == "Resume")
        window.statebar.pause_button.click()
        gui.wait_for("running")
        window.statebar.abort_button.click()
        gui.wait_for("aborted")
        process.wait(60)
    assert RunFolder.open(outcome.path).stretches == 2


def test_the_folder_of_runs_may_go_while_the_window_is_open(gui):
    window = gui.open()
    queue(gui, steps="5", wait="0")
    gui.wait_for("finished")
    gui.until(lambda: window.results.pictures)
    shutil.rmtree(gui.runs)
    gui.spin(1.5)
    window.tabs.setCurrentWidget(window.runs)
    gui.spin(0.5)
    window.commands.control("pause")
    assert "no run goes on" in window.message.text()
    queue(gui, steps="4", wait="0")
    gui.until(lambda: window.conductor.active.table.seen == 4)
    gui.wait_for("finished")
