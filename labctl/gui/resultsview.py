"""The results of the run that is looked at, and its procedure's own figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import (
    QLabel,
    QScrollArea,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from labctl.gui import tables
from labctl.units import measured
from labctl.viewing.feed import Feed

#: Rows of the table that have room above the figures; further ones are scrolled.
MOST_ROWS = 9


class Picture(QLabel):
    """A figure that is as wide as there is room for, but not wider than it was drawn."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.drawn = QPixmap(str(path))
        self.setAccessibleName(f"figure {path.stem}")
        self.setToolTip(str(path))
        self.setAlignment(Qt.AlignmentFlag.AlignHCenter)

    def fit(self, width: int) -> None:
        width = min(width, self.drawn.width())
        if width > 0:
            mode = Qt.TransformationMode.SmoothTransformation
            self.setPixmap(self.drawn.scaledToWidth(width, mode))


class ResultsView(QWidget):
    """Numbers on top, figures below."""

    def __init__(self) -> None:
        super().__init__()
        self.heading = QLabel("no results yet")
        self.heading.setObjectName("heading")
        self.heading.setWordWrap(True)
        self.table = tables.make(["result", "value", "meaning"], "results")
        self.note = QLabel("")
        self.note.setObjectName("dim")
        self.note.setWordWrap(True)
        self.figures = QWidget()
        self.figure_box = QVBoxLayout(self.figures)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setWidget(self.figures)
        self.area.viewport().installEventFilter(self)
        self.pictures: list[Picture] = []
        self.split = QSplitter(Qt.Orientation.Vertical)
        self.split.addWidget(self.table)
        self.split.addWidget(self.area)
        self.split.setStretchFactor(1, 3)
        box = QVBoxLayout(self)
        box.addWidget(self.heading)
        box.addWidget(self.note)
        box.addWidget(self.split, stretch=1)

    def show_results(self, feed: Feed) -> None:
        """The numbers that the run's analysis found."""
        meanings = feed.start.get("meanings") or {}
        self.heading.setText(f"run {feed.number}  {feed.procedure}: {feed.status}")
        self.table.setRowCount(len(feed.results))
        for row, (name, result) in enumerate(feed.results.items()):
            for column, text in enumerate((name, measured(result), meanings.get(name, ""))):
                tables.put(self.table, row, column, text)
        self.table.resizeColumnToContents(0)
        self.table.resizeColumnToContents(1)
        rows = min(len(feed.results), MOST_ROWS) * self.table.rowHeight(0)
        wanted = rows + self.table.horizontalHeader().height() + 4
        wanted = min(wanted, round(0.4 * self.split.height()))
        self.split.setSizes([wanted, max(wanted, self.split.height() - wanted)])
        self.show_figures([])
        if not feed.results:
            self.note.setText("there are no results until the run has finished")

    def show_figures(self, paths: Sequence[str], note: str = "") -> None:
        """The figures that the helper has drawn."""
        for picture in self.pictures:
            self.figure_box.removeWidget(picture)
            picture.hide()
            picture.deleteLater()
        self.pictures = [Picture(Path(path)) for path in paths]
        for picture in self.pictures:
            self.figure_box.addWidget(picture)
        self.note.setText(note)
        self.note.setVisible(bool(note))
        self._fit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:  # of what is seen of the figures
            self._fit()
        return False

    def _fit(self) -> None:
        for picture in self.pictures:
            picture.fit(self.area.viewport().width() - 24)
