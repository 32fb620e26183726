"""Looks at the comb that are repeated for a while, the soliton held in between, and what drifts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from labctl.errors import InstrumentError
from labctl.parameters import number
from procedures.soliton_source import SolitonSource

if TYPE_CHECKING:
    from labctl.bench import Bench

HOLD_EVERY = 30.0  # s, between two corrections of the pump
FEWEST = 3  # looks that a drift with an error needs


class CombWatch:
    """Parameters and steps; combine with `LabProcedure`."""

    duration: float = number(
        "Duration", 0.0, unit="h", minimum=0, maximum=1000,
        meaning="to look again and again, and tell drifts; 0: no longer than needed",
    )  # fmt: skip
    interval: float = number(
        "Interval", 300.0, unit="s", minimum=10, maximum=86_400,
        meaning="from the begin of a look to that of the next, if there is a duration",
    )  # fmt: skip

    bench: Bench
    source: SolitonSource
    _due = -math.inf  # bench time of the next look

    def looks(self, least: int) -> int:
        """How many looks there are."""
        return max(least, math.ceil(self.duration * 3600.0 / self.interval - 1e-9))

    def wait_for_look(self) -> None:
        """Hold the soliton until the next look is due; the first one is at once.

        Raises:
            InstrumentError: it was lost.
        """
        if not self.duration:
            return
        clock = self.bench.clock
        while (left := self._due - clock.now()) > 0:
            clock.sleep(min(left, HOLD_EVERY))
            if not self.source.alive(self.source.hold()):
                raise InstrumentError(
                    "the comb was lost while it was held between two looks; labctl resume makes a "
                    "new soliton and goes on, comb-stability tells how long one lives"
                )
        begun = self._due if math.isfinite(self._due) else clock.now()
        self._due = begun + self.interval


def drift(seconds: np.ndarray, values: np.ndarray) -> tuple[float, float] | None:
    """Change per hour of a straight line, its standard error from the scatter around it.

    Only what came since the bench's clock began anew counts, because a resumed run makes another
    soliton; None if that are too few values.
    """
    again = np.flatnonzero(np.diff(seconds) <= 0)
    begin = int(again[-1]) + 1 if again.size else 0
    hours, found = seconds[begin:] / 3600.0, values[begin:]
    if len(hours) < FEWEST:
        return None
    off = hours - hours.mean()
    spread = float(off @ off)
    slope = float(off @ found) / spread
    left = found - found.mean() - slope * off
    return slope, math.sqrt(float(left @ left) / (len(hours) - 2) / spread)
