"""How the correlation of the read-out decays with the length of the gate: heating by the pulse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.analysis.phonon_pairs import fit_gates, gate_curve
from labctl.errors import RequestError
from labctl.live import Curve
from labctl.parameters import integer, number
from labctl.procedure import LabProcedure, Result, RunData
from procedures.phonon_bench import PhononMeasurement, portions
from procedures.phonon_clicks import G2_PRE, ROW, SPOILT, gate_columns, spoilt
from procedures.phonon_data import recorded

if TYPE_CHECKING:
    from matplotlib.figure import Figure


SHORTEST, LONGEST = "in shortest gate", "in longest gate"


class GateScan(PhononMeasurement, LabProcedure):
    """g2 of the read-out pulse in gates of several lengths from its beginning on.

    All gates are cut from the same clicks. Longer ones contain the shorter ones, so neighbouring
    points move together; the fit uses what each gate adds to the one before it, which is
    independent.
    """

    trials: int = integer(
        "Trials", 140_000_000, minimum=1000, maximum=10**11, meaning="with both tones"
    )
    delay: float = number(
        "Delay", 30.0, unit="ns", minimum=-1e6, maximum=1e6,
        meaning="from the end of the preparation pulse to the begin of the read-out pulse",
    )  # fmt: skip
    first: float = number(
        "Shortest gate", 39.0, unit="ns", minimum=-1e6, maximum=1e6, meaning="of the scan"
    )
    last: float = number(
        "Longest gate", 93.0, unit="ns", minimum=-1e6, maximum=1e6, meaning="of the scan"
    )
    steps: int = integer("Gates", 19, minimum=3, maximum=1000, meaning="from shortest to longest")

    DATA_COLUMNS = ["index", *ROW, *G2_PRE, *gate_columns(SHORTEST), *gate_columns(LONGEST)]
    LIVE = tuple(
        Curve(
            f"g2 {name}; dotted: thermal", "index",
            *gate_columns(name)[3:], levels=(2.0,),
        )
        for name in (SHORTEST, LONGEST)
    )  # fmt: skip
    RESULTS = (
        Result("decay_time", "ns", "of g2 - 2 with the gate, from the most likely exponential"),
        Result("amplitude", "", "g2 - 2 of that at 39 ns"),
        Result("g2_shortest", "", "g2 in the shortest gate"),
        Result("g2_longest", "", "g2 in the longest gate"),
        Result("pairs", "", "trials with both detectors in the longest gate"),
        *SPOILT,
    )

    @property
    def beginnings(self) -> dict[str, float]:
        return {SHORTEST: self.first, LONGEST: self.last}

    def points(self) -> Iterator[dict[str, Any]]:
        self.check([self.delay], self.first)
        self.check([self.delay], self.last)
        if not self.first < self.last:
            raise RequestError(
                f"first: the shortest gate, {self.first:g} ns, must be below the longest, "
                f"{self.last:g} ns"
            )
        for size in portions(self.trials):
            yield {"tones": "both", "delay (ns)": self.delay, "asked": size}

    def analyse(self, data: RunData) -> dict[str, Any]:
        """g2 in each gate, and the decay that explains them best."""
        found = recorded(data, "both", self.gates)
        second = found.second
        lengths = np.linspace(self.first, self.last, self.steps)
        curve = gate_curve(
            (second.a, second.time_a), (second.b, second.time_b), lengths, found.trials
        )
        if not curve.coincidences[-1]:
            raise RequestError(
                f"no pair in {found.trials} trials; measure more trials, or longer gates"
            )
        fit = fit_gates(curve)
        return {
            "decay_time": (fit.time, fit.time_error),
            "amplitude": (fit.amplitude, fit.amplitude_error),
            "g2_shortest": (float(curve.g2[0]), float(curve.error[0])),
            "g2_longest": (float(curve.g2[-1]), float(curve.error[-1])),
            "pairs": int(curve.coincidences[-1]),
            **spoilt(data),
            "gate_lengths": lengths,
            "g2": curve.g2,
            "g2_error": curve.error,
        }

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import phonon_figures

        return {"gates": phonon_figures.gates(data)}
