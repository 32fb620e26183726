"""A layout in lines: widgets side by side, and in the next line what does not fit."""

from __future__ import annotations

from qtpy.QtCore import QPoint, QRect, QSize, Qt
from qtpy.QtWidgets import QLayout, QLayoutItem, QWidget

#: Pixels between two lines.
BETWEEN = 4


class FlowLayout(QLayout):
    """Each widget has its preferred size, or a little less if one line suffices then."""

    def __init__(self, spacing: int = 4) -> None:
        super().__init__()
        self._items: list[QLayoutItem] = []
        self.setContentsMargins(0, 0, 0, 0)
        self.setSpacing(spacing)

    def addItem(self, item: QLayoutItem) -> None:
        self._items.append(item)

    def count(self) -> int:
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def expandingDirections(self) -> Qt.Orientation:
        return Qt.Orientation(0)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return self._place(QRect(0, 0, width, 0), move=False)

    def setGeometry(self, rect: QRect) -> None:
        super().setGeometry(rect)
        self._place(rect, move=True)

    def sizeHint(self) -> QSize:
        widths = [item.sizeHint().width() for item in self._shown()]
        width = sum(widths) + self.spacing() * max(0, len(widths) - 1)
        return QSize(width, self.heightForWidth(width))

    def minimumSize(self) -> QSize:
        sizes = [item.minimumSize() for item in self._shown()]
        return QSize(
            max((size.width() for size in sizes), default=0),
            max((size.height() for size in sizes), default=0),
        )

    def _shown(self) -> list[QLayoutItem]:
        return [item for item in self._items if not _hidden(item.widget())]

    def _place(self, rect: QRect, *, move: bool) -> int:
        """Put the widgets into lines of this width; the height that they take."""
        x, y, line = rect.x(), rect.y(), 0
        items = self._shown()
        for item, wanted in zip(items, self._widths(items, rect.width()), strict=True):
            size = item.sizeHint()
            width = min(wanted, rect.width())
            if x > rect.x() and x + width > rect.x() + rect.width():
                x, y, line = rect.x(), y + line + BETWEEN, 0
            if move:
                item.setGeometry(QRect(QPoint(x, y), QSize(width, size.height())))
            x += width + self.spacing()
            line = max(line, size.height())
        return y + line - rect.y()

    def _widths(self, items: list[QLayoutItem], room: int) -> list[int]:
        """Preferred widths; between those and the least ones if all fit into one line so."""
        wanted = [item.sizeHint().width() for item in items]
        least = [item.minimumSize().width() for item in items]
        room -= self.spacing() * (len(items) - 1)
        if not sum(least) <= room < sum(wanted):
            return wanted
        part = (room - sum(least)) / (sum(wanted) - sum(least))
        return [int(low + part * (high - low)) for low, high in zip(least, wanted, strict=True)]


def _hidden(widget: QWidget | None) -> bool:
    return widget is not None and widget.isHidden()
