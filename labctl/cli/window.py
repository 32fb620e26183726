"""The window."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from labctl.cli.arguments import runs_dir
from labctl.errors import LabError, RequestError


def open_window(arguments: Any) -> int:
    """Open the procedure manager and stay until it is closed."""
    from labctl.bench import find_bench

    bench = arguments.bench
    if bench:
        find_bench(bench)  # what is wrong with it is better said here than in a window
        if Path(bench).is_file():
            bench = str(Path(bench).resolve())
    folder = runs_dir(arguments)
    if not _has_screen():
        raise RequestError("no screen to open a window on: $DISPLAY is not set; use labctl queue")
    try:
        from labctl.gui import app
    except ImportError as error:
        raise LabError(f'{error}; install the window with: pip install "labctl[gui]"') from None
    return app.run(folder, bench, arguments.theme or "")


def _has_screen() -> bool:
    """Whether there is a screen; without one Qt would end this process itself."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))
