"""How well the wavemeter holds both pump lasers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from labctl.errors import RequestError
from labctl.live import Curve
from labctl.parameters import number
from labctl.procedure import LabProcedure, Result, RunData
from procedures.pumps import PUMPS, PumpMeasurement

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class LaserLock(PumpMeasurement, LabProcedure):
    """Both pump lasers, held by the wavemeter, looked at for a while.

    The readings are those of the wavemeter that holds the lasers: they contain its reading noise
    (0.3 MHz), and not the slow error of its scale, which both lasers share. A laser that is lost is
    brought back; the readings meanwhile do not count.
    """

    INSTRUMENTS = PumpMeasurement.PUMP_INSTRUMENTS

    duration: float = number(
        "Duration", 600.0, unit="s", minimum=1, maximum=1e6, meaning="how long to look"
    )
    interval: float = number(
        "Interval", 1.0, unit="s", minimum=0.05, maximum=600, meaning="between two looks"
    )

    DATA_COLUMNS: ClassVar[list[str]] = [
        "index", "time (s)", "deviation 1 (MHz)", "deviation 2 (MHz)", "output 1 (mV)",
        "output 2 (mV)", "temperature (degC)", "recovered",
    ]  # fmt: skip
    RESULTS = (
        Result("rms_1", "MHz", "scatter of pump 1 around its set point"),
        Result("rms_2", "MHz", "scatter of pump 2 around its set point"),
        Result("largest_1", "MHz", "largest deviation of pump 1"),
        Result("largest_2", "MHz", "largest deviation of pump 2"),
        Result("correction_1", "MHz", "by how much pump 1 was corrected from begin to end"),
        Result("correction_2", "MHz", "by how much pump 2 was corrected from begin to end"),
        Result("temperature_rms", "mK", "scatter of the ring's temperature readings"),
        Result("recoveries", "", "how often a laser had to be brought back"),
    )
    LIVE = (
        Curve("Pump 1 from its set point", "time (s)", "deviation 1 (MHz)", levels=(0.0,)),
        Curve("Pump 2 from its set point", "time (s)", "deviation 2 (MHz)", levels=(0.0,)),
        Curve("Correction of pump 1", "time (s)", "output 1 (mV)"),
        Curve("Temperature of the ring", "time (s)", "temperature (degC)"),
    )

    def startup(self) -> None:
        self.start_pumps()
        self._begun = self.bench.clock.now() - max(
            (row["time (s)"] + self.interval for row in self.rows), default=0.0
        )

    def shutdown(self) -> None:
        self.stop_pumps()

    def points(self) -> Iterator[dict[str, Any]]:
        yield from ({} for _ in range(math.ceil(self.duration / self.interval - 1e-9)))

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        self.bench.clock.sleep(self.interval)
        recovered = 0
        if not self.lasers_held():
            self.recover_lasers()
            recovered = 1
        first, second = self.laser_errors()
        self.show("pump 1", first, "MHz")
        self.show("pump 2", second, "MHz")
        return {
            "time (s)": self.bench.clock.now() - self._begun,
            "deviation 1 (MHz)": first,
            "deviation 2 (MHz)": second,
            "output 1 (mV)": self.wavemeter.channels[1].deviation,
            "output 2 (mV)": self.wavemeter.channels[2].deviation,
            "temperature (degC)": self.tec.temperature,
            "recovered": recovered,
        }

    def analyse(self, data: RunData) -> dict[str, Any]:
        """Scatter with its statistical error, n readings taken as independent."""
        if len(data) < 2:
            raise RequestError("this run has fewer than two readings; resume it first")
        results: dict[str, Any] = {}
        for n in PUMPS:
            deviation = data[f"deviation {n} (MHz)"]
            rms = float(np.sqrt(np.mean(deviation**2)))
            results[f"rms_{n}"] = (rms, rms / math.sqrt(2 * len(deviation)))
            results[f"largest_{n}"] = float(np.abs(deviation).max())
            output = data[f"output {n} (mV)"]
            moved = 1e-3 * (output[-1] - output[0]) * data.parameters["sensitivity"]
            results[f"correction_{n}"] = float(1e3 * moved)
        scatter = 1e3 * float(np.std(data["temperature (degC)"], ddof=1))
        results["temperature_rms"] = (scatter, scatter / math.sqrt(2 * (len(data) - 1)))
        results["recoveries"] = int(data["recovered"].sum())
        return results

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import network_figures

        return {"lock": network_figures.laser_lock(data)}
