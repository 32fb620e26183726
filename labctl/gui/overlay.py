"""Several runs in one plot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtWidgets import QComboBox, QDialog, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from labctl.errors import LabError
from labctl.gui.curvepanel import LINE, look
from labctl.gui.plotpanel import PlotPanel
from labctl.gui.theme import Theme
from labctl.run.catalogue import RunSummary
from labctl.run.reading import RunReader
from labctl.viewing.decimate import envelope
from labctl.viewing.measures import error_column
from labctl.viewing.table import Table

#: Runs in one plot; more than that cannot be told apart.
MOST = 12


class OverlayDialog(QDialog):
    """One column over another, one curve for each run."""

    def __init__(self, runs: Sequence[RunSummary], theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Overlay")
        self.resize(900, 600)
        self.theme = theme
        self.curves: dict[str, Any] = {}
        self._tables: dict[str, Table] = {}
        self._missing: list[str] = []
        for run in runs[:MOST]:
            table = Table()
            try:
                table.extend(RunReader(run.path).columns())
            except (LabError, OSError) as error:
                self._missing.append(f"run {run.number}: {error}")
                continue
            name = f"{run.number} {run.title or run.procedure}"
            self._tables[name] = table
        names: list[str] = []
        for table in self._tables.values():
            here = [n for n in table.names if not table.is_text(n)]
            names = [n for n in names if n in here] if names else here
        self.plot = PlotPanel(theme)
        self.plot.area.setAccessibleName("runs drawn over each other")
        self.along, self.up = QComboBox(), QComboBox()
        for chooser, tip in ((self.along, "column along x"), (self.up, "column along y")):
            chooser.addItems(names)
            chooser.setToolTip(tip)
            chooser.setAccessibleName(tip)
            chooser.activated.connect(lambda _: self.draw())
        x, y = first_choice(names)
        self.along.setCurrentText(x)
        self.up.setCurrentText(y)
        row = QHBoxLayout()
        for word, chooser in (("x", self.along), ("y", self.up)):
            row.addWidget(QLabel(word))
            row.addWidget(chooser, stretch=1)
        box = QVBoxLayout(self)
        box.addLayout(row)
        box.addWidget(self.plot, stretch=1)
        if self._missing or len(runs) > MOST:
            more = [f"only the first {MOST} runs are drawn"] if len(runs) > MOST else []
            box.addWidget(QLabel("; ".join([*self._missing, *more])))
        if names:
            self.draw()

    def restyle(self, theme: Theme) -> None:
        """Take other colours."""
        self.theme = theme
        self.plot.restyle(theme)
        self.draw()

    def draw(self) -> None:
        """Draw the chosen columns of all runs."""
        x, y = self.along.currentText(), self.up.currentText()
        self.plot.set_labels(x, y)
        for curve in self.curves.values():
            self.plot.plot.removeItem(curve)
        self.curves = {}
        entries = []
        for number, (name, table) in enumerate(self._tables.items()):
            colour = self.theme.curves[number % len(self.theme.curves)]
            sign, symbol, dash = look(number)
            xs, ys = table.column(x), table.column(y)
            there = np.isfinite(xs) & np.isfinite(ys)
            order = np.argsort(xs[there], kind="stable")
            xs, ys = xs[there][order], ys[there][order]
            cloud = len(xs) > 1 and not (np.diff(xs) > 0).all()  # a line would jump up and down
            xs, ys = envelope(xs, ys, 2000)
            few = cloud or len(xs) < 300
            self.curves[name] = self.plot.plot.plot(
                xs, ys, pen=None if cloud else pg.mkPen(colour, width=1, style=dash),
                symbol=symbol if few else None, symbolSize=6, symbolBrush=colour, symbolPen=None,
            )  # fmt: skip
            entries.append((sign if few else LINE, colour, name))
        self.plot.show_legend(entries)


def first_choice(names: Sequence[str]) -> tuple[str, str]:
    """Columns to begin with: the first over which, and the last that has a standard error."""
    plain = [name for name in names if name != "index"] or list(names)
    if not plain:
        return "", ""
    measured = [name for name in plain if error_column(name) in names]
    return plain[0], (measured or plain)[-1]
