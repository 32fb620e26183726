"""Entanglement against the detunings of both cavities: Fig. 2a and 4a of the publication."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.analysis.magnomechanics import Device, duan
from labctl.parameters import choice, integer, number
from labctl.procedure import LabProcedure, Result, RunData
from procedures.magnon_bench import ROW_COLUMNS, ROW_TRACES
from procedures.magnon_map import MAP_COLUMNS, MAP_RESULTS, MagnonMap

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class DetuningMap(MagnonMap, LabProcedure):
    """E_N and Duan sum over the detunings of both cavities, theory and measurement side by side.

    At each point the cavities are tuned, the drive's power is set to keep G, and the state inside
    the cavities is inferred from sweep and output records. Rounds of nine points close in on the
    largest E_N.
    """

    lowest: float = number(
        "Lowest", -18.0, unit="MHz", minimum=-25, maximum=25, meaning="of both detunings"
    )
    highest: float = number(
        "Highest", 18.0, unit="MHz", minimum=-25, maximum=25, meaning="of both detunings"
    )
    steps: int = integer("Steps", 7, minimum=3, maximum=201, meaning="of each detuning")

    seek: str = choice(
        "Seek", "negativity", ["negativity", "duan"],
        meaning="what the rounds close in on: the largest E_N or the least Duan sum",
    )  # fmt: skip

    X, Y = "D1 set (MHz)", "D2 set (MHz)"
    DATA_COLUMNS = [*ROW_COLUMNS, X, Y, *MAP_COLUMNS]
    TRACES = ROW_TRACES
    RESULTS = (
        Result("detuning_1_at_maximum", "MHz", "detuning of cavity 1 where E_N is largest"),
        Result("detuning_2_at_maximum", "MHz", "detuning of cavity 2 there"),
        Result("detuning_1_theory", "MHz", "the same in theory"),
        Result("detuning_2_theory", "MHz", "the same in theory"),
        Result("duan_minimum", "", "least Duan sum inside the cavities, inferred"),
        Result("duan_detuning_1", "MHz", "detuning of cavity 1 there"),
        Result("duan_detuning_2", "MHz", "detuning of cavity 2 there"),
        *MAP_RESULTS,
    )

    @property
    def seeks_negativity(self) -> bool:
        return self.seek == "negativity"

    def score(self, inside: np.ndarray) -> float:
        return super().score(inside) if self.seeks_negativity else -float(duan(inside))

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        places = np.linspace(self.lowest, self.highest, self.steps)
        return places, places

    def place_device(self, x: Any, y: Any) -> Device:
        return self.wanted(x, y)

    def named_position(self, peak: np.ndarray) -> dict[str, Any]:
        return {
            "detuning_1_at_maximum": (peak[0], peak[3]),
            "detuning_2_at_maximum": (peak[1], peak[4]),
        }

    def named_theory(self, best: np.ndarray) -> dict[str, Any]:
        return {"detuning_1_theory": best[0], "detuning_2_theory": best[1]}

    def analyse(self, data: RunData) -> dict[str, Any]:
        results = super().analyse(data)
        table = results["measured"]
        duans = table[:, [0, 1, 6, 7]] * [1.0, 1.0, -1.0, 1.0]
        step = float(np.diff(self.grid()[0])[0])
        if not self.seeks_negativity:
            x, y, top, x_error, y_error, error = self.peak(duans, table[:, 8]).tolist()
        else:
            x, y, top, error = duans[int(np.argmax(duans[:, 2]))].tolist()
            x_error = y_error = step / 2
        return {
            **results, "duan_minimum": (-top, error), "duan_detuning_1": (x, x_error),
            "duan_detuning_2": (y, y_error),
        }  # fmt: skip

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import magnon_figures

        return {
            "map": magnon_figures.side_by_side(data, "$\\Delta_1$ (MHz)", "$\\Delta_2$ (MHz)"),
            "duan": magnon_figures.duan_map(data, self.place_device),
        }
