"""Two-photon interference of one pair of channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from labctl.errors import RequestError
from labctl.live import Curve
from labctl.parameters import integer, text
from labctl.procedure import LabProcedure, Result, RunData
from procedures.fringes import ERRORS, FringeMeasurement, fit_both, variation
from procedures.network_plan import parse_pair

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST = 4  # phases that a fringe needs


class FransonFringe(FringeMeasurement, LabProcedure):
    """Coincidences of a pair over the phase of one interferometer, the other at rest.

    The pair goes to users A and B. Both interferometers of a user have the same phase, so its basis
    does not matter: equal outcomes follow 1 + V cos(alpha + beta), different ones
    1 - V cos(alpha + beta), both with accidental coincidences in them (raw visibility). Clicks of
    each user alone must not depend on the phase, or something else than pairs interferes.
    """

    pair: str = text("Pair", "C38-C42", meaning="channels, to users A and B")
    points: int = integer(  # type: ignore[assignment]
        "Points", 25, minimum=FEWEST, maximum=1000, meaning="phases of user A over one turn"
    )

    DATA_COLUMNS: ClassVar[list[str]] = [
        "index", "alpha (rad)", "dwell (s)", "same", "different", "clicks A", "clicks B",
        "power (mW)", "laser (MHz)", "phase (rad)", "lost (s)", *ERRORS,
    ]  # fmt: skip
    RESULTS = (
        Result("visibility", "", "of the raw fringes, accidental coincidences included"),
        Result("visibility_same", "", "of equal outcomes alone"),
        Result("visibility_different", "", "of different outcomes alone"),
        Result("singles_variation", "", "relative scatter of clicks over phase, beyond counting"),
        Result("singles_A", "1/s", "clicks of user A"),
        Result("singles_B", "1/s", "clicks of user B"),
        Result("coincidences", "1/s", "in the central peak, all outcomes"),
        Result("power", "mW", "both pumps, in front of the ring"),
        Result("lost", "s", "counting that was thrown away because a lock was lost"),
    )
    LIVE = (
        Curve("Equal outcomes", "alpha (rad)", "same", "same error"),
        Curve("Different outcomes", "alpha (rad)", "different", "different error"),
        Curve("Clicks of user A", "alpha (rad)", "clicks A", "clicks A error"),
        Curve("Clicks of user B", "alpha (rad)", "clicks B", "clicks B error"),
    )

    def startup(self) -> None:
        channels = parse_pair(self.pair)
        self.open_network({"A": channels[:1], "B": channels[1:]})
        self.set_power(self.power)

    def shutdown(self) -> None:
        self.close_network()

    def plan(self) -> Iterator[dict[str, Any]]:
        self.check_windows()
        parse_pair(self.pair)
        yield from ({"alpha (rad)": alpha} for alpha in self.fringe_phases(self.points))

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        return self.count_fringe(parse_pair(self.pair), point["alpha (rad)"])

    def analyse(self, data: RunData) -> dict[str, Any]:
        """Visibility from both fringes, errors from resampled counts."""
        if len(data) < FEWEST:
            raise RequestError(f"this run has fewer than {FEWEST} phases; resume it first")
        alpha, seconds = data["alpha (rad)"], float(data["dwell (s)"].sum())
        counts = self.outcomes(data, [parse_pair(data.parameters["pair"])] * len(data))
        same, different, value, error = fit_both(
            alpha, counts[0], counts[1], data.parameters["samples"], len(data)
        )
        clicks = {user: data[f"clicks {user}"] for user in "AB"}
        both = float(counts.sum())
        return {
            "visibility": (value, error),
            "visibility_same": (same.visibility, same.error),
            "visibility_different": (different.visibility, different.error),
            "singles_variation": variation(clicks["A"] + clicks["B"]),
            **{
                f"singles_{user}": (float(n.sum()) / seconds, float(n.sum()) ** 0.5 / seconds)
                for user, n in clicks.items()
            },
            "coincidences": (both / seconds, both**0.5 / seconds),
            "power": float(data["power (mW)"].mean()),
            "lost": float(data["lost (s)"].sum()),
            # equal and different outcomes: mean, visibility, phase of the maximum (rad)
            "fringes": np.array([[f.mean, f.visibility, f.offset] for f in (same, different)]),
        }

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import network_figures

        return {"fringe": network_figures.fringe(data)}
