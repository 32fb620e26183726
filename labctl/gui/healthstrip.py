"""The health strip: watched quantities under the live plots, all on one axis of time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyqtgraph as pg
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from labctl.gui.decimate import envelope
from labctl.gui.health import Health, Quantity
from labctl.gui.theme import Theme

#: Quantities that get a plot of their own; more are shown as values only.
MOST_PLOTS = 4


class HealthStrip(QWidget):
    """A lamp and a value for each quantity, and below them their course with the limits."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.health: Health | None = None
        self.lamps: dict[str, QLabel] = {}
        self._curves: dict[str, Any] = {}
        self._plots: list[Any] = []
        box = QVBoxLayout(self)
        box.setContentsMargins(4, 2, 4, 2)
        box.setSpacing(2)
        self.row = QHBoxLayout()
        self.row.addWidget(QLabel("<b>Health</b>, over time (s):"))
        self.row.addStretch(1)
        self.area = pg.GraphicsLayoutWidget()
        self.area.setBackground(theme.panel)
        self.area.setAccessibleName("watched quantities over time")
        box.addLayout(self.row)
        box.addWidget(self.area, stretch=1)
        self.setMaximumHeight(200)
        self.setVisible(False)

    def follow(self, folder: Path) -> None:
        """Show the quantities of another run."""
        self.health = Health(folder)
        for lamp in self.lamps.values():
            self.row.removeWidget(lamp)
            lamp.deleteLater()
        self.lamps, self._curves, self._plots = {}, {}, []
        self.area.clear()
        self.setVisible(False)

    def refresh(self) -> None:
        """Draw the readings that came."""
        if self.health is None or not self.health.poll():
            return
        for quantity in self.health.quantities.values():
            if quantity.name not in self.lamps:
                self._add(quantity)
            self._show(quantity)
        self.setVisible(bool(self.lamps))

    def _add(self, quantity: Quantity) -> None:
        theme = self.theme
        lamp = QLabel()
        self.lamps[quantity.name] = lamp
        self.row.insertWidget(self.row.count() - 1, lamp)
        if len(self._plots) >= MOST_PLOTS:
            return
        plot = self.area.addPlot(row=0, col=len(self._plots))
        plot.hideButtons()
        plot.showGrid(x=True, y=True, alpha=0.2)
        unit = f" ({quantity.unit})" if quantity.unit else ""
        plot.setTitle(quantity.name + unit, color=theme.text, size="9pt")
        for name in ("left", "bottom"):
            axis = plot.getAxis(name)
            axis.setPen(theme.dim)
            axis.setTextPen(theme.text)
            axis.enableAutoSIPrefix(False)
        plot.setToolTip("over the bench's time in s; dashed: where the interlock trips")
        for limit in (quantity.minimum, quantity.maximum):
            if math.isfinite(limit):
                pen = pg.mkPen(theme.bad, width=1, style=pg.QtCore.Qt.PenStyle.DashLine)
                plot.addItem(pg.InfiniteLine(limit, angle=0, pen=pen), ignoreBounds=True)
        if self._plots:
            plot.setXLink(self._plots[0])
        self._plots.append(plot)
        colour = theme.curves[(len(self._plots) - 1) % len(theme.curves)]
        self._curves[quantity.name] = plot.plot(
            pen=pg.mkPen(colour, width=1), symbol="o", symbolSize=4, symbolPen=None,
            symbolBrush=colour, connect="finite",
        )  # fmt: skip

    def _show(self, quantity: Quantity) -> None:
        theme = self.theme
        colour = theme.good if quantity.good else theme.bad
        sign = "●" if quantity.good else "▲"
        self.lamps[quantity.name].setText(
            f"<span style='color:{colour}'>{sign}</span> {quantity.name} "
            f"<b>{quantity.value:.5g} {quantity.unit}</b>"
        )
        curve = self._curves.get(quantity.name)
        if curve is not None and quantity.table.rows:
            t, values = quantity.table.column("t"), quantity.table.column("value")
            curve.setSymbol("o" if len(t) < 200 else None)
            curve.setData(*envelope(t, values, 400))
