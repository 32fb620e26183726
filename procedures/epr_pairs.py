"""Squeezing of all mode pairs of the single-pump microcomb: how dispersion limits it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.errors import RequestError
from labctl.live import Curve
from labctl.parameters import integer
from labctl.procedure import LabProcedure, Result, RunData
from procedures.graphs import graph
from procedures.homodyne import (
    POWER_COLUMNS,
    TRACE_COLUMNS,
    HomodyneMeasurement,
    db_error,
    noise_relative_to_shot,
    repeated,
    squeezing_angle,
    to_db,
)
from procedures.squeezing_spectrum import QUADRATURES, RESULTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Fewer pairs than these do not tell how far twins scatter.
FEWEST_TWINS = 5


class EprPairs(HomodyneMeasurement, LabProcedure):
    """Two-mode squeezing and antisqueezing of every pair k, -k with one pump line.

    The common LO phase of each pair is scanned to find its squeezing angle, which turns with the
    mode number as dispersion detunes the modes; at that angle x_k + x_-k, p_k - p_-k (squeezed),
    x_k - x_-k and p_k + p_-k (antisqueezed) are measured.
    """

    first: int = integer("First pair", 5, minimum=5, maximum=35, meaning="innermost pair")
    last: int = integer("Last pair", 35, minimum=5, maximum=35, meaning="outermost pair")
    scan_steps: int = integer(
        "Scan steps", 5, minimum=5, maximum=360, meaning="LO phases over half a turn, per pair"
    )

    DATA_COLUMNS = [
        "index", "kind", "pair", "angle i (rad)", "angle j (rad)", "squeezing angle (rad)",
        *POWER_COLUMNS,
    ]  # fmt: skip
    TRACES = TRACE_COLUMNS
    RESULTS = (
        Result("pairs", "", "number of pairs"),
        Result("repeated", "", "traces measured again because the phase lock was lost"),
        Result("squeezing_best", "dB", "largest mean squeezing of x_k + x_-k and p_k - p_-k"),
        Result("squeezing_best_pair", "", "its k"),
        Result("squeezing_worst", "dB", "smallest mean squeezing"),
        Result("squeezing_worst_pair", "", "its k"),
        Result("antisqueezing_best", "dB", "largest mean noise of x_k - x_-k and p_k + p_-k"),
        Result("antisqueezing_best_pair", "", "its k"),
        Result("antisqueezing_worst", "dB", "smallest mean noise of these"),
        Result("antisqueezing_worst_pair", "", "its k"),
    )

    LIVE = tuple(
        Curve(title, "pair", "variance", "variance error", by="kind", only=kinds, decibel=True)
        for title, kinds in (("Antisqueezing", ("x-x", "p+p")), ("Squeezing", ("x+x", "p-p")))
    )

    def startup(self) -> None:
        self.open_bench(graph("single"))
        self._scan: dict[int, dict[float, float]] = {}
        for row in self.rows:
            self._remember(row)

    def shutdown(self) -> None:
        self.close_bench()

    def points(self) -> Iterator[dict[str, Any]]:
        """Dark noise; then per pair, inwards, a scan of the LO phase and the four quadratures."""
        if self.first > self.last:
            raise RequestError(
                f"first: {self.first} is above last, {self.last}; name the inner pair first"
            )
        self.check_pumps(graph("single"))
        yield {"kind": "dark", "pair": 0, "angle i (rad)": 0.0, "angle j (rad)": 0.0}
        scan = (math.pi * np.arange(self.scan_steps) / self.scan_steps).tolist()
        for pair in range(self.last, self.first - 1, -1):
            for angle in scan:
                yield {"kind": "scan", "pair": pair, "angle i (rad)": angle, "angle j (rad)": angle}
            for kind, (one, other) in QUADRATURES.items():
                yield {"kind": kind, "pair": pair, "angle i (rad)": one, "angle j (rad)": other}

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        kind, pair, origin = point["kind"], point["pair"], 0.0
        if kind == "dark":
            row = self.dark_row()
        else:
            if kind in QUADRATURES:
                origin = squeezing_angle(self._scan[pair])[0]
            reading = self.read_quadrature(
                {pair: point["angle i (rad)"] + origin, -pair: point["angle j (rad)"] + origin}
            )
            row = self.row(reading)
            if kind in QUADRATURES and row["variance"] > 0:
                self.show(f"{kind} of {pair}", to_db(row["variance"]), "dB")
        row["squeezing angle (rad)"] = origin
        self._remember({**point, **row})
        return row

    def _remember(self, row: Mapping[str, Any]) -> None:
        if row["kind"] == "dark":
            self.remember_dark(row)
        elif row["kind"] == "scan":
            self._scan.setdefault(row["pair"], {})[row["angle i (rad)"]] = row["variance"]

    def analyse(self, data: RunData) -> dict[str, Any]:
        """Each pair's squeezing and antisqueezing in dB, dark noise subtracted; extremes.

        The best squeezing need not belong to the pair with the largest
        gain: phase noise mixes antisqueezing in, and an outer pair has less of that.
        """
        variance, error = noise_relative_to_shot(data)
        kinds, pair_of = np.asarray(data["kind"]), data["pair"].astype(int)
        pairs = np.arange(data.parameters["first"], data.parameters["last"] + 1)
        table = {}
        for name, (kind, sign) in RESULTS.items():
            rows = {int(pair_of[row]): row for row in np.flatnonzero(kinds == kind)}
            if missing := [k for k in pairs.tolist() if k not in rows]:
                raise RequestError(f"this run lacks {kind} of pair {missing[0]}; resume it first")
            chosen = [rows[k] for k in pairs.tolist()]
            table[name] = np.stack(
                [sign * to_db(variance[chosen]), db_error(variance[chosen], error[chosen])], axis=-1
            )
        results: dict[str, Any] = {"pairs": len(pairs), "repeated": repeated(data)}
        for name in ("squeezing", "antisqueezing"):
            scatter = twin_scatter(table[f"{name}_x"], table[f"{name}_p"])
            for letter in "xp":
                errors = table[f"{name}_{letter}"][:, 1]
                np.maximum(errors, scatter, out=errors)
            mean = (table[f"{name}_x"][:, 0] + table[f"{name}_p"][:, 0]) / 2
            sigma = np.hypot(table[f"{name}_x"][:, 1], table[f"{name}_p"][:, 1]) / 2
            for extreme, place in (("best", int(mean.argmax())), ("worst", int(mean.argmin()))):
                results[f"{name}_{extreme}"] = (float(mean[place]), float(sigma[place]))
                results[f"{name}_{extreme}_pair"] = int(pairs[place])
        angles = {int(k): a for k, a in zip(pair_of, data["squeezing angle (rad)"], strict=True)}
        return (
            results
            | {"pair_numbers": pairs, "squeezing_angle": np.array([angles[k] for k in pairs])}
            | {f"{name}_db": values for name, values in table.items()}
        )

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import microcomb_figures

        return {"pairs": microcomb_figures.pairs(data)}


def twin_scatter(x: np.ndarray, p: np.ndarray) -> float:
    """Standard error (dB) that the disagreement of twins shows, all pairs taken together.

    Both quadratures of a pair are equally noisy in theory. Seconds apart, they differ by more than
    their statistical errors if the laser drifts meanwhile.
    """
    return float(np.sqrt(np.mean((x[:, 0] - p[:, 0]) ** 2) / 2)) if len(x) >= FEWEST_TWINS else 0.0
