"""Which software made a run: versions and commit."""

from __future__ import annotations

import inspect
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import labctl

_PACKAGES = ("pymeasure", "numpy", "scipy", "pyvisa", "pyserial", "pyarrow")


def collect(procedure: type) -> dict[str, Any]:
    """Versions of what matters, and the commit of the checkout that holds the procedure."""
    versions = {"labctl": labctl.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {"versions": versions, "platform": platform.platform(), "commit": commit(procedure)}


def commit(procedure: type) -> str:
    """Commit of the procedure's checkout, "+" appended if it has changes, "" outside one."""
    try:
        folder = Path(inspect.getfile(procedure)).resolve().parent
        if not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
            return ""
        head, changes = (
            subprocess.run(
                ["git", *words], cwd=folder, capture_output=True, text=True, timeout=5, check=True
            ).stdout.strip()
            for words in (
                ["rev-parse", "HEAD"],
                ["status", "--porcelain", "--untracked-files=no"],
            )
        )
    except (OSError, TypeError, subprocess.SubprocessError):
        return ""
    return head + ("+" if changes else "")
