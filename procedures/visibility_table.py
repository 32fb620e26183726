"""Two-photon interference of all pairs of channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from labctl.errors import RequestError
from labctl.live import Curve
from labctl.parameters import integer, text
from labctl.procedure import LabProcedure, Result, RunData
from procedures.fringes import ERRORS, FringeMeasurement, fit_both
from procedures.network_plan import PUMP_CHANNELS, TABLE_1, pair_name, parse_pairs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST = 4  # phases that a fringe needs
MIXED = sum(PUMP_CHANNELS)


class VisibilityTable(FringeMeasurement, LabProcedure):
    """A short fringe of each pair of channels, one after the other, as in `franson-fringe`.

    All pairs obey energy conservation: their channels add up to those of two pump photons.
    """

    pairs: str = text(
        "Pairs", ", ".join(pair_name(pair) for pair in TABLE_1), meaning="to users A and B"
    )
    points: int = integer(  # type: ignore[assignment]
        "Points", 8, minimum=FEWEST, maximum=1000, meaning="phases of user A over one turn"
    )

    DATA_COLUMNS: ClassVar[list[str]] = [
        "index", "pair", "alpha (rad)", "dwell (s)", "same", "different", "clicks A", "clicks B",
        "power (mW)", "laser (MHz)", "phase (rad)", "lost (s)", *ERRORS,
    ]  # fmt: skip
    RESULTS = (
        *(
            Result(f"visibility_{pair_name(pair)}", "", "raw, accidental coincidences included")
            for pair in TABLE_1
        ),
        Result("visibility_mixed", "", "mean of the pairs that both pumps make"),
        Result("visibility_degenerate", "", "mean of the pairs that one pump makes"),
        Result("lost", "s", "counting that was thrown away because a lock was lost"),
    )
    LIVE = (
        Curve("Equal outcomes", "alpha (rad)", "same", "same error", by="pair"),
        Curve("Different outcomes", "alpha (rad)", "different", "different error", by="pair"),
    )

    def startup(self) -> None:
        self.open_network({})
        self.set_power(self.power)

    def shutdown(self) -> None:
        self.close_network()

    def plan(self) -> Iterator[dict[str, Any]]:
        self.check_windows()
        for pair in parse_pairs(self.pairs):
            for alpha in self.fringe_phases(self.points):
                yield {"pair": pair_name(pair), "alpha (rad)": alpha}

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        return self.count_fringe(parse_pairs(point["pair"])[0], point["alpha (rad)"])

    def analyse(self, data: RunData) -> dict[str, Any]:
        """Visibility of each pair, beside what the publication prints."""
        names, pairs = np.asarray(data["pair"]), parse_pairs(data.parameters["pairs"])
        counts = self.outcomes(data, [parse_pairs(name)[0] for name in names.tolist()])
        results: dict[str, Any] = {}
        table = []
        for pair in pairs:
            rows = np.flatnonzero(names == pair_name(pair))
            if len(rows) < FEWEST:
                raise RequestError(f"this run lacks phases of {pair_name(pair)}; resume it first")
            *_, value, error = fit_both(
                data["alpha (rad)"][rows], counts[0][rows], counts[1][rows],
                data.parameters["samples"], pair[0] * 100 + pair[1],
            )  # fmt: skip
            results[f"visibility_{pair_name(pair)}"] = (value, error)
            printed = TABLE_1.get(pair, (np.nan, np.nan))
            pairs_seen = float(counts[:, rows].sum())
            seconds = float(data["dwell (s)"][rows].sum())
            rate = (pairs_seen / seconds, pairs_seen**0.5 / seconds)
            table.append([*pair, value, error, printed[0] / 100, printed[1] / 100, *rate])
        found = np.array(table)
        mixed = found[:, 0] + found[:, 1] == MIXED
        for name, chosen in (("mixed", found[mixed]), ("degenerate", found[~mixed])):
            if len(chosen):
                weights = 1.0 / chosen[:, 3] ** 2
                results[f"visibility_{name}"] = (
                    float(np.average(chosen[:, 2], weights=weights)),
                    float(weights.sum() ** -0.5),
                )
        # by pair: channels, visibility and error, those of the publication, coincidences per s
        return results | {"lost": float(data["lost (s)"].sum()), "table": found}

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import network_figures

        return {"visibilities": network_figures.visibilities(data)}
