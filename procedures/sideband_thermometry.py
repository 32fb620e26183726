"""Thermal phonons from the asymmetry of the sidebands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.analysis.phonon_pairs import sideband_thermometry
from labctl.errors import RequestError
from labctl.live import Curve
from labctl.parameters import integer, number
from labctl.procedure import LabProcedure, Result, RunData
from procedures.phonon_bench import PhononMeasurement, portions
from procedures.phonon_clicks import ROW, SPOILT, spoilt
from procedures.phonon_light import BLUE_CHANNEL, RED_CHANNEL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = ("red only", "blue only", "red aside", "blue aside")


class SidebandThermometry(PhononMeasurement, LabProcedure):
    """Clicks behind red and blue pulses of equal energy.

    A red pulse can only take phonons that are there, a blue one also adds its own; the ratio tells
    the number before the pulse. The same pulses with the laser far from the cavity scatter
    nothing: what still clicks then are dark counts and light that passes the filters.
    """

    trials: int = integer(
        "Trials", 100_000_000, minimum=1000, maximum=10**11,
        meaning="with each colour, and again as many aside of the cavity",
    )  # fmt: skip
    blue_area: float = number(
        "Area", 0.02, minimum=1e-4, maximum=0.3,
        meaning="integral of the scattering rate over a pulse of either colour",
    )  # fmt: skip
    aside: float = number(
        "Aside", 0.2, unit="nm", minimum=0.05, maximum=5,
        meaning="distance of the laser from the cavity when the background is measured",
    )  # fmt: skip

    CHANNELS = (BLUE_CHANNEL, RED_CHANNEL)
    DATA_COLUMNS = ["index", *ROW]
    LIVE = (Curve("Clicks of detector A", "index", "A1", by="tones"),)
    RESULTS = (
        Result("thermal_phonons", "", "before the pulse"),
        Result("naive_phonons", "", "the same without correction for what the pulses do"),
        Result("counts_red", "", "clicks behind red pulses"),
        Result("counts_blue", "", "clicks behind blue pulses"),
        Result("background_red", "", "of these, that are no scattered photons"),
        Result("background_blue", "", "of these, that are no scattered photons"),
        *SPOILT,
    )

    @property
    def red_area(self) -> float:
        return self.blue_area

    def startup(self) -> None:
        super().startup()
        self._detuned = False

    def points(self) -> Iterator[dict[str, Any]]:
        """Both colours on the cavity, then aside of it, portion by portion."""
        self.check([30.0])
        for size in portions(self.trials):
            for kind in KINDS:
                yield {"tones": kind, "delay (ns)": 30.0, "asked": size}

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        detuned = point["tones"].endswith("aside")
        if detuned != self._detuned:
            self.tune(self.wavelength + self.aside * detuned)
            self._detuned = detuned
        return super().measure_point(point)

    def analyse(self, data: RunData) -> dict[str, Any]:
        """Phonons from the counts of both colours, backgrounds subtracted."""
        counts, trials = {}, {}
        for kind in KINDS:
            # where tags were lost there are trials without a chance to click
            rows = (np.asarray(data["tones"]) == kind) & (data["lost"] == 0)
            counts[kind] = float((data["A1"] + data["B1"])[rows].sum())
            trials[kind] = float(data["trials"][rows].sum())
            if not trials[kind]:
                raise RequestError(f"this run has no trials with {kind!r}; resume it first")
        most = trials["red only"]
        scaled = {kind: counts[kind] * most / trials[kind] for kind in KINDS}
        if scaled["blue only"] - scaled["blue aside"] <= scaled["red only"] - scaled["red aside"]:
            raise RequestError(
                f"clicks behind blue pulses ({counts['blue only']:.0f}) do not exceed those behind "
                f"red ones ({counts['red only']:.0f}); measure more trials, or find out whether "
                "the tones are mixed up"
            )
        found = sideband_thermometry(
            scaled["red only"], scaled["blue only"], self.blue_area, scaled["red aside"],
            scaled["blue aside"], background_trials=trials["red aside"] / most,
        )  # fmt: skip
        return {
            "thermal_phonons": found.unbiased,
            "naive_phonons": found.naive,
            "counts_red": (counts["red only"], counts["red only"] ** 0.5),
            "counts_blue": (counts["blue only"], counts["blue only"] ** 0.5),
            "background_red": (scaled["red aside"], scaled["red aside"] ** 0.5),
            "background_blue": (scaled["blue aside"], scaled["blue aside"] ** 0.5),
            **spoilt(data),
        }

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import phonon_figures

        return {"sidebands": phonon_figures.thermometry(data)}
