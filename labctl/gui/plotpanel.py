"""What all plots share: axes, a grid, two cursors and the values under them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from labctl.gui.table import Table
from labctl.gui.theme import Theme


class PlotPanel(QWidget):
    """A plot with linear or logarithmic axes; data are put in as they are."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.log = (False, False)
        self._cursors: list[Any] = []
        self.area = pg.PlotWidget(background=theme.panel)
        self.plot = self.area.getPlotItem()
        self.plot.showGrid(x=True, y=True, alpha=0.25)
        self.plot.hideButtons()
        for name in ("left", "bottom"):
            axis = self.plot.getAxis(name)
            axis.setPen(theme.dim)
            axis.setTextPen(theme.text)
            axis.enableAutoSIPrefix(False)  # columns have their unit in their name
        self.readout = QLabel("")
        self.readout.setObjectName("dim")
        self.readout.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.readout.hide()
        self.box = QVBoxLayout(self)
        self.box.setContentsMargins(0, 0, 0, 0)
        self.box.setSpacing(0)
        self.box.addWidget(self.area, stretch=1)
        self.box.addWidget(self.readout)

    def refresh(self, table: Table) -> None:
        """Draw the rows there are."""
        raise NotImplementedError

    def set_labels(self, x: str, y: str) -> None:
        self.plot.setLabel("bottom", x)
        self.plot.setLabel("left", y)

    def set_log(self, x: bool, y: bool) -> None:
        """Logarithmic axes; what is not positive is not drawn on them."""
        self.log = (x, y)
        self.plot.getAxis("bottom").setLogMode(x)
        self.plot.getAxis("left").setLogMode(y)
        self.plot.enableAutoRange()

    def on_axes(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Data as the axes want them."""
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.log[0]:
                x = np.log10(np.where(x > 0, x, np.nan))
            if self.log[1]:
                y = np.log10(np.where(y > 0, y, np.nan))
        return x, y

    def set_cursors(self, shown: bool) -> None:
        """Two vertical lines to drag; the values under them stand below the plot."""
        for line in self._cursors:
            self.plot.removeItem(line)
        self._cursors = []
        self.readout.setVisible(shown)
        if not shown:
            return
        (low, high), _ = self.plot.viewRange()
        for name, part in (("A", 0.33), ("B", 0.67)):
            line = pg.InfiniteLine(
                low + part * (high - low), movable=True, label=name,
                pen=pg.mkPen(self.theme.warn, width=2),
                labelOpts={"position": 0.95, "color": self.theme.warn},
            )  # fmt: skip
            line.sigPositionChanged.connect(self.show_readout)
            self.plot.addItem(line, ignoreBounds=True)
            self._cursors.append(line)
        self.show_readout()

    def value_at(self, x: float) -> float:
        """Y of the main curve nearest to x; NaN if there is none."""
        return math.nan

    def show_readout(self) -> None:
        """Write the cursors' places, the curve's values there, and the differences."""
        if len(self._cursors) != 2:
            return
        places = [float(line.value()) for line in self._cursors]
        if self.log[0]:
            places = [10.0**place for place in places]
        a, b = places
        at_a, at_b = self.value_at(a), self.value_at(b)
        self.readout.setText(
            f" A: {a:.7g}, {at_a:.6g}     B: {b:.7g}, {at_b:.6g}     "
            f"B − A: {b - a:.6g}, {at_b - at_a:.6g}"
        )
