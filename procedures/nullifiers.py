"""Measure the nullifiers of a cluster microcomb directly, with one local oscillator each."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.errors import RequestError
from labctl.live import Curve
from labctl.parameters import integer
from labctl.procedure import LabProcedure, Result, RunData
from procedures.covariance_analysis import selection_bias
from procedures.graphs import Graph, graph_of
from procedures.homodyne import (
    POWER_COLUMNS,
    TRACE_COLUMNS,
    ClusterMeasurement,
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

QUARTER_TURN = math.pi / 2
SCAN_STEPS = 6
#: The squeezing angle of pairs with one sum is a smooth function of k - l; polynomial of degree 3.
SMOOTH = 3
#: How many modes tell how the others follow the laser.
PROBES = 3

Key = tuple[str, int, int]  # kind and modes
Levels = dict[Key, dict[str, tuple[float, float]]]


class Nullifiers(ClusterMeasurement, StabilityMeasurement, LabProcedure):
    """Noise of p_k + weight * (x_l + ...) of every mode, and of p_k + x_l alone.

    First every line alone, whose shot noise tells its amplitude; then phase scans of some pairs of
    each kind, between which the LO phases of all modes are interpolated; then each nullifier as
    one quadrature, its LO lines as strong as the nullifier's weights; then the pairs. Those of some
    modes are repeated with weaker pumps and with shifted detuning: how far the laser's fluctuations
    move the results is part of all errors.
    """

    scans: int = integer(
        "Scans", 5, minimum=4, maximum=30,
        meaning="pairs of each sum k + l whose squeezing angle is scanned; the others in between",
    )  # fmt: skip

    DATA_COLUMNS = [
        "index", "kind", "state", "mode i", "mode j", "angle i (rad)", "angle j (rad)",
        *POWER_COLUMNS,
    ]  # fmt: skip
    TRACES = TRACE_COLUMNS
    RESULTS = (
        Result("nullifiers", "", "how many were measured"),
        Result("repeated", "", "traces measured again because the phase lock was lost"),
        Result("nullifier", "dB", "best nullifier below shot noise"),
        Result("nullifier_bias", "dB", "what choosing the best of noisy values adds; taken off"),
        Result("nullifier_mode", "", "its k"),
        Result("two_mode", "dB", "best squeezing of p_k + x_l of a pair below shot noise"),
        Result("two_mode_bias", "dB", "what choosing the best of noisy values adds; taken off"),
    )

    LIVE = (
        Curve(
            "Nullifiers and pairs; dotted: shot noise", "mode i", "variance", "variance error",
            by="kind", only=("nullifier", "pair"), where=("state", NOMINAL), decibel=True,
            levels=(0.0,),
        ),
    )  # fmt: skip

    def startup(self) -> None:
        self.announce(self.count_points())
        self.open_bench(self.graph)
        self._alone: dict[int, float] = {}  # shot noise (mW) of each line
        self._scan: dict[tuple[int, int], dict[float, float]] = {}
        self._angles: dict[int, float] = {}  # LO phase (rad) that measures x of each mode
        for row in self.rows:
            self._remember(row)

    def shutdown(self) -> None:
        self.close_bench()

    def points(self) -> Iterator[dict[str, Any]]:
        """Dark noise, each line alone, phase scans, nullifiers, pairs; outermost modes first."""
        graph = self.graph
        self.check_pumps(graph)
        modes = sorted(graph.modes, key=lambda k: (-abs(k), k))
        yield _point("dark", 0, 0)
        for mode in modes:
            yield _point("line", mode, mode)
        for i, j in scanned_pairs(graph, self.scans):
            for step in range(SCAN_STEPS):
                yield _point("scan", i, j, math.pi * step / SCAN_STEPS)
        for mode in modes:
            for state in self._states(mode):
                yield _point("nullifier", mode, 0, state=state)
        for mode in modes:
            for state in self._states(mode):
                for partner in partners(graph, mode):
                    if partner is not None:
                        yield _point("pair", mode, partner, state=state)

    def _states(self, mode: int) -> tuple[str, ...]:
        return (NOMINAL, *(DISTURBED if mode in probed(self.graph) else ()))

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        kind, i, j = point["kind"], point["mode i"], point["mode j"]
        self.disturb(point["state"], self.graph)
        if kind == "dark":
            row = self.dark_row()
        else:
            lo, wanted = self._oscillator(point)
            reading = self.read_quadrature(lo, self._weights(wanted))
            row = self.row(reading)
            row |= {"angle i (rad)": lo[i], "angle j (rad)": lo[j] if j else 0.0}
            if kind == "nullifier" and row["variance"] > 0:
                self.show(f"nullifier {i}", to_db(row["variance"]), "dB")
        self._remember({**point, **row})
        return row

    def _oscillator(self, point: Mapping[str, Any]) -> tuple[dict[int, float], dict[int, float]]:
        """Phases (rad) and relative amplitudes of the LO lines of a point."""
        kind, i, j = point["kind"], point["mode i"], point["mode j"]
        if kind in ("line", "scan"):
            return dict.fromkeys({i, j}, point["angle i (rad)"]), dict.fromkeys({i, j}, 1.0)
        if not self._angles:
            self._angles = aligned_angles(self.graph, self._scan)
        others = [j] if kind == "pair" else [k for k in partners(self.graph, i) if k is not None]
        lo = {i: self._angles[i] + QUARTER_TURN} | {k: self._angles[k] for k in others}
        weight = 1.0 if kind == "pair" else self.graph.weight
        return lo, {i: 1.0} | dict.fromkeys(others, weight)

    def _weights(self, wanted: Mapping[int, float]) -> dict[int, float]:
        """What the shaper must let through, the strongest everything, for these amplitudes."""
        needed = {}
        for line, amplitude in wanted.items():
            shot = self._alone.get(line, 1.0)
            needed[line] = amplitude / math.sqrt(shot) if shot > 0 else amplitude
        top = max(needed.values())
        return {line: amplitude / top for line, amplitude in needed.items()}

    def _remember(self, row: Mapping[str, Any]) -> None:
        kind, i, j = row["kind"], row["mode i"], row["mode j"]
        if kind == "dark":
            self.remember_dark(row)
        elif kind == "line":
            self._alone[i] = row["shot (mW)"] - self.dark[0]
        elif kind == "scan":
            self._scan.setdefault((i, j), {})[row["angle i (rad)"]] = row["variance"]

    def analyse(self, data: RunData) -> dict[str, Any]:
        """Squeezing of every nullifier and pair in dB, dark noise subtracted; the best of each."""
        graph = graph_of(data.parameters)
        modes = np.array(graph.modes)
        levels, when = self._levels(data)
        out: dict[str, Any] = {"nullifiers": len(modes), "repeated": repeated(data)}
        for name, kind, others in (
            ("nullifier", "nullifier", [[0] * len(modes)]),
            ("two_mode", "pair", np.transpose([partners(graph, k) for k in graph.modes]).tolist()),
        ):
            columns = []
            for other in others:  # one kind of pair after the other
                keys = [(kind, k, j) for k, j in zip(graph.modes, other, strict=True)]
                there = np.array([j is not None for j in other])
                try:
                    level = np.array([levels[key][NOMINAL] for key in keys if key[2] is not None])
                    seconds = np.array([when[key] for key in keys if key[2] is not None])
                    known = {
                        abs(k): response({s: levels[kind, k, j][s] for s in (NOMINAL, *DISTURBED)})
                        for _, k, j in keys
                        if k in probed(graph) and j is not None
                    }
                except KeyError:
                    raise RequestError(
                        f"this run lacks {missing(keys, levels)}; resume it first"
                    ) from None
                follows = interpolated(np.abs(modes[there]), known)
                column = np.full((len(modes), 3), np.nan)  # level, own error, that by the laser
                column[there, :2] = level * [-1.0, 1.0]
                column[there, 2] = spread(follows.moved(seconds, data.parameters))
                columns.append(column)
            table = np.stack(columns, axis=1)
            found = table[np.isfinite(table[..., 0])]
            best = int(np.argmax(found[:, 0]))
            bias = selection_bias(found[:, 0], found[:, 1])
            out[name] = (float(found[best, 0]) - bias, float(np.hypot(*found[best, 1:])))
            out[f"{name}_bias"] = bias
            out[f"{name}_db"] = np.stack(
                [table[..., 0], np.hypot(table[..., 1], table[..., 2])], axis=-1
            )
        nullifiers = out["nullifier_db"] = out["nullifier_db"][:, 0]
        out["nullifier_mode"] = int(modes[int(np.argmax(nullifiers[:, 0]))])
        return out | {"mode_numbers": modes}

    def _levels(self, data: RunData) -> tuple[Levels, dict[Key, float]]:
        """Levels with own errors (dB) by state, and when the nominal ones were measured (s)."""
        variance, error = noise_relative_to_shot(data)
        levels: Levels = {}
        when: dict[Key, float] = {}
        for kind, i, j, state, v, e, time in zip(
            data["kind"], data["mode i"], data["mode j"], data["state"], variance, error,
            data["time (s)"] - data["time (s)"][0], strict=True,
        ):  # fmt: skip
            if kind in ("nullifier", "pair"):
                key = (kind, int(i), int(j))
                levels.setdefault(key, {})[state] = (float(to_db(v)), float(db_error(v, e)))
                if state == NOMINAL:
                    when[key] = float(time)
        return levels, when

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import microcomb_figures

        return {"nullifiers": microcomb_figures.nullifiers(data)}


def partners(graph: Graph, mode: int) -> list[int | None]:
    """Mode numbers s - mode for each sum s of the graph, None where that is not measured."""
    return [s - mode if s - mode in graph.modes and s != 2 * mode else None for s in graph.sums]


def scanned_pairs(graph: Graph, scans: int) -> list[tuple[int, int]]:
    """Connected pairs to scan: of each sum as many, from the innermost to the outermost."""
    chosen = []
    for total in graph.sums:
        pairs = sorted((p for p in graph.connected if sum(p) == total), key=lambda p: p[1] - p[0])
        places = np.unique(np.rint(np.linspace(0, len(pairs) - 1, scans)).astype(int))
        chosen += [pairs[place] for place in places.tolist()]
    return chosen


def aligned_angles(
    graph: Graph, scan: Mapping[tuple[int, int], Mapping[float, float]]
) -> dict[int, float]:
    """LO phases (rad) that measure x of each mode, such that p_k + x_l of the edges is squeezed.

    x_k + x_l is squeezed where both lines have the angle of the scan, so p_k + x_l is where the
    phases of x_k and x_l add up to twice that angle minus a quarter turn. Those sums hold on a
    spanning tree, grown breadth first from the lowest mode as `align_phases` does.
    """
    target = {}
    for total in graph.sums:
        near = sorted((j - i, variances) for (i, j), variances in scan.items() if i + j == total)
        apart = np.array([distance for distance, _ in near], dtype=float)
        twice = np.unwrap([2.0 * squeezing_angle(variances)[0] for _, variances in near])
        target[total] = np.polynomial.Polynomial.fit(apart, twice - QUARTER_TURN, SMOOTH)
    neighbours: dict[int, list[int]] = {mode: [] for mode in graph.modes}
    for i, j in graph.connected:
        neighbours[i].append(j)
        neighbours[j].append(i)
    angles: dict[int, float] = {}
    for root in graph.modes:
        angles.setdefault(root, 0.0)
        queue = deque([root])
        while queue:
            near_mode = queue.popleft()
            for far in neighbours[near_mode]:
                if far not in angles:
                    wanted = float(target[near_mode + far](abs(near_mode - far)))
                    angles[far] = math.remainder(wanted - angles[near_mode], math.tau)
                    queue.append(far)
    return angles


def probed(graph: Graph) -> tuple[int, ...]:
    """The modes that are measured in other states, too: with all neighbours, on one side."""
    side = [k for k in graph.modes if k > 0 and None not in partners(graph, k)]
    places = np.rint(np.linspace(0, len(side) - 1, PROBES)).astype(int)
    return tuple(side[place] for place in np.unique(places).tolist())


def missing(keys: list[Any], levels: Levels) -> str:
    """The first of these that was not measured in all its states."""
    kind, i, j = next(
        (key for key in keys if key[2] is not None and NOMINAL not in levels.get(key, {})),
        ("other states of " + str(keys[0][0]), keys[0][1], 0),
    )
    return f"{kind} {i}" + (f", {j}" if j else "")


def _point(kind: str, i: int, j: int, angle: float = 0.0, state: str = NOMINAL) -> dict[str, Any]:
    return {
        "kind": kind, "state": state, "mode i": i, "mode j": j, "angle i (rad)": angle,
        "angle j (rad)": angle,
    }  # fmt: skip
