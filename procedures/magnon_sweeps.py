"""Sweeps of the network analyser that tune the magnomechanics bench up and check where it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from labctl.analysis.magnomechanics import Device
from labctl.analysis.mode_fit import (
    CAVITIES,
    MODES,
    ModeFit,
    best_start,
    fit_modes,
    resonance_guess,
)
from procedures.magnon_bench import SETTLE, MagnonBench
from procedures.magnon_setup import (
    AXES_STEPS,
    CAUTION,
    COARSE,
    CROSSINGS,
    FIT_ERRORS,
    FITTED,
    MIDDLE,
)

VNA_BANDWIDTH, VNA_POWER = 10e3, -10.0  # Hz, dBm
DRIVEN_STEP = 0.2  # MHz, of sweeps with the pump on
#: Kinds of points that tune up.
TUNE_UP = ("coarse", "cross", "axes", "pump")


class MagnonSweeps(MagnonBench):
    """Points of kind `coarse`, `cross`, `axes`, `pump` and `check`."""

    def tune_up_points(self, device: Device) -> Iterator[dict[str, Any]]:
        """Sweeps that find out how to set the bench to anything."""
        for step in range(len(COARSE)):
            yield {"kind": "coarse", "place": -1, "step": step}
        for step in range(len(self.crossings())):
            yield {"kind": "cross", "place": -1, "step": step}
        for step in range(len(AXES_STEPS)):
            yield {"kind": "axes", "place": -1, "step": step}
        for step in range(2):
            yield {"kind": "pump", "place": -1, "step": step}

    def measure_sweep(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """A point of the tune-up, or a check of a working point."""
        row = getattr(self, f"_{point['kind']}")(point)
        self.setup.add({**point, **row})
        return self.complete(row)

    def _sweep(self, low: float, high: float, step: float) -> tuple[np.ndarray, np.ndarray]:
        """Detunings (MHz) and S parameters."""
        points = round((high - low) / step) + 1
        drive = self.drive_frequency
        frequencies, s = self.vna.sweep(
            1e6 * (drive + low), 1e6 * (drive + high), points, VNA_BANDWIDTH, VNA_POWER
        )
        return 1e-6 * frequencies - drive, s

    def _fitted(self, probe: np.ndarray, s: np.ndarray, fit: ModeFit) -> dict[str, Any]:
        found = {column: float(getattr(fit.device, name)) for name, column in FITTED.items()}
        full = np.full((len(FITTED), len(FITTED)), 0.0)
        places = [list(FITTED).index(name) for name in fit.names]
        full[np.ix_(places, places)] = fit.covariance
        scatter = np.where(np.diag(full) > 0, np.sqrt(np.diag(full)), np.nan)
        errors = dict(zip(FIT_ERRORS.values(), scatter.tolist(), strict=True))
        return {
            **self.settings(), **found, **errors, "misfit": fit.misfit, "stage (mK)": self._stage,
            "probe (MHz)": probe, "s": s, "fit covariance": full,
        }  # fmt: skip

    def _coarse(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Both cavities, with the magnon far away."""
        volts = COARSE[point["step"]]
        self.set_axes([volts, volts, MIDDLE, MIDDLE])
        away = -500.0
        self.set_field(self.setup.field(away))
        probe, s = self._sweep(-42.0, 48.0, 0.1)
        start = self.reference.with_(
            coupling=0.0,
            detuning_1=resonance_guess(probe, s[:, 0, 0]),
            detuning_2=resonance_guess(probe, s[:, 1, 1]),
            detuning_m=away, kappa_2=self.reference.kappa_1, g_2=self.reference.g_1,
        )  # fmt: skip
        return self._fitted(probe, s, fit_modes(probe, s, start, CAVITIES))

    def _near(self, detuning_m: float, volts: tuple[float, float]) -> tuple[Any, Any, Device]:
        """Sweep all three modes, with the cavities at +-10 MHz and the magnon nearby."""
        self.set_axes([self.setup.tuner_volts(1, 10.0), self.setup.tuner_volts(2, -10.0), *volts])
        self.set_field(self.setup.field(detuning_m))
        probe, s = self._sweep(-32.0, 32.0, 0.1)
        start = self.reference.with_(
            coupling=0.0, detuning_1=10.0, detuning_2=-10.0, detuning_m=detuning_m
        )
        return probe, s, start

    def crossings(self) -> tuple[float, ...]:
        """Magnon detunings (MHz) at which sweeps look for it."""
        return CROSSINGS

    def _cross(self, point: Mapping[str, Any]) -> dict[str, Any]:
        aim = self.crossings()[point["step"]]
        probe, s, start = self._near(aim, (MIDDLE, MIDDLE))
        start = start.with_(kappa_2=start.kappa_1, g_2=start.g_1)
        start = best_start(probe, s, start, {"detuning_m": np.arange(aim - 20, aim + 20.1, 1.0)})
        return self._fitted(probe, s, fit_modes(probe, s, start, MODES))

    def _axes(self, point: Mapping[str, Any]) -> dict[str, Any]:
        probe, s, start = self._near(0.0, AXES_STEPS[point["step"]])
        scale = np.array([0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0])
        trials = {
            "kappa_2": float(start.kappa_1) * scale,
            "g_2": float(start.g_1) * np.arange(0.3, 1.9, 0.2),
        }
        return self._fitted(probe, s, fit_modes(probe, s, best_start(probe, s, start, trials)))

    def _pump(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """First with caution, then as wanted; the coupling is fitted both times."""
        aim = self.reference
        if point["step"] == 0:
            aim = aim.with_(coupling=float(aim.coupling) * 10 ** (-CAUTION / 20))
        self.go_to(aim)
        row, _ = self.fit_driven(aim, wide=point["step"] == 0)
        return row

    def _check(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """The working point as it is with the pump on."""
        aim = self.device_of(point)
        self.go_to(aim)
        row, fit = self.fit_driven(aim)
        self.show("G", float(fit.device.coupling), "MHz")
        return row

    def device_of(self, point: Mapping[str, Any]) -> Device:
        """The working point that a point of kind `check` or `state` belongs to."""
        raise NotImplementedError

    def fit_driven(self, aim: Device, wide: bool = False) -> tuple[dict[str, Any], ModeFit]:
        """Sweep with the pump on and fit everything; the pump is open again afterwards."""
        start = self.setup.as_measured(aim)
        self.pump(True)
        self.bench.clock.sleep(SETTLE)
        probe, s = self._sweep(-32.0, 32.0, DRIVEN_STEP)
        self.pump(False)
        if wide:
            start = best_start(
                probe, s, start,
                {"coupling": float(start.coupling) * np.geomspace(0.2, 6.0, 18),
                 "detuning_m": float(start.detuning_m) + np.arange(-4.0, 4.1, 0.5)},
            )  # fmt: skip
        free = (*MODES, "coupling")
        fit = fit_modes(probe, s, start, free)
        return self._fitted(probe, s, fit), fit
