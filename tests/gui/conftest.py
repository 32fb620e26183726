"""The window in tests: on the offscreen platform, with the toy bench, in a folder of its own."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import toybench

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytest.importorskip("pyqtgraph", reason="the window's packages are not installed")

from qtpy.QtCore import QEvent, QItemSelectionModel, QObject, QProcess, Qt
from qtpy.QtGui import QWindow

from labctl.gui import app as gui_app
from labctl.gui.helperlink import HelperLink
from labctl.gui.window import Window
from labctl.manager import Manager
from labctl.run.request import Request

#: Bounds for machines that have much else to do (s).
PATIENCE = float(os.environ.get("LABCTL_TEST_PATIENCE", "60"))


#: Helpers that are handed on.
SHARED = ("labctl.gui.processes.helper", "labctl.gui.processes.indexer")


class Spare:
    """One helper of each kind for all windows of these tests: to start it takes a second.

    A window that closes leaves its helpers to the next one, unless they were being asked something.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.processes: dict[str, QProcess] = {}
        start, close = HelperLink._start, HelperLink.close

        def adopt(link: HelperLink) -> None:
            process = self.processes.pop(link._module, None)
            if process is None:
                start(link)
                return
            process.setParent(link)
            link._buffer, link._process = b"", process
            process.readyReadStandardOutput.connect(link._read)
            process.finished.connect(link._ended)

        def leave(link: HelperLink) -> None:
            process = link._process
            if link._module in SHARED and process is not None and not link.busy:
                process.finished.disconnect()
                process.readyReadStandardOutput.disconnect()
                process.setParent(None)
                self.processes[link._module], link._process = process, None
            close(link)

        monkeypatch.setattr(HelperLink, "_start", adopt)
        monkeypatch.setattr(HelperLink, "close", leave)


@pytest.fixture(scope="session")
def spare():
    monkeypatch = pytest.MonkeyPatch()
    found = Spare(monkeypatch)
    yield found
    for process in found.processes.values():
        process.kill()
        process.waitForFinished(1000)
    monkeypatch.undo()


class Driver:
    """One window, and the hands and eyes of its user."""

    def __init__(self, place: Path) -> None:
        self.runs = place / "runs"
        self.manager = Manager(self.runs)
        self.window: Window | None = None

    def open(self, bench: str = "toy.toml", theme: str = "dark", ready: bool = True) -> Window:
        path = str(self.runs.parent / bench)  # the helper may be an older one from elsewhere
        self.window = gui_app.open_window(self.runs, path, theme)
        if ready:
            self.until(self.window.conductor._fast.isActive)
            self.idle()
        return self.window

    def close(self) -> None:
        if self.window is not None:
            self.window.close()
            self.window = None
            self.spin()

    def spin(self, seconds: float = 0.0) -> None:
        end = time.monotonic() + seconds
        while True:
            gui_app.application().processEvents()
            if time.monotonic() >= end:
                return
            time.sleep(0.005)

    def until(self, condition: Callable[[], object], patience: float = PATIENCE) -> None:
        end = time.monotonic() + patience
        while not condition():
            self.spin()
            time.sleep(0.005)
            assert time.monotonic() < end, "the window did not get there"

    def idle(self) -> None:
        """Wait until the helper has answered everything, also what answers lead to."""
        window = self.window
        timer = window.form_control._timer
        self.until(lambda: not window.helper.busy and not timer.isActive())

    def choose(self, procedure: str, **texts: str) -> None:
        """Choose a procedure and type into its fields."""
        window = self.window
        window.form_control.choose_procedure(procedure)
        self.until(lambda: all(name in window.form.rows for name in texts))
        self.idle()
        for name, text in texts.items():
            window.form.rows[name].set_text(text)
        self.idle()

    def select(self, titles: str) -> None:
        """Select the queue's items with these titles of one letter."""
        table = self.window.queue.table
        table.clearSelection()
        flags = QItemSelectionModel.SelectionFlag
        for row, item in enumerate(table.queued):
            if item.request["title"] in titles:
                index = table.model().index(row, 0)
                table.selectionModel().select(index, flags.Select | flags.Rows)

    def order(self) -> str:
        """The titles of what waits."""
        return "".join(item.request["title"] for item in self.manager.waiting())

    def watch(self, title: str = "", **parameters: object) -> Request:
        values = {"steps": "3", **{name: str(value) for name, value in parameters.items()}}
        return Request("toybench:Watch", values, "toy.toml", title=title)

    def wait_for(self, status: str) -> None:
        """Wait until the active run has this status."""
        conductor = self.window.conductor
        self.until(lambda: conductor.active is not None and conductor.active.status == status)


class Strays(QObject):
    """What shows itself as a window and is none.

    A widget that is shown before it has a parent flashes, and keys pressed meanwhile are lost.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def eventFilter(self, thing: QObject, event: QEvent) -> bool:
        shown = event.type() == QEvent.Type.Show and isinstance(thing, QWindow)
        if shown and thing.type() == Qt.WindowType.Window and not thing.title():
            self.names.append(thing.objectName())
        return False


@pytest.fixture
def no_strays():
    """Look at every event, which makes the window a third slower."""
    app, strays = gui_app.application(), Strays()
    app.installEventFilter(strays)
    yield
    app.removeEventFilter(strays)
    assert not strays.names, "flashed on the screen as windows of their own"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder of its own, which holds the toy bench and finds its modules."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LABCTL_RUNS", raising=False)
    support = str(Path(toybench.__file__).parent)
    monkeypatch.setenv("PYTHONPATH", support)
    text = toybench.BENCH.replace(
        'mode = "sim"', 'mode = "sim"\nprocedures = ["toyprocedures"]\n'
        'connections = ["thermometer > sample: heat"]'
    )  # fmt: skip
    text += '[[interlocks]]\nread = "thermometer.heater"\nmin = 0\nmax = 100\nunit = "W"\n'
    (tmp_path / "toy.toml").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def gui(place, spare):
    driver = Driver(place)
    gui_app.application()
    gc.disable()  # the window collects between events
    yield driver
    driver.close()
    gc.enable()
    control = list(driver.runs.glob("*/run.jsonl")) if driver.runs.exists() else []
    for path in control:  # what still runs would outlive the test
        (path.parent / "control.jsonl").open("a").write('\n{"do": "abort"}\n')
