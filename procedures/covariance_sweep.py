"""Measure the covariance matrix of a cluster microcomb and prove that it is inseparable."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.live import Curve, HeatMap, Panel
from labctl.parameters import choice, integer, number
from labctl.procedure import LabProcedure, Result, RunData
from procedures.graphs import Graph, graph_of
from procedures.homodyne import (
    POWER_COLUMNS,
    TRACE_COLUMNS,
    ClusterMeasurement,
    squeezing_angle,
    to_db,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from procedures.covariance_analysis import Sweep

X, P, XP = 0.0, math.pi / 2, math.pi / 4  # LO phases, rad
ALONE = (("x", X), ("p", P), ("diagonal", XP))
TOGETHER = (("x+x", X, X), ("p+p", P, P), ("x+p", X, P), ("p+x", P, X))
PAIR_KINDS = frozenset(kind for kind, *_ in TOGETHER)
#: Which element of the matrix a row completes (x, then p of the modes), and its value.
ELEMENT_COLUMNS = ("element row", "element column", "covariance")
#: Points of a pair that is measured again.
BLOCK = 2 * len(ALONE) + len(TOGETHER)
#: LO phases of the scan that finds the squeezing angle of the first pair with each sum.
SCAN_STEPS = 6


class CovarianceSweep(ClusterMeasurement, LabProcedure):
    """Homodyne covariance matrix of up to 60 comb modes, element by element.

    Every mode's x, p and x + p and every connected pair's four sums, each against its own shot
    noise, with the LO phases near those at which the pairs are squeezed. The analysis aligns the
    phases, projects to the nearest physical state, and certifies that no bipartition of all modes
    is separable.
    """

    selection: str = choice(
        "Selection", "selective", ["selective", "full"],
        meaning="pairs to measure: those the pumps connect, or all",
    )  # fmt: skip

    adaptive: int = integer(
        "Adaptive", 0, minimum=0, maximum=100_000,
        meaning="at most so many blocks of ten settings after the sweep, each for the pair of "
        "modes where the error of the certificate comes from",
    )  # fmt: skip
    target_error: float = number(
        "Target error",
        0.0,
        minimum=0,
        maximum=1,
        meaning="statistical error of ppt_bottleneck at which the blocks end; 0: measure all",
    )

    DATA_COLUMNS = [
        "index", "kind", "mode i", "mode j", "angle i (rad)", "angle j (rad)",
        *POWER_COLUMNS, *ELEMENT_COLUMNS,
    ]  # fmt: skip
    TRACES = TRACE_COLUMNS
    RESULTS = (
        Result("modes", "", "number of modes"),
        Result("settings", "", "number of quadratures measured"),
        Result("repeated", "", "traces measured again because the phase lock was lost"),
        Result("drift", "%", "change of excess noise per mode by laser drift; in all errors"),
        Result("nullifier", "dB", "best nullifier below shot noise; unmeasured elements as 0"),
        Result("nullifier_bias", "dB", "what choosing the best of noisy values adds; taken off"),
        Result("two_mode", "dB", "best squeezing of p_k + x_l of a pair below shot noise"),
        Result("two_mode_bias", "dB", "what choosing the best of noisy values adds; taken off"),
        Result(
            "ppt_max",
            "",
            "largest PPT value of six sets of twelve modes, 2047 bipartitions each; "
            "unmeasured elements as 0",
        ),
        Result("ppt_bottleneck", "", "upper bound of the PPT value of every bipartition of all"),
        Result("bottleneck_statistical", "", "part of its error that averaging reduces"),
        Result("blocks", "", "blocks of ten settings measured again, see `adaptive`"),
        Result(
            "adaptive_gain",
            "",
            "information on ppt_bottleneck per hour of these blocks, over that of one more sweep",
        ),
        Result("completely_inseparable", "", "no bipartition of all modes is separable, 3 sigma"),
        Result(
            "qfi",
            "",
            "Fisher information of displacements; a selective sweep takes unmeasured "
            "elements as 0, which makes it too large",
        ),
        Result(
            "qfi_bound",
            "",
            "modes over the smallest eigenvalue of the covariance matrix; too large like qfi",
        ),
    )

    _place = 0  # number of the point that is measured
    _kept: dict[int, Any] = {}  # rows by number of the point

    def startup(self) -> None:
        self.announce(settings(self.graph, self.selection))
        self.open_bench(self.graph)
        self._kept = {row["index"]: row for row in self.rows}
        self._seen: dict[tuple[str, int, int], float] = {}
        self._scan: dict[int, dict[float, float]] = {}
        self._frame: dict[int, float] = {}  # LO phase (rad) that measures x of each mode
        self._target: dict[int, float] = {}  # sum of two of them that aligns a pair, by pair sum
        for row in self.rows:
            self._remember(row)

    def shutdown(self) -> None:
        self.close_bench()

    def points(self) -> Iterator[dict[str, Any]]:
        """Dark noise, LO phase scans, then mode by mode with its pairs with earlier ones.

        A covariance is the difference of a pair's and its modes' variances; measured within
        minutes of each other, they see the same detuning although the laser drifts. The outermost
        modes come first because they depend most on the detuning.
        """
        self.check_pumps(self.graph)
        base = list(self._sweep_points())
        for self._place, point in enumerate(base):
            yield point
        for block in range(self.adaptive):
            start = len(base) + block * BLOCK
            pair = self._next_pair(start)
            if pair is None:
                return
            for self._place, point in enumerate(_block(*pair), start):
                yield point

    def _sweep_points(self) -> Iterator[dict[str, Any]]:
        yield _point("dark", 0, X, 0, X)
        modes = outwards(self.graph.modes)[::-1]
        rank = {mode: place for place, mode in enumerate(modes)}
        pairs: dict[int, list[tuple[int, int]]] = {}
        for i, j in selected_pairs(self.graph, self.selection):
            pairs.setdefault(max(i, j, key=rank.__getitem__), []).append((i, j))
        for total in self.graph.sums:
            i, j = next((i, j) for k in modes for i, j in pairs.get(k, ()) if i + j == total)
            for step in range(SCAN_STEPS):
                angle = math.pi * step / SCAN_STEPS
                yield _point("scan", i, angle, j, angle)
        for mode in modes:
            for kind, angle in ALONE:
                yield _point(kind, mode, angle, mode, angle)
            for i, j in pairs.get(mode, ()):
                for kind, angle_i, angle_j in TOGETHER:
                    yield _point(kind, i, angle_i, j, angle_j)

    def _next_pair(self, start: int) -> tuple[int, int] | None:
        """The pair for the block of points from `start` on; None if no more are needed.

        It follows from the rows before: of a run that goes on, or of one that is resumed. Before
        they are there, while points are only counted, any pair will do.
        """
        kept = self._kept or {row["index"]: row for row in self.rows}
        rows = [kept.get(index) for index in range(start)]
        if None in rows:
            return self.graph.connected[0]
        columns = {
            name: np.array([row[name] for row in rows])
            for name in (
                "kind", "mode i", "mode j", "angle i (rad)", "angle j (rad)", "signal (mW)",
                "signal error (mW)", "shot (mW)", "shot error (mW)",
            )
        }  # fmt: skip
        from procedures.covariance_analysis import weakest_pair

        pair, error = weakest_pair(RunData(columns), sweep_of(self.graph, self.selection))
        return pair if error > self.target_error else None

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        if point["kind"] == "dark":
            row = self.dark_row()
        else:
            angles = self._lo_angles(point)
            reading = self.read_quadrature(
                {point["mode i"]: angles["angle i (rad)"], point["mode j"]: angles["angle j (rad)"]}
            )
            row = self.row(reading) | angles
            row |= self._element(point, row["variance"])
        self._remember({**point, **row})
        if self.adaptive:
            self._kept[self._place] = {**point, **row}
        if point["kind"] == TOGETHER[-1][0] and row["variance"] > 0:
            self.show(f"({point['mode i']}, {point['mode j']})", to_db(row["variance"]), "dB")
        return row

    def _lo_angles(self, point: Mapping[str, Any]) -> dict[str, float]:
        """LO phases of a point, turned such that p + x of connected pairs is squeezed.

        Then the squeezing itself is measured, and not calculated from larger numbers.
        """
        turned = {}
        for line in ("i", "j"):
            mode, angle = point[f"mode {line}"], point[f"angle {line} (rad)"]
            if point["kind"] != "scan":
                if mode not in self._frame:
                    self._frame[mode] = self._new_frame(mode)
                angle += self._frame[mode]
            turned[f"angle {line} (rad)"] = math.remainder(angle, math.tau)
        return turned

    def _new_frame(self, mode: int) -> float:
        """LO phase that measures x of a mode, from the first connected mode measured already."""
        for total, target in self._target.items():
            if total - mode in self._frame:
                return target - self._frame[total - mode]
        return 0.0

    def _element(self, point: Mapping[str, Any], variance: float) -> dict[str, Any]:
        """The matrix element that a row completes, with the LO phases of the sweep.

        For the live map only: the analysis fits all elements together and aligns the phases.
        """
        kind, i, j = point["kind"], point["mode i"], point["mode j"]
        if kind == "scan":
            return {}
        modes = self.graph.modes
        first, second = {"x": "xx", "p": "pp", "diagonal": "xp"}.get(kind, kind.replace("+", ""))
        value = variance - 1.0
        if kind in PAIR_KINDS:
            value = variance - (self._seen[first, i, i] + self._seen[second, j, j]) / 2
        elif kind == "diagonal":
            value = variance - (self._seen["x", i, i] + self._seen["p", i, i]) / 2
        place = [modes.index(k) + len(modes) * (q == "p") for k, q in ((i, first), (j, second))]
        return dict(zip(ELEMENT_COLUMNS, (*place, value), strict=True))

    def panels(self) -> tuple[Panel, ...]:
        """The covariance matrix as far as it is measured, and the noise of single modes."""
        labels = tuple(f"{quadrature} {mode}" for quadrature in "xp" for mode in self.graph.modes)
        row, column, value = ELEMENT_COLUMNS
        return (
            HeatMap(
                "Covariance matrix, vacuum subtracted", column, row, value, x_labels=labels,
                y_labels=labels, symmetric=True, signed=True,
                label="covariance minus vacuum (shot noise = 1)",
            ),
            Curve(
                "Noise of single modes; dotted: shot noise", "mode i", "variance",
                "variance error", by="kind", only=tuple(kind for kind, _ in ALONE), decibel=True,
                levels=(0.0,),
            ),
        )  # fmt: skip

    def _remember(self, row: Mapping[str, Any]) -> None:
        """Keep what later points need: dark noise, and the LO phases at which pairs are squeezed.

        The squeezing angle hardly changes from one pair to the next with the same sum.
        """
        kind, i, j = row["kind"], row["mode i"], row["mode j"]
        if kind == "dark":
            self.remember_dark(row)
            return
        if kind == "scan":
            scan = self._scan.setdefault(i + j, {})
            scan[row["angle i (rad)"]] = row["variance"]
            if len(scan) == SCAN_STEPS:
                # x + x is squeezed at this angle, p + x where the phases add up to P more or less.
                self._target[i + j] = 2 * squeezing_angle(scan)[0] - P
            return
        self._seen[kind, i, j] = row["variance"]
        if kind == "x":
            self._frame[i] = row["angle i (rad)"]
        elif kind == TOGETHER[-1][0] and i + j in self._target:
            self._target[i + j] = self._frame[i] + self._frame[j] + self._deviation(i, j)

    def _deviation(self, i: int, j: int) -> float:
        """By how much the LO phases of a pair just measured, added, missed its squeezing (rad)."""
        alone = [self._seen[kind, k, k] for kind in ("x", "p") for k in (i, j)]
        xx, pp, xp, px = (self._seen[kind, i, j] for kind, *_ in TOGETHER)
        # 4 <a_i a_j> = V_xx - V_pp + i (V_xp + V_px), with V_ij = Var(sum) - (V_ii + V_jj) / 2;
        # its argument is -pi / 2 where p + x is squeezed.
        return math.atan2(xx - pp, sum(alone) / 2 - xp - px)

    def analyse(self, data: RunData) -> dict[str, Any]:
        """Covariance matrix, nullifiers, PPT values, certificate and Fisher information."""
        from procedures.covariance_analysis import analyse_sweep

        graph = graph_of(data.parameters)
        return analyse_sweep(data, sweep_of(graph, data.parameters["selection"]))

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import figures

        return {
            "covariance": figures.covariance(data),
            "ppt": figures.ppt(data),
            "graph": figures.graph(data),
        }


def sweep_of(graph: Graph, selection: str) -> Sweep:
    """What a sweep is meant to measure, for its analysis."""
    from procedures.covariance_analysis import Sweep

    return Sweep(
        modes=graph.modes,
        order=tuple(outwards(graph.modes)),
        connected=graph.connected,
        sums=graph.sums,
        weight=graph.weight,
        settings=settings(graph, selection),
    )


def _block(i: int, j: int) -> list[dict[str, Any]]:
    """All settings of one pair: each mode alone, then both together."""
    alone = [_point(kind, k, angle, k, angle) for k in (i, j) for kind, angle in ALONE]
    return alone + [_point(kind, i, at, j, other) for kind, at, other in TOGETHER]


def outwards(modes: Iterable[int]) -> list[int]:
    """Mode numbers in the order -6, 6, -7, 7, ..., which follows the chain of a 1d cluster."""
    return sorted(modes, key=lambda k: (abs(k), k))


@cache
def selected_pairs(graph: Graph, selection: str) -> tuple[tuple[int, int], ...]:
    """Pairs of modes to measure: the connected ones; a full sweep appends all others."""
    connected = graph.connected
    if selection != "full":
        return connected
    known = set(connected)
    others = ((i, j) for i in graph.modes for j in graph.modes if i < j)
    return connected + tuple(pair for pair in others if pair not in known)


def settings(graph: Graph, selection: str) -> int:
    """How many quadratures a sweep measures."""
    return len(ALONE) * len(graph.modes) + len(TOGETHER) * len(selected_pairs(graph, selection))


def _point(kind: str, i: int, angle_i: float, j: int, angle_j: float) -> dict[str, Any]:
    return {
        "kind": kind, "mode i": i, "mode j": j,
        "angle i (rad)": angle_i, "angle j (rad)": angle_j,
    }  # fmt: skip
