"""How the correlation of the read-out decays with the delay: how long phonon pairs are kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.analysis.phonon_pairs import fit_delays
from labctl.analysis.timetags import g2_trials
from labctl.errors import RequestError
from labctl.live import Curve
from labctl.parameters import integer, number, numbers
from labctl.procedure import LabProcedure, Result, RunData
from procedures.phonon_bench import PhononMeasurement, portions
from procedures.phonon_clicks import G2_PRE, ROW, SPOILT, gate_columns, spoilt
from procedures.phonon_data import recorded

if TYPE_CHECKING:
    from matplotlib.figure import Figure


GATE = "in gate"


class DelayScan(PhononMeasurement, LabProcedure):
    """g2 of both pulses for several delays between them.

    What decays is the read-out's excess over a thermal state; the preparation pulse is the same
    each time and shows that nothing else changed.
    """

    trials: int = integer(
        "Trials", 140_000_000, minimum=1000, maximum=10**11, meaning="with each delay"
    )
    delays: list[float] = numbers(
        "Delays", [30.0, 60.0, 100.0, 150.0, 200.0, 300.0, 400.0], unit="ns", minimum=-1e6,
        maximum=1e6,
        meaning="from the end of the preparation pulse to the begin of the read-out pulse",
    )  # fmt: skip
    gate: float = number(
        "Gate", 48.0, unit="ns", minimum=-1e6, maximum=1e6,
        meaning="beginning of the read-out pulse in which clicks count",
    )  # fmt: skip

    DATA_COLUMNS = ["index", *ROW, *G2_PRE, *gate_columns(GATE)]
    LIVE = (
        Curve(
            "g2 of read-out gate; dotted: thermal",
            "delay (ns)", *gate_columns(GATE)[3:], latest=True, levels=(2.0,),
        ),
        Curve(
            "g2 of preparation", "delay (ns)", *G2_PRE, latest=True
        ),
    )  # fmt: skip
    RESULTS = (
        Result("decay_time", "ns", "of g2 - 2 with the delay, from the most likely exponential"),
        Result("amplitude", "", "g2 - 2 of that at a delay of 30 ns"),
        Result("g2_pre_spread", "", "chi square per delay of g2 of the preparation pulse"),
        *SPOILT,
    )

    @property
    def beginnings(self) -> dict[str, float]:
        return {GATE: self.gate}

    def points(self) -> Iterator[dict[str, Any]]:
        """All delays in turn, portion by portion."""
        self.check(self.delays, self.gate)
        if len(set(self.delays)) < 3 or len(set(self.delays)) < len(self.delays):
            raise RequestError("delays: a decay needs three or more different ones")
        for size in portions(self.trials):
            for delay in self.delays:
                yield {"tones": "both", "delay (ns)": delay, "asked": size}

    def analyse(self, data: RunData) -> dict[str, Any]:
        """g2 of both pulses at each delay, and the decay that explains the pairs best."""
        delays = np.array(sorted(self.delays))
        table = np.empty((4, delays.size))
        pairs, chance = np.empty(delays.size), np.empty(delays.size)
        for n, delay in enumerate(delays.tolist()):
            found = recorded(data, "both", self.gates, delay)
            for row, clicks in ((0, found.first), (2, found.second.within(self.gate))):
                g2, sigma = g2_trials(clicks.a, clicks.b, found.trials, 0)
                table[row : row + 2, n] = g2[0], sigma[0]
            read = found.second.within(self.gate)
            pairs[n] = np.intersect1d(read.a, read.b).size
            chance[n] = read.a.size * read.b.size / found.trials
        if not pairs.sum():
            raise RequestError("no pair at any delay; measure more trials, or longer gates")
        fit = fit_delays(delays, pairs, chance)
        mean = np.average(table[0], weights=table[1] ** -2.0)
        return {
            "decay_time": (fit.time, fit.time_error),
            "amplitude": (fit.amplitude, fit.amplitude_error),
            "g2_pre_spread": float((((table[0] - mean) / table[1]) ** 2).sum() / (delays.size - 1)),
            **spoilt(data),
            "delays": delays,
            "g2_pre": table[0], "g2_pre_error": table[1],
            "g2_meas": table[2], "g2_meas_error": table[3],
        }  # fmt: skip

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import phonon_figures

        return {"delays": phonon_figures.delays(data)}
