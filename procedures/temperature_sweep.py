"""Entanglement against temperature: Fig. 3 of the publication, and where it vanishes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.analysis.magnomechanics import (
    Device,
    covariance,
    phonon_number,
    signed_negativity,
)
from labctl.errors import RequestError
from labctl.live import Curve
from labctl.parameters import integer, number, numbers
from labctl.procedure import LabProcedure, Result, RunData
from procedures.magnon_bench import INSTRUMENTS, ROW_COLUMNS, ROW_TRACES
from procedures.magnon_records import MagnonMeasurement
from procedures.magnon_states import by_sweep, device_like, negativity_inside, states, total
from procedures.magnon_sweeps import TUNE_UP

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SET, INSIDE = "T set (mK)", "E_N inside"
PUBLISHED = 140.0  # mK, "survives up to"


class TemperatureSweep(MagnonMeasurement, LabProcedure):
    """E_N against the temperature of the mixing chamber, and the temperature where it vanishes.

    Defaults are those of Fig. 3: the decay and coupling ratios at which the map of `coupling-map`
    has its maximum. E_N is followed with its sign beyond where it vanishes (-ln 2 nu), as its mean
    would otherwise be too large near 0.
    """

    INSTRUMENTS = INSTRUMENTS

    temperatures: list[float] = numbers(
        "Temperatures", [20.0, 60.0, 100.0, 140.0, 160.0, 175.0, 190.0, 205.0],
        unit="mK", minimum=11, maximum=400, meaning="of the mixing chamber, from cold to warm",
    )  # fmt: skip
    detuning_1: float = number(
        "Detuning 1", 10.0, unit="MHz", minimum=-25, maximum=25, meaning="cavity 1 above the drive"
    )
    detuning_2: float = number(
        "Detuning 2", -10.0, unit="MHz", minimum=-25, maximum=25, meaning="cavity 2 above the drive"
    )
    kappa_ratio: float = number(
        "Decay ratio", 0.3007, minimum=0.12, maximum=9, meaning="kappa 2 over kappa 1"
    )
    g_ratio: float = number(
        "Coupling ratio", 0.773, minimum=0.05, maximum=2, meaning="g 2 over g 1"
    )
    records: int = integer(
        "Records", 250_000, minimum=1000, maximum=100_000_000,
        meaning="heterodyne records at each temperature, pump off and on each",
    )  # fmt: skip

    DATA_COLUMNS = [*ROW_COLUMNS, SET, INSIDE, f"{INSIDE} error"]
    TRACES = ROW_TRACES
    LIVE = (
        Curve(
            "E_N inside the cavities, by sweeps", x=SET, y=INSIDE, error=f"{INSIDE} error",
            levels=(0.0,),
        ),
    )  # fmt: skip
    RESULTS = (
        Result("vanishing_temperature", "mK", "where E_N inside the cavities vanishes, inferred"),
        Result("vanishing_temperature_theory", "mK", "the same in theory with the nominal device"),
        Result("output_log_negativity", "", "measured E_N of the output modes, warmest point"),
        Result("negativity_at_published", "", "E_N at 140 mK, where the publication says it ends"),
        Result("phonons_at_vanishing", "", "mean phonons where E_N vanishes, in theory"),
        Result("log_negativity", "", "E_N inside at the lowest temperature"),
    )

    def aim(self, temperature: float) -> Device:
        nominal = Device()
        return self.wanted(
            self.detuning_1, self.detuning_2, temperature=temperature,
            kappa_2=nominal.kappa_1 * self.kappa_ratio, g_2=nominal.g_1 * self.g_ratio,
        )  # fmt: skip

    def points(self) -> Iterator[dict[str, Any]]:
        """Sweeps that tune up, loads, then each temperature."""
        steps = sorted(self.temperatures)
        if len(steps) < 2:
            raise RequestError(f"{self.name()}: give two temperatures at least")
        self.check_records(self.aim(steps[0]), self.records, 0.0, self.name())
        self.check_records(self.aim(steps[-1]), self.records, 0.0, self.name())
        yield from self.tune_up_points(self.aim(steps[0]))
        yield {"kind": "loads", "place": -1, "step": 0}
        for place, temperature in enumerate(steps):
            yield {"kind": "state", "place": place, "step": 0, SET: temperature}

    def startup(self) -> None:
        self.open_bench(self.aim(min(self.temperatures)))

    def shutdown(self) -> None:
        self.close_bench()

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        if point["kind"] in TUNE_UP:
            return self.measure_sweep(point)
        if point["kind"] == "loads":
            return self.measure_loads(4 * self.buffers(self.records, 0))
        aim = self.aim(point[SET])
        self.hold_stage(point[SET])
        row, device = self.measure_working_point(aim, self.buffers(self.records, 0))
        inside, error = by_sweep(negativity_inside, device, row["fit covariance"])
        self.show("E_N inside", inside)
        return self.complete({**row, INSIDE: inside, f"{INSIDE} error": error})

    def analyse(self, data: RunData) -> dict[str, Any]:
        """E_N against temperature, and where it crosses zero."""
        found = states(data, device_like(data.parameters))
        table = np.array(
            [
                [state.temperature, state.inferred.log_negativity, state.inferred.error,
                 *total(state.estimate.propagate(signed_negativity))]
                for _, state in sorted(found.items())
            ]
        )  # fmt: skip
        accuracy = data.parameters["stage_accuracy"] / 100.0
        fine = np.linspace(1.0, max(250.0, float(table[:, 0].max())), 400)
        theory = signed_negativity(covariance(self.aim(fine))[..., :4, :4])
        where = crossing(fine, theory, np.full(len(fine), 1e-12), 0.0)[0]
        inside = crossing(*table.T[:3], accuracy)
        device = self.aim(where) if np.isfinite(where) else self.aim(float(fine[-1]))
        return {
            "vanishing_temperature": inside,
            "vanishing_temperature_theory": where,
            "output_log_negativity": (table[-1, 3], table[-1, 4]),
            "negativity_at_published": interpolated(*table.T[:3], PUBLISHED),
            "phonons_at_vanishing": float(phonon_number(covariance(device))),
            "log_negativity": (table[0, 1], table[0, 2]),
            "measured": table,
            "theory": np.column_stack([fine, theory]),
        }  # fmt: skip

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import magnon_figures

        return {"temperature": magnon_figures.temperature(data)}


def crossing(
    x: np.ndarray, y: np.ndarray, error: np.ndarray, accuracy: float
) -> tuple[float, float | None]:
    """Where y falls through zero, with its error; NaN if it does not.

    A straight line between the neighbours of the crossing, or a parabola through them and the point
    before if there is one. `accuracy` is the relative error of all x together.
    """
    below = np.flatnonzero((y[1:] <= 0) & (y[:-1] > 0))
    if not len(below):
        return float("nan"), None
    k = int(below[0])
    use = slice(max(0, k - 1), k + 2)
    middle = float(x[k])
    order = min(2, len(x[use]) - 1)

    def root(values: np.ndarray) -> float:
        curve = np.polyfit(x[use] - middle, values, order)
        found = np.roots(curve)
        real = found[np.abs(found.imag) < 1e-9].real
        inside = real[(real >= -1e-6) & (real <= x[k + 1] - middle + 1e-6)]
        if len(inside):
            return middle + float(inside[0])
        left, right = values[-2:]
        return middle + float((x[k + 1] - middle) * left / (left - right))

    here = root(y[use])
    variance = 0.0
    for n in range(len(y[use])):
        shifted = y[use].copy()
        shifted[n] += error[use][n]
        variance += (root(shifted) - here) ** 2
    # Errors of neighbouring points have common causes: their sum counts, not only their scatter.
    together = root(y[use] + error[use]) - here
    return here, float(np.sqrt(max(variance, together**2) + (accuracy * here) ** 2))


def interpolated(
    x: np.ndarray, y: np.ndarray, error: np.ndarray, at: float
) -> tuple[float, float | None]:
    """Y at a place, by a parabola through the three nearest; NaN outside."""
    if not x.min() - 1 <= at <= x.max() + 1 or len(x) < 3:
        return float("nan"), None
    near = np.argsort(np.abs(x - at))[:3]
    curve = np.polyfit(x[near] - at, y[near], 2)
    return float(curve[-1]), float(error[near[0]])
