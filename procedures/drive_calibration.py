"""Drive power to magnon-phonon coupling: what 6.3 mW and 0.57 mW at the sphere give."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.analysis.magnomechanics import Device, drive_power, strain_shift
from labctl.errors import RequestError
from labctl.live import Curve
from labctl.parameters import number, numbers
from labctl.procedure import LabProcedure, Result, RunData
from procedures.magnon_bench import INSTRUMENTS, ROW_COLUMNS, ROW_TRACES
from procedures.magnon_records import MagnonMeasurement
from procedures.magnon_setup import FITTED, require_stable
from procedures.magnon_states import device_like, fitted_device
from procedures.magnon_sweeps import TUNE_UP

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POWER = "power (mW)"
RADIUS = 125e-6  # m
LEAST_COUPLING = 0.3  # MHz; weaker ones hardly show in a sweep


class DriveCalibration(MagnonMeasurement, LabProcedure):
    """Sweeps with the pump on at several drive powers, each fitted with G and the magnon's shift.

    The power at the sphere is the source's level plus `drive_gain`, whose error all powers share.
    From G and the power follows the coupling of a single magnon, and with it the power for any G.
    The magnon's detuning is corrected for the mean strain, which lowers it by G^2 / (2 omega_b).
    """

    INSTRUMENTS = INSTRUMENTS

    powers: list[float] = numbers(
        "Powers", [0.57, 1.5, 3.0, 4.5, 6.3], unit="mW", minimum=1e-4, maximum=500,
        meaning="at the sphere",
    )  # fmt: skip
    detuning_1: float = number(
        "Detuning 1", 10.0, unit="MHz", minimum=-25, maximum=25, meaning="cavity 1 above the drive"
    )
    detuning_2: float = number(
        "Detuning 2", -10.0, unit="MHz", minimum=-25, maximum=25, meaning="cavity 2 above the drive"
    )
    gain_accuracy: float = number(
        "Gain accuracy", 0.35, unit="dB", minimum=0, maximum=20,
        meaning="standard error of the source's level and of drive_gain together",
    )  # fmt: skip

    DATA_COLUMNS = [*ROW_COLUMNS, POWER]
    TRACES = ROW_TRACES
    LIVE = (
        Curve(
            "Coupling against power at the sphere", x=POWER, y="G (MHz)", error="G error (MHz)",
            log_x=True, log_y=True,
        ),
        Curve("Misfit of each sweep", x="index", y="misfit", by="kind"),
    )  # fmt: skip
    RESULTS = (
        Result("drive_power", "mW", "at the sphere for the wanted G"),
        Result("g_eff", "MHz", "G at the largest of the powers"),
        Result("g_eff_lowest", "MHz", "G at the smallest of the powers"),
        Result("single_magnon_coupling", "Hz", "G_0, from all powers"),
        Result("drive_power_1hz", "mW", "what a sphere with G_0 = 1 Hz would need for the same G"),
        Result("drive_power_theory", "mW", "for G_0 as it was expected, dissipation kept"),
        Result("drive_power_simplified", "mW", "the same without dissipation, as published"),
        Result("strain_shift", "MHz", "by which the mean strain lowers the magnon at g_eff"),
        Result("strain_shift_theory", "MHz", "G^2 / (2 omega_b)"),
    )

    def aim(self) -> Device:
        return self.wanted(self.detuning_1, self.detuning_2)

    def points(self) -> Iterator[dict[str, Any]]:
        """Sweeps that tune up, then one sweep per power."""
        if len(self.powers) < 2:
            raise RequestError(f"{self.name()}: give two powers at least")
        aim = self.aim()
        require_stable(aim, self.name())
        most = self._expected(max(self.powers))
        require_stable(aim.with_(coupling=most), f"{self.name()} at {max(self.powers):g} mW")
        yield from self.tune_up_points(aim)
        for place, power in enumerate(sorted(self.powers)):
            yield {"kind": "power", "place": place, "step": 0, POWER: power}

    def _expected(self, power: float) -> float:
        """G (MHz) that a power gives if the single-magnon coupling is as expected."""
        aim = self.aim()
        needed = float(drive_power(aim, self.single_coupling, RADIUS))
        return float(aim.coupling) * math.sqrt(power / needed)

    def startup(self) -> None:
        self.open_bench(self.aim())

    def shutdown(self) -> None:
        self.close_bench()

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        if point["kind"] in TUNE_UP:
            return self.measure_sweep(point)
        level = 10.0 * math.log10(point[POWER]) - self.drive_gain
        aim = self.aim()
        wanted = float(aim.coupling) * 10 ** ((level - self.setup.level(aim)) / 20)
        aim = aim.with_(coupling=wanted)
        self.go_to(aim)
        self.set_level(level)
        row, fit = self.fit_driven(aim)
        self.show("G", float(fit.device.coupling), "MHz")
        return self.complete(row)

    def analyse(self, data: RunData) -> dict[str, Any]:
        """G_0 from all powers, and what follows from it."""
        rows = np.flatnonzero(np.asarray(data["kind"]) == "power")
        if len(rows) < 2:
            raise RequestError("this run lacks two powers at least; resume it first")
        table, found = [], []
        bare = self._bare_detunings(data, rows)
        for row, before in zip(rows.tolist(), bare, strict=True):
            device, errors = fitted_device(data, row, device_like(data.parameters))
            power = float(data[POWER][row])
            per_hertz = float(drive_power(device, 1.0, RADIUS))  # mW for G_0 = 1 Hz
            single = math.sqrt(per_hertz / power)
            relative = errors["coupling"] / float(device.coupling)
            table.append([power, float(device.coupling), errors["coupling"], single,
                          single * relative, before - float(device.detuning_m)])  # fmt: skip
            found.append(device)
        values = np.array(table)
        strong = values[:, 1] > LEAST_COUPLING
        weight = 1.0 / values[strong, 4] ** 2
        single = float(np.sum(weight * values[strong, 3]) / np.sum(weight))
        scatter = float(np.sqrt(1.0 / np.sum(weight)))
        shared = math.log(10) / 20 * data.parameters["gain_accuracy"] * single
        single_error = math.hypot(scatter, shared)
        aim = self.aim().with_(
            **{n: float(np.mean([getattr(d, n) for d in found]))
               for n in ("kappa_1", "kappa_2", "kappa_m", "g_1", "g_2")}
        )  # fmt: skip
        needed = float(drive_power(aim, single, RADIUS))
        one_hertz = float(drive_power(aim, 1.0, RADIUS))
        last = values[-1]
        return {
            "drive_power": (needed, 2 * needed * single_error / single),
            "g_eff": (last[1], last[2]),
            "g_eff_lowest": (values[0, 1], values[0, 2]),
            "single_magnon_coupling": (single, single_error),
            "drive_power_1hz": one_hertz,
            "drive_power_theory": float(
                drive_power(self.aim(), data.parameters["single_coupling"], RADIUS)
            ),
            "drive_power_simplified": float(
                drive_power(self.aim(), data.parameters["single_coupling"], RADIUS, True)
            ),
            "strain_shift": last[5],
            "strain_shift_theory": float(strain_shift(last[1], found[-1].phonon)),
            "calibration": values,
        }  # fmt: skip

    @staticmethod
    def _bare_detunings(data: RunData, rows: np.ndarray) -> list[float]:
        """Magnon detunings without drive at the fields of these rows, by the crossings."""
        cross = np.flatnonzero(np.asarray(data["kind"]) == "cross")
        line = np.polyfit(
            data["field (T)"][cross].astype(float),
            data[FITTED["detuning_m"]][cross].astype(float), 1,
        )  # fmt: skip
        return [float(np.polyval(line, float(data["field (T)"][row]))) for row in rows.tolist()]

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import magnon_figures

        return {"drive": magnon_figures.drive(data, self.aim(), RADIUS)}
