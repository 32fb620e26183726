"""The window: state bar, cards, form and views in one frame whose colour is the bench's mode."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from labctl.bench import find_bench, resolve_mode
from labctl.errors import LabError
from labctl.gui import theme as themes
from labctl.gui.benchview import BenchView
from labctl.gui.carddeck import CardDeck
from labctl.gui.commands import BY_HAND, Commands
from labctl.gui.conductor import Conductor
from labctl.gui.elided import Elided
from labctl.gui.formcontrol import FormControl
from labctl.gui.formview import FormView
from labctl.gui.helperlink import HelperLink
from labctl.gui.keys import connect_keys
from labctl.gui.liveview import LiveView
from labctl.gui.overlay import OverlayDialog
from labctl.gui.queueview import QueueView
from labctl.gui.resultsview import ResultsView
from labctl.gui.runsview import RunsView
from labctl.gui.statebar import StateBar
from labctl.gui.tagsview import TagsView
from labctl.viewing.feed import Feed
from labctl.viewing.panels import Layouts
from labctl.viewing.session import Session

#: The window's memory, beside the runs.
MEMORY = "window.json"
#: Seconds between two looks at the catalogue while it is visible.
CATALOGUE_EVERY = 5.0


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
        self.indexer = HelperLink("labctl.gui.processes.indexer", self)
        self.conductor = Conductor(session, self.helper)
        self.statebar = StateBar(self.theme)
        self.deck = CardDeck(self, self.theme)
        self.form = FormView()
        self.form_control = FormControl(self.form, session, self.helper)
        self.live = LiveView(self.theme, self.layouts)
        self.results = ResultsView()
        self.queue = QueueView(session, self.theme)
        self.runs = RunsView(session, self.theme, self.helper)
        self.bench = BenchView(session, self.theme)
        self.tags = TagsView(self.theme)
        self.commands = Commands(self)
        self.tabs = QTabWidget()
        for title, widget in self.views().items():
            self.tabs.addTab(widget, title)
        self.message = Elided("")
        self.looking_at = QPushButton("")
        self._bar_shown = 0.0
        self._catalogue_shown = 0.0
        self._looked_through = False  # the whole catalogue, since it was turned to
        self._lay_out()
        self._connect()
        connect_keys(self)
        self.show_mode()

    def views(self) -> dict[str, QWidget]:
        """The tabs, in order; Ctrl+1 and so on choose them."""
        return {
            "Live": self.live, "Results": self.results, "Queue": self.queue, "Runs": self.runs,
            "Bench": self.bench, "Time tags": self.tags,
        }  # fmt: skip

    def _lay_out(self) -> None:
        cards = QScrollArea()
        cards.setWidgetResizable(True)
        cards.setWidget(self.deck)
        self.deck.area = cards
        cards.hide()
        self.looking_at.setVisible(False)
        self.looking_at.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        right = QWidget()
        right_box = QVBoxLayout(right)
        right_box.setContentsMargins(0, 4, 4, 4)
        right_box.addWidget(self.looking_at)
        right_box.addWidget(self.tabs)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(self.form)
        split.addWidget(right)
        split.setStretchFactor(1, 1)
        split.setSizes([370, 1110])
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
        inner.addWidget(split, stretch=1)
        inner.addLayout(below)
        self.setCentralWidget(self.frame)

    def _connect(self) -> None:
        bar, conductor, form, commands = (
            self.statebar, self.conductor, self.form_control, self.commands
        )  # fmt: skip
        bar.pause.connect(lambda: commands.control("pause"))
        bar.resume.connect(lambda: commands.control("resume"))
        bar.abort.connect(commands.abort)
        bar.stop_all.connect(commands.stop_all)
        conductor.frame.connect(self._frame)
        conductor.slow.connect(self._slow)
        conductor.active_changed.connect(self.show_mode)
        conductor.view_changed.connect(self._show_view)
        conductor.panels.connect(self.live.declare)
        conductor.figures.connect(self.results.show_figures)
        conductor.ended.connect(self._ended)
        conductor.trouble.connect(lambda text: self.say(text, True))
        self.looking_at.clicked.connect(conductor.show_active)
        form.queued.connect(self._queued)
        form.bench_changed.connect(self._bench_changed)
        form.said.connect(self.say)
        form.dry_running.connect(conductor.expect_dry_run)
        self.form.mode.activated.connect(lambda _: self.show_mode())
        self.queue.start.connect(commands.start_queue)
        self.queue.said.connect(self.say)
        self.queue.edit.connect(lambda item: form.load(item, editing=True))
        self.queue.copy.connect(lambda item: form.load(item, editing=False))
        self.queue.show_run.connect(commands.show_run)
        self.queue.times_wanted.connect(self._ask_for_times)
        self.runs.show_run.connect(commands.show_run)
        self.runs.said.connect(self.say)
        self.runs.repeat.connect(commands.repeat)
        self.runs.resume.connect(commands.resume_runs)
        self.runs.export.connect(commands.ask_export)
        self.runs.renew.connect(self.renew_catalogue)
        self.bench.said.connect(self.say)
        self.tabs.currentChanged.connect(lambda _: self._tab_changed())

    def begin(self) -> None:
        """Start looking; called once, when the window is on the screen."""
        self.form.procedure.setFocus()  # and not STOP, which a Space would press
        self.form_control.begin()
        self.conductor.begin()
        self.indexer.ask(
            "interrupted", self.deck.offer, lambda _: None, runs_dir=str(self.session.runs_dir)
        )

    def say(self, text: str, bad: bool = False) -> None:
        """One line at the bottom of the window."""
        self.message.setText(text)
        self.message.setObjectName("wrong" if bad else "")
        self.message.style().unpolish(self.message)
        self.message.style().polish(self.message)

    # Mode and look

    def show_mode(self) -> None:
        """Give the frame the colour of what runs, or of what the form would run."""
        mode = self.mode()
        self.statebar.show_mode(mode)
        self.bench.mode = str(self.form.mode.currentData() or "")
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
            return resolve_mode(file, str(self.form.mode.currentData() or "") or None)
        except (LabError, OSError):
            return ""

    def toggle_theme(self) -> None:
        """Take the other look, also for everything that is drawn already."""
        self.restyle(themes.LIGHT if self.theme is themes.DARK else themes.DARK)
        self.layouts.values["theme"] = self.theme.name
        self.layouts.save()

    def restyle(self, theme: themes.Theme) -> None:
        """Take other colours; nothing else changes, and nothing is connected anew."""
        self.theme = theme
        themes.apply(theme)
        part: Any
        for part in (
            self.statebar, self.deck, self.live, self.queue, self.runs, self.bench, self.tags,
            *self.findChildren(OverlayDialog),
        ):  # fmt: skip
            part.restyle(theme)
        if self.commands.big is not None:
            self.commands.big.restyle(theme)
        self._show_bar()

    # What happens

    def renew_catalogue(self, marked: Sequence[str] = ()) -> None:
        """Bring the index up to date in the helper, then list again; `marked` names old runs."""
        self.indexer.ask(
            "renew", lambda _: self.runs.refresh(), lambda error: self.say(error, True),
            key="" if marked else "catalogue", runs_dir=str(self.session.runs_dir),
            lately=self._looked_through,
            also=list(marked),
        )  # fmt: skip
        self._looked_through = True

    def _ask_for_times(self) -> None:
        """Ask what the items of the queue take; where nobody answers, it is not known."""
        self.indexer.ask(
            "expected", self.queue.show_times, lambda _: self.queue.show_times(()), key="expected",
            runs_dir=str(self.session.runs_dir),
        )  # fmt: skip

    def _frame(self) -> None:
        if self.live.isVisible():
            self.live.refresh()
        self.tags.refresh()
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
        self.bench.show_owner(active)
        if self.commands.big is not None and self.commands.big.isVisible():
            self.commands.refresh_big()

    def _slow(self) -> None:
        if self.session.bench_edited():
            self.form_control.renew()
        self.deck.taken_up(self.conductor.going)
        if self.queue.isVisible():
            self.queue.feed = self.conductor.active
            self.queue.refresh()
        if self.runs.isVisible() and time.monotonic() - self._catalogue_shown > CATALOGUE_EVERY:
            self._catalogue_shown = time.monotonic()
            self.renew_catalogue()

    def _tab_changed(self) -> None:
        current = self.tabs.currentWidget()
        if self.statebar.isAncestorOf(QApplication.focusWidget() or self):
            self.tabs.setFocus()  # what had the focus is hidden: a Space must not press STOP
        if current is self.live:
            self.live.refresh(force=True)
        elif current is self.queue:
            self.queue.refresh()
        elif current is self.runs:
            self.runs.refresh()
            self.runs.search.setFocus()
            self._catalogue_shown, self._looked_through = 0.0, False

    def _show_view(self) -> None:
        conductor = self.conductor
        if (feed := conductor.view) is None:
            return
        if self.live.feed is not feed:
            self.live.follow(feed)
            self.tags.follow(feed)
        else:
            self.live.refresh(force=True)
        self.results.show_results(feed)
        self.looking_at.setVisible(conductor.pinned)
        mode = themes.MODES.get(feed.mode, themes.MODES[""])[1]
        dry = feed.path.parent != self.session.runs_dir
        run = "the dry run of" if dry else f"run {feed.number}"
        self.looking_at.setText(
            f"You look at {run} {feed.procedure} ({mode.lower()}). Ctrl+0: the active run"
        )

    def _ended(self, feed: Feed) -> None:
        self.show_mode()
        here = feed.path in self.commands.ended and feed.reason.endswith(BY_HAND)
        self.commands.ended.discard(feed.path)
        if feed.status == "finished" or here:
            self.say(f"run {feed.number} {feed.procedure} {feed.status}")
        else:
            self.deck.failed(feed)

    def _bench_changed(self, name: str) -> None:
        self.show_mode()
        self.bench.show_bench(name)

    def _queued(self, numbers: list[int], start: bool) -> None:
        if numbers:
            said = f"item {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} items"
            self.say(f"queued as {said}")
        self.queue.refresh()
        if start:
            self.commands.start_queue()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Runs go on: they are not children of this window."""
        self.conductor.end()
        self.form_control.end()
        self.runs.model.thumbnails.close()
        self.helper.close()
        self.indexer.close()
        self.bench.disconnect_bench()
        self.tags.close_host()
        if self.commands.big is not None:
            self.commands.big.close()
        self.layouts.values["bench"] = self.session.bench
        self.layouts.save()
        QTimer.singleShot(0, self.deleteLater)
        super().closeEvent(event)
