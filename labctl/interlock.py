"""Interlocks: one quantity each, read periodically at yield points of the experiment."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from labctl.clock import Cancel, Clock
from labctl.errors import InterlockTripped, LabError

Watch = Callable[["Interlock", float, float], None]  # which one, bench time (s), value


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
    meaning: str = ""  # why it must not leave these limits

    def check(self, watch: Callable[[float], None] | None = None) -> float:
        """Read the quantity once, and tell `watch` what was read.

        Raises:
            InterlockTripped: one line that says what was read and what is allowed.
        """
        allowed = f"allowed {self.minimum:g} to {self.maximum:g} {self.unit}".rstrip()
        why = f" ({self.meaning})" if self.meaning else ""
        try:
            with self.speaking():
                value = float(self.read())
        except Exception as error:
            text = error if isinstance(error, LabError) else f"{type(error).__name__}: {error}"
            raise InterlockTripped(f"interlock {self.name}: cannot be read: {text}") from error
        if watch is not None:
            watch(value)
        if not self.minimum <= value <= self.maximum:  # also true for NaN
            raise InterlockTripped(
                f"interlock {self.name}: {value:g} {self.unit}".rstrip()
                + f", {allowed}{why}; run stopped"
            )
        return value

    def arm(self, clock: Clock, watch: Watch | None = None) -> Cancel:
        """Check now, and from then on every `period` seconds at yield points.

        Args:
            clock: calls at its yield points.
            watch: is told each value that was read, whether it trips or not.
        """

        def look() -> None:
            self.check((lambda value: watch(self, clock.now(), value)) if watch else None)

        look()
        return clock.every(self.period, look)
