"""How phonons that a blue pulse excites decay, and how slowly its heat arrives."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.analysis.phonon_pairs import fit_pump_probe
from labctl.errors import RequestError
from labctl.live import Curve
from labctl.parameters import integer, number, numbers
from labctl.procedure import LabProcedure, Result, RunData
from procedures.phonon_bench import ETA, PhononMeasurement, portions
from procedures.phonon_clicks import ROW, SPOILT, spoilt
from procedures.phonon_light import BLUE_CHANNEL, READOUT_CHANNEL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Delays (ns): dense where heat arrives, then along the relaxation.
DELAYS = (20, 60, 100, 150, 200, 260, 330, 400, 500, 600, 750, 900, 1100, 1400, 1800, 2300, 3000,
          4000, 5000, 6500)  # fmt: skip
PHONONS = ("phonons", "phonons error")


class PumpProbe(PhononMeasurement, LabProcedure):
    """Phonons at several delays after a blue pulse, read out by a red pulse.

    Clicks of the read-out pulse count phonons, if their detection efficiency and the clicks
    without phonons are known; the latter are dark counts and light that passes the filters.
    """

    trials: int = integer(
        "Trials", 20_000_000, minimum=1000, maximum=10**11, meaning="with each delay"
    )
    delays: list[float] = numbers(
        "Delays", [float(delay) for delay in DELAYS], unit="ns", minimum=-1e6, maximum=1e7,
        meaning="from the end of the blue pulse to the begin of the read-out pulse",
    )  # fmt: skip
    blue_area: float = number(
        "Blue area", 0.0481, minimum=1e-6, maximum=1,
        meaning="integral of the scattering rate over the blue pulse: about the phonons it excites",
    )  # fmt: skip
    thermal: float = number(
        "Thermal phonons", 0.014, minimum=0, maximum=10, meaning="before the blue pulse"
    )
    leak: float = number(
        "Leak", 2.0e-4, minimum=0, maximum=1,
        meaning="photons per read-out pulse that pass the filters without a phonon",
    )  # fmt: skip
    dark: float = number(
        "Dark counts", 10.0, unit="1/s", minimum=0, maximum=1e6, meaning="of each detector"
    )

    CHANNELS = (BLUE_CHANNEL, READOUT_CHANNEL)
    DATA_COLUMNS = ["index", *ROW, *PHONONS]
    LIVE = (
        Curve(
            "Phonons", "delay (ns)", *PHONONS, latest=True, log_x=True
        ),
    )  # fmt: skip
    RESULTS = (
        Result("short_time", "ns", "in which the heat of the blue pulse arrives"),
        Result("long_time", "ns", "in which phonons relax"),
        Result("excited", "", "phonons that the blue pulse excites at once"),
        Result("heated", "", "phonons that its heat adds later"),
        Result("thermal", "", "phonons before the pulse, as given"),
        Result("chi_square", "", "of the fit, per degree of freedom"),
        *SPOILT,
    )

    def points(self) -> Iterator[dict[str, Any]]:
        """All delays in turn, portion by portion."""
        self.check(self.delays)
        if len(set(self.delays)) < 5 or len(set(self.delays)) < len(self.delays):
            raise RequestError("delays: two exponentials need five or more different ones")
        for size in portions(self.trials):
            for delay in self.delays:
                yield {"tones": "blue", "delay (ns)": delay, "asked": size}

    def phonons(self, clicks: Any, trials: Any) -> tuple[Any, Any]:
        """Phonons from clicks of the read-out pulse, with the standard error of counting."""
        per_trial = ETA * self.conversion
        background = ETA * self.leak + 2 * self.dark * 2e-9 * self.second_fwhm
        return (
            (clicks / trials - background) / per_trial,
            np.sqrt(np.maximum(clicks, 1)) / trials / per_trial,
        )

    def estimates(self, sums: Mapping[str, int]) -> dict[str, float]:
        if not sums["trials"]:
            return dict.fromkeys(PHONONS, math.nan)
        value, error = self.phonons(sums["A2"] + sums["B2"], sums["trials"])
        return {PHONONS[0]: float(value), PHONONS[1]: float(error)}

    def analyse(self, data: RunData) -> dict[str, Any]:
        """Phonon numbers from counts, and the two exponentials that explain them."""
        delays = np.unique(np.array(self.delays))
        clicks, trials = np.zeros(delays.size), np.zeros(delays.size)
        where = np.searchsorted(delays, data["delay (ns)"])
        whole = data["lost"] == 0  # else there are trials without a chance to click
        np.add.at(clicks, where, whole * (data["A2"] + data["B2"]))
        np.add.at(trials, where, whole * data["trials"])
        if not (trials > 0).all():
            raise RequestError("this run lacks some delays; resume it first")
        phonons, error = self.phonons(clicks, trials)
        fit = fit_pump_probe(delays, phonons, error, self.thermal)
        chi = float((((phonons - fit(delays)) / error) ** 2).sum())
        return {
            "short_time": fit.short_time,
            "long_time": fit.long_time,
            "excited": fit.excited,
            "heated": fit.heated,
            "thermal": fit.thermal,
            "chi_square": chi / max(delays.size - 4, 1),
            **spoilt(data),
            "delays": delays, "phonons": phonons, "phonons_error": error,
        }  # fmt: skip

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import phonon_figures

        return {"relaxation": phonon_figures.relaxation(data)}
