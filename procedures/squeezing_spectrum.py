"""Squeezing of one mode pair of the single-pump microcomb against its own shot noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.errors import RequestError
from labctl.parameters import integer
from labctl.procedure import LabProcedure, Result, RunData
from procedures.graphs import graph
from procedures.homodyne import (
    POWER_COLUMNS,
    TRACE_COLUMNS,
    HomodyneMeasurement,
    db_error,
    noise_relative_to_shot,
    power_columns,
    repeated,
    squeezing_angle,
    to_db,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HALF_TURN = math.pi

#: Each quadrature of the pair k, -k: LO phases of lines k and -k relative to the squeezing angle.
QUADRATURES = {
    "x+x": (0.0, 0.0),
    "p-p": (HALF_TURN / 2, -HALF_TURN / 2),
    "x-x": (0.0, HALF_TURN),
    "p+p": (HALF_TURN / 2, HALF_TURN / 2),
}
#: Which quadrature gives which result, and whether less noise counts positive.
RESULTS = {
    "squeezing_x": ("x+x", -1.0),
    "squeezing_p": ("p-p", -1.0),
    "antisqueezing_x": ("x-x", 1.0),
    "antisqueezing_p": ("p+p", 1.0),
}


class SqueezingSpectrum(HomodyneMeasurement, LabProcedure):
    """Two-mode squeezing and antisqueezing of modes k and -k with one pump line.

    First the common LO phase is scanned and a cosine fitted to find the squeezing angle; relative
    to it x_k + x_-k, p_k - p_-k (squeezed), x_k - x_-k and p_k + p_-k (antisqueezed) are measured.
    """

    pair: int = integer(
        "Pair", 16, minimum=5, maximum=35, meaning="mode number k of the pair k, -k"
    )
    scan_steps: int = integer(
        "Scan steps", 12, minimum=5, maximum=360, meaning="LO phases over half a turn"
    )

    DATA_COLUMNS = [
        "index", "kind", "angle i (rad)", "angle j (rad)", "squeezing angle (rad)",
        "variance", *POWER_COLUMNS,
    ]  # fmt: skip
    TRACES = TRACE_COLUMNS
    RESULTS = (
        Result("squeezing_x", "dB", "noise of x_k + x_-k below shot noise"),
        Result("squeezing_p", "dB", "noise of p_k - p_-k below shot noise"),
        Result("antisqueezing_x", "dB", "noise of x_k - x_-k above shot noise"),
        Result("antisqueezing_p", "dB", "noise of p_k + p_-k above shot noise"),
        Result("repeated", "", "traces measured again because the phase lock was lost"),
        Result("squeezing_angle", "rad", "common LO phase of the least noise of x_k + x_-k"),
    )

    def startup(self) -> None:
        self.open_bench(graph("single"))
        self._dark = 0.0
        self._scan: dict[float, float] = {}
        for row in self.rows:
            self._remember(row)

    def shutdown(self) -> None:
        self.close_bench()

    def points(self) -> Iterator[dict[str, Any]]:
        """Dark noise, a scan of the common LO phase, then the four quadratures."""
        self.check_pumps(graph("single"))
        yield {"kind": "dark", "angle i (rad)": 0.0, "angle j (rad)": 0.0}
        for angle in (HALF_TURN * np.arange(self.scan_steps) / self.scan_steps).tolist():
            yield {"kind": "scan", "angle i (rad)": angle, "angle j (rad)": angle}
        for kind, (first, second) in QUADRATURES.items():
            yield {"kind": kind, "angle i (rad)": first, "angle j (rad)": second}

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        origin = 0.0
        if point["kind"] in QUADRATURES:
            origin = squeezing_angle(self._scan)[0]
        if point["kind"] == "dark":
            row = power_columns(*self.read_dark()) | {"variance": 0.0, "lock rms (rad)": 0.0}
        else:
            reading = self.read_quadrature(
                {
                    self.pair: point["angle i (rad)"] + origin,
                    -self.pair: point["angle j (rad)"] + origin,
                }
            )
            row = self.row(reading)
            signal, shot = reading.signal.value - self._dark, reading.shot.value - self._dark
            row["variance"] = signal / shot
            self.show(point["kind"], to_db(signal / shot), "dB")
        row["squeezing angle (rad)"] = origin
        self._remember({**point, **row})
        return row

    def _remember(self, row: Mapping[str, Any]) -> None:
        if row["kind"] == "dark":
            self._dark = (row["signal (mW)"] + row["shot (mW)"]) / 2
        elif row["kind"] == "scan":
            self._scan[row["angle i (rad)"]] = row["variance"]

    def analyse(self, data: RunData) -> dict[str, Any]:
        """Squeezing and antisqueezing in dB, dark noise subtracted, with standard errors."""
        variance, error, kinds = relative_noise(data)
        results: dict[str, Any] = {"repeated": repeated(data)}
        for name, (kind, sign) in RESULTS.items():
            (row,) = np.flatnonzero(kinds == kind)
            results[name] = (
                sign * float(to_db(variance[row])),
                float(db_error(variance[row], error[row])),
            )
        scan = kinds == "scan"
        angles = data["angle i (rad)"][scan].tolist()
        results["squeezing_angle"] = squeezing_angle(
            dict(zip(angles, variance[scan].tolist(), strict=True))
        )
        return results | {"noise_over_shot": np.stack([variance, error], axis=-1)}

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import figures

        return {"squeezing": figures.squeezing(data)}


def relative_noise(data: RunData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Variance over shot noise with error per row (dark rows: NaN), and the kinds of the rows."""
    kinds = np.asarray(data["kind"])
    missing = [kind for kind in ("dark", "scan", *QUADRATURES) if kind not in kinds]
    if missing:
        raise RequestError(f"this run lacks {', '.join(missing)}; resume it first")
    return (*noise_relative_to_shot(data), kinds)
