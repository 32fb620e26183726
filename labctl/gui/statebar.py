"""The bar that is always visible: what runs, how far it is, and the buttons that stop it."""

from __future__ import annotations

import math
import time

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
)

from labctl.gui.elided import Elided
from labctl.gui.theme import MODES, Theme
from labctl.viewing import words
from labctl.viewing.feed import Feed

#: Below this much space (bytes) the disk is shown as a warning.
LITTLE_DISK = 2_000_000_000
#: Stands for a number of bytes that nobody has looked up.
UNKNOWN = -1
FACTS = ("elapsed", "left", "finished at", "last point", "disk left")


class _Fact(QFrame):
    """A caption above a value."""

    def __init__(self, caption: str) -> None:
        super().__init__()
        box = QVBoxLayout(self)
        box.setContentsMargins(4, 0, 4, 0)
        box.setSpacing(0)
        above = QLabel(caption)
        above.setObjectName("dim")
        self.value = QLabel("–")
        self.value.setAccessibleName(caption)
        box.addWidget(above)
        box.addWidget(self.value)

    def show_value(self, text: str, colour: str) -> None:
        self.value.setText(text)
        self.value.setStyleSheet(f"color: {colour}; font-size: 12pt; font-weight: bold;")
        self.value.setMinimumWidth(  # grows once, and does not jump with each second
            max(self.value.minimumWidth(), self.value.sizeHint().width())
        )


class StateBar(QFrame):
    """Run, state, point k of N, elapsed, left, finish time, age of the last point, disk left."""

    pause = Signal()
    resume = Signal()
    abort = Signal()
    stop_all = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("statebar")
        self.theme = theme
        self.badge = QLabel()
        self.badge.setMinimumWidth(126)  # for the longest of the words
        self.badge.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.title = Elided("no run yet")
        self.title.setStyleSheet("font-size: 12pt; font-weight: bold;")
        self.state = Elided("idle")
        self.progress = QProgressBar()
        self.progress.setMinimumWidth(90)
        self.progress.setAccessibleName("points of the run")
        self.facts = {name: _Fact(name) for name in FACTS}
        self.pause_button = QPushButton("Pause")
        self.pause_button.setToolTip("at the next point (Ctrl+P)")
        self.pause_button.clicked.connect(self._pause_or_resume)
        self.abort_button = QPushButton("Abort")
        self.abort_button.setToolTip(
            "end the run at its next yield point; the bench is made safe (Ctrl+Shift+A)"
        )
        self.abort_button.clicked.connect(self.abort)
        self.stop_button = QPushButton("STOP ALL SAFE\nF12")
        self.stop_button.setProperty("role", "stop")
        self.stop_button.setToolTip("make every instrument safe now, even if the run hangs (F12)")
        self.stop_button.clicked.connect(self.stop_all)
        self._lay_out()
        self.show_mode("")
        self.show_idle(UNKNOWN)

    def _lay_out(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 6, 8, 6)
        row.setSpacing(5)
        row.addWidget(self.badge)
        self.title.setMinimumWidth(90)
        middle = QVBoxLayout()
        middle.setSpacing(2)
        middle.addWidget(self.title)
        middle.addWidget(self.state)
        row.addLayout(middle, stretch=5)
        row.addWidget(self.progress, stretch=2)
        for fact in self.facts.values():
            row.addWidget(fact)
        below = QVBoxLayout()
        below.setSpacing(3)
        for button in (self.pause_button, self.abort_button):
            button.setProperty("role", "small")
            below.addWidget(button)
        row.addLayout(below)
        row.addWidget(self.stop_button)

    def restyle(self, theme: Theme) -> None:
        """Take other colours."""
        self.theme = theme

    def show_mode(self, mode: str) -> None:
        colour, word = MODES.get(mode, MODES[""])
        self.badge.setText(word)
        self.badge.setStyleSheet(
            f"background: {colour}; color: white; font-weight: bold; padding: 8px;"
            "border-radius: 4px; font-size: 11pt;"
        )

    def show_idle(self, disk: int) -> None:
        """No run goes on and none was ever shown."""
        self.state.setText("idle")
        self.progress.setRange(0, 1)
        self.progress.setValue(0)
        self.progress.setFormat("")
        self._show_disk(disk)
        self._enable(running=False, paused=False)

    def show_run(self, feed: Feed, disk: int, now: float | None = None) -> None:
        """Everything about the run that the feed follows."""
        clock = time.time() if now is None else now
        theme, status = self.theme, feed.status
        title = str(feed.start.get("title") or "")
        self.title.setText(f"{feed.number}  {feed.procedure}" + (f"  –  {title}" if title else ""))
        stalled = feed.stalled(now)
        colours = {"running": theme.good, "paused": theme.warn, "finished": theme.text}
        colour = theme.warn if stalled else colours.get(status, theme.bad)
        word = "STALLED: no point comes" if stalled else status
        reason = f"  –  {feed.reason}" if feed.reason and status != "finished" else ""
        self.state.setText(f"{word}{reason}")
        self.state.setStyleSheet(f"color: {colour}; font-size: 11pt; font-weight: bold;")
        self._show_progress(feed)
        running = status in ("running", "paused")
        left = feed.left(now)
        self._fact("elapsed", words.duration(feed.elapsed(now)))
        self._fact("left", words.duration(left) if running else "–")
        finish = words.clock_time(clock + left, clock) if running and math.isfinite(left) else "–"
        self._fact("finished at", finish)
        age = words.duration(feed.age(now)) if running and feed.table.seen else "–"
        self._fact("last point", f"{age} ago" if age != "–" else age, warn=stalled)
        self._show_disk(disk)
        self._enable(running, paused=status == "paused")

    def _show_progress(self, feed: Feed) -> None:
        done, total = feed.table.seen, feed.points
        self.progress.setRange(0, max(total, 1))
        self.progress.setValue(min(done, total))
        self.progress.setFormat(f"{done} of {total}" if total else f"{done} points")

    def _show_disk(self, free: int) -> None:
        known = free != UNKNOWN
        self._fact("disk left", words.size(free) if known else "–", known and free < LITTLE_DISK)

    def _fact(self, name: str, text: str, warn: bool = False) -> None:
        self.facts[name].show_value(text, self.theme.warn if warn else self.theme.text)

    def _enable(self, running: bool, paused: bool) -> None:
        if not running:  # or the focus would go on to STOP, which a Space would press
            for button in (self.pause_button, self.abort_button):
                button.clearFocus()
        self.pause_button.setEnabled(running)
        self.pause_button.setText("Resume" if paused else "Pause")
        self.abort_button.setEnabled(running)

    def _pause_or_resume(self) -> None:
        if self.pause_button.text() == "Resume":
            self.resume.emit()
        else:
            self.pause.emit()
