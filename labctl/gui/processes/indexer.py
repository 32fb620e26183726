"""The process that keeps the catalogue's index: among 1e5 runs a complete look takes seconds.

`python -m labctl.gui.processes.indexer` answers requests as the helper does, which has no time for
this while somebody fills the form.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from labctl.gui.processes.helper import serve
from labctl.manager import Manager
from labctl.run import catalogue
from labctl.viewing import outlook
from labctl.viewing.estimate import Experience

#: What earlier runs took, by the folder in which they lie.
_experience: dict[str, Experience] = {}


def renew(runs_dir: str, lately: bool, also: list[str]) -> None:
    """Bring the index of the catalogue up to date: completely, or by the latest runs and others."""
    if Path(runs_dir).is_dir():
        catalogue.renew(Path(runs_dir), lately=lately, also=also)


def interrupted(runs_dir: str) -> list[dict[str, Any]]:
    """Runs whose process died and that nobody queued to be resumed; also renews the index."""
    base = Path(runs_dir)
    if not base.is_dir():
        return []
    catalogue.renew(base)
    runs, _ = catalogue.newest_runs(base, "is:interrupted", 500)
    waiting = {item.run for item in Manager(base).waiting()}
    return [
        {"path": str(run.path), "number": run.number, "procedure": run.procedure,
         "title": run.title, "rows": run.rows}
        for run in reversed(runs)
        if run.status == "interrupted" and str(run.path.resolve()) not in waiting
    ]  # fmt: skip


def expected(runs_dir: str) -> list[tuple[int, float | None, str]]:
    """Of the queue's items that wait or run: number, seconds if known, and from which run."""
    experience = _experience.setdefault(runs_dir, Experience(Path(runs_dir), patient=False))
    experience.renew()
    items = Manager(Path(runs_dir)).items()
    found = outlook.expected(items, experience)
    return [
        (i.number, s if math.isfinite(s) else None, outlook.basis(i, experience))
        for i in items
        if (s := found.get(i.number)) is not None
    ]


if __name__ == "__main__":
    serve({"renew": renew, "interrupted": interrupted, "expected": expected})
