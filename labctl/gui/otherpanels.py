"""Smaller live plots: the histogram of a column, and the array of the last row."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray

from labctl.gui.plotpanel import PlotPanel
from labctl.gui.theme import Theme
from labctl.live import Trace, one_line
from labctl.viewing.decimate import envelope
from labctl.viewing.panels import Histogram
from labctl.viewing.table import Table

Floats = NDArray[np.float64]
MOST_BINS = 200


class HistogramPanel(PlotPanel):
    """How often each value of a column occurred; bins after Freedman and Diaconis."""

    def __init__(self, panel: Histogram, theme: Theme) -> None:
        self._steps = pg.PlotCurveItem([0.0, 0.0], [0.0], stepMode="center", fillLevel=0)
        super().__init__(theme)
        self.panel = panel
        self.set_labels(panel.column, "rows")
        self.area.setAccessibleName(f"histogram of {panel.column}")
        self.plot.addItem(self._steps)
        self._counted = (0, 0)
        self._counts = np.zeros(0)
        self._edges = np.zeros(0)

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        self._steps.setPen(theme.curves[0])
        self._steps.setBrush(theme.curves[0] + "80")

    def refresh(self, table: Table) -> None:
        if self.panel.column not in table or (table.seen, table.generation) == self._counted:
            return
        self._counted = (table.seen, table.generation)
        values = table.column(self.panel.column)
        values = values[np.isfinite(values)]
        if len(values):
            self._counts, self._edges = np.histogram(values, bins=bins(values))
            self._draw()

    def set_log(self, x: bool, y: bool) -> None:
        super().set_log(False, y)
        self._draw()

    def value_at(self, x: float) -> tuple[float, float]:
        place = int(np.searchsorted(self._edges, x)) - 1
        inside = 0 <= place < len(self._counts)
        return float(self._counts[place]) if inside else 0.0, math.nan

    def _draw(self) -> None:
        if len(self._counts):
            heights = self._counts.astype(float)
            if self.log[1]:
                heights = np.log10(np.maximum(heights, 0.5))
            self._steps.setData(self._edges, heights)
            self.show_readout()


class TracePanel(PlotPanel):
    """The array that the last row recorded in a column, over another one or its sample number."""

    def __init__(self, panel: Trace, theme: Theme) -> None:
        self._line = pg.PlotDataItem()
        super().__init__(theme)
        self.panel = panel
        self.set_labels(panel.x or "sample", panel.column)
        self.area.setAccessibleName(f"array {panel.column} of the last row")
        self.plot.addItem(self._line)
        self._at = self._values = np.zeros(0)

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        self._line.setPen(theme.curves[0])

    def show_trace(self, values: np.ndarray, at: np.ndarray | None = None) -> None:
        """Draw an array, at the places that another one says if it is as long."""
        self._values = self.panel.line(values)
        places = np.zeros(0) if at is None else one_line(at)
        fits = len(places) == len(self._values)
        self._at = places if fits else np.arange(float(len(self._values)))
        self._draw()

    def refresh(self, table: Table) -> None:
        """Nothing: arrays are not in the table."""

    def set_log(self, x: bool, y: bool) -> None:
        super().set_log(x, y)
        self._draw()

    def value_at(self, x: float) -> tuple[float, float]:
        if not np.isfinite(self._at).any():
            return math.nan, math.nan
        return float(self._values[int(np.nanargmin(np.abs(self._at - x)))]), math.nan

    def _draw(self) -> None:
        x, y = envelope(self._at, self._values, max(100, int(self.area.width())))
        self._line.setData(*self.on_axes(x, y), connect="finite")
        self.show_readout()


def bins(values: Floats) -> int:
    """How many bins suit the values: width 2 IQR / n^(1/3), Freedman and Diaconis 1981."""
    sample = values[:: max(1, len(values) // 10_000)]
    low, high = np.percentile(sample, [25, 75])
    width = 2.0 * (high - low) / len(values) ** (1 / 3)
    span = float(np.ptp(values))
    if width <= 0.0 or span <= 0.0:
        return 10
    return int(min(MOST_BINS, max(5, math.ceil(span / width))))
