"""Scan generator and wide scan of the simulated DLC pro: rows of its tree that move the laser."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from simulated_instruments.physics.laser import COARSE_SLEW, CtlLaserModel
from simulated_instruments.protocol.decof import CLIPPED, INVALID_VALUE
from simulated_instruments.protocol.decof_tree import Tree

PIEZO, CURRENT, WAVELENGTH = 50, 51, 78  # signal ids
UNITS = {PIEZO: "V", CURRENT: "mA", 20: "V", 21: "V"}
SINE, TRIANGLE = 0, 1
SLOWEST = 1e-3  # nm/s


class ScanGenerator:
    """`laser1:scan`: a periodic voltage; only the piezo channel reaches the light."""

    def __init__(self, tree: Tree, model: CtlLaserModel) -> None:
        self._tree = tree
        self._values = tree.values
        self._model = model
        name, apply = "laser1:scan", self._apply
        tree.stored(f"{name}:enabled", False, then=apply)
        tree.stored(f"{name}:hold", False, then=apply)
        tree.stored(f"{name}:signal-type", TRIANGLE, choices=(SINE, TRIANGLE), then=apply)
        tree.stored(f"{name}:frequency", 10.0, low=0.02, high=400.0, then=apply)
        tree.stored(f"{name}:phase-shift", 0.0, low=0.0, high=360.0, then=apply)
        tree.stored(f"{name}:output-channel", PIEZO, choices=tuple(UNITS), then=apply)
        tree.shown(f"{name}:unit", str, lambda t: UNITS[self._values[f"{name}:output-channel"]])
        tree.stored(f"{name}:amplitude", 1.0, low=0.0, high=140.0, then=apply)
        tree.stored(f"{name}:offset", 70.0, low=0.0, high=400.0, then=apply)
        self._add_edge("start", -0.5)
        self._add_edge("end", 0.5)

    def _add_edge(self, name: str, side: float) -> None:
        def write(value: float, t: float) -> int:
            return self._set_edge(side, value, t)

        self._tree.shown(f"laser1:scan:{name}", float, lambda t: self._edge(side), write)

    def _edge(self, side: float) -> float:
        scan = self._values
        return float(scan["laser1:scan:offset"] + side * scan["laser1:scan:amplitude"])

    def _set_edge(self, side: float, value: float, t: float) -> int:
        """Move one end and leave the other where it is."""
        amplitude = (value - self._edge(-side)) * math.copysign(1.0, side)
        if not 0.0 <= amplitude <= 140.0:
            return INVALID_VALUE
        self._values["laser1:scan:offset"] = 0.5 * (value + self._edge(-side))
        self._values["laser1:scan:amplitude"] = amplitude
        self._apply(t)
        return 0

    def _apply(self, t: float) -> None:
        values = self._values
        if not values["laser1:scan:enabled"] or values["laser1:scan:output-channel"] != PIEZO:
            self._model.set_scan(None, t)
        elif values["laser1:scan:hold"]:
            held = self._model.piezo_volts(t)
            self._model.set_scan(lambda when: when * 0.0 + held, t)
        else:
            self._model.set_scan(self._waveform(t), t)

    def _waveform(self, begun: float) -> Callable[[Any], Any]:
        values = self._values
        offset, half = values["laser1:scan:offset"], 0.5 * values["laser1:scan:amplitude"]
        frequency = values["laser1:scan:frequency"]
        phase = values["laser1:scan:phase-shift"] / 360.0
        sine = values["laser1:scan:signal-type"] == SINE
        low, high = values["laser1:dl:pc:voltage-min"], values["laser1:dl:pc:voltage-max"]

        def volts(t: Any) -> Any:
            turn = (t - begun) * frequency + phase
            if sine:
                shape = np.sin(2.0 * math.pi * turn)
            else:
                shape = 1.0 - 4.0 * np.abs((turn + 0.25) % 1.0 - 0.5)
            return np.clip(offset + half * shape, low, high)

        return volts


class WideScan:
    """`laser1:wide-scan`: the motor runs from one wavelength to another, once or for ever."""

    def __init__(self, tree: Tree, model: CtlLaserModel, shift_nm: Callable[[], float]) -> None:
        self._values = tree.values
        self._model = model
        self._shift_nm = shift_nm  # calibration: shown wavelength minus that of the motor
        self._name = name = "laser1:wide-scan"
        shortest, longest = model.range_nm
        tree.stored(f"{name}:output-channel", WAVELENGTH, choices=(WAVELENGTH,))
        tree.stored(f"{name}:scan-begin", 1549.0, low=shortest, high=longest)
        tree.stored(f"{name}:scan-end", 1551.0, low=shortest, high=longest)
        tree.fixed(f"{name}:speed-min", SLOWEST)
        tree.fixed(f"{name}:speed-max", COARSE_SLEW)
        tree.stored(f"{name}:speed", 1.0, low=SLOWEST, high=COARSE_SLEW)
        tree.shown(f"{name}:duration", float, lambda t: self._duration(), self._set_duration)
        tree.stored(f"{name}:shape", 0, choices=(0, 1))  # sawtooth, triangle
        tree.stored(f"{name}:continuous-mode", False)
        tree.fixed(f"{name}:value-unit", "nm")
        tree.shown(f"{name}:value-act", float, lambda t: round(model.coarse_nm(t) + shift_nm(), 4))
        tree.shown(f"{name}:progress", int, self._progress)
        tree.shown(f"{name}:remaining-time", int, self._remaining)
        tree.command(f"{name}:start", self._start)
        tree.command(f"{name}:stop", self._stop)

    def _span(self) -> float:
        return float(
            abs(self._values[f"{self._name}:scan-end"] - self._values[f"{self._name}:scan-begin"])
        )

    def _duration(self) -> float:
        return self._span() / float(self._values[f"{self._name}:speed"])

    def _set_duration(self, seconds: float, t: float) -> int:
        """A duration is a speed; what the motor cannot do is clipped."""
        wanted = self._span() / seconds if seconds > 0 else math.inf
        speed = min(max(wanted, SLOWEST), COARSE_SLEW)
        self._values[f"{self._name}:speed"] = speed
        return 0 if speed == wanted else CLIPPED

    def _start(self, t: float) -> None:
        values, name, shift = self._values, self._name, self._shift_nm()
        begin, end = values[f"{name}:scan-begin"] - shift, values[f"{name}:scan-end"] - shift
        forth = max(self._duration(), 1e-3)
        times: tuple[float, ...] = (0.0, forth)
        positions: tuple[float, ...] = (begin, end)
        if values[f"{name}:shape"] == 1:
            times, positions = (0.0, forth, 2.0 * forth), (begin, end, begin)
        elif values[f"{name}:continuous-mode"]:  # fly back as fast as the motor can
            back = max(self._span() / COARSE_SLEW, 1e-3)
            times, positions = (0.0, forth, forth + back), (begin, end, begin)
        self._model.sweep(times, positions, values[f"{name}:continuous-mode"], t)

    def _stop(self, t: float) -> None:
        if self._model.wide_scan is not None:
            self._model.halt(t)

    def _progress(self, t: float) -> int:
        scan = self._model.wide_scan
        if scan is None or t < scan.begun:
            return 0
        done = (t - scan.begun) / scan.times[-1]
        return int(100.0 * (done % 1.0 if scan.repeat else min(done, 1.0)))

    def _remaining(self, t: float) -> int:
        scan = self._model.wide_scan
        if scan is None or t >= scan.ends:
            return 0
        if scan.repeat:
            return math.ceil(scan.times[-1] - max(t - scan.begun, 0.0) % scan.times[-1])
        return math.ceil(scan.ends - t)
