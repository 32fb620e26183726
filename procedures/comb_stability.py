"""How long a single soliton lives, with its power held and without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.live import Curve
from labctl.parameters import boolean, integer, number
from labctl.procedure import LabProcedure, Result, RunData
from procedures.soliton_light import INSTRUMENTS
from procedures.soliton_source import SolitonSource

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class CombStability(LabProcedure):
    """One soliton is made; its power is read, and with feedback held, until the end or its loss."""

    INSTRUMENTS = INSTRUMENTS

    duration: float = number("Duration", 6.0, unit="h", minimum=0.01, maximum=1000)
    interval: float = number("Interval", 30.0, unit="s", minimum=1, maximum=3600)
    feedback: bool = boolean("Feedback", True, meaning="hold the comb's power with the pump laser")
    attempts: int = integer("Attempts", 5, minimum=1, maximum=50, meaning="to get a soliton")

    DATA_COLUMNS = ["index", "number", "held (h)", "comb (W)", "pump offset (MHz)", "lost"]
    RESULTS = (
        Result("hours_held", "h", "that one soliton was held; of a resumed run the longest"),
        Result("lost", "", "whether it was lost before the end"),
        Result("power_deviation", "%", "rms of the comb's power over its mean while it was held"),
        Result("pump_moved", "MHz", "by the feedback, from begin to end"),
    )
    LIVE = (
        Curve("Comb power", "held (h)", "comb (W)"),
        Curve("What holds it: offset of the pump", "held (h)", "pump offset (MHz)"),
    )
    _lost = False

    def startup(self) -> None:
        self.source = SolitonSource(self)
        self.source.power_up(auxiliary=True)
        self.source.make(self.attempts)
        self._begun = self.bench.clock.now()

    def shutdown(self) -> None:
        self.source.power_down()

    def points(self) -> Iterator[dict[str, Any]]:
        """Readings; none after the soliton is lost."""
        before, self._lost = self.rows, False
        for number_ in range(round(self.duration * 3600 / self.interval)):
            if not self._lost:
                yield {"number": number_ + 1}
                if number_ < len(before):
                    self._lost = bool(before[number_]["lost"])

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        self.bench.clock.sleep(self.interval)
        comb = self.source.hold() if self.feedback else self.source.comb()
        self._lost = not self.source.alive(comb)
        if self._lost:
            self.note("the soliton was lost")
        held = (self.bench.clock.now() - self._begun) / 3600.0
        self.show("comb power", 1e6 * comb, "uW")
        return {
            "held (h)": held, "comb (W)": comb, "pump offset (MHz)": self.source.offset,
            "lost": self._lost,
        }  # fmt: skip

    def analyse(self, data: RunData) -> dict[str, Any]:
        alive = ~np.asarray(data["lost"], bool)
        held, comb = data["held (h)"][alive], data["comb (W)"][alive]
        if not held.size:
            return {"hours_held": 0.0, "lost": True}
        offset = data["pump offset (MHz)"][alive]
        return {
            "hours_held": (float(held.max()), self.interval / 3600.0),
            "lost": bool((~alive).any()),
            "power_deviation": 100.0 * float(comb.std() / comb.mean()),
            "pump_moved": float(offset[-1] - offset[0]),
        }

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import soliton_figures

        return {"stability": soliton_figures.stability(data)}
