"""The keys of the window, and the page that lists them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QGuiApplication, QKeyEvent, QKeySequence, QShortcut, QWindow
from qtpy.QtWidgets import QApplication, QDialog, QDialogButtonBox, QLabel, QPushButton, QVBoxLayout

#: Key, what it does. Keys of a table or plot work where it has the focus.
KEYS = (
    ("F12, Ctrl+Shift+Esc", "STOP ALL SAFE"),
    ("Ctrl+P", "pause or resume the run"),
    ("Ctrl+Shift+A", "abort the run; the bench is made safe"),
    ("Ctrl+1 … Ctrl+6", "choose a view"),
    ("Ctrl+0", "look at the active run again"),
    ("Ctrl+N", "go to the form"),
    ("Ctrl+Return", "queue what the form says; save the item that is edited"),
    ("Ctrl+Shift+Return", "queue it and start the queue"),
    ("Ctrl+D", "dry run on the simulated bench"),
    ("Ctrl+G", "start the queue"),
    ("Ctrl+H", "stop the queue after this run"),
    ("Alt+Up, Alt+Down", "move the chosen items of the queue"),
    ("E, D, C, Delete", "in the queue: edit, duplicate, copy to the form, remove"),
    ("Ctrl+Z", "in the queue: put back what was removed"),
    ("Arrows, Shift+Arrows", "in a plot: move cursor A, B; in a map: move the cuts"),
    ("Home", "in a plot or map: show everything"),
    ("Ctrl+F", "search the catalogue"),
    ("Ctrl+E", "export the run: figure, data and manifest"),
    ("Ctrl+T", "dark or light"),
    ("F11", "read from afar"),
    ("Esc", "put the topmost card away"),
    ("F1", "this page"),
)


class StopKeys(QObject):
    """STOP where no shortcut of the window works: in dialogs, open lists and the view from afar."""

    def __init__(self, window: QObject, stop: Callable[[], Any]) -> None:
        super().__init__(window)
        self._stop = stop
        app = QApplication.instance()
        if isinstance(app, QGuiApplication):
            app.focusWindowChanged.connect(self._watch)

    def _watch(self, window: QWindow | None) -> None:
        """Whatever has the keyboard now: the keys come to it first, unless a shortcut took them."""
        if window is not None:
            window.installEventFilter(self)  # once, however often it is asked for

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() != QEvent.Type.KeyPress or not isinstance(event, QKeyEvent):
            return False
        both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
        escape = event.key() == Qt.Key.Key_Escape and event.modifiers() & both == both
        if event.key() != Qt.Key.Key_F12 and not escape:
            return False
        if not event.isAutoRepeat():
            self._stop()
        return True


def connect_keys(window: Any) -> None:
    """Make the keys work anywhere in the window."""

    def key(sequence: str, action: Callable[[], Any]) -> None:
        QShortcut(QKeySequence(sequence), window).activated.connect(action)

    key("F12", window.commands.stop_all)
    key("Ctrl+Shift+Escape", window.commands.stop_all)
    StopKeys(window, window.commands.stop_all)
    key("Ctrl+P", window.commands.pause_or_resume)
    key("Ctrl+Shift+A", window.commands.abort)
    key("Ctrl+0", window.conductor.show_active)
    key("Ctrl+N", window.form.procedure.setFocus)
    key("Ctrl+Return", partial(press, window.form.queue_button, window.form.save_button))
    key("Ctrl+Shift+Return", partial(press, window.form.start_button))
    key("Ctrl+D", partial(press, window.form.dry_button))
    key("Ctrl+G", window.commands.start_queue)
    key("Ctrl+H", window.queue.halt)
    key("Escape", window.deck.put_away)
    key("Ctrl+F", partial(focus_search, window))
    key("Ctrl+E", window.commands.export_shown)
    key("Ctrl+T", window.toggle_theme)
    key("F11", window.commands.read_from_afar)
    key("F1", lambda: show_keys(window))
    for number in range(window.tabs.count()):
        key(f"Ctrl+{number + 1}", partial(window.tabs.setCurrentIndex, number))


def press(*buttons: QPushButton) -> None:
    """Press the one of these that can be seen: what nobody sees must not be done."""
    for button in buttons:
        if not button.isHidden():
            button.click()


def focus_search(window: Any) -> None:
    """Go to the search line of the catalogue."""
    window.tabs.setCurrentWidget(window.runs)
    window.runs.search.setFocus()
    window.runs.search.selectAll()


def show_keys(window: Any) -> QDialog:
    """The page of keys."""
    dialog = QDialog(window)
    dialog.setWindowTitle("Keys")
    rows = "".join(f"<tr><td><b>{k}</b>&nbsp;&nbsp;</td><td>{what}</td></tr>" for k, what in KEYS)
    box = QVBoxLayout(dialog)
    box.addWidget(QLabel(f"<table cellpadding='3'>{rows}</table>"))
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
    buttons.rejected.connect(dialog.reject)
    box.addWidget(buttons)
    dialog.show()
    return dialog
