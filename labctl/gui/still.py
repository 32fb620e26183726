"""Fields that a turn of the wheel does not change: it scrolls what they lie on instead."""

from __future__ import annotations

from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QComboBox, QSpinBox


class Choice(QComboBox):
    """A list to choose from by click and by key."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()


class Count(QSpinBox):
    """A whole number."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()
