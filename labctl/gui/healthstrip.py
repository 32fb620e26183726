"""The health strip: watched quantities under the live plots, all on one axis of time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtGui import QFontMetrics, QResizeEvent
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from labctl.gui import axes
from labctl.gui.flow import FlowLayout
from labctl.gui.theme import Theme, font
from labctl.units import unit_text
from labctl.viewing import measures
from labctl.viewing.decimate import envelope
from labctl.viewing.health import Health, Quantity

#: Quantities that get a plot of their own; more are shown as values only.
MOST_PLOTS = 4
#: Pixels of an axis with its numbers, and between plots: a title must not make its plot wider.
BESIDE = 76
#: Units of the time axis, in s.
UNITS = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


class HealthStrip(QWidget):
    """A lamp and a value for each quantity, and below them their course with the limits."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.health: Health | None = None
        self.lamps: dict[str, QLabel] = {}
        self._curves: dict[str, Any] = {}
        self._plots: list[Any] = []
        self._limits: list[Any] = []
        self._now: list[Any] = []  # a line in each plot where the last row was recorded
        box = QVBoxLayout(self)
        box.setContentsMargins(4, 2, 4, 2)
        box.setSpacing(2)
        self.row = FlowLayout(12)
        self.heading = QLabel()
        self.heading.setToolTip("dashed: where the interlock trips; dotted: the last row")
        self.row.addWidget(self.heading)
        self.area = pg.GraphicsLayoutWidget()
        self.area.setBackground(theme.panel)
        self.area.setAccessibleName("watched quantities over time")
        box.addLayout(self.row)
        box.addWidget(self.area, stretch=1)
        self.area.setMinimumHeight(90)
        self.setMaximumHeight(190)
        self.setVisible(False)

    def follow(self, folder: Path) -> None:
        """Show the quantities of another run."""
        self.health = Health(folder)
        for lamp in self.lamps.values():
            self.row.removeWidget(lamp)
            lamp.hide()
            lamp.deleteLater()
        self.lamps, self._curves, self._plots = {}, {}, []
        self._limits, self._now = [], []
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
        self._show_unit()
        self.setVisible(bool(self.lamps))

    def _show_unit(self) -> None:
        """Time in s, min, h or d, as long as the run is."""
        quantities = self.health.quantities.values() if self.health else ()
        last = max((q.table.column("t")[-1] for q in quantities if q.table.rows), default=0.0)
        seconds, unit = next((s, u) for s, u in UNITS if last >= 3 * s or u == "s")
        self.heading.setText(f"<b>Health</b> over the bench's time ({unit})")
        for plot in self._plots:
            plot.getAxis("bottom").setScale(1.0 / seconds)

    def show_now(self, seconds: float) -> None:
        """Mark the bench's time at which the last row was recorded."""
        for mark in self._now:
            mark.setValue(seconds)

    def show_range(self, low: float, high: float) -> None:
        """Show the same part of time as a panel over the bench's time does."""
        if self._plots:
            self._plots[0].setXRange(low, high, padding=0)

    def restyle(self, theme: Theme) -> None:
        """Take other colours."""
        self.theme = theme
        self.area.setBackground(theme.panel)
        for number, (plot, (name, curve)) in enumerate(
            zip(self._plots, self._curves.items(), strict=True)
        ):
            axes.dress(plot, theme)
            colour = theme.curves[number % len(theme.curves)]
            self._curves[name].setPen(colour)
            curve.setSymbolBrush(colour)
        for limit in self._limits:
            limit.setPen(_dashed(theme))
        for mark in self._now:
            mark.setPen(_dotted(theme))
        if self.health is not None:
            for quantity in self.health.quantities.values():
                self._show(quantity)
        self._name_plots()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._name_plots()

    def _name_plots(self) -> None:
        """Titles as long as there is room; the end of a name says more than its beginning."""
        if self.health is None or not self._plots:
            return
        metrics = QFontMetrics(font(9))
        room = self.width() // len(self._plots) - BESIDE
        for plot, name in zip(self._plots, self._curves, strict=True):
            unit = unit_text(self.health.quantities[name].unit)
            text = metrics.elidedText(
                f"{name} ({unit})" if unit else name, Qt.TextElideMode.ElideLeft, room
            )
            plot.setTitle(text, color=self.theme.text, size="9pt")

    def _add(self, quantity: Quantity) -> None:
        theme = self.theme
        lamp = QLabel()
        self.lamps[quantity.name] = lamp
        self.row.addWidget(lamp)
        if len(self._plots) >= MOST_PLOTS:
            return
        plot = self.area.addPlot(row=0, col=len(self._plots))
        axes.dress(plot, theme)
        plot.showGrid(x=True, y=True, alpha=0.2)
        for name in ("left", "bottom"):
            plot.getAxis(name).enableAutoSIPrefix(False)
        plot.getAxis("left").setTickDensity(0.5)
        for limit in (quantity.minimum, quantity.maximum):
            if math.isfinite(limit):
                line = pg.InfiniteLine(limit, angle=0, pen=_dashed(theme))
                plot.addItem(line, ignoreBounds=True)
                self._limits.append(line)
        if self._plots:
            plot.setXLink(self._plots[0])
        self._plots.append(plot)
        mark = pg.InfiniteLine(-1.0, pen=_dotted(theme))
        plot.addItem(mark, ignoreBounds=True)
        self._now.append(mark)
        colour = theme.curves[(len(self._plots) - 1) % len(theme.curves)]
        self._curves[quantity.name] = plot.plot(
            pen=pg.mkPen(colour, width=1), symbol="o", symbolSize=4, symbolPen=None,
            symbolBrush=colour, connect="finite",
        )  # fmt: skip
        self._name_plots()

    def _show(self, quantity: Quantity) -> None:
        theme = self.theme
        colour = theme.good if quantity.good else theme.bad
        sign = "●" if quantity.good else "▲"
        self.lamps[quantity.name].setText(
            f"<span style='color:{colour}'>{sign}</span> {quantity.name} "
            f"<b>{measures.quantity(quantity.value, unit=quantity.unit)}</b>"
        )
        curve = self._curves.get(quantity.name)
        if curve is not None and quantity.table.rows:
            t, values = quantity.table.column("t"), quantity.table.column("value")
            curve.setSymbol("o" if len(t) < 200 else None)
            curve.setData(*envelope(t, values, 400))


def _dashed(theme: Theme) -> Any:
    return pg.mkPen(theme.bad, width=1, style=Qt.PenStyle.DashLine)


def _dotted(theme: Theme) -> Any:
    return pg.mkPen(theme.dim, width=1, style=Qt.PenStyle.DotLine)
