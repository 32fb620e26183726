"""Starting the window."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from labctl.gui import theme as themes
from labctl.gui.collector import Collector
from labctl.gui.window import Window
from labctl.viewing.session import Session


def application() -> QApplication:
    """The one application of this process."""
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        app = QApplication(sys.argv[:1])
        app.setApplicationName("labctl")
        Collector(app)
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
    themes.apply(window.theme)
    window.show()
    QTimer.singleShot(0, window.begin)
