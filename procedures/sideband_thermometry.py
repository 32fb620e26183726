"""Thermal phonons from the asymmetry of the sidebands."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.analysis.phonon_pairs import Thermometry, sideband_thermometry
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
CLICKS = ("clicks per million", "clicks per million error")
PHONONS = ("phonons", "phonons error")
PAIRED = 30.0  # ns, delay of a read-out pulse that is not there


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
    DATA_COLUMNS = ["index", *ROW, *CLICKS, *PHONONS]
    LIVE = (
        Curve(
            "Clicks in a million trials", "index", *CLICKS, by="tones", log_y=True
        ),
        Curve("Thermal phonons", "index", *PHONONS),
    )  # fmt: skip
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
        self.check([PAIRED])
        for size in portions(self.trials):
            for kind in KINDS:
                yield {"tones": kind, "delay (ns)": PAIRED, "asked": size}

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        detuned = point["tones"].endswith("aside")
        if detuned != self._detuned:
            self.tune(self.wavelength + self.aside * detuned)
            self._detuned = detuned
        return super().measure_point(point)

    def estimates(self, sums: Mapping[str, int]) -> dict[str, float]:
        """Clicks of these pulses; phonons as soon as there are pulses of all kinds."""
        found = dict.fromkeys((*CLICKS, *PHONONS), math.nan)
        if sums["trials"]:
            clicks, million = sums["A1"] + sums["B1"], 1e-6 * sums["trials"]
            found |= {CLICKS[0]: clicks / million, CLICKS[1]: max(clicks, 1) ** 0.5 / million}
        every = {kind: self.so_far.of(kind, PAIRED) for kind in KINDS}
        with contextlib.suppress(ValueError, ZeroDivisionError):  # not yet, or too few clicks
            thermal = self._thermometry(
                {kind: float(one["A1"] + one["B1"]) for kind, one in every.items()},
                {kind: float(one["trials"]) for kind, one in every.items()},
            )
            found[PHONONS[0]], found[PHONONS[1]] = thermal.unbiased
        return found

    def _thermometry(self, counts: Mapping[str, float], trials: Mapping[str, float]) -> Thermometry:
        """Phonons from clicks in these trials, all scaled to those of the red pulses."""
        most = trials["red only"]
        scaled = {kind: counts[kind] * most / trials[kind] for kind in KINDS}
        return sideband_thermometry(
            scaled["red only"], scaled["blue only"], self.blue_area, scaled["red aside"],
            scaled["blue aside"], background_trials=trials["red aside"] / most,
        )  # fmt: skip

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
        found = self._thermometry(counts, trials)
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
