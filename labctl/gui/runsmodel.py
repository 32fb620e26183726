"""The catalogue as a table model: the newest runs that match what was typed."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from qtpy.QtGui import QColor, QIcon, QPixmap

from labctl.gui.session import Session
from labctl.gui.theme import MODES, Theme
from labctl.run.catalogue import RunSummary, newest_runs
from labctl.units import measured

COLUMNS = ("★", "#", "procedure", "title", "begun", "state", "mode", "rows", "first result",
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
        self._icons: dict[str, QIcon | None] = {}

    def search(self, text: str) -> None:
        """List the runs that match.

        Raises:
            RequestError: what was typed cannot be understood.
        """
        runs, more = newest_runs(self.session.runs_dir, text, MOST)
        if runs == self.runs and more == self.more:
            return
        self.beginResetModel()
        self.runs, self.more = runs, more
        self._icons.clear()
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
            return self._icon(run)
        return None

    def _text(self, run: RunSummary, column: int) -> str:
        if column == 8:
            first = next(iter(run.results.items()), None)
            return f"{first[0]} = {measured(first[1])}" if first else ""
        begun = f"{run.started:%Y-%m-%d %H:%M}" if run.started else ""
        return (
            "★" if run.starred else "", str(run.number), run.procedure, run.title, begun,
            run.status, MODES.get(run.mode, ("", run.mode))[1].lower(), str(run.rows), "",
            ", ".join(run.labels),
        )[column]  # fmt: skip

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

    def _icon(self, run: RunSummary) -> QIcon | None:
        """A thumbnail of the run's first figure, if it was ever drawn."""
        name = run.path.name
        if name not in self._icons:
            pictures = sorted((self.session.runs_dir / ".figures" / name).glob("*.png"))
            self._icons[name] = None
            if pictures:
                small = QPixmap(str(pictures[0])).scaled(
                    72, 40, Qt.AspectRatioMode.KeepAspectRatio,
                    Qt.TransformationMode.SmoothTransformation,
                )  # fmt: skip
                self._icons[name] = QIcon(small)
        return self._icons[name]
