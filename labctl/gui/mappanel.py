"""A live heat map with a cut along each axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QRectF, Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from labctl.gui.gridmap import GridMap, edges, is_even
from labctl.gui.table import Table
from labctl.gui.theme import Theme
from labctl.live import HeatMap

Floats = NDArray[np.float64]


class MapPanel(QWidget):
    """Colours over two columns; the crossing lines can be dragged, their cuts are drawn beside."""

    def __init__(self, panel: HeatMap, theme: Theme) -> None:
        super().__init__()
        self.panel, self.theme = panel, theme
        self.grid = GridMap(panel)
        self._even = True
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        self.area = pg.GraphicsLayoutWidget()
        self.area.setBackground(theme.panel)
        self.area.setAccessibleName(f"map of {panel.value} over {panel.x} and {panel.y}")
        self.readout = QLabel("")
        self.readout.setObjectName("dim")
        box.addWidget(self.area, stretch=1)
        box.addWidget(self.readout)
        self.plot = self.area.addPlot(row=1, col=0)
        self.image = pg.ImageItem(axisOrder="row-major")
        self.plot.addItem(self.image)
        self.plot.getViewBox().setBackgroundColor(theme.unknown)  # what is not measured yet
        self.plot.setLabel("bottom", panel.x)
        self.plot.setLabel("left", panel.y)
        self.across = self.area.addPlot(row=0, col=0)
        self.across.setXLink(self.plot)
        self.along = self.area.addPlot(row=1, col=1)
        self.along.setYLink(self.plot)
        self.across.getAxis("bottom").setStyle(showValues=False)
        self.along.getAxis("left").setStyle(showValues=False)
        self.along.getAxis("bottom").setTickDensity(0.4)
        self.across.getAxis("left").setTickDensity(0.5)
        for plot in (self.plot, self.across, self.along):
            plot.hideButtons()
            for name in ("left", "bottom"):
                plot.getAxis(name).setPen(theme.dim)
                plot.getAxis(name).setTextPen(theme.text)
                plot.getAxis(name).enableAutoSIPrefix(False)
        colours = pg.colormap.get("CET-D1A" if panel.signed else "viridis")
        self.bar = pg.ColorBarItem(
            colorMap=colours, interactive=False, label=panel.label or panel.value, width=14
        )
        self.bar.setImageItem(self.image)
        self.area.addItem(self.bar, row=1, col=2)
        look = {  # places whose neighbours are not measured yet are seen as well
            "pen": pg.mkPen(theme.curves[0], width=1), "connect": "finite", "symbol": "o",
            "symbolSize": 3, "symbolPen": None, "symbolBrush": theme.curves[0],
        }  # fmt: skip
        self._across = self.across.plot(**look)
        self._along = self.along.plot(**look)
        line = pg.mkPen(theme.warn, width=1, style=Qt.PenStyle.DashLine)
        self.line_x = pg.InfiniteLine(0.0, angle=90, movable=True, pen=line)
        self.line_y = pg.InfiniteLine(0.0, angle=0, movable=True, pen=line)
        for one in (self.line_x, self.line_y):
            self.plot.addItem(one, ignoreBounds=True)
            one.sigPositionChanged.connect(self.show_cuts)
        self._placed = False
        self.show_cuts_panels(True)

    def show_cuts_panels(self, shown: bool) -> None:
        layout = self.area.ci.layout
        layout.setRowStretchFactor(0, 1 if shown else 0)
        layout.setRowStretchFactor(1, 3)
        layout.setColumnStretchFactor(0, 3)
        layout.setColumnStretchFactor(1, 1 if shown else 0)

    def refresh(self, table: Table) -> None:
        """Take in new rows and draw the map."""
        if self.grid.update(table) or not self._placed:
            self.draw()

    def draw(self) -> None:
        grid = self.grid
        if not grid.values.size:
            return
        known = np.isfinite(grid.values)
        low, high = self.panel.limits(grid.values)
        self.image.setImage(grid.values, autoLevels=False)
        self.bar.setLevels((low, high))
        self._place(grid.x, grid.y)
        if not self._placed and known.any():
            self._placed = True
            row, column = np.argwhere(known)[len(np.argwhere(known)) // 2]
            self.line_x.setValue(self._at(grid.x, column, self.panel.x_labels))
            self.line_y.setValue(self._at(grid.y, row, self.panel.y_labels))
        self.show_cuts()

    def show_cuts(self) -> None:
        """Draw the row and the column under the lines, and the value where they cross."""
        grid = self.grid
        if not grid.values.size:
            return
        column = self._nearest(grid.x, float(self.line_x.value()), self.panel.x_labels)
        row = self._nearest(grid.y, float(self.line_y.value()), self.panel.y_labels)
        x, y = self._places(grid.x, "x"), self._places(grid.y, "y")
        cuts = ((self._across, x, grid.values[row]), (self._along, grid.values[:, column], y))
        for cut, along, up in cuts:
            if np.isfinite(along).any() and np.isfinite(up).any():
                cut.setData(along, up)
            else:  # nothing measured there yet
                cut.setData([], [])
        at_x = self._name(grid.x, column, self.panel.x_labels)
        at_y = self._name(grid.y, row, self.panel.y_labels)
        value = grid.values[row, column]
        text = "not measured" if np.isnan(value) else f"{value:.6g}"
        missing = int(np.isnan(grid.values).sum())
        rest = f"     {missing} of {grid.values.size} not measured" if missing else ""
        self.readout.setText(f" {self.panel.x}: {at_x}   {self.panel.y}: {at_y}   {text}{rest}")

    def _place(self, x: Floats, y: Floats) -> None:
        """Put the image where its places are; uneven places are drawn side by side, named."""
        borders = []
        for axis, places, labels in (
            ("bottom", x, self.panel.x_labels), ("left", y, self.panel.y_labels)
        ):  # fmt: skip
            even = is_even(places) and not labels
            borders.append(edges(places if even else np.arange(float(len(places)))))
            self.plot.getAxis(axis).setTicks(None if even else [_ticks(places, labels)])
        (left, right), (bottom, top) = (b[[0, -1]] for b in borders)
        self.image.setRect(QRectF(left, bottom, right - left, top - bottom))

    def _places(self, places: Floats, axis: str) -> Floats:
        labels = self.panel.x_labels if axis == "x" else self.panel.y_labels
        even = is_even(places) and not labels
        return places if even else np.arange(float(len(places)))

    def _at(self, places: Floats, number: int, labels: Any) -> float:
        even = is_even(places) and not labels
        return float(places[number]) if even else float(number)

    def _nearest(self, places: Floats, at: float, labels: Any) -> int:
        even = is_even(places) and not labels
        drawn = places if even else np.arange(float(len(places)))
        return int(np.argmin(np.abs(drawn - at)))

    def _name(self, places: Floats, number: int, labels: Any) -> str:
        return str(labels[number]) if labels else f"{places[number]:.6g}"


def _ticks(places: Floats, labels: Any) -> list[tuple[float, str]]:
    texts = list(labels) or [f"{place:.4g}" for place in places]
    every = max(1, -(-len(texts) // 6))
    return [(float(i), texts[i]) for i in range(0, len(texts), every)]
