"""Entanglement against decay and coupling of cavity 2: Fig. 2b of the publication."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.analysis.magnomechanics import Device
from labctl.errors import RequestError
from labctl.parameters import integer, number
from labctl.procedure import LabProcedure, Result, RunData
from procedures.magnon_bench import ROW_COLUMNS, ROW_TRACES
from procedures.magnon_map import MAP_COLUMNS, MAP_RESULTS, MagnonMap

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class CouplingMap(MagnonMap, LabProcedure):
    """E_N over kappa 2 / kappa 1 and g 2 / g 1, theory and measurement side by side.

    The antenna of cavity 2 sets its decay rate, the position of the sphere its coupling to the
    magnon; rounds of nine points close in on the largest E_N.
    """

    detuning_1: float = number(
        "Detuning 1", 10.0, unit="MHz", minimum=-25, maximum=25, meaning="cavity 1 above the drive"
    )
    detuning_2: float = number(
        "Detuning 2", -10.0, unit="MHz", minimum=-25, maximum=25, meaning="cavity 2 above the drive"
    )
    kappa_lowest: float = number("Lowest decay ratio", 0.15, minimum=0.12, maximum=9)
    kappa_highest: float = number("Highest decay ratio", 1.5, minimum=0.12, maximum=9)
    kappa_steps: int = integer("Decay ratios", 6, minimum=3, maximum=201)
    g_lowest: float = number("Lowest coupling ratio", 0.5, minimum=0.05, maximum=2)
    g_highest: float = number("Highest coupling ratio", 1.3, minimum=0.05, maximum=2)
    g_steps: int = integer("Coupling ratios", 6, minimum=3, maximum=201)

    X, Y = "kappa 2 / kappa 1", "g 2 / g 1"
    DATA_COLUMNS = [*ROW_COLUMNS, X, Y, *MAP_COLUMNS]
    TRACES = ROW_TRACES
    RESULTS = (
        Result("kappa_ratio_at_maximum", "", "kappa 2 / kappa 1 where E_N is largest"),
        Result("g_ratio_at_maximum", "", "g 2 / g 1 there"),
        Result("kappa_ratio_theory", "", "the same in theory"),
        Result("g_ratio_theory", "", "the same in theory"),
        Result(
            "red_cavity_narrower",
            "",
            "whether the cavity on the red sideband decays slower "
            "at the maximum; the publication says so for both orders of the detunings",
        ),
        *MAP_RESULTS,
    )

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        for what in ("kappa", "g"):
            if not getattr(self, f"{what}_lowest") < getattr(self, f"{what}_highest"):
                raise RequestError(f"{self.name()}: {what}_lowest must be below {what}_highest")
        return (
            np.linspace(self.kappa_lowest, self.kappa_highest, self.kappa_steps),
            np.linspace(self.g_lowest, self.g_highest, self.g_steps),
        )

    def place_device(self, x: Any, y: Any) -> Device:
        nominal = Device()
        return self.wanted(
            self.detuning_1, self.detuning_2, kappa_2=nominal.kappa_1 * x, g_2=nominal.g_1 * y
        )

    def named_position(self, peak: np.ndarray) -> dict[str, Any]:
        return {
            "kappa_ratio_at_maximum": (peak[0], peak[3]),
            "g_ratio_at_maximum": (peak[1], peak[4]),
        }

    def analyse(self, data: RunData) -> dict[str, Any]:
        results = super().analyse(data)
        second_is_red = data.parameters["detuning_2"] < data.parameters["detuning_1"]
        second_is_narrower = results["kappa_ratio_at_maximum"][0] < 1.0
        return {**results, "red_cavity_narrower": second_is_red == second_is_narrower}

    def named_theory(self, best: np.ndarray) -> dict[str, Any]:
        return {"kappa_ratio_theory": best[0], "g_ratio_theory": best[1]}

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import magnon_figures

        return {"map": magnon_figures.side_by_side(data, "$\\kappa_2 / \\kappa_1$", "$g_2 / g_1$")}
