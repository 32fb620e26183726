"""The server's time when it runs by itself."""

from __future__ import annotations

import time
from typing import Protocol


class Now(Protocol):
    """The server's time (s)."""

    def now(self) -> float: ...


class PacedClock:
    """Time that runs by itself, `pace` seconds per real second, from `start` (s) on."""

    def __init__(self, pace: float, start: float) -> None:
        self._pace = pace
        self._start = start
        self._origin = time.perf_counter()

    def now(self) -> float:
        return self._start + (time.perf_counter() - self._origin) * self._pace
