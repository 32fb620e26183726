"""Modes of the undriven device: avoided crossings of both cavities with the magnon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.analysis.magnomechanics import GYROMAGNETIC, Device
from labctl.errors import RequestError
from labctl.live import Curve
from labctl.parameters import integer, number
from labctl.procedure import LabProcedure, Result, RunData
from procedures.magnon_bench import INSTRUMENTS, ROW_COLUMNS, ROW_TRACES
from procedures.magnon_records import MagnonMeasurement
from procedures.magnon_setup import FITTED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Results from columns of the fitted sweeps, with the parts of an error that all sweeps share.
AVERAGED = ("kappa_1", "kappa_2", "kappa_m", "g_1", "g_2")
#: A fit's residual beyond this (rms of S) is none.
WORST_MISFIT = 0.01


class ModeSpectroscopy(MagnonMeasurement, LabProcedure):
    """S parameters of both cavities while the field moves the magnon through them.

    Each sweep is fitted with three coupled modes: frequencies and linewidths of all, couplings of
    both cavities to the magnon. Antenna and sphere stand in the middle of their ranges. The field
    at which the magnon would be where 28 GHz/T puts it tells the field that is there without
    current.
    """

    INSTRUMENTS = INSTRUMENTS

    lowest: float = number(
        "Lowest", -25.0, unit="MHz", minimum=-100, maximum=100,
        meaning="magnon detuning from the drive's frequency where the field begins",
    )  # fmt: skip
    highest: float = number("Highest", 25.0, unit="MHz", minimum=-100, maximum=100)
    steps: int = integer("Steps", 26, minimum=4, maximum=1001, meaning="fields")

    DATA_COLUMNS = ROW_COLUMNS
    TRACES = ROW_TRACES
    LIVE = (
        *(
            Curve(title, "field (T)", f"{y} (MHz)", f"{y} error (MHz)", "kind", ("cross",))
            for title, y in (
                ("Magnon from the drive", "Dm"),
                ("Coupling of cavity 1 and magnon", "g 1"),
                ("Coupling of cavity 2 and magnon", "g 2"),
            )
        ),
        Curve("Misfit of each sweep", x="index", y="misfit", by="kind"),
    )
    RESULTS = (
        Result("omega_1", "MHz", "frequency of cavity 1 during the field sweep"),
        Result("omega_2", "MHz", "frequency of cavity 2"),
        Result("kappa_1", "MHz", "amplitude decay rate of cavity 1; its full linewidth is twice"),
        Result("kappa_2", "MHz", "amplitude decay rate of cavity 2"),
        Result("kappa_m", "MHz", "amplitude decay rate of the magnon"),
        Result("g_1", "MHz", "coupling of cavity 1 and magnon"),
        Result("g_2", "MHz", "coupling of cavity 2 and magnon"),
        Result("gyromagnetic_ratio", "GHz/T", "slope of the magnon's frequency over the field"),
        Result("remanence", "mT", "field at the sphere without current, for 28 GHz/T"),
        Result("misfit", "", "largest rms deviation of an S parameter from its fit"),
    )

    def crossings(self) -> tuple[float, ...]:
        return tuple(np.linspace(self.lowest, self.highest, self.steps).tolist())

    def points(self) -> Iterator[dict[str, Any]]:
        """Tuners first, then the field from one side to the other."""
        if not self.lowest < self.highest:
            raise RequestError(f"{self.name()}: lowest must be below highest")
        for point in self.tune_up_points(Device()):
            if point["kind"] in ("coarse", "cross"):
                yield point

    def startup(self) -> None:
        self.open_bench(self.wanted(10.0, -10.0))

    def shutdown(self) -> None:
        self.close_bench()

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        return self.measure_sweep(point)

    def analyse(self, data: RunData) -> dict[str, Any]:
        """Means over the field, weighted by the fits' errors; errors from the scatter."""
        rows = np.flatnonzero(np.asarray(data["kind"]) == "cross")
        if len(rows) < 4:
            raise RequestError("this run lacks four fields at least; resume it first")
        names = list(FITTED)
        errors = np.array(
            [np.sqrt(np.diag(data.trace("fit covariance", row))) for row in rows.tolist()]
        )
        values = np.array(
            [[float(data[FITTED[name]][row]) for name in names] for row in rows.tolist()]
        )
        good = data["misfit"][rows].astype(float) < WORST_MISFIT
        if good.sum() < 4:
            raise RequestError("hardly any sweep is like three coupled modes; check the cables")
        drive = data.parameters["drive_frequency"]
        results: dict[str, Any] = {}
        for number_ in (1, 2):
            value, error = weighted(values, errors, good, names.index(f"detuning_{number_}"))
            results[f"omega_{number_}"] = (drive + value, error)
        for name in AVERAGED:
            results[name] = weighted(values, errors, good, names.index(name))
        field = data["field (T)"][rows][good].astype(float)
        magnon = drive + values[good, names.index("detuning_m")]
        weight = 1.0 / np.maximum(errors[good, names.index("detuning_m")], 1e-6)
        middle = float(field.mean())
        curve, spread = np.polyfit(field - middle, magnon, 1, w=weight, cov=True)
        offset = magnon - 1e3 * GYROMAGNETIC * field
        results["gyromagnetic_ratio"] = (1e-3 * curve[0], 1e-3 * float(np.sqrt(spread[0, 0])))
        results["remanence"] = (
            float(offset.mean()) / GYROMAGNETIC,
            float(offset.std(ddof=1) / np.sqrt(len(offset))) / GYROMAGNETIC,
        )
        results["misfit"] = float(np.max(data["misfit"][rows].astype(float)))
        return results

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import magnon_figures

        return {"spectroscopy": magnon_figures.spectroscopy(data)}


def weighted(
    values: np.ndarray, errors: np.ndarray, good: np.ndarray, column: int
) -> tuple[float, float]:
    """Weighted mean and its error, enlarged where the values scatter more than their errors say."""
    y, sigma = values[good, column], np.maximum(errors[good, column], 1e-9)
    weight = 1.0 / sigma**2
    mean = float(np.sum(weight * y) / np.sum(weight))
    scatter = float(np.sum(weight * (y - mean) ** 2)) / (len(y) - 1)
    return mean, float(np.sqrt(max(1.0, scatter) / np.sum(weight)))
