"""Correlations of photon pairs and phonon pairs, against the classical bound."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.analysis.phonon_pairs import click_patterns, count_limit, violation
from labctl.analysis.timetags import g2_trials
from labctl.live import Curve
from labctl.parameters import integer, number
from labctl.procedure import LabProcedure, Result, RunData
from procedures.phonon_bench import PhononMeasurement, portions
from procedures.phonon_clicks import G2_PRE, ROW, SPOILT, gate_columns, spoilt
from procedures.phonon_data import BIN, recorded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAGS = 10
GATE = "in gate"

BOUNDS = (
    ("", "against 3/2 sqrt(g_b g_r), the errors of the single tones propagated"),
    ("_published", "as published: as if the bound had no error"),
    ("_squared", "of the squared inequality, errors propagated"),
)


class PhononPairG2(PhononMeasurement, LabProcedure):
    """Second-order correlations of the preparation and the read-out pulse, tone by tone.

    Both tones together, then blue and red alone, are measured in turn. Clicks of two detectors in
    the same pulse of the same trial are pairs; clicks in different trials tell what chance gives.
    Two-, three- and fourfold patterns of both pulses are counted as well.
    """

    trials: int = integer(
        "Trials", 140_000_000, minimum=1000, maximum=10**11, meaning="with both tones"
    )
    single_trials: int = integer(
        "Single-tone trials", 0, minimum=0, maximum=10**11,
        meaning="with each tone alone; 0: as many as with both for the red tone, and a quarter for "
        "the blue one, which scatters 20 times more",
    )  # fmt: skip
    delay: float = number(
        "Delay", 30.0, unit="ns", minimum=-1e6, maximum=1e6,
        meaning="from the end of the preparation pulse to the begin of the read-out pulse",
    )  # fmt: skip
    gate: float = number(
        "Gate", 48.0, unit="ns", minimum=-1e6, maximum=1e6,
        meaning="beginning of the read-out pulse in which clicks count",
    )  # fmt: skip

    DATA_COLUMNS = ["index", *ROW, *G2_PRE, *gate_columns(GATE)]
    LIVE = (
        Curve(
            "g2 of preparation; dotted: thermal",
            "index",
            *G2_PRE,
            by="tones",
            levels=(2.0,),
        ),
        Curve(
            "g2 of read-out gate; dotted: thermal",
            "index",
            *gate_columns(GATE)[3:],
            by="tones",
            levels=(2.0,),
        ),
    )
    RESULTS = (
        Result("g2_pre", "", "g2 of the preparation pulse, both tones, same trial"),
        Result("g2_pre_blue", "", "the same, blue tone alone"),
        Result("g2_pre_red", "", "the same, red tone alone"),
        Result("g2_pre_others", "", "g2 of the preparation pulse between different trials"),
        Result("g2_meas", "", "g2 of the read-out pulse within the gate, both tones"),
        Result("g2_meas_red", "", "the same, red tone alone"),
        Result("g2_meas_others", "", "g2 of the read-out pulse between different trials"),
        Result("g2_cross", "", "clicks of one detector in both pulses"),
        *(
            Result(f"violation_{pulse}{suffix}", "sigma", f"g2_{pulse} {meaning}")
            for pulse in ("pre", "meas")
            for suffix, meaning in BOUNDS
        ),
        Result("violation_pre_thermal", "sigma", "g2_pre against 3, ideal thermal sidebands"),
        Result("violation_meas_thermal", "sigma", "g2_meas against 3, ideal thermal sidebands"),
        Result("bound_pre", "", "classical bound of the preparation pulse"),
        Result("bound_meas", "", "classical bound of the read-out pulse"),
        Result("pairs_pre", "", "trials with both detectors in the preparation pulse"),
        Result("pairs_meas", "", "trials with both detectors in the gate of the read-out pulse"),
        Result("n22", "", "trials in which both detectors clicked in both pulses"),
        Result("n20", "", "both detectors in the preparation pulse, none in the read-out pulse"),
        Result("n02", "", "none in the preparation pulse, both detectors in the read-out pulse"),
        Result("n21", "", "both in the preparation pulse, one in the read-out pulse"),
        Result("n12", "", "one in the preparation pulse, both in the read-out pulse"),
        Result("n22_limit", "", "upper limit (95 %) of the mean of n22"),
        Result("n22_uncorrelated", "", "n22 that uncorrelated pulses would give"),
        *SPOILT,
    )

    @property
    def beginnings(self) -> dict[str, float]:
        return {GATE: self.gate}

    def points(self) -> Iterator[dict[str, Any]]:
        """Portions of all three choices of tones in turn, so that an early end has some of each."""
        self.check([self.delay], self.gate)
        red = self.single_trials or self.trials
        blue = self.single_trials or -(-self.trials // 4)
        plan = [(tones, list(portions(n))) for tones, n in
                (("both", self.trials), ("blue", blue), ("red", red))]  # fmt: skip
        for n in range(max(len(sizes) for _, sizes in plan)):
            for tones, sizes in plan:
                if n < len(sizes):
                    yield {"tones": tones, "delay (ns)": self.delay, "asked": sizes[n]}

    def analyse(self, data: RunData) -> dict[str, Any]:
        """g2 at all lags with errors, bound tests, and click patterns."""
        found = {tones: recorded(data, tones, self.gates) for tones in ("both", "blue", "red")}
        results: dict[str, Any] = {}
        arrays: dict[str, np.ndarray] = {"lags": np.arange(-LAGS, LAGS + 1)}
        values: dict[str, tuple[float, float]] = {}
        for name, tones, clicks in (
            ("g2_pre", "both", found["both"].first),
            ("g2_pre_blue", "blue", found["blue"].first),
            ("g2_pre_red", "red", found["red"].first),
            ("g2_meas", "both", found["both"].second.within(self.gate)),
            ("g2_meas_red", "red", found["red"].second.within(self.gate)),
        ):
            g2, sigma = g2_trials(clicks.a, clicks.b, found[tones].trials, LAGS)
            arrays[f"{name}_lags"] = np.stack([g2, sigma])
            values[name] = float(g2[LAGS]), float(sigma[LAGS])
            if name in ("g2_pre", "g2_meas"):
                results[f"{name}_others"] = _mean_beside(g2, sigma)
        results |= values | _tests(values)
        both = found["both"]
        read = both.second.within(self.gate)
        for pulse, clicks in (("pre", both.first), ("meas", read)):
            results[f"pairs_{pulse}"] = np.intersect1d(clicks.a, clicks.b).size
        crossed = g2_trials(both.first.a, both.second.a, both.trials, 0)
        results["g2_cross"] = float(crossed[0][0]), float(crossed[1][0])
        table = click_patterns(
            both.first.a, both.first.b, both.second.a, both.second.b, both.trials
        ).table
        results |= {
            f"n{i}{j}": int(table[i, j]) for i, j in ((2, 2), (2, 0), (0, 2), (2, 1), (1, 2))
        }
        results["n22_limit"] = count_limit(int(table[2, 2]))
        results["n22_uncorrelated"] = float(table[2].sum() * table[:, 2].sum() / both.trials)
        return results | spoilt(data) | arrays | {
            "patterns": table,
            "counts": both.histogram / both.trials,
            "count_times": both.begin + BIN * (np.arange(both.histogram.size) + 0.5),
        }  # fmt: skip

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import phonon_figures

        return {
            "correlations": phonon_figures.correlations(data),
            "counts": phonon_figures.counts(data),
            "patterns": phonon_figures.patterns(data),
        }


def _mean_beside(g2: np.ndarray, sigma: np.ndarray) -> tuple[float, float]:
    """Mean over all lags but 0, with its error."""
    beside = np.arange(g2.size) != LAGS
    return float(g2[beside].mean()), float(np.sqrt((sigma[beside] ** 2).sum()) / beside.sum())


def _tests(values: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    """How far both pulses are above the classical bounds; not a number where one is unknown.

    Without pairs of a single tone there is no measured bound. The bound of ideal thermal sidebands
    needs none.
    """
    out: dict[str, Any] = {}
    for pulse, blue in (("pre", "g2_pre_blue"), ("meas", "g2_meas_red")):
        g2, sigma = values[f"g2_{pulse}"]
        single = (*values[blue], *values[f"g2_{pulse}_red"])
        out[f"violation_{pulse}_thermal"] = (g2 - 3) / sigma if sigma > 0 else math.nan
        if not (sigma > 0 and single[0] > 0 and single[2] > 0):
            out |= {f"violation_{pulse}{suffix}": math.nan for suffix, _ in BOUNDS}
            out[f"bound_{pulse}"] = math.nan
            continue
        test = violation(g2, sigma, *single)
        out[f"bound_{pulse}"] = test.bound, test.bound_error
        out[f"violation_{pulse}"] = test.propagated
        out[f"violation_{pulse}_published"] = test.bound_exact
        out[f"violation_{pulse}_squared"] = test.squared
    return out
