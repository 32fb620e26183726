"""The window: state bar, cards, form and views in one frame whose colour is the bench's mode."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QPushButton,
    QScrollArea,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from labctl.bench import find_bench, resolve_mode
from labctl.errors import LabError
from labctl.gui import theme as themes
from labctl.gui.carddeck import CardDeck
from labctl.gui.conductor import Conductor
from labctl.gui.formcontrol import FormControl
from labctl.gui.formview import FormView
from labctl.gui.helperlink import HelperLink
from labctl.gui.keys import connect_keys
from labctl.gui.liveview import LiveView
from labctl.gui.panels import Layouts
from labctl.gui.queueview import QueueView
from labctl.gui.resultsview import ResultsView
from labctl.gui.session import Session
from labctl.gui.statebar import StateBar

#: The window's memory, beside the runs.
MEMORY = "window.json"


class Window(QMainWindow):
    """One view of a folder of runs. Closing it ends no run."""

    def __init__(self, session: Session, theme: str = "") -> None:
        super().__init__()
        self.session = session
        self.layouts = Layouts.load(session.runs_dir / MEMORY)
        name = theme or str(self.layouts.values.get("theme", "dark"))
        self.theme = themes.THEMES.get(name, themes.DARK)
        self.setWindowTitle(f"labctl – {session.runs_dir}")
        self.resize(1480, 920)
        self.helper = HelperLink(parent=self)
        self.conductor = Conductor(session, self.helper)
        self.statebar = StateBar(self.theme)
        self.deck = CardDeck(self, self.theme)
        self.form = FormView()
        self.form_control = FormControl(self.form, session, self.helper)
        self.live = LiveView(self.theme, self.layouts)
        self.results = ResultsView()
        self.queue = QueueView(session, self.theme)
        self.tabs = QTabWidget()
        for widget, title in self.views():
            self.tabs.addTab(widget, title)
        self.message = QLabel("")
        self.looking_at = QPushButton("")
        self._lay_out()
        self._connect()
        connect_keys(self)
        self._bar_shown = 0.0
        self.show_mode()

    def views(self) -> list[tuple[QWidget, str]]:
        """The tabs, in order; Ctrl+1 and so on choose them."""
        return [(self.live, "Live"), (self.results, "Results"), (self.queue, "Queue")]

    def _lay_out(self) -> None:
        cards = QScrollArea()
        cards.setWidgetResizable(True)
        cards.setWidget(self.deck)
        cards.setMaximumHeight(420)
        cards.setSizeAdjustPolicy(QScrollArea.SizeAdjustPolicy.AdjustToContents)
        self.deck.area = cards
        cards.hide()
        self.looking_at.setVisible(False)
        self.looking_at.clicked.connect(self.conductor.show_active)
        left, right = QWidget(), QWidget()
        box = QVBoxLayout(left)
        box.setContentsMargins(4, 4, 0, 4)
        box.addWidget(self.form)
        right_box = QVBoxLayout(right)
        right_box.setContentsMargins(0, 4, 4, 4)
        right_box.addWidget(self.looking_at)
        right_box.addWidget(self.tabs)
        self.split = QSplitter(Qt.Orientation.Horizontal)
        self.split.addWidget(left)
        self.split.addWidget(right)
        self.split.setStretchFactor(0, 0)
        self.split.setStretchFactor(1, 1)
        self.split.setSizes([420, 1060])
        below = QHBoxLayout()
        below.setContentsMargins(8, 0, 8, 4)
        below.addWidget(self.message, stretch=1)
        hint = QLabel("F1 keys   F11 read from afar   Ctrl+T dark or light")
        hint.setObjectName("dim")
        below.addWidget(hint)
        self.frame = QFrame()
        inner = QVBoxLayout(self.frame)
        inner.setContentsMargins(6, 6, 6, 6)
        inner.setSpacing(4)
        inner.addWidget(self.statebar)
        inner.addWidget(cards)
        inner.addWidget(self.split, stretch=1)
        inner.addLayout(below)
        self.setCentralWidget(self.frame)

    def _connect(self) -> None:
        bar, conductor, form = self.statebar, self.conductor, self.form_control
        bar.pause.connect(lambda: self.control("pause"))
        bar.resume.connect(lambda: self.control("resume"))
        bar.abort.connect(lambda: self.control("abort", "aborted in the window"))
        bar.stop_all.connect(self.stop_all)
        conductor.frame.connect(self._frame)
        conductor.slow.connect(self._slow)
        conductor.active_changed.connect(self.show_mode)
        conductor.view_changed.connect(self._show_view)
        conductor.panels.connect(self.live.declare)
        conductor.figures.connect(self.results.show_figures)
        conductor.ended.connect(self._ended)
        form.queued.connect(self._queued)
        form.bench_changed.connect(lambda _: self.show_mode())
        form.said.connect(self.say)
        form.dry_running.connect(conductor.expect_dry_run)
        self.form.mode.activated.connect(lambda _: self.show_mode())
        queue = self.queue
        queue.start.connect(self.start_queue)
        queue.said.connect(self.say)
        queue.edit.connect(lambda item: form.load(item, editing=True))
        queue.copy.connect(lambda item: form.load(item, editing=False))
        queue.show_run.connect(self.show_run)

    def begin(self) -> None:
        """Start looking; called once, when the window is on the screen."""
        self.form_control.begin()
        self.conductor.begin()
        self.helper.ask(
            "interrupted", self.deck.offer, lambda _: None, runs_dir=str(self.session.runs_dir)
        )

    # What the window does

    def control(self, verb: str, reason: str = "") -> None:
        try:
            run = self.session.control(verb, reason)
        except (LabError, OSError) as error:
            self.say(str(error), True)
        else:
            self.say(f"{verb} asked of {run.name}", False)

    def stop_all(self) -> None:
        """Ask for the bench to be made safe now, and show what each instrument answers."""
        run = None
        try:
            run = self.session.control("stop", "STOP ALL SAFE pressed in the window")
        except (LabError, OSError) as error:
            self.say(str(error), True)
        if run is not None:
            self.deck.stopping(run)

    def start_queue(self) -> None:
        try:
            started = self.session.start_queue()
        except OSError as error:
            self.say(f"the queue cannot be started: {error}", True)
        else:
            self.say("the queue is being worked off" if started else "it is worked off already",
                     False)  # fmt: skip
        self.queue.refresh()

    def resume_runs(self, paths: list[str]) -> None:
        """Queue the rest of runs as the next items, and start."""
        for path in reversed(paths):
            try:
                self.session.manager.submit_resume(Path(path))
            except (LabError, OSError) as error:
                self.say(str(error), True)
        self.start_queue()

    def show_run(self, path: str | Path) -> None:
        """Look at a run."""
        try:
            self.conductor.show_run(Path(path))
        except (LabError, OSError) as error:
            self.say(str(error), True)
            return
        self.tabs.setCurrentWidget(self.live)

    def say(self, text: str, bad: bool = False) -> None:
        """One line at the bottom of the window."""
        self.message.setText(text)
        self.message.setToolTip(text)
        colour = self.theme.bad if bad else self.theme.text
        self.message.setStyleSheet(f"color: {colour};")

    def show_mode(self) -> None:
        """Give the frame the colour of what runs, or of what the form would run."""
        mode = self.mode()
        self.statebar.show_mode(mode)
        colour, _ = themes.MODES.get(mode, themes.MODES[""])
        self.frame.setObjectName("modeframe")
        self.frame.setStyleSheet(f"QFrame#modeframe {{ border: 7px solid {colour}; }}")

    def mode(self) -> str:
        """real, sim or replay; "" if nothing says."""
        active = self.conductor.active
        if active is not None and active.status in ("running", "paused"):
            return active.mode
        try:
            file = find_bench(self.session.bench)
            return resolve_mode(file, str(self.form.mode.currentData()) or None)
        except (LabError, OSError):
            return ""

    def set_theme(self, name: str) -> None:
        """Change the look; plots are made anew."""
        self.layouts.values["theme"] = name
        self.layouts.save()
        app = QApplication.instance()
        if isinstance(app, QApplication):
            themes.apply(app, themes.THEMES[name])

    # What happens

    def _frame(self) -> None:
        self.live.refresh()
        now = time.monotonic()
        if now - self._bar_shown > 0.2:
            self._bar_shown = now
            self._show_bar()

    def _show_bar(self) -> None:
        active, disk = self.conductor.active, self.conductor.disk_left
        if active is None:
            self.statebar.show_idle(disk)
        else:
            self.statebar.show_run(active, disk)
        self.deck.refresh(active)

    def _slow(self) -> None:
        if self.queue.isVisible():
            self.queue.refresh()

    def _show_view(self) -> None:
        feed, conductor = self.conductor.view, self.conductor
        if feed is None:
            return
        if self.live.feed is not feed:
            self.live.follow(feed)
        else:
            self.live.refresh(force=True)
        self.results.show_results(feed)
        self.looking_at.setVisible(conductor.pinned)
        mode = themes.MODES.get(feed.mode, themes.MODES[""])[1]
        self.looking_at.setText(
            f"You look at run {feed.number} {feed.procedure} ({mode.lower()}), "
            "not at the active one. Click, or press Ctrl+0, to go back."
        )

    def _ended(self, feed: Any) -> None:
        self.show_mode()
        if feed.status == "finished":
            self.say(f"run {feed.number} {feed.procedure} finished", False)
        else:
            self.deck.failed(feed)
        if feed.start.get("title") == "dry run":
            self.form_control.dry_run_ended(feed.path, feed.procedure)

    def _queued(self, numbers: list[int], start: bool) -> None:
        if numbers:
            said = f"item {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} items"
            self.say(f"queued as {said}", False)
        self.queue.refresh()
        if start:
            self.start_queue()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Runs go on: they are not children of this window."""
        self.conductor.end()
        self.helper.close()
        self.layouts.values["bench"] = self.session.bench
        self.layouts.save()
        super().closeEvent(event)
