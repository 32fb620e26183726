"""Garbage is collected between events only.

Python may collect at any allocation, also while Qt holds a lock to connect or disconnect a signal.
A collected object of Qt then asks for the same lock in its destructor, and the window stands still
for ever (PySide6 6.11: QObject::disconnect, gc_collect_main, ~QObject, QBasicMutex::lockInternal).
"""

from __future__ import annotations

import gc

from qtpy.QtCore import QObject, QTimer

#: Milliseconds between two looks whether there is enough garbage.
EVERY = 500


class Collector(QObject):
    """Collects as Python would, by the same thresholds, but from a timer of the event loop."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        gc.disable()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.look)
        self._timer.start(EVERY)

    def look(self) -> int:
        """Collect the oldest generation that is due; its number, or -1."""
        for generation in (2, 1, 0):
            if gc.get_count()[generation] > gc.get_threshold()[generation] > 0:
                gc.collect(generation)
                return generation
        return -1
