"""The page to be read from three metres: state, progress, time left and the latest values."""

from __future__ import annotations

import math
import time

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeyEvent, QResizeEvent
from qtpy.QtWidgets import QGridLayout, QLabel, QProgressBar, QVBoxLayout, QWidget

from labctl.gui import words
from labctl.gui.feed import Feed
from labctl.gui.theme import MODES, Theme

#: Values of the last row that are shown.
MOST_VALUES = 6


class BigView(QWidget):
    """A window of its own, as large as the screen; any of Esc, F11 and a click closes it."""

    closed = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.setWindowTitle("labctl")
        self.resize(1480, 920)
        self.mode, self.title, self.state = QLabel(""), QLabel(""), QLabel("")
        self.progress = QProgressBar()
        self.left = QLabel("")
        self.values = [(QLabel(""), QLabel("")) for _ in range(MOST_VALUES)]
        self._colours = ("#808080", theme.text)  # of the mode and of the state
        for label in (self.mode, self.title, self.state, self.left):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            label.setWordWrap(True)
        grid = QGridLayout()
        grid.setHorizontalSpacing(60)
        for number, (name, value) in enumerate(self.values):
            row, column = divmod(number, 3)
            grid.addWidget(name, 2 * row, column, Qt.AlignmentFlag.AlignHCenter)
            grid.addWidget(value, 2 * row + 1, column, Qt.AlignmentFlag.AlignHCenter)
        box = QVBoxLayout(self)
        box.setContentsMargins(40, 20, 40, 20)
        for widget in (self.mode, self.title, self.state, self.progress, self.left):
            box.addWidget(widget)
        box.addStretch(1)
        box.addLayout(grid)
        box.addStretch(1)

    def show_run(self, feed: Feed | None, mode: str) -> None:
        """Show how a run stands."""
        theme = self.theme
        colour, word = MODES.get(mode, MODES[""])
        self.mode.setText(word)
        self.mode.setStyleSheet(
            f"background: {colour}; color: white; padding: 12px;font-size: 30pt; font-weight: bold;"
        )
        if feed is None:
            self.state.setText("idle")
            return
        now = time.time()
        stalled = feed.stalled(now)
        title = str(feed.start.get("title") or "")
        self.title.setText(f"{feed.number}  {feed.procedure}" + (f" – {title}" if title else ""))
        colours = {"running": theme.good, "paused": theme.warn, "finished": theme.text}
        self.state.setText("STALLED" if stalled else feed.status.upper())
        shown = theme.warn if stalled else colours.get(feed.status, theme.bad)
        self._paint(colour, shown)
        total = max(feed.points, 1)
        self.progress.setRange(0, total)
        self.progress.setValue(min(feed.table.seen, total))
        self.progress.setFormat(f"{feed.table.seen} of {feed.points or '?'}")
        left = feed.left(now)
        self.left.setText(
            f"{words.duration(left)} left, until {words.clock_time(now + left, now)}"
            if math.isfinite(left) else ""
        )  # fmt: skip
        self._show_values(feed)

    def _show_values(self, feed: Feed) -> None:
        table = feed.table
        names = [name for name in table.names if name != "index"] if table.rows else []
        names = [n for n in names if not math.isnan(table.column(n)[-1])][-MOST_VALUES:]
        for number, (name, value) in enumerate(self.values):
            if number >= len(names):
                name.setText("")
                value.setText("")
                continue
            found = float(table.column(names[number])[-1])
            texts = table.texts(names[number])
            name.setText(names[number])
            value.setText(texts[int(found)] if texts else f"{found:.5g}")

    def _paint(self, mode: str, state: str, again: bool = False) -> None:
        """Letters as large as the window allows."""
        if (mode, state) == self._colours and not again:
            return
        self._colours = (mode, state)
        scale = min(self.width() / 1480, self.height() / 920)

        def bold(points: float) -> str:
            return f"font-size: {max(6.0, points * scale):.0f}pt; font-weight: bold;"

        self.mode.setStyleSheet(f"background: {mode}; color: white; padding: 10px; {bold(30)}")
        self.title.setStyleSheet(bold(34))
        self.state.setStyleSheet(f"color: {state}; {bold(60)}")
        self.left.setStyleSheet(bold(40))
        self.progress.setStyleSheet(f"min-height: {60 * scale:.0f}px; {bold(30)}")
        for name, value in self.values:
            name.setStyleSheet(f"color: {self.theme.dim}; {bold(17)}")
            value.setStyleSheet(bold(34))

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
