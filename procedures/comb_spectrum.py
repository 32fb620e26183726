"""Spectrum of a single-soliton comb: its envelope, and how many lines it has."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.errors import RequestError
from labctl.live import Curve, Trace
from labctl.parameters import integer, number
from labctl.procedure import LabProcedure, Result, RunData
from procedures.soliton_light import INSTRUMENTS
from procedures.soliton_source import SolitonSource
from procedures.soliton_spectrum import DARK, find_lines, fit_envelope, sweep
from procedures.soliton_watch import CombWatch, drift

if TYPE_CHECKING:
    from matplotlib.figure import Figure


#: Of each sweep.
FITTED = ("fwhm (THz)", "fwhm error (THz)")


class CombSpectrum(CombWatch, LabProcedure):
    """One soliton is made, then the analyser looks at the comb behind the pump's notch filter.

    A single soliton has a smooth sech^2 envelope; several interfere.
    """

    INSTRUMENTS = (*INSTRUMENTS, "switch", "osa")

    centre: float = number("Centre", 1556.0, unit="nm", minimum=1400, maximum=1650)
    span: float = number("Span", 130.0, unit="nm", minimum=10, maximum=400)
    sweeps: int = integer("Sweeps", 2, minimum=1, maximum=100, meaning="that are compared")
    spacing: float = number(
        "Line spacing", 49.0, unit="GHz", minimum=1, maximum=1000,
        meaning="of the ring, to find the lines",
    )  # fmt: skip
    target: int = integer("Target", 1, minimum=1, maximum=8, meaning="solitons")
    attempts: int = integer("Attempts", 5, minimum=1, maximum=50, meaning="to get there")

    DATA_COLUMNS = ["index", "sweep", "pump (nm)", "comb (W)", "time (s)", *FITTED]
    TRACES = ("wavelength (nm)", "level (dBm)")
    LIVE = (
        Trace("Spectrum of the last sweep", "level (dBm)", x="wavelength (nm)", floor=DARK),
        Curve("Width of the envelope", "time (s)", *FITTED),
        Curve("Comb power", "time (s)", "comb (W)"),
    )
    RESULTS = (
        Result("fwhm", "THz", "full width at half maximum of the sech^2 envelope"),
        Result("lines_20db", "", "lines within 20 dB of the strongest, the pump left out"),
        Result(
            "residual", "dB", "rms deviation of the lines from the envelope; one soliton: < 1.5"
        ),
        Result("centre_line", "dBm", "level of the strongest line at the analyser"),
        Result("fwhm_drift", "THz/h", "change of the width, if there is a duration"),
        Result("centre_line_drift", "dB/h", "change of the strongest line"),
        Result("comb_power_drift", "%/h", "change of the comb's power, which is held"),
    )

    def startup(self) -> None:
        self.source = SolitonSource(self)
        self.source.power_up(auxiliary=True)
        self.source.make(self.attempts, self.target)

    def shutdown(self) -> None:
        self.source.power_down()

    def points(self) -> Iterator[dict[str, Any]]:
        for number_ in range(self.looks(self.sweeps)):
            yield {"sweep": number_ + 1}

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        self.wait_for_look()
        wavelength, level = sweep(
            self.bench["osa"], self.bench["switch"], "comb", self.centre, self.span
        )
        comb = self.source.hold()
        pump = self.source.wavelength
        return {
            "pump (nm)": pump,
            "comb (W)": comb,
            **self._width(wavelength, level, pump),
            "time (s)": self.bench.clock.now(),
            "wavelength (nm)": wavelength,
            "level (dBm)": level,
        }

    def _width(self, wavelength: np.ndarray, level: np.ndarray, pump: float) -> dict[str, float]:
        """Width of the envelope with its error, for whoever watches; NaN if none can be fitted."""
        found = dict.fromkeys(FITTED, math.nan)
        with contextlib.suppress(RequestError, RuntimeError):  # the analysis will say why
            lines = find_lines(wavelength, level, pump, self.spacing)
            envelope = fit_envelope(lines)
            found = dict(zip(FITTED, (envelope.fwhm, envelope.fwhm_error), strict=True))
        return found

    def analyse(self, data: RunData) -> dict[str, Any]:
        found = []
        for row in range(len(data)):
            comb = find_lines(
                data.trace("wavelength (nm)", row), data.trace("level (dBm)", row),
                float(data["pump (nm)"][row]), self.spacing,
            )  # fmt: skip
            envelope = fit_envelope(comb)
            found.append(
                (envelope.fwhm, envelope.fwhm_error, comb.within(20.0), envelope.residual,
                 comb.level.max())
            )  # fmt: skip
        table = np.array(found)
        mean = table.mean(axis=0)
        drifts: dict[str, Any] = {}
        if data.parameters.get("duration"):
            power = 100.0 * data["comb (W)"] / data["comb (W)"].mean()
            for name, values in (
                ("fwhm", table[:, 0]), ("centre_line", table[:, 4]), ("comb_power", power)
            ):  # fmt: skip
                if (change := drift(data["time (s)"], values)) is not None:
                    drifts[f"{name}_drift"] = change
        return drifts | {
            "fwhm": (float(mean[0]), float(mean[1])),
            "lines_20db": round(float(mean[2])),
            "residual": float(mean[3]),
            "centre_line": float(mean[4]),
        }

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import soliton_figures

        return {"spectrum": soliton_figures.spectrum(data, self.spacing)}
