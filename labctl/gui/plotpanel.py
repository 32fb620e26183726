"""What all plots share: axes, a grid, a legend above, two cursors and the values under them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from labctl.gui import axes
from labctl.gui.theme import Theme
from labctl.viewing.measures import name_and_unit, quantity
from labctl.viewing.table import Table

#: What the arrows and Home mean in a plot: steps along x and y; none of both: show everything.
STEPS = {
    Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Down: (0, -1),
    Qt.Key.Key_Up: (0, 1), Qt.Key.Key_Home: (0, 0),
}  # fmt: skip
#: How far an arrow moves a cursor, as a part of what is shown.
STEP = 0.01


class Keys(QObject):
    """The keys of a plot that has the focus, and the mark that shows it has."""

    stepped = Signal(int, int, bool)  # along x and y; with Shift
    focused = Signal(bool)

    def __init__(self, area: QWidget) -> None:
        super().__init__(area)
        area.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        area.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            step = STEPS.get(Qt.Key(event.key()))
            if step is not None:
                shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
                self.stepped.emit(*step, shift)
                return True
        seen = isinstance(watched, QWidget) and watched.isVisible()  # not while it is taken down
        if seen and event.type() in (QEvent.Type.FocusIn, QEvent.Type.FocusOut):
            self.focused.emit(event.type() == QEvent.Type.FocusIn)
        return False


class PlotPanel(QWidget):
    """A plot with linear or logarithmic axes; data are put in as they are."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.log = (False, False)
        self._cursors: list[Any] = []
        self._legend: tuple[tuple[str, str, str], ...] = ()
        self.area = pg.PlotWidget(axisItems={name: axes.Axis(name) for name in ("bottom", "left")})
        self.area.setAccessibleName("plot")
        self.plot = self.area.getPlotItem()
        keys = Keys(self.area)
        keys.stepped.connect(self._step)
        keys.focused.connect(self._mark)
        self.plot.showGrid(x=True, y=True, alpha=0.25)
        self.names = ("", "")
        self.legend = line(wrap=True)  # above the plot, where it covers no point
        self.readout = line()
        self.readout.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.box = QVBoxLayout(self)
        self.box.setContentsMargins(0, 0, 0, 0)
        self.box.setSpacing(0)
        self.box.addWidget(self.legend)
        self.box.addWidget(self.area, stretch=1)
        self.box.addWidget(self.readout)
        self.restyle(theme)

    def restyle(self, theme: Theme) -> None:
        """Take other colours, keeping what is shown and how."""
        self.theme = theme
        self.area.setBackground(theme.panel)
        axes.dress(self.plot, theme)
        for cursor in self._cursors:
            cursor.setPen(pg.mkPen(theme.warn, width=2))
            cursor.label.setColor(theme.warn)

    def refresh(self, table: Table) -> None:
        """Draw the rows there are."""
        raise NotImplementedError

    def set_labels(self, x: str, y: str) -> None:
        self.names = (x, y)
        for axis, name, log in zip(("bottom", "left"), self.names, self.log, strict=True):
            # pyqtgraph multiplies logarithms with the scale, too, and finds no ticks
            axes.label(self.plot.getAxis(axis), name, scaled=not log)

    def set_log(self, x: bool, y: bool) -> None:
        """Logarithmic axes; what is not positive is not drawn on them."""
        self.log = (x, y)
        self.set_labels(*self.names)
        self.plot.getAxis("bottom").setLogMode(x)
        self.plot.getAxis("left").setLogMode(y)
        self.plot.enableAutoRange()

    def show_all(self) -> None:
        """Zoom out to all data, and follow new ones from now on."""
        self.plot.enableAutoRange()

    def on_axes(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Data as the axes want them."""
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.log[0]:
                x = np.log10(np.where(x > 0, x, np.nan))
            if self.log[1]:
                y = np.log10(np.where(y > 0, y, np.nan))
        return x, y

    def bars_on_axes(self, x: Any, y: Any, error: Any) -> dict[str, Any]:
        """Error bars as pyqtgraph wants them; one that ends below zero on a log axis has no end."""
        there = np.isfinite(x) & np.isfinite(y) & np.isfinite(error)
        x, y, error = x[there], y[there], error[there]
        at_x, middle = self.on_axes(x, y)
        top, bottom = self.on_axes(x, y + error)[1], self.on_axes(x, y - error)[1]
        bottom = np.where(np.isfinite(bottom), bottom, middle)
        return {"x": at_x, "y": middle, "top": top - middle, "bottom": middle - bottom, "beam": 0.0}

    def show_legend(self, entries: Sequence[tuple[str, str, str]]) -> None:
        """Name the curves above the plot: sign, colour, name."""
        if tuple(entries) != self._legend or not entries:
            self._legend = tuple(entries)
            self.legend.setText(
                " &nbsp; ".join(
                    f"<span style='color:{colour}'>{sign}</span>&nbsp;{_unbroken(name)}"
                    for sign, colour, name in entries
                )
            )
        self.legend.setVisible(bool(entries))

    def set_cursors(self, shown: bool) -> None:
        """Two vertical lines to drag; the values under them stand below the plot."""
        for cursor in self._cursors:
            self.plot.removeItem(cursor)
        self._cursors = []
        self.readout.setVisible(shown)
        if not shown:
            return
        (low, high), _ = self.plot.viewRange()
        for name, part in (("A", 0.33), ("B", 0.67)):
            cursor = pg.InfiniteLine(
                low + part * (high - low), movable=True, label=name,
                pen=pg.mkPen(self.theme.warn, width=2),
                labelOpts={"position": 0.95, "color": self.theme.warn},
            )  # fmt: skip
            cursor.sigPositionChanged.connect(self.show_readout)
            self.plot.addItem(cursor, ignoreBounds=True)
            self._cursors.append(cursor)
        self.show_readout()

    def _mark(self, focus: bool) -> None:
        axes.mark(self.plot, self.theme, focus)

    def _step(self, x: int, y: int, shift: bool) -> None:
        """Left and right move cursor A, with Shift B; Home shows everything."""
        if not (x or y):
            self.show_all()
        elif self._cursors:
            low, high = self.plot.viewRange()[0]
            cursor = self._cursors[1 if shift else 0]
            cursor.setValue(cursor.value() + x * STEP * (high - low))

    def value_at(self, x: float) -> tuple[float, float]:
        """Y of the main curve nearest to x and its error; NaN where there is none."""
        return math.nan, math.nan

    def show_readout(self) -> None:
        """Write the cursors' places, the curve's values there, and the differences."""
        if len(self._cursors) != 2:
            return
        places = [float(cursor.value()) for cursor in self._cursors]
        if self.log[0]:
            places = [10.0 ** min(place, 300.0) for place in places]
        a, b = places
        at_a, at_b = self.value_at(a), self.value_at(b)
        both = (at_b[0] - at_a[0], math.hypot(at_a[1], at_b[1]))
        along, up = (name_and_unit(name)[1] for name in self.names)
        parts = [
            f"{name}: {quantity(float(f'{x:.5g}'), unit=along)} → {quantity(*y, unit=up)}"
            for name, x, y in (("A", a, at_a), ("B", b, at_b), ("B − A", b - a, both))
        ]
        self.readout.setText("   ".join(parts))
        self.readout.setToolTip("\n".join(parts))


def line(*, wrap: bool = False) -> QLabel:
    """A line of dim text that never makes its panel wider; hidden until it is needed."""
    label = QLabel("")
    label.setObjectName("dim")
    label.setWordWrap(wrap)
    label.setContentsMargins(4, 0, 4, 0)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    label.hide()
    return label


def _unbroken(name: str) -> str:
    return escape(name).replace(" ", "&nbsp;")
