"""The live view: the panels of the run that is looked at, at most 20 frames a second."""

from __future__ import annotations

import contextlib
import math
import time
from html import escape
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from labctl.errors import LabError
from labctl.gui.healthstrip import HealthStrip
from labctl.gui.panelframe import PanelFrame
from labctl.gui.theme import Theme
from labctl.live import Curve, HeatMap, Trace
from labctl.run.traces import TraceReader
from labctl.viewing.feed import Feed
from labctl.viewing.measures import error_column, name_and_unit, quantity
from labctl.viewing.panels import Histogram, Layouts, Panel, Shown, usual
from labctl.viewing.table import Table

#: Part of the time that drawing may take; panels that cost more are drawn less often.
SHARE = 0.3
#: Values of the last row in the line above the panels; the rest is in its tip.
MOST_VALUES = 6
#: In a narrower view (pixels) there are half as many.
WIDE = 760
#: What stands in the place of panels.
NOTHING = "Queue a procedure, or choose a run under Runs: its data appear here."
WAITING = "The procedure is being asked what it shows…"


class LiveView(QWidget):
    """Panels in a grid; which ones is kept per procedure in `layouts`."""

    drawn = Signal()

    def __init__(self, theme: Theme, layouts: Layouts) -> None:
        super().__init__()
        self.theme, self.layouts = theme, layouts
        self.feed: Feed | None = None
        self.frames: list[PanelFrame] = []
        self._declared: list[dict[str, Any]] | None = None  # nobody has said yet
        self._traces: TraceReader | None = None
        self._shown_columns: tuple[str, ...] = ()
        self._next = 0.0
        self._stale = False
        self._drawn = (0, 0, 0)
        self.empty = QLabel(NOTHING)
        self.empty.setObjectName("dim")
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setWordWrap(True)
        self.values = QLabel("")
        self.values.setWordWrap(True)
        self.adder = QComboBox()
        self.adder.addItems(["Add panel…", "Curve", "Heat map", "Histogram", "Array of last row"])
        self.adder.setToolTip("show more of this run")
        self.adder.setAccessibleName("add a panel")
        self.adder.activated.connect(self._add)
        self.reset = QPushButton("Usual panels")
        self.reset.setToolTip("forget the panels chosen for this procedure")
        self.reset.clicked.connect(self._forget)
        self.grid = QGridLayout()
        self.grid.setSpacing(6)
        self.health = HealthStrip(theme)
        self._lay_out()

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.addWidget(self.values, stretch=1)
        top.addWidget(self.adder)
        top.addWidget(self.reset)
        panels = QWidget()
        panels.setMinimumHeight(200)
        inner = QVBoxLayout(panels)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addWidget(self.empty, stretch=1)
        inner.addLayout(self.grid, stretch=1)
        self.split = QSplitter()
        self.split.setOrientation(Qt.Orientation.Vertical)
        self.split.addWidget(panels)
        self.split.addWidget(self.health)
        self.split.setStretchFactor(0, 4)
        self.split.setStretchFactor(1, 1)
        self.split.setChildrenCollapsible(False)
        box = QVBoxLayout(self)
        box.addLayout(top)
        box.addWidget(self.split, stretch=1)

    # What is shown

    def follow(self, feed: Feed) -> None:
        """Show another run; its panels come with `declare`, or are made from its columns."""
        self.feed = feed
        self._traces = TraceReader(feed.path)
        self._declared = None
        self._shown_columns = ()
        self._set([])
        self.health.follow(feed.path)
        self._stale = True
        self.refresh(force=True)

    def declare(self, panels: list[dict[str, Any]]) -> None:
        """What the procedure wants to be drawn; the user's own choice goes first."""
        self._declared = panels
        if self.feed is not None and self.layouts.panels(self.feed.procedure) is None:
            self._shown_columns = ()
            self.refresh(force=True)

    def shown(self) -> list[Shown]:
        return [frame.shown for frame in self.frames]

    def refresh(self, force: bool = False) -> None:
        """Draw what is new, unless drawing would take too large a part of the time."""
        feed = self.feed
        if feed is None:
            return
        self._stale = True
        now = time.perf_counter()
        if not force and (now < self._next or not self.isVisible()):
            return
        self._stale = False
        drawn = (feed.table.seen, feed.table.generation, len(self.frames))
        if drawn == self._drawn and not force:  # nobody pays for a picture that is there already
            self.health.refresh()
            return
        self._drawn = drawn
        self._match_columns(feed)
        for frame in self.frames:
            panel = frame.shown.panel
            if isinstance(panel, Trace):
                self._show_trace(frame, panel)
            else:
                frame.plot.refresh(feed.table)
        self.health.refresh()
        self.health.show_now(feed.row_time)
        self._show_values(feed)
        cost = time.perf_counter() - now
        self._next = now + max(0.05, cost / SHARE)
        self.drawn.emit()

    @property
    def stale(self) -> bool:
        """Whether something came that is not drawn yet."""
        return self._stale

    def _match_columns(self, feed: Feed) -> None:
        """Make panels when the first rows say which columns there are."""
        columns = tuple(feed.table.names or feed.start.get("columns") or ())
        if columns == self._shown_columns:
            return
        self._shown_columns = columns
        traces = list(feed.start.get("traces") or ())
        numeric = [name for name in columns if not feed.table.is_text(name)]
        wanted = self.layouts.panels(feed.procedure)
        if wanted is None and self._declared is not None:
            wanted = usual(self._declared, [n for n in numeric if n not in traces], traces)
        self._set(wanted or [])  # others, until the procedure has been asked, would confuse

    def _set(self, wanted: list[Shown]) -> None:
        for frame in self.frames:
            self.grid.removeWidget(frame)
            frame.hide()
            frame.deleteLater()
        feed = self.feed
        columns = list(feed.table.names) if feed else []
        traces = list(feed.start.get("traces") or ()) if feed else []
        self.frames = [PanelFrame(one, self.theme, columns, traces) for one in wanted]
        across = 1 if len(wanted) < 2 else 2 if len(wanted) < 5 else 3
        for number, frame in enumerate(self.frames):
            frame.changed.connect(self._keep)
            frame.closed.connect(self._close)
            frame.time_shown.connect(self.health.show_range)
            row, column = divmod(number, across)
            alone = number == len(wanted) - 1 and column == 0
            self.grid.addWidget(frame, row, column, 1, across if alone else 1)
        self.empty.setVisible(not wanted)
        self.empty.setText(WAITING if feed and self._declared is None else NOTHING)

    def _show_trace(self, frame: PanelFrame, panel: Trace) -> None:
        feed = self.feed
        if feed is None or self._traces is None or panel.column not in feed.arrays:
            return
        with contextlib.suppress(LabError, OSError, ValueError, KeyError):  # seen half-written
            found = (panel.column, *([panel.x] if panel.x in feed.arrays else []))
            frame.plot.show_trace(*(self._traces.read(feed.arrays[name]) for name in found))

    def _show_values(self, feed: Feed) -> None:
        """The last row in one line, for people who want the number."""
        table = feed.table
        if not table.rows:
            return
        errors = self._errors()
        parts = []
        for name in sorted(table.names, key=lambda name: name not in errors):
            value = float(table.column(name)[-1])
            if math.isnan(value) or name == "index" or name in errors.values():
                continue
            texts = table.texts(name)
            called, unit = name_and_unit(name)
            error = float(table.column(errors[name])[-1]) if name in errors else math.nan
            text = texts[int(value)] if texts else quantity(value, error, unit)
            parts.append(f"{escape(called)} <b>{escape(text)}</b>".replace(" ", "&nbsp;"))
        most = MOST_VALUES if self.width() > WIDE else MOST_VALUES // 2
        self.values.setText(" &nbsp; ".join(parts[:most]))
        self.values.setToolTip("<br>".join(["last row", *parts]))

    def _errors(self) -> dict[str, str]:
        """The column of the standard error of each column that has one."""
        table = self.feed.table if self.feed else Table()
        found = {
            one.panel.y: one.panel.error for one in self.shown()
            if isinstance(one.panel, Curve) and one.panel.error in table
        }  # fmt: skip
        for name in table.names:
            if (error := error_column(name)) in table:
                found[name] = error
        return found

    def restyle(self, theme: Theme) -> None:
        """Take other colours; what is drawn stays as it is."""
        self.theme = theme
        for frame in self.frames:
            frame.restyle(theme)
        self.health.restyle(theme)

    # What the user does

    def _keep(self) -> None:
        if self.feed is not None:
            self.layouts.keep_panels(self.feed.procedure, self.shown())
            self.refresh(force=True)

    def _close(self, frame: PanelFrame) -> None:
        self._set([other.shown for other in self.frames if other is not frame])
        self._keep()

    def _forget(self) -> None:
        if self.feed is not None:
            self.layouts.keep_panels(self.feed.procedure, None)
            self._shown_columns = ()
            self.refresh(force=True)

    def _add(self, choice: int) -> None:
        feed = self.feed
        self.adder.setCurrentIndex(0)
        if feed is None or not choice or not feed.table.names:
            return
        names = [name for name in feed.table.names if not feed.table.is_text(name)]
        traces = list(feed.start.get("traces") or ())
        x, y = names[0], names[-1]
        middle = names[1] if len(names) > 2 else names[0]
        kinds: list[Panel] = [Curve(y, x, y), HeatMap(y, x, middle, y), Histogram(y, y)]
        kinds += [Trace(name, name) for name in traces[:1]]
        if choice <= len(kinds):
            self._set([*self.shown(), Shown(kinds[choice - 1])])
            self._keep()
