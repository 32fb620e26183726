"""The page to be read from three metres: state, progress, time left and the latest values."""

from __future__ import annotations

import math
import time

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeyEvent, QResizeEvent
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QProgressBar, QVBoxLayout, QWidget

from labctl.gui.elided import Elided
from labctl.gui.theme import MODES, Theme
from labctl.viewing import words
from labctl.viewing.feed import Feed
from labctl.viewing.measures import error_column, name_and_unit, quantity

#: Values of the last row that are shown.
MOST_VALUES = 4
#: Size of all letters as a part of the height: capitals (0.73 of that) are 20' high at 3 m on a
#: screen of 24 inches, 16:9, which ISO 9241-303 recommends.
LETTERS = 0.082
#: More letters than that in half a line would be cut.
HALF_LINE = 16


class BigView(QWidget):
    """A window of its own, as large as the screen; any of Esc, F11 and a click closes it."""

    closed = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.setWindowTitle("labctl")
        self.setAccessibleName("state of the run, to be read from afar")
        self.mode, self.state = QLabel(""), QLabel("")
        self.title, self.left = Elided(), Elided()
        self.progress = QProgressBar()
        self.cells = [Elided() for _ in range(2 * MOST_VALUES)]  # a name, and below it its value
        self._colours = (MODES[""][0], theme.text)  # of the mode and of the state
        for label in (self.mode, self.title, self.state, self.left, *self.cells):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        top = QHBoxLayout()
        top.addWidget(self.mode, stretch=1)
        top.addWidget(self.state, stretch=1)
        grid = QGridLayout()
        grid.setVerticalSpacing(0)
        for number, cell in enumerate(self.cells):
            row, column = divmod(number // 2, 2)
            grid.addWidget(cell, 2 * row + number % 2, column)
            grid.setColumnStretch(column, 1)
        self.box = QVBoxLayout(self)
        self.box.addLayout(top)
        for widget in (self.title, self.progress, self.left):
            self.box.addWidget(widget)
        self.box.addStretch(1)
        self.box.addLayout(grid)
        self.box.addStretch(1)
        self.resize(1480, 920)

    def restyle(self, theme: Theme) -> None:
        """Take other colours."""
        self.theme = theme
        self._paint(*self._colours, again=True)

    def show_run(self, feed: Feed | None, mode: str) -> None:
        """Show how a run stands."""
        theme = self.theme
        colour, word = MODES.get(mode, MODES[""])
        self.mode.setText(word)
        if feed is None:
            self.state.setText("IDLE")
            self.progress.setFormat("no run yet")
            self._paint(colour, theme.text)
            return
        now = time.time()
        stalled = feed.stalled()
        title = str(feed.start.get("title") or "")
        self.title.setText(f"{feed.number} {feed.procedure}" + (f" – {title}" if title else ""))
        colours = {"running": theme.good, "paused": theme.warn, "finished": theme.text}
        self.state.setText("STALLED" if stalled else feed.status.upper())
        shown = theme.warn if stalled else colours.get(feed.status, theme.bad)
        self._paint(colour, shown)
        total = max(feed.points, 1)
        self.progress.setRange(0, total)
        self.progress.setValue(min(feed.table.seen, total))
        self.progress.setFormat(f"{feed.table.seen} of {feed.points or '?'}")
        left = feed.left()
        self.left.setText(
            f"{words.duration(left)} left, until {words.clock_time(now + left, now)}"
            if math.isfinite(left) else ""
        )  # fmt: skip
        texts = latest(feed)
        for number, cell in enumerate(self.cells):
            pair = texts[number // 2] if number // 2 < len(texts) else ("", "")
            cell.setText(pair[number % 2])

    def _paint(self, mode: str, state: str, again: bool = False) -> None:
        """Letters that can be read from afar, whatever the size of the screen is."""
        if (mode, state) == self._colours and not again:
            return
        self._colours = (mode, state)
        side = min(self.height(), self.width() * 9 / 16)
        size = max(8, math.ceil(LETTERS * side))
        bold = f"font-size: {size}px; font-weight: bold;"
        margin = round(0.02 * side)
        self.box.setContentsMargins(2 * margin, margin, 2 * margin, margin)
        self.box.setSpacing(margin)
        self.mode.setStyleSheet(f"background: {mode}; color: white; {bold}")
        self.state.setStyleSheet(f"color: {state}; {bold}")
        for label in (self.title, self.left):
            label.setStyleSheet(bold)
        self.progress.setStyleSheet(f"min-height: {round(1.2 * size)}px; {bold}")
        for number, cell in enumerate(self.cells):
            cell.setStyleSheet(bold if number % 2 else f"color: {self.theme.dim}; {bold}")

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._paint(*self._colours, again=True)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Escape, Qt.Key.Key_F11):
            self.leave()

    def mousePressEvent(self, event: object) -> None:
        self.leave()

    def leave(self) -> None:
        self.hide()
        self.closed.emit()


def latest(feed: Feed) -> list[tuple[str, str]]:
    """Names and values of the last row: what has a standard error goes first."""
    table = feed.table
    if not table.rows:
        return []
    names = [name for name in table.names if name != "index"]
    errors = {name: error_column(name) for name in names if error_column(name) in table}
    plain = [name for name in names if name not in errors.values()]
    known = [name for name in plain if not math.isnan(table.column(name)[-1])]
    chosen = sorted(known, key=lambda name: name in errors)[-MOST_VALUES:]
    found = []
    for name in chosen:
        value, (called, unit) = float(table.column(name)[-1]), name_and_unit(name)
        error = float(table.column(errors[name])[-1]) if name in errors else math.nan
        if texts := table.texts(name):
            text = texts[int(value)]
        elif len(text := quantity(value, error, unit)) > HALF_LINE:
            text = quantity(float(f"{value:.4g}"), unit=unit)
        found.append((called, text))
    return found
