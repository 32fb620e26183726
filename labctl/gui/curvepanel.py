"""A live plot of curves with error bars, fast for millions of points."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Qt

from labctl.gui.plotpanel import PlotPanel
from labctl.gui.theme import Theme
from labctl.live import Curve, last_of_each
from labctl.viewing.decimate import any_finite, envelope, rises, visible
from labctl.viewing.table import Table

Floats = NDArray[np.float64]
#: Up to so many points get error bars, and up to so many symbols.
WITH_ERRORS, WITH_SYMBOLS = 2000, 400
#: With more equal neighbours in x than this part, no lines are drawn: they would run up and down.
CLOUD = 0.3
#: Symbols of pyqtgraph, the signs that stand for them in a legend, and that of a mere line.
_SYMBOLS, _SIGNS, LINE = "osdt+x", "●■◆▼✚✖", "━"


class CurvePanel(PlotPanel):
    """One column over another, one curve for each value of a third if the panel says so."""

    def __init__(self, panel: Curve, theme: Theme) -> None:
        self._curves: dict[str, Any] = {}
        self._bars: dict[str, Any] = {}
        self._data: dict[str, tuple[Floats, Floats, Floats | None]] = {}
        self._rising: dict[str, bool] = {}
        self._table: Table | None = None
        self._levels = [(pg.PlotDataItem(), level) for level in panel.levels]
        super().__init__(theme)
        self.panel = panel
        for line, _ in self._levels:
            self.plot.addItem(line)
        self.set_labels(panel.x, panel.y_label)
        self.area.setAccessibleName(f"plot of {panel.y} over {panel.x}")
        self._cost = 0.0
        self.plot.getViewBox().sigXRangeChanged.connect(lambda *_: self._draw())

    def refresh(self, table: Table) -> None:
        began = time.perf_counter()
        self._table = table
        self._data = self._series(table)
        self._draw()
        self._cost = time.perf_counter() - began

    def set_log(self, x: bool, y: bool) -> None:
        super().set_log(x, y)
        self._draw()

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        for line, _ in self._levels:
            line.setPen(pg.mkPen(theme.text, width=1, style=Qt.PenStyle.DotLine))
        self._remove(list(self._curves))
        self._draw()

    def value_at(self, x: float) -> tuple[float, float]:
        for xs, ys, errors in self._data.values():
            if np.isfinite(xs).any():
                place = int(np.nanargmin(np.abs(xs - x)))
                return float(ys[place]), math.nan if errors is None else float(errors[place])
        return math.nan, math.nan

    def _series(self, table: Table) -> dict[str, tuple[Floats, Floats, Floats | None]]:
        """x, y and error by name of the curve, in order of recording or of x."""
        panel = self.panel
        if panel.x not in table or panel.y not in table:
            return {}
        x, y = table.column(panel.x), table.column(panel.y)
        error = table.column(panel.error) if panel.error in table else None
        if panel.decibel:
            with np.errstate(divide="ignore", invalid="ignore"):
                if error is not None:
                    error = 10.0 / math.log(10.0) * error / y
                y = 10.0 * np.log10(y)
        rows = self._chosen(table)
        x, y, error = x[rows], y[rows], error[rows] if error is not None else None
        if not panel.by or panel.by not in table:
            return {"": self._ordered("", x, y, error)}
        kinds = table.column(panel.by)[rows]
        texts = table.texts(panel.by)
        if texts:
            codes = {name: float(code) for code, name in enumerate(texts)}
        else:
            codes = {f"{value:g}": value for value in np.unique(kinds[np.isfinite(kinds)])[:20]}
        wanted = [str(one) for one in panel.only] or list(codes)
        found = {}
        for name in wanted:
            if name in codes and (these := kinds == codes[name]).any():
                part = error[these] if error is not None else None
                found[name] = self._ordered(name, x[these], y[these], part)
        return found

    def _chosen(self, table: Table) -> Any:
        """The rows that the panel wants to be drawn: all, without a copy, or a mask."""
        if not self.panel.where or self.panel.where[0] not in table:
            return slice(None)
        column, text = self.panel.where
        codes = {name: code for code, name in enumerate(table.texts(column))}
        return table.column(column) == codes.get(text, -1)

    def _ordered(
        self, name: str, x: Floats, y: Floats, error: Floats | None
    ) -> tuple[Floats, Floats, Floats | None]:
        """In order of x where that is cheap; lines then run from left to right."""
        rising = rises(x)
        if not rising and len(x) <= 50_000:
            order = np.argsort(x, kind="stable")
            x, y = x[order], y[order]
            error = error[order] if error is not None else None
            rising = True
        if self.panel.latest and rising:
            last = last_of_each(x)
            x, y, error = x[last], y[last], error[last] if error is not None else None
        self._rising[name] = rising and not np.isnan(x[-1:]).any()
        return x, y, error

    def _draw(self) -> None:
        self._remove(list(self._curves.keys() - self._data.keys()))
        width = max(100, int(self.area.width()))
        entries = []
        for number, (name, (x, y, error)) in enumerate(self._data.items()):
            curve = self._curve(name, number)
            x, y, error = self._in_view(name, x, y, error)
            sign, symbol, _ = look(number)
            small = len(x) <= WITH_SYMBOLS
            self._draw_bars(name, x, y, error)
            x, y = envelope(x, y, width)
            cloud = small and len(x) > 2 and float((np.diff(x) == 0).mean()) > CLOUD
            curve.setSymbol(symbol if small else None)
            curve.setPen(None if cloud else pg.mkPen(self._colour(number), style=look(number)[2]))
            curve.setData(*_placed(*self.on_axes(x, y)), connect="finite")
            if name:
                entries.append((sign if small else LINE, self._colour(number), name))
        self._draw_levels()
        self.show_legend(entries)
        if self._table is not None and self._table.rows and not self._any():
            self._legend = ()  # names follow as soon as there are values
            self.legend.setText("no values in these columns yet")
            self.legend.show()
        self.show_readout()

    def _draw_levels(self) -> None:
        """From the first point to the last, so that what is shown reaches them."""
        if not self._levels:
            return
        ends = [f(x[np.isfinite(x)]) for x, *_ in self._data.values() if np.isfinite(x).any()
                for f in (np.min, np.max)]  # fmt: skip
        for line, level in self._levels:
            if ends:
                x = np.array([min(ends), max(ends)])
                line.setData(*self.on_axes(x, np.full(2, level)))

    def _any(self) -> bool:
        return any(any_finite(x, y) for x, y, _ in self._data.values())

    def _remove(self, names: list[str]) -> None:
        for name in names:
            self.plot.removeItem(self._curves.pop(name))
            self.plot.removeItem(self._bars.pop(name))

    def _colour(self, number: int) -> str:
        return self.theme.curves[number % len(self.theme.curves)]

    def _in_view(
        self, name: str, x: Floats, y: Floats, error: Floats | None
    ) -> tuple[Floats, Floats, Floats | None]:
        """What lies in the visible range, where x is sorted and the user has zoomed."""
        if self.plot.getViewBox().autoRangeEnabled()[0] or not self._rising.get(name):
            return x, y, error
        low, high = self.plot.viewRange()[0]
        if self.log[0]:
            low, high = 10.0**low, 10.0**high
        part = visible(x, low, high)
        return x[part], y[part], error[part] if error is not None else None

    def _curve(self, name: str, number: int) -> Any:
        if name not in self._curves:
            colour = self._colour(number)
            bars = pg.ErrorBarItem(pen=pg.mkPen(colour, width=1.5))
            line = pg.PlotDataItem(
                symbolSize=7, symbolPen=None, symbolBrush=colour
            )  # fmt: skip
            self.plot.addItem(bars)
            self.plot.addItem(line)
            self._curves[name], self._bars[name] = line, bars
        return self._curves[name]

    def _draw_bars(self, name: str, x: Floats, y: Floats, error: Floats | None) -> None:
        bars = self._bars[name]
        if error is None or not 0 < len(x) <= WITH_ERRORS:
            bars.setVisible(False)
            return
        bars.setData(**self.bars_on_axes(x, y, error))
        bars.setVisible(True)


def _placed(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Points that have both; the y axis would make room for those without an x."""
    there = np.isfinite(x) & np.isfinite(y)
    return (x, np.where(there, y, np.nan)) if there.any() else (x[:0], y[:0])


def look(number: int) -> tuple[str, str, Qt.PenStyle]:
    """Sign, symbol and dashes of a curve by its number; those of one colour differ in them."""
    turn = number // len(_SYMBOLS)
    kind = (number + turn) % len(_SYMBOLS)
    styles = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine)
    return _SIGNS[kind], _SYMBOLS[kind], styles[turn % len(styles)]
