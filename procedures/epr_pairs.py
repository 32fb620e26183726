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
    QUADRATURES,
    TRACE_COLUMNS,
    db_error,
    noise_relative_to_shot,
    repeated,
    squeezing_angle,
    to_db,
)
from procedures.stability import (
    DISTURBED,
    NOMINAL,
    StabilityMeasurement,
    interpolated,
    response,
    spread,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: How many pairs tell how the others follow the laser, and which quadratures of theirs.
PROBES = 4
OF_EACH_PAIR = (
    ("squeezing", "x", "below shot noise, x_k + x_-k"),
    ("squeezing", "p", "below shot noise, p_k - p_-k"),
    ("antisqueezing", "x", "above shot noise, x_k - x_-k"),
    ("antisqueezing", "p", "above shot noise, p_k + p_-k"),
)
AGAIN = ("x+x", "x-x")


class EprPairs(StabilityMeasurement, LabProcedure):
    """Two-mode squeezing and antisqueezing of every pair k, -k with one pump line.

    The common LO phase of each pair is scanned to find its squeezing angle, which turns with the
    mode number as dispersion detunes the modes; at that angle x_k + x_-k, p_k - p_-k (squeezed),
    x_k - x_-k and p_k + p_-k (antisqueezed) are measured. With some pairs the scan, x_k + x_-k and
    x_k - x_-k are repeated with weaker pump and with shifted detuning: how far the laser's
    fluctuations move the results is part of all errors.
    """

    first: int = integer("First pair", 5, minimum=5, maximum=35, meaning="innermost pair")
    last: int = integer("Last pair", 35, minimum=5, maximum=35, meaning="outermost pair")
    scan_steps: int = integer(
        "Scan steps", 5, minimum=5, maximum=360, meaning="LO phases over half a turn, per pair"
    )

    DATA_COLUMNS = [
        "index", "kind", "state", "pair", "angle i (rad)", "angle j (rad)",
        "squeezing angle (rad)",
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
        Curve(
            f"{title}, noise against shot noise", "pair", "variance", "variance error",
            by="kind", only=kinds, where=("state", NOMINAL), decibel=True,
        )
        for title, kinds in (("Antisqueezing", ("x-x", "p+p")), ("Squeezing", ("x+x", "p-p")))
    )  # fmt: skip

    def result_list(self) -> tuple[Result, ...]:
        """Those of each pair, and the extremes of all."""
        pairs = range(self.first, self.last + 1)
        return (
            *(
                Result(f"{name}_{letter}_{pair}", "dB", f"{meaning}, pair {pair}")
                for pair in pairs
                for name, letter, meaning in OF_EACH_PAIR
            ),
            *self.RESULTS,
        )

    def startup(self) -> None:
        self.open_bench(graph("single"))
        self._scan: dict[tuple[int, str], dict[float, float]] = {}
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
        yield _point("dark", 0)
        scan = (math.pi * np.arange(self.scan_steps) / self.scan_steps).tolist()
        probes = probed(self.parameter_values())
        for pair in range(self.last, self.first - 1, -1):
            for state in (NOMINAL, *(DISTURBED if pair in probes else ())):
                for angle in scan:
                    yield _point("scan", pair, angle, angle, state)
                for kind in QUADRATURES if state == NOMINAL else AGAIN:
                    yield _point(kind, pair, *QUADRATURES[kind], state)

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        kind, pair, state, origin = point["kind"], point["pair"], point["state"], 0.0
        self.disturb(state, graph("single"))
        if kind == "dark":
            row = self.dark_row()
        else:
            if kind in QUADRATURES:
                origin = squeezing_angle(self._scan[pair, state])[0]
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
            scan = self._scan.setdefault((row["pair"], row["state"]), {})
            scan[row["angle i (rad)"]] = row["variance"]

    def analyse(self, data: RunData) -> dict[str, Any]:
        """Each pair's squeezing and antisqueezing in dB, dark noise subtracted; extremes.

        The best squeezing need not belong to the pair with the largest
        gain: phase noise mixes antisqueezing in, and an outer pair has less of that.
        """
        variance, error = noise_relative_to_shot(data)
        light = np.asarray(data["kind"]) != "dark"
        level, sigma = np.zeros(len(light)), np.zeros(len(light))
        level[light], sigma[light] = to_db(variance[light]), db_error(variance, error)[light]
        rows = {
            (kind, int(pair), state): row
            for row, (kind, pair, state) in enumerate(
                zip(data["kind"], data["pair"], data["state"], strict=True)
            )
        }

        def level_of(*key: Any) -> tuple[float, float]:
            return float(level[rows[key]]), float(sigma[rows[key]])

        pairs = np.arange(data.parameters["first"], data.parameters["last"] + 1)
        seconds = data["time (s)"] - data["time (s)"][0]
        results: dict[str, Any] = {"pairs": len(pairs), "repeated": repeated(data)}
        tables = {}
        for name, letters in (("squeezing", ("x+x", "p-p")), ("antisqueezing", ("x-x", "p+p"))):
            try:
                x, p = ([rows[kind, k, NOMINAL] for k in pairs.tolist()] for kind in letters)
                follows = interpolated(
                    pairs,
                    {
                        k: response({s: level_of(letters[0], k, s) for s in (NOMINAL, *DISTURBED)})
                        for k in probed(data.parameters)
                    },
                )
            except KeyError as missing:
                kind, k, _ = missing.args[0]
                raise RequestError(f"this run lacks {kind} of pair {k}; resume it first") from None
            sign = -1.0 if name == "squeezing" else 1.0
            moved = sign * follows.moved(seconds[x], data.parameters)
            drift = spread(moved)
            for letter, at in (("x", x), ("p", p)):
                tables[f"{name}_{letter}_db"] = np.stack(
                    [sign * level[at], np.hypot(sigma[at], drift)], axis=-1
                )
            mean = sign * (level[x] + level[p]) / 2
            for extreme, chosen in (("best", np.max), ("worst", np.min)):
                value = float(chosen(mean))
                place = int(np.flatnonzero(mean == value)[0])
                own = math.hypot(sigma[x[place]], sigma[p[place]]) / 2
                # As the laser drifts, another pair may become the best: just as good a one, if
                # the best is the pair on resonance.
                change = np.array([chosen(mean + by) - value for by in moved])
                if name == "antisqueezing" and extreme == "best" and follows.turns:
                    change[1:] = 0.0
                drift = spread(change)
                results[f"{name}_{extreme}"] = (value, float(np.hypot(own, drift)))
                results[f"{name}_{extreme}_pair"] = int(pairs[place])
        angles = {int(k): a for k, a, state in zip(
            data["pair"], data["squeezing angle (rad)"], data["state"], strict=True,
        ) if state == NOMINAL}  # fmt: skip
        each = {
            f"{name}_{letter}_{pair}": tuple(tables[f"{name}_{letter}_db"][place].tolist())
            for place, pair in enumerate(pairs.tolist())
            for name, letter, _ in OF_EACH_PAIR
        }
        return (
            each
            | results
            | {"pair_numbers": pairs, "squeezing_angle": np.array([angles[k] for k in pairs])}
            | tables
        )

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import microcomb_figures

        return {"pairs": microcomb_figures.pairs(data)}


def probed(parameters: Mapping[str, Any]) -> list[int]:
    """The pairs that are measured in other states, too."""
    places = np.linspace(parameters["first"], parameters["last"], PROBES)
    return np.unique(np.rint(places).astype(int)).tolist()


def _point(
    kind: str, pair: int, angle_i: float = 0.0, angle_j: float = 0.0, state: str = NOMINAL
) -> dict[str, Any]:
    return {
        "kind": kind, "state": state, "pair": pair, "angle i (rad)": angle_i,
        "angle j (rad)": angle_j,
    }  # fmt: skip
