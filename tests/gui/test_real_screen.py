"""The window under a real X server, with a real mouse and real keys."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import pytest

from labctl.manager import Manager
from labctl.run.request import Request

pytestmark = pytest.mark.skipif(
    not (shutil.which("Xvfb") and shutil.which("xdotool")), reason="needs Xvfb and xdotool"
)
PATIENCE = 90.0

#: The window as `labctl gui` opens it; it tells where its widgets are when it is asked.
CLIENT = """
import json, sys
from pathlib import Path
from qtpy.QtCore import QPoint, QTimer
from labctl.gui import app as gui

app = gui.application()
window = gui.open_window(Path(sys.argv[1]), "toy.toml")
window.move(0, 0)

def where(widget):
    middle = widget.mapToGlobal(QPoint(widget.width() // 2, widget.height() // 2))
    return [middle.x(), middle.y()]

def tell():
    rows = window.form.rows
    table = window.queue.table
    visible = [table.visualRect(table.model().index(i, 3)).center() for i in range(3)]
    report = {
        "ready": window.form.start_button.isEnabled(),
        "procedure": str(window.form.procedure.currentData()),
        "steps": where(rows["steps"].edit) if "steps" in rows else None,
        "text": rows["steps"].text if "steps" in rows else "",
        "start": where(window.form.start_button),
        "pause": where(window.statebar.pause_button),
        "queued": len(table.queued),
        "tab": window.tabs.currentIndex(),
        "queue": [[*(lambda p: (p.x(), p.y()))(table.viewport().mapToGlobal(at))] for at in visible],
        "state": window.conductor.active.status if window.conductor.active else "",
        "rows": window.conductor.active.table.seen if window.conductor.active else 0,
        "cards": [type(card).__name__ for card in window.deck.cards],
    }
    print(json.dumps(report), flush=True)

timer = QTimer()
timer.timeout.connect(tell)
timer.start(100)
app.exec()
"""


class Screen:
    """An X server of its own and the window on it."""

    def __init__(self, place, tmp_path):
        read, write = os.pipe()
        self.server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"],
            pass_fds=[write], stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(write)
        with os.fdopen(read) as answer:
            number = answer.readline().strip()
        self.environment = os.environ | {"DISPLAY": f":{number}", "QT_QPA_PLATFORM": "xcb"}
        self.log = (tmp_path / "window.log").open("w+")
        self.window = subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(place / "runs")], env=self.environment,
            stdout=subprocess.PIPE, stderr=self.log, text=True,
        )  # fmt: skip

    def close(self):
        for process in (self.window, self.server):
            process.terminate()
            process.wait(10)
        self.log.close()

    def look(self):
        """What the window says of itself now: the newest of its reports."""
        import json

        line = self.window.stdout.readline()
        if not line:
            self.log.seek(0)
            pytest.fail(f"the window is gone: {self.log.read()[-2000:]}")
        return json.loads(line)

    def until(self, condition):
        end = time.monotonic() + PATIENCE
        while not condition(report := self.look()):
            assert time.monotonic() < end, report
        return report

    def do(self, *words):
        subprocess.run(["xdotool", *map(str, words)], env=self.environment, check=True)

    def click(self, place):
        self.do("mousemove", *place, "click", 1)

    def press(self, button, condition):
        """Click a button where it is now, until it has done what it should."""
        return self.insist(lambda: self.click(self.look()[button]), condition)

    def type(self, key, condition):
        """Press a key, until it has done what it should."""
        return self.insist(lambda: self.do("key", key), condition)

    def insist(self, act, condition):
        """A server without a window manager, on a busy machine, loses an event now and then."""
        end = time.monotonic() + PATIENCE
        while True:
            act()
            again = time.monotonic() + 6.0
            while time.monotonic() < again:
                if condition(report := self.look()):
                    return report
            assert time.monotonic() < end, report


@pytest.fixture
def screen(place, tmp_path):
    found = Screen(place, tmp_path)
    yield found
    found.close()


def test_mouse_and_keys_queue_run_pause_reorder_and_stop(screen, place):
    runs = place / "runs"
    report = screen.until(lambda r: r["ready"] and r["steps"])
    screen.click(report["steps"])
    screen.do("key", "ctrl+a")
    screen.do("type", "9000")
    report = screen.until(lambda r: r["text"] == "9000" and r["ready"])
    assert report["procedure"] == "patient"
    screen.click(report["start"])
    screen.until(lambda r: r["state"] == "running" and r["rows"] > 2)
    screen.press("pause", lambda r: r["state"] == "paused")
    screen.type("ctrl+p", lambda r: r["state"] == "running")

    manager = Manager(runs)
    for title in "abc":
        manager.submit(Request("toybench:Watch", {"steps": "2"}, "toy.toml", title=title))
    report = screen.type("ctrl+3", lambda r: r["tab"] == 2 and r["queued"] == 4)
    rows = [report["queue"][0][1], report["queue"][1][1], report["queue"][2][1]]
    x, height = report["queue"][0][0], rows[1] - rows[0]
    # Drag the last waiting item (row 3: the run is row 0) to above the first waiting one (row 1).
    way = 2 * height + height // 4
    screen.do("mousemove", x, rows[0] + 3 * height, "mousedown", 1)
    for step in range(1, 11):
        screen.do("mousemove", x + 3, rows[0] + 3 * height - round(way * step / 10))
        time.sleep(0.03)
    screen.do("mouseup", 1)
    end = time.monotonic() + PATIENCE
    while [i.request["title"] for i in manager.waiting()] != ["c", "a", "b"]:
        assert time.monotonic() < end, manager.waiting()
        screen.look()

    screen.type("F12", lambda r: "StopCard" in r["cards"])
    screen.until(lambda r: r["state"] == "aborted")
    end = time.monotonic() + PATIENCE
    while manager.worked_off():
        assert time.monotonic() < end
        screen.look()
    assert len(manager.waiting()) == 3  # nothing begins by itself after a stop
