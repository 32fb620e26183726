"""Starting the window."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from labctl.gui import theme as themes
from labctl.gui.session import Session
from labctl.gui.window import Window


def application() -> QApplication:
    """The one application of this process."""
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        app = QApplication(sys.argv[:1])
        app.setApplicationName("labctl")
    return app


def open_window(runs_dir: Path, bench: str = "", theme: str = "") -> Window:
    """Make the window and put it on the screen."""
    application()
    session = Session(runs_dir, bench)
    window = Window(session, theme)
    if not bench:
        session.bench = str(window.layouts.values.get("bench", ""))
    _show(window)
    return window


def run(runs_dir: Path, bench: str = "", theme: str = "") -> int:
    """Open the window and stay until it is closed; Ctrl-C in the terminal closes it, too."""
    app = application()
    open_window(runs_dir, bench, theme)
    signal.signal(signal.SIGINT, lambda *_: app.closeAllWindows())
    return int(app.exec())


def _show(window: Window) -> None:
    themes.apply(application(), window.theme)
    window.other_theme.connect(lambda name: reopen(window, name))
    window.show()
    QTimer.singleShot(0, window.begin)


def reopen(window: Window, theme: str) -> Window:
    """The same window in another look; what is drawn keeps its colours, so it is made anew."""
    session = Session(window.session.runs_dir, window.session.bench)
    again = Window(session, theme)
    again.setGeometry(window.geometry())
    again.tabs.setCurrentIndex(window.tabs.currentIndex())
    if (item := window.form_control.as_item()) is not None:
        again.form_control.prefill(item)
    _show(again)
    window.close()
    return again
