"""Transmission of the ring: free spectral range, loaded quality factor, coupling, dispersion."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.errors import RequestError
from labctl.live import Curve, Trace
from labctl.parameters import choice, integer, number
from labctl.procedure import LabProcedure, Result, RunData
from procedures.comb_light import LIGHT, SPEED_OF_LIGHT, CombLight

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from drivers.itla import Itla
    from drivers.thorlabs_pm100 import ThorlabsPm100
    from drivers.toptica_dlcpro import TopticaDlcPro
    from drivers.waveshaper import WaveShaper

PUMP_PORT = 1
SETTLE = 0.01  # s from a piezo step to a reading: ten times the piezo's lag
#: How much wider than `span` the scan is that looks for the resonance first.
SEARCH = 5.0
#: The same with the second laser, whose etalon is less exact, and how many more steps that takes.
PROBE_SEARCH, MORE_STEPS = 20.0, 5


class RingTransmission(CombLight, LabProcedure):
    """Dips of the ring's transmission, with weak comb lines through the shaper.

    One line at a time goes to the ring, so weak that it does not heat it, while the laser's piezo
    steps over the resonance. The width of the dip tells the loaded quality factor and its depth the
    extraction. Three lines, the outer ones many mode spacings apart, are compared: their spacing is
    that of the modulator's synthesizer, so the free spectral range follows from small differences
    and does not need a wavemeter, and dispersion from the curvature. Scans of the three lines take
    turns, because the laser drifts.

    Instead of comb lines, the second laser can probe the same three modes on its own (`light`):
    free running, because the tone that holds its frequency is wider than a mode. It is less
    precise, but needs neither comb nor synthesizer.
    """

    INSTRUMENTS = (*LIGHT, "transmission", "probe")

    light: str = choice(
        "Light", "comb", ["comb", "probe"],
        meaning="what is scanned: weak lines of the comb, or the second laser",
    )  # fmt: skip
    centre: float = number(
        "Centre", 0.0, unit="MHz", minimum=-5000, maximum=5000,
        meaning="laser frequency, relative to where the resonance is expected",
    )  # fmt: skip
    span: float = number(
        "Span", 120.0, unit="MHz", minimum=10, maximum=2000, meaning="width of a scan"
    )
    steps: int = integer("Steps", 101, minimum=21, maximum=5001, meaning="readings of a scan")
    scans: int = integer("Scans", 8, minimum=2, maximum=1000, meaning="of each of three lines")
    line: int = integer("Line", 35, minimum=1, maximum=35, meaning="the outer lines, beside line 0")
    attenuation: float = number(
        "Attenuation", 45.0, unit="dB", minimum=0, maximum=59,
        meaning="of the line; 45 dB shift the mode by 3 % of half its linewidth",
    )  # fmt: skip
    piezo_centre: float = number(
        "Piezo centre", 70.0, unit="V", minimum=20, maximum=120, meaning="voltage to start from"
    )
    coupling: str = choice(
        "Coupling", "over", ["over", "under"],
        meaning="which of two extractions a dip means; moving the taper closer tells",
    )  # fmt: skip

    DATA_COLUMNS = ["index", "kind", "line", "scan", "centre (MHz)", "dip (MHz)", "time (s)"]
    TRACES = ("detuning (MHz)", "power (W)")
    RESULTS = (
        Result("fsr", "GHz", "spacing of the modes around line 0"),
        Result("loaded_q", "", "frequency over the full width of the dip"),
        Result("linewidth", "MHz", "full width at half depth"),
        Result("extraction", "", "part of the loaded loss that goes to the taper"),
        Result("dispersion", "kHz", "change of the mode spacing from one mode to the next"),
    )

    LIVE = (
        Trace("Transmission, last scan", "power (W)", x="detuning (MHz)"),
        Curve("Resonance of each line", "time (s)", "dip (MHz)", by="line"),
    )

    def startup(self) -> None:
        self.laser: TopticaDlcPro = self.bench["laser"]
        self.shaper: WaveShaper = self.bench["shaper"]
        self.meter: ThorlabsPm100 = self.bench["transmission"]
        self._found: dict[int, float] = {}
        self._loaded: int | None = None
        for row in self.rows:
            self._found[int(row["line"])] = row["dip (MHz)"]
        self.meter.wavelength = self.wavelength
        self.meter.averaging = 1
        self.meter.auto_range = True
        self.probe: Itla = self.bench["probe"]
        if self.light == "comb":
            self.switch_on(self.piezo_centre)
        else:
            self.shaper.block_all()
            self.settle_chip()
            self.probe.tune(self.line_zero)
            self.probe.emission = True

    def shutdown(self) -> None:
        self.bench["probe"].emission = False
        self.switch_off()

    def points(self) -> Iterator[dict[str, Any]]:
        """A wide search with line 0, then the three lines by turns."""
        yield {"kind": "search", "line": 0, "scan": 0}
        for scan in range(self.scans):
            lines = (-self.line, 0, self.line)
            # There and back: a steady drift of the laser is the same for all three.
            for line in lines if scan % 2 == 0 else lines[::-1]:
                yield {"kind": "scan", "line": line, "scan": scan}

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        line, search = point["line"], point["kind"] == "search"
        centre = self.centre if search else self._found.get(line, self._found[0])
        if self.light == "comb":
            self._load(line)
            span = self.span * (SEARCH if search else 1.0)
            detuning, power = self._scan_comb(_grid(centre, span, self.steps))
        else:
            span = self.span * (PROBE_SEARCH if search else 1.0)
            steps = self.steps * (MORE_STEPS if search else 1)
            detuning, power = self._scan_probe(line, _grid(centre, span, steps))
        dip = float(detuning[int(np.argmin(_smooth(power)))])
        self._found[line] = dip
        if search:
            self._found = {0: dip}
        self.show(f"dip of line {line}", dip, "MHz")
        return {
            "centre (MHz)": centre,
            "dip (MHz)": dip,
            "time (s)": self.bench.clock.now(),
            "detuning (MHz)": detuning,
            "power (W)": power,
        }

    def _scan_comb(self, detuning: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Powers (W) at detunings (MHz) of the laser, which its piezo moves."""
        power = np.empty(len(detuning))
        volts = self.piezo_centre + detuning / (1e3 * self.laser.piezo_gain)
        self.laser.piezo_voltage = float(volts[0])
        self.bench.clock.sleep(10 * SETTLE)
        for place, voltage in enumerate(volts.tolist()):
            self.laser.piezo_voltage = voltage
            self.bench.clock.sleep(SETTLE)
            power[place] = self.meter.power
        return detuning, power

    def _scan_probe(self, line: int, detuning: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same with the second laser, near mode `line`; it is tuned in steps of 1 MHz."""
        detuning = np.unique(np.rint(detuning))
        self.probe.mode = "dither"  # finds the channel again
        self.probe.tune(self.line_zero + 1e-3 * line * self.rf_frequency)
        self.probe.mode = "whisper"
        power = np.empty(len(detuning))
        start = self.probe.fine_tuning
        for place, shift in enumerate(detuning.tolist()):
            self.probe.fine_tuning = start + shift
            power[place] = self.meter.power
        return detuning, power

    def _load(self, line: int) -> None:
        """One line to the ring, if it is not there already."""
        if line == self._loaded:
            return
        self.shaper.clear()
        self.load_line(line, attenuation_db=self.attenuation, port=PUMP_PORT)
        self.shaper.load()
        self._loaded = line

    def analyse(self, data: RunData) -> dict[str, Any]:
        """Fits of all dips, and what they mean; errors from their scatter."""
        rows = np.flatnonzero(np.asarray(data["kind"]) == "scan")
        lines = data["line"][rows].astype(int)
        outer = data.parameters["line"]
        if min(np.sum(lines == n) for n in (-outer, 0, outer)) < 2:
            raise RequestError("this run lacks two scans of each line; resume it first")
        fits = np.array(
            [
                fit_dip(data.trace("detuning (MHz)", row), data.trace("power (W)", row))
                for row in rows.tolist()
            ]
        )
        width, depth = fits[:, 1], fits[:, 2]
        found = {n: fits[lines == n, 0] for n in (-outer, 0, outer)}
        turns = min(len(one) for one in found.values())
        low, middle, high = (found[n][:turns] for n in (-outer, 0, outer))
        frequency = SPEED_OF_LIGHT / data.parameters["wavelength"] * 1e3  # MHz
        mean_width, width_error = _mean(width)
        mean_depth, depth_error = _mean(depth)
        root = math.sqrt(max(0.0, 1.0 - mean_depth))
        over = data.parameters["coupling"] == "over"
        slope = 1.0 / (4.0 * max(root, 1e-3))
        spacing, spacing_error = _mean((high - low) / (2 * outer))
        bend, bend_error = _mean((high + low - 2 * middle) / outer**2)
        return {
            "fsr": (data.parameters["rf_frequency"] + 1e-3 * spacing, 1e-3 * spacing_error),
            "loaded_q": (frequency / mean_width, frequency / mean_width**2 * width_error),
            "linewidth": (mean_width, width_error),
            "extraction": ((1.0 + root) / 2 if over else (1.0 - root) / 2, slope * depth_error),
            "dispersion": (1e3 * bend, 1e3 * bend_error),
            # per scan: line, centre (MHz), full width (MHz), depth, power off resonance (W)
            "dips": np.column_stack([lines, fits]),
        }

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import microcomb_figures

        return {"transmission": microcomb_figures.transmission(data)}


def _grid(centre: float, span: float, steps: int) -> np.ndarray:
    return np.asarray(centre + span * (np.arange(steps) / (steps - 1) - 0.5))


def fit_dip(detuning: np.ndarray, power: np.ndarray) -> tuple[float, float, float, float]:
    """Centre, full width (MHz), relative depth, and power off resonance of a Lorentzian dip."""
    from scipy.optimize import least_squares

    smooth = _smooth(power)
    place = int(np.argmin(smooth))
    base = float(np.median(np.sort(power)[len(power) // 2 :]))
    if not base > 0:
        raise RequestError("no light behind the ring in a scan; check laser, shaper and meter")
    depth = max(1e-3, 1.0 - float(smooth[place]) / base)
    below = smooth < base * (1.0 - depth / 2)
    step = float(detuning[1] - detuning[0])
    start = (float(detuning[place]), max(2 * step, step * float(below.sum())), depth, 1.0, 0.0)
    middle, scale = float(detuning.mean()), float(np.ptp(detuning))

    def model(values: np.ndarray) -> np.ndarray:
        centre, width, deep, level, slope = values
        dip = deep / (1.0 + (2.0 * (detuning - centre) / width) ** 2)
        return np.asarray((level + slope * (detuning - middle) / scale) * (1.0 - dip))

    def missed(values: np.ndarray) -> np.ndarray:
        return model(values) - power / base

    fit = least_squares(missed, start, x_scale=(step, step, 0.1, 0.1, 0.1))
    centre, width, deep, level, _ = fit.x
    return float(centre), abs(float(width)), float(deep), float(level * base)


def _smooth(power: np.ndarray) -> np.ndarray:
    """Mean of three neighbours; the ends stay."""
    out = power.copy()
    out[1:-1] = (power[:-2] + power[1:-1] + power[2:]) / 3
    return out


def _mean(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))
