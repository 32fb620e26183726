"""Interlocks: one quantity each, read periodically at yield points of the experiment."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from labctl.clock import Cancel, Clock
from labctl.errors import InterlockTripped, LabError


@dataclass(frozen=True)
class Interlock:
    """Trips when the quantity leaves [minimum, maximum], is no number, or cannot be read."""

    name: str
    read: Callable[[], Any]
    minimum: float
    maximum: float
    period: float = 1.0  # s
    unit: str = ""
    speaking: Callable[[], AbstractContextManager[Any]] = nullcontext

    def check(self) -> float:
        """Read the quantity once.

        Raises:
            InterlockTripped: one line that says what was read and what is allowed.
        """
        allowed = f"allowed {self.minimum:g} to {self.maximum:g} {self.unit}".rstrip()
        try:
            with self.speaking():
                value = float(self.read())
        except Exception as error:
            text = error if isinstance(error, LabError) else f"{type(error).__name__}: {error}"
            raise InterlockTripped(f"interlock {self.name}: cannot be read: {text}") from error
        if not self.minimum <= value <= self.maximum:  # also true for NaN
            raise InterlockTripped(
                f"interlock {self.name}: {value:g} {self.unit}".rstrip()
                + f", {allowed}; run stopped"
            )
        return value

    def arm(self, clock: Clock) -> Cancel:
        """Check now, and from then on every `period` seconds at yield points."""
        self.check()
        return clock.every(self.period, lambda: (self.check(), None)[1])
