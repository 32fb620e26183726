"""What a run tells those who watch it, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from labctl.errors import LabError


@dataclass(frozen=True)
class Event:
    """What a listener is told.

    "opening" and "start" (with the stretch), "point" (the row), "tags" (name and columns of a
    batch), "show", "note", "paused", "resumed", "analysing", "stop"; and whatever else a procedure
    emits.
    """

    kind: str
    value: Any = None


Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    path: Path
    status: str
    reason: str
    error: BaseException | None
    stopped: bool = False  #: somebody asked for STOP, so nothing else may begin by itself

    @property
    def exit_code(self) -> int:
        if self.status == "finished":
            return 0
        return self.error.exit_code if isinstance(self.error, LabError) else 1

    def worsened(self, text: str, failure: BaseException, fails: bool) -> Outcome:
        """What it becomes when something goes wrong at the end; an aborted run may stay that."""
        reason = self.reason if text in self.reason else f"{self.reason}; {text}".removeprefix("; ")
        if self.status == "finished" or fails:
            return replace(self, status="failed", reason=reason, error=failure)
        return replace(self, reason=reason)
