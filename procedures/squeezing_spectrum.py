"""Squeezing of one mode pair of the single-pump microcomb against its own shot noise."""

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
    PAIR_RESULTS,
    POWER_COLUMNS,
    QUADRATURES,
    TRACE_COLUMNS,
    db_error,
    fit_scan,
    noise_relative_to_shot,
    repeated,
    squeezing_angle,
    to_db,
)
from procedures.stability import (
    DISTURBED,
    NOMINAL,
    Response,
    StabilityMeasurement,
    response,
    spread,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HALF_TURN = math.pi

#: Those that the slightest error of the angle spoils.
SENSITIVE = ("x+x", "p-p")
#: LO phases of both lines, relative to the squeezing angle, where noise depends most on the angle.
FLANKS = (HALF_TURN / 4, -HALF_TURN / 4)
#: Which quadratures are measured again with weaker pump and shifted detuning.
AGAIN = ("x+x", "x-x")


class SqueezingSpectrum(StabilityMeasurement, LabProcedure):
    """Two-mode squeezing and antisqueezing of modes k and -k with one pump line.

    First the common LO phase is scanned and a cosine fitted to find the squeezing angle; relative
    to it x_k + x_-k, p_k - p_-k (squeezed), x_k - x_-k and p_k + p_-k (antisqueezed) are measured.
    The angle drifts with the laser, so two points beside it tell where it is by then. Points with
    weaker pump and with shifted detuning tell how far the laser's fluctuations move the
    results; this is part of their errors.
    """

    pair: int = integer(
        "Pair", 16, minimum=5, maximum=35, meaning="mode number k of the pair k, -k"
    )
    scan_steps: int = integer(
        "Scan steps", 12, minimum=5, maximum=360, meaning="LO phases over half a turn"
    )

    DATA_COLUMNS = [
        "index", "kind", "state", "angle i (rad)", "angle j (rad)", "squeezing angle (rad)",
        *POWER_COLUMNS,
    ]  # fmt: skip
    TRACES = TRACE_COLUMNS
    RESULTS = (
        Result("squeezing_x", "dB", "noise of x_k + x_-k below shot noise"),
        Result("squeezing_p", "dB", "noise of p_k - p_-k below shot noise"),
        Result("antisqueezing_x", "dB", "noise of x_k - x_-k above shot noise"),
        Result("antisqueezing_p", "dB", "noise of p_k + p_-k above shot noise"),
        Result("repeated", "", "traces measured again because the phase lock was lost"),
        Result("squeezing_angle", "rad", "common LO phase of the least noise during the scan"),
    )

    LIVE = (
        Curve(
            "Scan of the LO phase; dotted: shot noise", "angle i (rad)",
            "variance", "variance error", by="kind", only=("scan",), decibel=True, levels=(0.0,),
        ),
        Curve(
            "Quadratures; dotted: shot noise", "index", "variance", "variance error", by="kind",
            only=tuple(QUADRATURES), where=("state", NOMINAL), decibel=True, levels=(0.0,),
        ),
    )  # fmt: skip

    def startup(self) -> None:
        self.open_bench(graph("single"))
        self._scan: dict[float, float] = {}
        self._flanks: dict[float, float] = {}
        self._angle: float | None = None
        for row in self.rows:
            self._remember(row)

    def shutdown(self) -> None:
        self.close_bench()

    def points(self) -> Iterator[dict[str, Any]]:
        """Dark noise, a scan of the common LO phase, four quadratures, two in other states."""
        self.check_pumps(graph("single"))
        yield _point("dark")
        for angle in (HALF_TURN * np.arange(self.scan_steps) / self.scan_steps).tolist():
            yield _point("scan", angle, angle)
        for kind, (first, second) in QUADRATURES.items():
            if kind in SENSITIVE:
                for angle in FLANKS:
                    yield _point("flank", angle, angle)
            yield _point(kind, first, second)
        for state in DISTURBED:
            for angle in FLANKS:
                yield _point("flank", angle, angle, state)
            for kind in AGAIN:
                yield _point(kind, *QUADRATURES[kind], state)

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        origin = 0.0 if point["kind"] in ("dark", "scan") else self._origin()
        self.disturb(point["state"], graph("single"))
        if point["kind"] == "dark":
            row = self.dark_row()
        else:
            reading = self.read_quadrature(
                {
                    self.pair: point["angle i (rad)"] + origin,
                    -self.pair: point["angle j (rad)"] + origin,
                }
            )
            row = self.row(reading)
            if row["variance"] > 0:
                self.show(point["kind"], to_db(row["variance"]), "dB")
        row["squeezing angle (rad)"] = origin
        self._remember({**point, **row})
        return row

    def _origin(self) -> float:
        """The squeezing angle (rad) of the scan, corrected by all flanks since."""
        if self._angle is None:
            self._angle = squeezing_angle(self._scan)[0]
        return self._angle

    def _follow(self) -> None:
        """Correct the squeezing angle by its flanks.

        V = a - b cos(2 theta), theta from the angle, changes by -+2 b per rad at +-45 degrees.
        """
        (_, *swing), _ = fit_scan(np.array(list(self._scan)), np.array(list(self._scan.values())))
        above, below = (self._flanks.pop(flank) for flank in FLANKS)
        sine = (below - above) / (2.0 * math.hypot(*swing))
        self._angle = self._origin() + 0.5 * math.asin(max(-1.0, min(1.0, sine)))

    def _remember(self, row: Mapping[str, Any]) -> None:
        if row["kind"] == "dark":
            self.remember_dark(row)
        elif row["kind"] == "scan":
            self._scan[row["angle i (rad)"]] = row["variance"]
        elif row["kind"] == "flank":
            self._flanks[row["angle i (rad)"]] = row["variance"]
            if len(self._flanks) == len(FLANKS):
                self._follow()

    def analyse(self, data: RunData) -> dict[str, Any]:
        """Squeezing and antisqueezing in dB, dark noise subtracted, with standard errors."""
        variance, error, kinds = relative_noise(data)
        results: dict[str, Any] = {"repeated": repeated(data)}
        levels: dict[str, dict[str, tuple[float, float]]] = {}
        for kind, state, v, e in zip(kinds, data["state"], variance, error, strict=True):
            if kind in QUADRATURES:
                levels.setdefault(kind, {})[state] = float(to_db(v)), float(db_error(v, e))
        seconds = data["time (s)"] - data["time (s)"][0]
        for name, (kind, sign) in PAIR_RESULTS.items():
            level, own = levels[kind][NOMINAL]
            follows = response(levels["x+x" if sign < 0 else "x-x"])
            drift = spread(follows.moved(seconds[kinds == kind][0], data.parameters))
            results[name] = (sign * level, float(np.hypot(own, drift)))
        scan = kinds == "scan"
        angles = data["angle i (rad)"][scan].tolist()
        angle, own = squeezing_angle(dict(zip(angles, variance[scan].tolist(), strict=True)))
        drift = spread(turned(data, own).moved(seconds[scan].mean(), data.parameters))
        results["squeezing_angle"] = (angle, float(np.hypot(own, drift)))
        return results | {"noise_over_shot": np.stack([variance, error], axis=-1)}

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import figures

        return {"squeezing": figures.squeezing(data)}


def relative_noise(data: RunData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Variance over shot noise with error per row (dark rows: NaN), and the kinds of the rows."""
    kinds = np.asarray(data["kind"])
    missing = [kind for kind in ("dark", "scan", *QUADRATURES) if kind not in kinds]
    missing += [state for state in DISTURBED if np.sum(data["state"] == state) < len(AGAIN) + 2]
    if missing:
        raise RequestError(f"this run lacks {', '.join(missing)}; resume it first")
    return (*noise_relative_to_shot(data), kinds)


def turned(data: RunData, error: float) -> Response:
    """How the squeezing angle (rad) follows the laser, each known to `error` from its flanks."""
    origin = {
        str(state): (float(angle), error)
        for kind, state, angle in zip(
            data["kind"], data["state"], data["squeezing angle (rad)"], strict=True
        )
        if kind in QUADRATURES
    }
    return response(origin)


def _point(
    kind: str, angle_i: float = 0.0, angle_j: float = 0.0, state: str = NOMINAL
) -> dict[str, Any]:
    return {"kind": kind, "state": state, "angle i (rad)": angle_i, "angle j (rad)": angle_j}
