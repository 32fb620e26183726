"""What spectroscopy says about the magnomechanics bench: which setting gives which working point.

Everything is found again in each run from a few sweeps of the network analyser, because cavities
and field come back differently after each cool-down: tuner voltages against cavity frequencies, the
field against the magnon's frequency, antenna and sphere against decay and coupling of cavity 2, and
the drive's level against the coupling G. Detunings are in MHz from the drive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from labctl.analysis.magnomechanics import (
    GYROMAGNETIC,
    Device,
    drive_power,
    growth,
    impedance,
    strain_shift,
)
from labctl.errors import RequestError

#: Columns of a fitted sweep, by field of the device.
FITTED = {
    "detuning_1": "D1 (MHz)",
    "detuning_2": "D2 (MHz)",
    "detuning_m": "Dm (MHz)",
    "kappa_1": "kappa 1 (MHz)",
    "kappa_2": "kappa 2 (MHz)",
    "kappa_m": "kappa m (MHz)",
    "g_1": "g 1 (MHz)",
    "g_2": "g 2 (MHz)",
    "coupling": "G (MHz)",
}
#: Columns of their standard errors by the fit alone; NaN where the fit kept a value as it was.
FIT_ERRORS = {name: column.replace(" (", " error (") for name, column in FITTED.items()}
AXES = ("tuner 1 (V)", "tuner 2 (V)", "antenna (V)", "sphere (V)")
MIDDLE = 60.0  # V, of antenna and sphere to begin with
HIGHEST_VOLTS = 120.0
#: Voltages of the tuners in the first sweeps, of antenna and sphere in later ones.
COARSE = (10.0, 35.0, 60.0, 85.0, 110.0)
AXES_STEPS = ((28.0, 44.0), (44.0, 76.0), (60.0, 60.0), (76.0, 35.0), (92.0, 88.0))
#: Fields, as magnon detunings, of the sweeps that find the magnon.
CROSSINGS = (-7.0, 2.0, 11.0)
#: dB below the wanted drive of the first sweep with drive, in case it does more than expected.
CAUTION = 14.0


class Setup:
    """Collects fitted sweeps and inverts them."""

    def __init__(self, drive: float, expected: Device, strength: float) -> None:
        self.drive = drive  # MHz
        self.expected = expected
        self._strength = strength  # G |Z| per square root of mW, as expected
        self._rows: dict[str, list[Mapping[str, Any]]] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        """Take note of a sweep that was fitted."""
        self._rows.setdefault(str(row["kind"]), []).append(row)

    def _table(self, kind: str, *columns: str) -> np.ndarray:
        rows = self._rows.get(kind, [])
        return np.array([[float(row[column]) for column in columns] for row in rows])

    # ------------------------------------------------- cavities

    def tuning(self, number: int) -> np.ndarray:
        """Polynomial of cavity `number`'s detuning over its tuner's voltage."""
        table = self._table("coarse", AXES[number - 1], FITTED[f"detuning_{number}"])
        if len(table) < 3:
            raise RequestError("this run lacks the sweeps over the tuners; resume it first")
        return np.polyfit(table[:, 0], table[:, 1], 2)

    def tuner_volts(self, number: int, detuning: float) -> float:
        """Voltage that brings cavity 1 or 2 to a detuning.

        Raises:
            RequestError: out of the tuner's range.
        """
        curve = self.tuning(number)
        found = [
            float(root.real)
            for root in np.roots(curve - [0.0, 0.0, detuning])
            if abs(root.imag) < 1e-9 and 0.0 <= root.real <= HIGHEST_VOLTS
        ]
        if not found:
            low, high = np.polyval(curve, [0.0, HIGHEST_VOLTS]).tolist()
            raise RequestError(
                f"cavity {number} cannot be tuned to {detuning:g} MHz from the drive, only from "
                f"{low:.1f} to {high:.1f} MHz; move the drive or ask for another detuning"
            )
        return found[0]

    # ------------------------------------------------- magnon, antenna, sphere

    def field(self, detuning: float) -> float:
        """Field (T) for a bare magnon detuning."""
        nominal = 1e-3 * (self.drive + detuning) / GYROMAGNETIC
        table = self._table("cross", "field (T)", FITTED["detuning_m"])
        if not len(table):
            return nominal
        offset = float(np.mean(table[:, 1] - (1e3 * GYROMAGNETIC * table[:, 0] - self.drive)))
        return nominal - 1e-3 * offset / GYROMAGNETIC

    def antenna_volts(self, kappa: float) -> float:
        """Voltage of the antenna for a decay rate of cavity 2."""
        table = self._table("axes", AXES[2], FITTED["kappa_2"])
        if len(table) < 3:
            return MIDDLE
        slope, start = np.polyfit(table[:, 0], np.log(table[:, 1]), 1)
        return self._inside("antenna", "decay rate", kappa, (math.log(kappa) - start) / slope)

    def sphere_volts(self, coupling: float) -> float:
        """Voltage of the sphere's positioner for a coupling to cavity 2."""
        table = self._table("axes", AXES[3], FITTED["g_2"])
        if len(table) < 3:
            return MIDDLE
        slope, start = np.polyfit(table[:, 0], table[:, 1], 1)
        return self._inside("sphere", "coupling", coupling, (coupling - start) / slope)

    @staticmethod
    def _inside(axis: str, what: str, value: float, volts: float) -> float:
        if not 0.0 <= volts <= HIGHEST_VOLTS:
            raise RequestError(
                f"a {what} of {value:.3g} MHz of cavity 2 needs {volts:.0f} V at the {axis}, which "
                f"has 0 to {HIGHEST_VOLTS:g} V; ask for less"
            )
        return float(volts)

    def device(self) -> Device:
        """The expected device with what does not depend on settings as it was measured."""
        known = {}
        for name in ("kappa_1", "kappa_m", "g_1"):
            table = self._table("axes", FITTED[name])
            if len(table):
                known[name] = float(np.mean(table))
        return self.expected.with_(**known)

    def as_measured(self, device: Device) -> Device:
        """A device with what does not depend on settings as it was measured."""
        known = self.device()
        return device.with_(kappa_1=known.kappa_1, kappa_m=known.kappa_m, g_1=known.g_1)

    # ------------------------------------------------- drive

    @property
    def strength(self) -> float:
        """G |Z| per square root of the source's power (MHz^2 / sqrt(mW)), as far as known."""
        rows = self._rows.get("pump", [])
        if not rows:
            return self._strength
        return self._strength_of(rows[-1])

    def _strength_of(self, row: Mapping[str, Any]) -> float:
        fields = {name: float(row[column]) for name, column in FITTED.items()}
        here = self.expected.with_(**fields)
        power = 10 ** (float(row["drive (dBm)"]) / 10)
        return fields["coupling"] * abs(complex(impedance(here))) / math.sqrt(power)

    def level(self, device: Device) -> float:
        """Level (dBm) of the source that gives `device.coupling`."""
        needed = float(device.coupling) * abs(complex(impedance(device))) / self.strength
        return 20.0 * math.log10(max(needed, 1e-6))

    def bare_detuning(self, device: Device) -> float:
        """Magnon detuning to set for the wanted one, which the mean strain lowers."""
        return float(device.detuning_m + strain_shift(device.coupling, device.phonon))


def expected_strength(device: Device, single: float, gain: float, radius: float) -> float:
    """G |Z| per sqrt(mW) of the source: `single` Hz, `gain` dB between source and sphere."""
    at_sphere = float(drive_power(device, single, radius))
    product = float(device.coupling) * abs(complex(impedance(device)))
    return product / math.sqrt(at_sphere) * 10 ** (gain / 20)


def require_stable(device: Device, where: str) -> None:
    """Refuse a working point without a steady state, and say up to which G there is one.

    Raises:
        RequestError: the drift matrix has an eigenvalue that grows.
    """
    rate = float(growth(device))
    if rate < 0:
        return
    low, high = 0.0, float(device.coupling)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if float(growth(device.with_(coupling=middle))) < 0 else (
            low, middle)  # fmt: skip
    raise RequestError(
        f"{where}: unstable operating point, the drift matrix has an eigenvalue that grows at "
        f"{rate:.3g} MHz; it is stable up to G = {low:.3f} MHz, so drive it less"
    )
