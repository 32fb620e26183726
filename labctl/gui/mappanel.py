"""A live heat map with a cut along each axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from labctl.gui import axes
from labctl.gui.elided import Elided
from labctl.gui.plotpanel import Keys, line
from labctl.gui.theme import Theme
from labctl.live import HeatMap
from labctl.viewing.gridmap import GridMap, edges, is_even
from labctl.viewing.measures import name_and_unit, quantity
from labctl.viewing.table import Table

Floats = NDArray[np.float64]
#: Width and height (pixels) below which there is no room for the cuts.
LEAST_WITH_CUTS = (300, 200)
#: No limit of a size.
WHOLE = 1 << 24


class MapPanel(QWidget):
    """Colours over two columns; the crossing lines can be dragged, their cuts are drawn beside."""

    def __init__(self, panel: HeatMap, theme: Theme) -> None:
        super().__init__()
        self.panel, self.theme = panel, theme
        self.grid = GridMap(panel)
        self._even: dict[str, bool] = {}  # whether an axis is one of numbers
        self.meaning = line(wrap=True)
        self.meaning.setText(f"colour: {panel.label or panel.value}")
        self.readout = Elided()
        self.readout.setObjectName("dim")
        self.readout.setContentsMargins(4, 0, 4, 0)
        self.area = pg.GraphicsLayoutWidget()
        self.area.setAccessibleName(f"map of {panel.value} over {panel.x} and {panel.y}")
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        box.addWidget(self.meaning)
        self.meaning.show()  # not before: without a parent it would be a window that flashes
        box.addWidget(self.area, stretch=1)
        box.addWidget(self.readout)
        self.plot = self.area.addPlot(row=1, col=0)
        keys = Keys(self.area)
        keys.stepped.connect(self._step)
        keys.focused.connect(self._mark)
        self.image = pg.ImageItem(axisOrder="row-major")
        self.plot.addItem(self.image)
        self.across = self.area.addPlot(row=0, col=0)
        self.across.setXLink(self.plot)
        narrow = {"bottom": axes.NarrowAxis("bottom")}
        self.along = self.area.addPlot(row=1, col=1, axisItems=narrow)
        self.along.setYLink(self.plot)
        self.across.getAxis("bottom").setStyle(showValues=False)
        self.along.getAxis("left").setStyle(showValues=False)
        self.across.getAxis("left").setTickDensity(0.5)
        for plot in (self.across, self.along):
            for name in ("left", "bottom"):
                plot.getAxis(name).enableAutoSIPrefix(False)  # the colours have the same numbers
        colours = pg.colormap.get("CET-D1A" if panel.signed else "viridis")
        self.bar = pg.ColorBarItem(colorMap=colours, interactive=False, width=14)
        self.bar.setImageItem(self.image)
        self.area.addItem(self.bar, row=1, col=2)
        look = {  # places whose neighbours are not measured yet are seen as well
            "connect": "finite", "symbol": "o", "symbolSize": 4, "symbolPen": None,
        }  # fmt: skip
        self._across = self.across.plot(**look)
        self._along = self.along.plot(**look)
        self.line_x, self._under_x = self._cross(90)
        self.line_y, self._under_y = self._cross(0)
        self._placed = False
        for axis, column in (("bottom", panel.x), ("left", panel.y)):
            axes.label(self.plot.getAxis(axis), column)
        layout = self.area.ci.layout
        for place, part in ((0, 1), (1, 3)):
            layout.setRowStretchFactor(place, part)
            layout.setColumnStretchFactor(1 - place, part)
        self.restyle(theme)

    def _cross(self, angle: int) -> tuple[Any, Any]:
        """A line to drag, dashed over a dark one, so that it is seen on every colour."""
        under = pg.InfiniteLine(0.0, angle=angle, pen=pg.mkPen("#000000A0", width=3))
        over = pg.InfiniteLine(
            0.0, angle=angle, movable=True,
            pen=pg.mkPen("#FFFFFF", width=1, style=Qt.PenStyle.DashLine),
            hoverPen=pg.mkPen("#FFFFFF", width=3),
        )  # fmt: skip
        for one in (under, over):
            self.plot.addItem(one, ignoreBounds=True)
        over.sigPositionChanged.connect(self.show_cuts)
        return over, under

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a small panel the map has all the room; the readout tells the value."""
        super().resizeEvent(event)
        room = self.area.height() >= LEAST_WITH_CUTS[1] and self.area.width() >= LEAST_WITH_CUTS[0]
        for shown in (self.across, self.along, self.meaning):
            shown.setVisible(room)
        self.across.setMaximumHeight(WHOLE if room else 0)
        self.along.setMaximumWidth(WHOLE if room else 0)
        self._even = {}
        if self.grid.values.size:
            self._place(self.grid.x, self.grid.y)

    def restyle(self, theme: Theme) -> None:
        """Take other colours, keeping what is shown and how."""
        self.theme = theme
        self.area.setBackground(theme.panel)
        self.plot.getViewBox().setBackgroundColor(theme.unknown)  # what is not measured yet
        for plot in (self.plot, self.across, self.along):
            axes.dress(plot, theme)
        self.bar.axis.setPen(theme.dim)
        self.bar.axis.setTextPen(theme.text)
        for cut in (self._across, self._along):
            cut.setPen(theme.curves[0])
            cut.setSymbolBrush(theme.curves[0])

    def show_all(self) -> None:
        """Zoom out to the whole map and both cuts."""
        for plot in (self.plot, self.across, self.along):
            plot.enableAutoRange()

    def _mark(self, focus: bool) -> None:
        axes.mark(self.plot, self.theme, focus)

    def _step(self, x: int, y: int, _: bool) -> None:
        """The arrows move the crossing lines by a place; Home shows everything."""
        if not (x or y):
            self.show_all()
        grid, panel = self.grid, self.panel
        for cross, places, labels, step in (
            (self.line_x, grid.x, panel.x_labels, x), (self.line_y, grid.y, panel.y_labels, y)
        ):  # fmt: skip
            if step and len(places):
                place = self._nearest(places, float(cross.value()), labels) + step
                cross.setValue(self._at(places, min(max(place, 0), len(places) - 1), labels))

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
        self._under_x.setValue(self.line_x.value())
        self._under_y.setValue(self.line_y.value())
        cuts = ((self._across, x, grid.values[row]), (self._along, grid.values[:, column], y))
        for cut, along, up in cuts:
            if np.isfinite(along).any() and np.isfinite(up).any():
                cut.setData(along, up)
            else:  # nothing measured there yet
                cut.setData([], [])
        panel, value = self.panel, float(grid.values[row, column])
        at_x = self._name(grid.x, column, panel.x, panel.x_labels)
        at_y = self._name(grid.y, row, panel.y, panel.y_labels)
        unit = name_and_unit(panel.label or panel.value)[1]
        text = "not measured" if np.isnan(value) else quantity(value, unit=_plain(unit))
        missing = int(np.isnan(grid.values).sum())
        rest = f"     {missing} of {grid.values.size} not measured" if missing else ""
        self.readout.setText(f"{text}  at  {at_x},  {at_y}{rest}")

    def _place(self, x: Floats, y: Floats) -> None:
        """Put the image where its places are; uneven places are drawn side by side, named."""
        panel = self.panel
        borders = []
        for name, places, column, labels in (
            ("bottom", x, panel.x, panel.x_labels), ("left", y, panel.y, panel.y_labels)
        ):  # fmt: skip
            even = is_even(places) and not labels
            borders.append(edges(places if even else np.arange(float(len(places)))))
            axis = self.plot.getAxis(name)
            room = self.plot.getViewBox()
            most = int(room.width() // 60 if name == "bottom" else room.height() // 24)
            axis.setTicks(None if even else [_ticks(places, labels, most)])
            if self._even.get(name) != even:
                self._even[name] = even
                axes.label(axis, column, scaled=even)
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

    def _name(self, places: Floats, number: int, column: str, labels: Any) -> str:
        if labels:
            return f"{column} {labels[number]}"
        name, unit = name_and_unit(column)
        return f"{name} {quantity(float(places[number]), unit=unit)}"


def _plain(unit: str) -> str:
    """What stands in brackets, unless it is a remark as "shot noise = 1"."""
    return "" if " " in unit else unit


def _ticks(places: Floats, labels: Any, most: int) -> list[tuple[float, str]]:
    texts = list(labels) or [f"{place:.4g}" for place in places]
    every = max(1, -(-len(texts) // max(2, min(most, 8))))
    return [(float(i), texts[i]) for i in range(0, len(texts), every)]
