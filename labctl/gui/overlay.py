"""Several runs in one plot."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QDialog, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from labctl.errors import LabError
from labctl.gui.curvepanel import LINE, WITH_ERRORS, look
from labctl.gui.plotpanel import PlotPanel
from labctl.gui.theme import Theme
from labctl.live import Curve
from labctl.run.catalogue import RunSummary
from labctl.run.reading import RunReader
from labctl.viewing.decimate import envelope
from labctl.viewing.measures import error_column
from labctl.viewing.panels import from_document
from labctl.viewing.table import Table

#: Runs in one plot; more than that cannot be told apart.
MOST = 12


class OverlayDialog(QDialog):
    """One column over another, one curve for each run."""

    def __init__(self, runs: Sequence[RunSummary], theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)  # with all the rows that it holds
        self.setWindowTitle("Overlay")
        self.resize(900, 600)
        self.theme = theme
        self.curves: dict[str, Any] = {}
        self._drawn: list[Any] = []
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
        self._untouched = bool(names)
        x, y = first_choice(names)
        self.panel = Curve("", x, y)
        self.plot = PlotPanel(theme)
        self.plot.area.setAccessibleName("runs drawn over each other")
        self.along, self.up, self.of = QComboBox(), QComboBox(), QComboBox()
        tips = ("column along x", "column along y", "which rows")
        for chooser, tip in zip((self.along, self.up, self.of), tips, strict=True):
            chooser.setToolTip(tip)
            chooser.setAccessibleName(tip)
            chooser.activated.connect(lambda _: self._chosen())
        self.along.addItems(names)
        self.up.addItems(names)
        row = QHBoxLayout()
        for word, chooser in (("x", self.along), ("y", self.up)):
            row.addWidget(QLabel(word))
            row.addWidget(chooser, stretch=1)
        row.addWidget(self.of)
        box = QVBoxLayout(self)
        box.addLayout(row)
        box.addWidget(self.plot, stretch=1)
        if self._missing or len(runs) > MOST:
            more = [f"only the first {MOST} runs are drawn"] if len(runs) > MOST else []
            box.addWidget(QLabel("; ".join([*self._missing, *more])))
        if names:
            self._show(self.panel)

    def done(self, result: int) -> None:
        self._untouched = False  # what the procedure declares comes too late
        super().done(result)

    def propose(self, declared: Sequence[Mapping[str, Any]]) -> None:
        """Begin with the first curve that the procedure declares, if nobody chose columns yet."""
        if not self._untouched:
            return
        for one in declared:
            with contextlib.suppress(ValueError):
                panel = from_document(one)
                if isinstance(panel, Curve) and self._has(panel):
                    self._show(panel)
                    return

    def restyle(self, theme: Theme) -> None:
        """Take other colours."""
        self.theme = theme
        self.plot.restyle(theme)
        if self.along.count():
            self.draw()

    def draw(self) -> None:
        """Draw the chosen columns of all runs."""
        panel, kind = self.panel, str(self.of.currentData() or "")
        self.plot.set_labels(panel.x, panel.y_label)
        for item in self._drawn:
            self.plot.plot.removeItem(item)
        self.curves, self._drawn = {}, []
        entries = []
        for number, (name, table) in enumerate(self._tables.items()):
            colour = self.theme.curves[number % len(self.theme.curves)]
            sign, symbol, dash = look(number)
            nothing = (np.zeros(0), np.zeros(0), np.zeros(0))
            xs, ys, errors = panel.series(dict(table.objects())).get(kind, nothing)
            cloud = len(xs) > 1 and not (np.diff(xs) > 0).all()  # a line would jump up and down
            if len(xs) <= WITH_ERRORS and errors.any():
                pen = pg.mkPen(colour, width=1.5)
                bars = pg.ErrorBarItem(pen=pen, **self.plot.bars_on_axes(xs, ys, errors))
                self.plot.plot.addItem(bars)
                self._drawn.append(bars)
            xs, ys = envelope(xs, ys, 2000)
            few = cloud or len(xs) < 300
            at = self.plot.on_axes(xs, ys)
            self.curves[name] = self.plot.plot.plot(
                *at, pen=None if cloud else pg.mkPen(colour, width=1, style=dash),
                symbol=symbol if few else None, symbolSize=6, symbolBrush=colour, symbolPen=None,
            )  # fmt: skip
            self._drawn.append(self.curves[name])
            entries.append((sign if few else LINE, colour, name))
        self.plot.show_legend(entries)

    def _has(self, panel: Curve) -> bool:
        """Whether all runs have what a panel shows."""
        needed = [name for name in (panel.x, panel.y, panel.by) if name]
        numbers = (panel.x, panel.y)
        return all(
            name in table and not (name in numbers and table.is_text(name))
            for table in self._tables.values() for name in needed
        )  # fmt: skip

    def _chosen(self) -> None:
        """Somebody chose columns: rows are selected as before, values drawn as they are."""
        self._untouched = False
        x, y = self.along.currentText(), self.up.currentText()
        if (x, y) != (self.panel.x, self.panel.y):
            self.panel = replace(
                self.panel, title="", x=x, y=y, error=error_column(y), decibel=False, log_x=False,
                log_y=False,
            )  # fmt: skip
            self.plot.set_log(False, False)
        self.draw()

    def _show(self, panel: Curve) -> None:
        self.panel = replace(panel, error=panel.error or error_column(panel.y))
        self.along.setCurrentText(panel.x)
        self.up.setCurrentText(panel.y)
        kinds = dict.fromkeys(
            kind for table in self._tables.values()
            for kind in self.panel.series(dict(table.objects()))
        )  # fmt: skip
        self.of.clear()
        for kind in kinds:
            self.of.addItem(f"{panel.by}: {kind.removesuffix('.0')}", kind)
        self.of.setVisible(len(kinds) > 1)
        if panel.log_x or panel.log_y:  # what is shown still has linear ends
            self.plot.plot.setRange(xRange=(0.0, 1.0), yRange=(0.0, 1.0))
        self.plot.set_log(panel.log_x, panel.log_y)
        self.draw()


def first_choice(names: Sequence[str]) -> tuple[str, str]:
    """Columns to begin with: the first over which, and the last that has a standard error."""
    plain = [name for name in names if name != "index"] or list(names)
    if not plain:
        return "", ""
    measured = [name for name in plain if error_column(name) in names]
    return plain[0], (measured or plain)[-1]
