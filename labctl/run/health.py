"""What interlocks read during a run, kept with it: `health.jsonl`, a journal beside `run.jsonl`.

One `watched` entry per quantity says its unit and limits, then each `reading` has the bench's time.
An interlock without limits is a monitor: it is recorded and never trips.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any

from labctl.errors import StorageError
from labctl.interlock import Interlock
from labctl.journal import Journal

FILE = "health.jsonl"


class HealthLog:
    """Writer of the readings of one stretch; the file is made with the first of them."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._journal: Journal | None = None
        self._known: set[str] = set()

    def note(self, interlock: Interlock, t: float, value: float) -> None:
        """Record what an interlock read at `t` seconds of the bench's clock."""
        with contextlib.suppress(StorageError):  # the run's own rows will find the disk full
            if self._journal is None:
                self._journal = Journal(self._path)
            if interlock.name not in self._known:
                self._known.add(interlock.name)
                entry: dict[str, Any] = {
                    "entry": "watched", "name": interlock.name, "unit": interlock.unit
                }  # fmt: skip
                limits = {"minimum": interlock.minimum, "maximum": interlock.maximum}
                self._journal.append({**entry, **{n: v for n, v in limits.items() if _said(v)}})
            self._journal.append(
                {"entry": "reading", "name": interlock.name, "t": t, "value": value}
            )

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None


def _said(limit: float) -> bool:
    return math.isfinite(limit)
