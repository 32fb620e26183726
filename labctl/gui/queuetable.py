"""The rows of the queue: which columns there are, and where dragged items go."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QAbstractItemView, QTableWidget

from labctl.gui import tables
from labctl.manager import Item

COLUMNS = ("#", "state", "procedure", "title", "parameters", "bench", "takes",
           "when, and if it fails", "remark")  # fmt: skip
#: Column of the expected time.
TAKES = 6
#: Pixels that columns have at most before the user makes them wider.
WIDEST = {2: 160, 3: 170, 4: 190, 5: 135, 7: 260}


def differing(items: Sequence[Item]) -> dict[str, list[str]]:
    """By procedure, the parameters in which its items differ: what tells one from another."""
    values: dict[str, dict[str, set[str]]] = {}
    for item in items:
        known = values.setdefault(item.request["procedure"], {})
        for name, value in item.request["parameters"].items():
            known.setdefault(name, set()).add(repr(value))
    return {
        procedure: [name for name, found in names.items() if len(found) > 1]
        for procedure, names in values.items()
    }


class QueueTable(QTableWidget):
    """The rows; a waiting one can be dragged to another place among those that wait."""

    moved = Signal(int, int)  # number of the item, new place (1 is next)

    def __init__(self) -> None:
        super().__init__(0, len(COLUMNS))
        self.setHorizontalHeaderLabels(COLUMNS)
        tables.prepare(self, "queue")
        self.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.setDragDropOverwriteMode(False)
        self.queued: list[Item] = []

    def dropEvent(self, event: QDropEvent) -> None:
        """Reorder in the queue itself; the table is filled from it afterwards."""
        row = self.indexAt(event.position().toPoint()).row()
        if row < 0:
            row = len(self.queued)
        elif self.dropIndicatorPosition() == QAbstractItemView.DropIndicatorPosition.BelowItem:
            row += 1
        for number, place in self.moves_to(row):
            self.moved.emit(number, place)
        event.setDropAction(Qt.DropAction.IgnoreAction)
        event.accept()

    def moves_to(self, row: int) -> list[tuple[int, int]]:
        """Items and their new places, one after the other, that bring the chosen ones before `row`.

        They stay in the order in which they are.
        """
        order = [item.number for item in self.queued if item.waits]
        chosen = [item.number for item in self.chosen() if item.waits]
        before = [i.number for i in self.queued[:row] if i.waits and i.number not in chosen]
        found = []
        for number in chosen:
            order.remove(number)
            place = order.index(before[-1]) + 1 if before else 0
            order.insert(place, number)
            before.append(number)
            found.append((number, place + 1))
        return found

    def fit(self) -> None:
        """Give each column what it needs, up to a point."""
        self.resizeColumnsToContents()
        for column, width in WIDEST.items():
            self.setColumnWidth(column, min(self.columnWidth(column), width))

    def chosen(self) -> list[Item]:
        rows = sorted({index.row() for index in self.selectedIndexes()})
        return [self.queued[row] for row in rows if row < len(self.queued)]
