"""Covariance of two microwave output fields at one working point, and what it says about them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.analysis.magnomechanics import (
    Device,
    best_duan,
    duan,
    entanglement,
    output_covariance,
    signed_negativity,
)
from labctl.errors import RequestError
from labctl.live import Curve
from labctl.parameters import integer, number
from labctl.procedure import LabProcedure, Result, RunData
from procedures.magnon_bench import INSTRUMENTS, ROW_COLUMNS, ROW_TRACES
from procedures.magnon_records import MagnonMeasurement
from procedures.magnon_states import device_like, load_moments, output_state, states, total
from procedures.magnon_sweeps import TUNE_UP

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SWEEPS = (*TUNE_UP, "check")
#: Columns of E_N of the output fields, from all records since the run began or was resumed.
OUTPUT = ("E_N out", "E_N out error")


class MicrowaveCovariance(MagnonMeasurement, LabProcedure):
    """E_N and Duan sum of the two output fields, and of the fields inside the cavities.

    Sweeps of the network analyser tune the bench up. Records of a cold and of a hot load give gain
    and added noise of both amplifier chains; records at the working point with the pump switch open
    and closed, by turns, give the output covariance as their difference. The state inside is what
    the linear model says about it, given the outputs and the sweeps.
    """

    INSTRUMENTS = INSTRUMENTS

    detuning_1: float = number(
        "Detuning 1", 10.0, unit="MHz", minimum=-25, maximum=25, meaning="cavity 1 above the drive"
    )
    detuning_2: float = number(
        "Detuning 2", -10.0, unit="MHz", minimum=-25, maximum=25, meaning="cavity 2 above the drive"
    )
    kappa_ratio: float = number(
        "Decay ratio", 1.0, minimum=0.05, maximum=20, meaning="kappa 2 over kappa 1"
    )
    g_ratio: float = number("Coupling ratio", 1.0, minimum=0.05, maximum=2, meaning="g 2 over g 1")
    records: int = integer(
        "Records", 1_000_000, minimum=1000, maximum=1_000_000_000,
        meaning="heterodyne records of each state, in buffers of 16384",
    )  # fmt: skip
    error: float = number(
        "Error", 0.0, minimum=0, maximum=10,
        meaning="wanted standard error of E_N; refused if the records are too few; 0: any",
    )  # fmt: skip

    DATA_COLUMNS = [*ROW_COLUMNS, *OUTPUT]
    TRACES = ROW_TRACES
    LIVE = (
        Curve("E_N of the outputs; dotted: none", "index", *OUTPUT, levels=(0.0,)),
        Curve("Sweeps: misfit", x="index", y="misfit", by="kind", only=SWEEPS),
        Curve(
            "Coupling",
            x="drive (dBm)",
            y="G (MHz)",
            error="G error (MHz)",
            by="kind",
            only=("pump", "check"),
        ),
    )
    RESULTS = (
        Result("log_negativity", "", "E_N of the output modes; negative: minus the distance to it"),
        Result("log_negativity_statistical", "", "part of its error from the records' scatter"),
        Result("log_negativity_calibration", "", "part of its error from the thermometers"),
        Result("log_negativity_theory", "", "E_N of the outputs of the device as swept"),
        Result("duan_sum", "", "Var(X1 + X2) + Var(Y1 - Y2); below 2: entangled"),
        Result("duan_best", "", "the same with the best phases of the local oscillators"),
        Result("physical", "", "whether the matrix is that of a quantum state, within errors"),
        Result("intracavity_log_negativity", "", "E_N inside the cavities, inferred by the model"),
        Result("intracavity_duan_sum", "", "Duan sum inside the cavities, inferred"),
        Result("chi_square", "", "of the model against outputs and sweeps, about 10 if it holds"),
        Result("gain_1", "V^2", "variance of a quadrature's record per quantum, chain 1"),
        Result("gain_2", "V^2", "the same of chain 2"),
        Result("added_noise_1", "quanta", "of amplifier chain 1, referred to the input"),
        Result("added_noise_2", "quanta", "of amplifier chain 2"),
        Result("g_eff", "MHz", "coupling G as swept"),
        Result("records_taken", "", "records of each state"),
    )

    def aim(self) -> Device:
        """The working point."""
        nominal = Device()
        return self.wanted(
            self.detuning_1, self.detuning_2,
            kappa_2=nominal.kappa_1 * self.kappa_ratio, g_2=nominal.g_1 * self.g_ratio,
        )  # fmt: skip

    def device_of(self, point: Mapping[str, Any]) -> Device:
        return self.aim()

    def points(self) -> Iterator[dict[str, Any]]:
        """Sweeps that tune up, loads, a check, and records in rows of 16 buffers."""
        aim = self.aim()
        self.check_records(aim, self.records, self.error, self.name())
        yield from self.tune_up_points(aim)
        for step in range(self.row_count(self.records)):
            yield {"kind": "loads", "place": -1, "step": step}
        yield {"kind": "check", "place": 0, "step": 0}
        for step in range(self.row_count(self.records)):
            yield {"kind": "state", "place": 0, "step": step}

    def startup(self) -> None:
        self._taken: list[dict[str, Any]] = []  # rows of records
        self.open_bench(self.aim())

    def shutdown(self) -> None:
        self.close_bench()

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        if point["kind"] in SWEEPS:
            return self.measure_sweep(point)
        buffers = self.buffers(self.records, point["step"])
        if point["kind"] == "loads":
            row = self.measure_loads(buffers)
            self._taken.append({"kind": "loads", **row})
            return row
        self.go_to(self.aim())
        row = self.measure_state(buffers)
        self._taken.append({"kind": "state", **row})
        return row | dict(zip(OUTPUT, self._output(), strict=True))

    def _output(self) -> tuple[float, float]:
        """E_N of the output fields as far as it is known, with its error."""
        names = ("kind", "records", "stage (mK)", "load (mK)")
        data = RunData(
            {name: np.array([row.get(name) for row in self._taken], object) for name in names},
            self.parameter_values(), read_trace=lambda name, row: self._taken[row][name],
        )  # fmt: skip
        rows = np.flatnonzero(data["kind"] == "state")
        with contextlib.suppress(RequestError):  # no loads since the run was resumed
            made, _ = output_state(data, rows, load_moments(data))
            value, error = total(made.propagate(signed_negativity))
            self.show("E_N of the outputs", value)
            return value, error
        return math.nan, math.nan

    def analyse(self, data: RunData) -> dict[str, Any]:
        """The output state, its entanglement, and what it means inside; errors propagated."""
        state = states(data, device_like(data.parameters))[0]
        made = state.estimate
        negativity = made.propagate(signed_negativity)
        theory = output_covariance(
            state.device, data.parameters["bandwidth"], data.parameters["sideband"]
        )
        step = (1.0 / 8192.0) ** 2  # V^2 of one converter step squared
        return {
            "log_negativity": total(negativity),
            "log_negativity_statistical": negativity[1],
            "log_negativity_calibration": negativity[2],
            "log_negativity_theory": float(signed_negativity(theory)),
            "duan_sum": total(made.propagate(duan)),
            "duan_best": total(made.propagate(best_duan)),
            "physical": state.physical,
            "intracavity_log_negativity": (
                state.inferred.log_negativity, state.inferred.error
            ),
            "intracavity_duan_sum": (state.inferred.duan, state.inferred.duan_error),
            "chi_square": state.inferred.chi_square,
            "gain_1": (made.gain[0] * step, made.gain_error[0] * step),
            "gain_2": (made.gain[1] * step, made.gain_error[1] * step),
            "added_noise_1": (made.added_noise[0], made.added_error[0]),
            "added_noise_2": (made.added_noise[1], made.added_error[1]),
            "g_eff": float(state.device.coupling),
            "records_taken": int(state.records),
            "covariance": made.covariance,
            "covariance_error": made.errors,
            "covariance_theory": theory,
            "intracavity_theory": np.array([float(entanglement(state.device))]),
        }  # fmt: skip

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import magnon_figures

        return {"covariance": magnon_figures.covariance(data)}
