"""A panel with its heading: which columns it shows, how, and a way to be rid of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFrame, QHBoxLayout, QPushButton, QVBoxLayout

from labctl.gui.curvepanel import CurvePanel
from labctl.gui.elided import Elided
from labctl.gui.flow import FlowLayout
from labctl.gui.mappanel import MapPanel
from labctl.gui.otherpanels import HistogramPanel, TracePanel
from labctl.gui.plotpanel import PlotPanel
from labctl.gui.still import Choice
from labctl.gui.theme import Theme
from labctl.live import Curve, HeatMap, Trace
from labctl.viewing.panels import Histogram, Panel, Shown
from labctl.viewing.table import CLOCK

#: Members of each kind of panel that name a column, with what the heading calls them.
CHOICES = {
    Curve: (("y", "y"), ("x", "x"), ("error", "±")),
    HeatMap: (("value", "colour"), ("x", "x"), ("y", "y")),
    Histogram: (("column", "of"),),
    Trace: (("column", "of"), ("x", "x")),
}


#: Words for people who cannot see the heading's shorter ones.
CALLED = {"±": "error bars", "of": "the plot"}


def widget(panel: Panel, theme: Theme) -> Any:
    """The plot that draws a panel."""
    if isinstance(panel, Curve):
        return CurvePanel(panel, theme)
    if isinstance(panel, HeatMap):
        return MapPanel(panel, theme)
    return (
        HistogramPanel(panel, theme) if isinstance(panel, Histogram) else TracePanel(panel, theme)
    )


class PanelFrame(QFrame):
    """One panel of the live view. `changed` is sent when the user chose something else."""

    changed = Signal()
    closed = Signal(object)
    time_shown = Signal(float, float)  # the part of the bench's time that a plot over it shows

    def __init__(
        self, shown: Shown, theme: Theme, columns: Sequence[str], traces: Sequence[str]
    ) -> None:
        super().__init__()
        self.shown, self.theme = shown, theme
        self._columns, self._traces = list(columns), list(traces)
        self.box = QVBoxLayout(self)
        self.box.setContentsMargins(4, 4, 4, 4)
        self.box.setSpacing(2)
        self.heading = self._heading()
        self.box.addLayout(self.heading)
        self.plot = self._plot()
        self.box.addWidget(self.plot, stretch=1)
        self._look()

    def _plot(self) -> Any:
        made = widget(self.shown.panel, self.theme)
        if getattr(self.shown.panel, "x", "") == CLOCK:
            made.plot.getViewBox().sigXRangeChanged.connect(
                lambda _, shown: None if self.shown.log_x else self.time_shown.emit(*shown)
            )
        return made

    def _heading(self) -> QVBoxLayout:
        """Two lines: the title, and below what can be chosen."""
        both, top, row = QVBoxLayout(), QHBoxLayout(), FlowLayout()
        both.setSpacing(2)
        top.setSpacing(4)
        both.addLayout(top)
        both.addLayout(row)
        panel = self.shown.panel
        title = Elided(panel.title)
        title.setStyleSheet("font-weight: bold;")
        top.addWidget(title, stretch=1)
        for member, word in CHOICES[type(panel)]:
            row.addWidget(self._chooser(member, word))
        if isinstance(panel, HeatMap):
            self.toggles: dict[str, QPushButton] = {}
        else:
            self.toggles = {
                "log_x": self._toggle("log x", "logarithmic x axis"),
                "log_y": self._toggle("log y", "logarithmic y axis"),
                "cursors": self._toggle("A|B", "two cursors to drag, with values and differences"),
            }
            for name, button in self.toggles.items():
                if name == "log_x" and isinstance(panel, Histogram):
                    continue
                button.setChecked(getattr(self.shown, name))
                button.toggled.connect(self._toggled)
                top.addWidget(button)
        whole = QPushButton("⤢")
        whole.setToolTip("show everything (double-click in the plot does the same)")
        whole.setAccessibleName("show everything")
        whole.setProperty("role", "flat")
        whole.clicked.connect(self.show_all)
        close = QPushButton("✕")
        close.setToolTip("remove this panel")
        close.setAccessibleName("remove this panel")
        close.setProperty("role", "flat")
        close.clicked.connect(lambda: self.closed.emit(self))
        top.addWidget(whole)
        top.addWidget(close)
        return both

    def show_all(self) -> None:
        """Zoom out to all data, and follow new ones from now on."""
        self.plot.show_all()

    def restyle(self, theme: Theme) -> None:
        """Take other colours."""
        self.theme = theme
        self.plot.restyle(theme)

    def _chooser(self, member: str, word: str) -> QComboBox:
        box = Choice()
        trace = isinstance(self.shown.panel, Trace)
        names = self._traces if trace else self._columns
        if member == "x":
            names = ["", *names] if trace else [*names, CLOCK]
        now = str(getattr(self.shown.panel, member))
        if member == "error":
            names = ["", *names]
        nothing = "sample" if member == "x" else "none"
        for name in dict.fromkeys([*names, now]):
            box.addItem(f"{word}: {name or nothing}", name)
        box.setCurrentIndex(box.findData(now))
        box.setMinimumWidth(80)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumContentsLength(min(11, max(6, len(word) + 2 + len(now))))
        box.setToolTip(f"column for {CALLED.get(word, word)}: {now or nothing}")
        box.setAccessibleName(f"column for {CALLED.get(word, word)} of {self.shown.panel.title}")
        box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        box.activated.connect(lambda _: self._choose(member, str(box.currentData())))
        return box

    def _toggle(self, text: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setCheckable(True)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.setProperty("role", "small")
        return button

    def _toggled(self) -> None:
        for name, button in self.toggles.items():
            setattr(self.shown, name, button.isChecked())
        self._look()
        self.changed.emit()

    def _look(self) -> None:
        if isinstance(self.plot, PlotPanel):
            self.plot.set_log(self.shown.log_x, self.shown.log_y)
            self.plot.set_cursors(self.shown.cursors)

    def _choose(self, member: str, column: str) -> None:
        """Show other columns; titles that only name columns follow."""
        panel: Any = self.shown.panel
        title = (
            column
            if member in ("y", "column") and panel.title == getattr(panel, member)
            else (panel.title)
        )
        void = [f"{member}_labels", *(["levels"] if member == "y" else [])]  # were of that column
        void = [name for name in void if hasattr(panel, name)]
        self.shown.panel = replace(
            panel, **{member: column}, **dict.fromkeys(void, ()), title=title
        )
        old = self.plot
        self.plot = self._plot()
        self.box.replaceWidget(old, self.plot)
        self.box.setStretchFactor(self.plot, 1)
        old.hide()
        old.deleteLater()
        self._look()
        self.changed.emit()
