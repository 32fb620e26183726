"""The catalogue as a table model: the newest runs that match what was typed."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from qtpy.QtGui import QColor

from labctl.gui.theme import MODES, Theme
from labctl.gui.thumbnails import Thumbnails
from labctl.run.catalogue import RunSummary, newest_runs
from labctl.run.search import compared
from labctl.units import measured, unit_text
from labctl.viewing import words
from labctl.viewing.session import Session

COLUMNS = ("★", "#", "procedure", "title", "begun", "state", "mode", "rows", "result",
           "labels")  # fmt: skip
#: Runs listed at most; a search narrows what is listed.
MOST = 500


class RunsModel(QAbstractTableModel):
    """Rows of the catalogue, newest first."""

    def __init__(self, session: Session, theme: Theme) -> None:
        super().__init__()
        self.session, self.theme = session, theme
        self.runs: list[RunSummary] = []
        self.more = False
        self._named: list[str] = []  # parameters and results that the search names
        self.thumbnails = Thumbnails(session.runs_dir, self)
        self.thumbnails.drawn.connect(self._drawn)

    def search(self, text: str) -> None:
        """List the runs that match.

        Raises:
            RequestError: what was typed cannot be understood.
        """
        runs, more = newest_runs(self.session.runs_dir, text, MOST)
        named, self._named = self._named, compared(text)
        if runs == self.runs and more == self.more and named == self._named:
            return
        if [run.path for run in runs] == [run.path for run in self.runs]:
            self.runs, self.more = runs, more
            self.dataChanged.emit(self.index(0, 0), self.index(len(runs) - 1, len(COLUMNS) - 1))
            return
        self.beginResetModel()
        self.runs, self.more = runs, more
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.runs)

    def columnCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:
        shown = role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal
        return COLUMNS[section] if shown else None

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = 0) -> Any:
        run = self.runs[index.row()]
        roles = Qt.ItemDataRole
        if role == roles.DisplayRole:
            return self._text(run, index.column())
        if role == roles.ToolTipRole:
            return run.reason or self._text(run, index.column())
        if role == roles.ForegroundRole:
            return self._colour(run, index.column())
        if role == roles.DecorationRole and index.column() == 2:
            return self.thumbnails.icon(run)
        return None

    def _text(self, run: RunSummary, column: int) -> str:
        if column == 8:
            return self._result(run)
        begun = f"{run.started:%Y-%m-%d %H:%M}" if run.started else ""
        return (
            "★" if run.starred else "", str(run.number), run.procedure, run.title, begun,
            run.status, MODES.get(run.mode, ("", run.mode))[1].lower(), str(run.rows), "",
            ", ".join(run.labels),
        )[column]  # fmt: skip

    def _result(self, run: RunSummary) -> str:
        """What was searched for by its name, else the first result that has an uncertainty."""
        shown = []
        for name in self._named:
            if name in run.results:
                shown.append(f"{name} = {measured(run.results[name])}")
            elif name in run.parameters:
                unit = unit_text(run.units.get(name))
                shown.append(f"{name} = {words.number(run.parameters[name])} {unit}".strip())
        if not shown:
            certain = (name for name, found in run.results.items() if found.get("uncertainty"))
            name = next(certain, next(iter(run.results), ""))
            shown = [f"{name} = {measured(run.results[name])}"] if name else []
        return ", ".join(shown)

    def _colour(self, run: RunSummary, column: int) -> QColor | None:
        theme = self.theme
        if column == 0:
            return QColor(theme.warn)
        if column == 5:
            return QColor(
                {"finished": theme.text, "running": theme.good}.get(run.status, theme.bad)
            )
        if column == 6:
            return QColor(theme.dim if run.mode == "sim" else theme.text)
        return None

    def _drawn(self, name: str) -> None:
        for row, run in enumerate(self.runs):
            if run.path.name == name:
                cell = self.index(row, 2)
                self.dataChanged.emit(cell, cell, [Qt.ItemDataRole.DecorationRole])
