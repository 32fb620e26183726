"""Settings of a spectrum analyser: the steps that it offers and how settings depend on each other.

A setting in auto follows others; setting it by hand takes it out of auto. What differs between
families of analysers is in `Hardware`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

_E24 = [1.0, 1.1, 1.2, 1.3, 1.5, 1.6, 1.8, 2.0, 2.2, 2.4, 2.7, 3.0]
_E24 += [3.3, 3.6, 3.9, 4.3, 4.7, 5.1, 5.6, 6.2, 6.8, 7.5, 8.2, 9.1]
#: Resolution bandwidths (Hz) of the X-series: about 10 % apart to 3 MHz, then 4, 5, 6 and 8 MHz.
RBW_STEPS = np.array(
    [round(m * 10**d, 1) for d in range(6) for m in _E24]
    + [m * 1e6 for m in _E24 if m <= 3]
    + [4e6, 5e6, 6e6, 8e6]
)
#: Bandwidths (Hz) in the sequence 1, 2, 3, 5, from 1 Hz to 10 MHz.
COARSE_STEPS = np.array([m * 10.0**d for d in range(7) for m in (1, 2, 3, 5)] + [1e7])

SPAN_MIN_HZ = 10.0  # smallest span that is not zero
SWEPT_TIME_MIN_S = 1e-3
AUTO_RBW_MAX_HZ = 3e6
MIXER_LIMIT_DBM = -10.0  # highest level at the input mixer, behind the attenuator


@dataclass(frozen=True, eq=False)
class Hardware:
    """What a family of analysers offers, and some of its preset values."""

    frequency_max_hz: float
    rbw_steps_hz: np.ndarray
    vbw_steps_hz: np.ndarray
    span_over_rbw: float  # in auto
    points: int
    reference_level_dbm: float


#: Keysight N9020B with option 503; a video bandwidth of 50 MHz is as good as none.
X_SERIES = Hardware(3.6e9, RBW_STEPS, np.append(RBW_STEPS, 50e6), 106.0, 1001, 0.0)
#: Rohde & Schwarz FSV-7. Preset points and level are from memory of its manual.
FSV = Hardware(7e9, COARSE_STEPS, COARSE_STEPS, 100.0, 691, -10.0)


def nearest_step(value: float, steps: np.ndarray) -> float:
    """The step with the smallest ratio to `value`."""
    return float(steps[np.argmin(np.abs(np.log(steps / value)))])


class Knob:
    """One setting of the analyser: kept, rounded, and told to the analyser when it changes."""

    def __init__(
        self,
        preset: Any,
        fit: Callable[[Hardware, Any], Any] = lambda hardware, value: value,
        *,
        auto: str = "",
        tunes: bool = True,
    ) -> None:
        self.preset = preset
        self.fit = fit
        self.auto = auto  # the switch that couples this setting; setting it by hand turns it off
        self.tunes = tunes  # whether a change disturbs the signal path, not only the display

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, model: AnalyserSettings, owner: type) -> Any:
        return self if model is None else model.settings[self.name]

    def __set__(self, model: AnalyserSettings, value: Any) -> None:
        changes = {self.name: self.fit(model.hardware, value)}
        if self.auto:
            changes[self.auto] = False
        model.change(changes, self.tunes)


class AnalyserSettings:
    """All settings; frequencies in Hz, times in s, levels in dBm."""

    centre_hz = Knob(0.0)  # the preset is half of what the hardware offers
    span_hz = Knob(0.0, lambda _, v: v if v >= SPAN_MIN_HZ or v == 0 else SPAN_MIN_HZ)
    rbw_hz = Knob(3e6, lambda has, v: nearest_step(v, has.rbw_steps_hz), auto="rbw_auto")
    rbw_auto = Knob(True)
    vbw_hz = Knob(3e6, lambda has, v: nearest_step(v, has.vbw_steps_hz), auto="vbw_auto")
    vbw_auto = Knob(True)
    video_bypassed = Knob(False)  # whether the detector gets the video signal unfiltered
    sweep_time_s = Knob(1e-3, auto="sweep_time_auto")
    sweep_time_auto = Knob(True)
    points = Knob(1001)
    detector = Knob("NORM", auto="detector_auto")
    detector_auto = Knob(True)
    average_type = Knob("LOG", auto="average_type_auto")
    average_type_auto = Knob(True)
    average_count = Knob(100, tunes=False)
    trace_type = Knob("WRIT", tunes=False)
    reference_level_dbm = Knob(0.0, tunes=False)
    db_per_division = Knob(10.0, tunes=False)
    attenuation_db = Knob(10.0, lambda _, v: 2.0 * round(v / 2), auto="attenuation_auto")
    attenuation_auto = Knob(True)
    #: What several sweeps are averaged in: "RMS", "LOG" or "SCAL"; "": as `average_type`.
    sweep_average = Knob("")

    def __init__(self) -> None:
        self.hardware = X_SERIES  # another family may be put here; then preset it
        self.settings: dict[str, Any] = {}
        self.restore()

    def restore(self) -> None:
        """Bring all settings to their preset values."""
        knobs = {n: k for n, k in vars(AnalyserSettings).items() if isinstance(k, Knob)}
        self.settings = {name: knob.preset for name, knob in knobs.items()}
        self.settings |= {
            "centre_hz": self.hardware.frequency_max_hz / 2,
            "span_hz": self.hardware.frequency_max_hz,
            "points": self.hardware.points,
            "reference_level_dbm": self.hardware.reference_level_dbm,
        }

    def disturbed(self, tunes: bool) -> None:
        """Called when settings have changed; `tunes`: also in the signal path."""

    def change(self, changes: dict[str, Any], tunes: bool) -> None:
        """Apply settings and what is coupled to them; a running sweep starts again."""
        before = dict(self.settings)
        self.settings |= changes
        self._couple(changes)
        if self.settings != before:
            self.disturbed(tunes)

    def _couple(self, changes: dict[str, Any]) -> None:
        s, most, steps = self.settings, self.hardware.frequency_max_hz, self.hardware.rbw_steps_hz
        if s["span_hz"]:
            edge = SPAN_MIN_HZ / 2
            s["centre_hz"] = min(max(s["centre_hz"], edge), most - edge)
        room = 2 * min(s["centre_hz"], most - s["centre_hz"])
        if "centre_hz" in changes:
            s["span_hz"] = min(s["span_hz"], room)
        elif s["span_hz"] > room:
            half = s["span_hz"] / 2
            s["centre_hz"] = min(max(s["centre_hz"], half), most - half)
        if s["rbw_auto"] and s["span_hz"]:
            wanted = s["span_hz"] / self.hardware.span_over_rbw
            s["rbw_hz"] = nearest_step(wanted, steps[steps <= AUTO_RBW_MAX_HZ])
        if s["vbw_auto"]:
            s["vbw_hz"] = s["rbw_hz"]
        if s["span_hz"]:
            slow = self.needed_sweep_time()
            least = slow if s["sweep_time_auto"] else SWEPT_TIME_MIN_S
            if s["sweep_time_auto"] or s["sweep_time_s"] < least:
                s["sweep_time_s"] = least
        if s["detector_auto"]:
            s["detector"] = "AVER" if s["trace_type"] == "AVER" else "NORM"
        if s["average_type_auto"]:
            s["average_type"] = "LOG"
        if s["attenuation_auto"]:
            wanted = 2.0 * math.ceil((s["reference_level_dbm"] - MIXER_LIMIT_DBM) / 2)
            s["attenuation_db"] = min(max(10.0, wanted), 70.0)

    def needed_sweep_time(self) -> float:
        """Shortest sweep (s) in which both filters settle at every frequency."""
        filters = float(self.rbw_hz) * min(self.rbw_hz, self.vbw_hz)
        return max(SWEPT_TIME_MIN_S, 2.5 * float(self.span_hz) / filters)

    @property
    def uncalibrated(self) -> bool:
        """Whether the sweep is too fast for its filters."""
        return bool(self.span_hz) and self.sweep_time_s < self.needed_sweep_time()

    @property
    def start_hz(self) -> float:
        return float(self.centre_hz - self.span_hz / 2)

    @start_hz.setter
    def start_hz(self, value: float) -> None:
        self._set_edges(value, max(self.stop_hz, value + SPAN_MIN_HZ))

    @property
    def stop_hz(self) -> float:
        return float(self.centre_hz + self.span_hz / 2)

    @stop_hz.setter
    def stop_hz(self, value: float) -> None:
        self._set_edges(min(self.start_hz, value - SPAN_MIN_HZ), value)

    def _set_edges(self, low: float, high: float) -> None:
        most = self.hardware.frequency_max_hz
        low = min(max(0.0, low), most - SPAN_MIN_HZ)
        high = min(max(low + SPAN_MIN_HZ, high), most)
        self.change({"span_hz": high - low, "centre_hz": (low + high) / 2}, tunes=True)
