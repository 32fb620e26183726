"""What window and page share stands below both."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import labctl.gui.processes
import labctl.viewing

TOOLKITS = "qtpy PySide6 pyqtgraph labctl.web"


def test_neither_a_toolkit_nor_a_view_is_imported():
    """The page and the window's processes work where no Qt is installed."""
    names = [
        f"{package.__name__}.{module.name}"
        for package in (labctl.viewing, labctl.gui.processes)
        for module in pkgutil.iter_modules(package.__path__)
    ]
    assert {"labctl.viewing.feed", "labctl.gui.processes.helper"} <= set(names)
    code = (
        f"import sys, {', '.join(names)}\n"
        f"print(sorted(set('{TOOLKITS}'.split()) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
