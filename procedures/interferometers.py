"""Holds the phases of unbalanced interferometers: reference light in, heater voltages out.

Each interferometer has two photodiodes in quadrature behind its reference light, which read cosine
and sine of its phase, and a heater, whose power shifts the phase in proportion. A loop in software
looks often enough: phases walk slowly. A heater that comes to the end of its range goes back by
whole turns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from labctl.errors import InstrumentError

if TYPE_CHECKING:
    from drivers.qontrol import QontrolInputs, QontrolOutputs
    from labctl.clock import Clock

STEPS = 12  # of the heaters over a turn
GAIN = 0.9  # of each correction
SETTLE = 0.05  # s from a correction to a look: five times the heaters' lag
CAPTURE = 60  # looks that a hold may take to close
CLOSED = 0.06  # rad, within which it counts as closed
LOST = 0.6  # rad, beyond which it counts as lost
OFF = 0.3  # relative change of the fringe beyond which this is not its reference light
LOWEST = 0.5  # turns of heater power at which a heater begins


class PhaseHold:
    """The interferometers of several users, two each; number = 2 x user + basis.

    Args:
        heaters: what drives the heaters: channel n is interferometer n.
        diodes: what reads the photodiodes: channels 2 n (cosine) and 2 n + 1 (sine).
        clock: the bench's.
        turn_mw: heater power of one turn of the phase.
        ohm: resistance of a heater.
        count: interferometers.
    """

    def __init__(
        self,
        heaters: QontrolOutputs,
        diodes: QontrolInputs,
        clock: Clock,
        *,
        turn_mw: float,
        ohm: float,
        count: int,
    ) -> None:
        self.heaters, self.diodes, self.clock = heaters, diodes, clock
        self.targets = np.zeros(count)
        self.count = count
        self._turn_w, self._ohm = 1e-3 * turn_mw, ohm
        self._turns = np.full(count, 1.0)
        self._centres = np.zeros((count, 2))  # mA, middle of each diode's fringe
        self._radius = np.ones((count, 2))
        self._most = math.floor(self._turns_at(heaters.full_scale) - LOWEST)

    def _turns_at(self, volts: float) -> float:
        return volts**2 / self._ohm / self._turn_w

    def start(self) -> None:
        """Find middle and height of all fringes with a little more than a turn of the heaters.

        Both photodiodes together describe an ellipse, whatever the phases were on the way.

        Raises:
            InstrumentError: a photodiode sees no fringe.
        """
        seen = []
        for step in range(STEPS):
            self._turns[:] = LOWEST + 1.0 + step / (STEPS - 2)
            self._apply()
            self.clock.sleep(SETTLE)
            seen.append(self._read())
        for place, points in enumerate(np.moveaxis(np.array(seen), 1, 0)):
            self._centres[place], self._radius[place] = ellipse(points)
        weak = np.flatnonzero(~(self._radius > 0.1 * self._centres).all(axis=1))
        if weak.size:
            raise InstrumentError(
                f"{self.diodes.name}: no fringe of the reference light at interferometer "
                f"{int(weak[0])}; check reference light, heater and photodiodes"
            )

    def close(self, targets: Sequence[float] | np.ndarray | None = None) -> None:
        """Bring all phases to their targets (rad).

        Raises:
            InstrumentError: one does not get there.
        """
        if targets is not None:
            self.targets = np.asarray(targets, dtype=float)
        for _ in range(CAPTURE):
            worst = np.abs(self.update()).max()
            self.clock.sleep(SETTLE)
            if worst < CLOSED:
                return
        errors = self.errors()
        place = int(np.argmax(np.abs(errors)))
        if not math.isfinite(errors[place]):
            raise InstrumentError(
                f"{self.diodes.name}: the reference light of interferometer {place} is not what it "
                "was when its fringe was measured; check laser 1 and the photodiodes"
            )
        raise InstrumentError(
            f"{self.heaters.name}: interferometer {place} is {errors[place]:+.2f} rad from its "
            f"phase after {CAPTURE} corrections; check heater, its resistance and turn_power"
        )

    def update(self) -> np.ndarray:
        """Correct all phases once; returns their errors (rad) before that."""
        errors = self.errors()
        self._turns -= GAIN * np.where(np.isfinite(errors), errors, 0.0) / (2.0 * math.pi)
        low, high = LOWEST, LOWEST + self._most
        self._turns += np.ceil(np.maximum(low - self._turns, 0.0))
        self._turns -= np.ceil(np.maximum(self._turns - high, 0.0))
        self._apply()
        return errors

    def errors(self) -> np.ndarray:
        """Phases less their targets (rad), from -pi to pi; inf if the reference light changed."""
        levels = (self._read() - self._centres) / self._radius
        phases = np.arctan2(levels[:, 1], levels[:, 0])
        errors = np.mod(phases - self.targets + math.pi, 2.0 * math.pi) - math.pi
        errors[np.abs(np.hypot(levels[:, 0], levels[:, 1]) - 1.0) > OFF] = math.inf
        return np.asarray(errors)

    def off(self) -> None:
        """No current through the heaters."""
        self.heaters.make_safe()

    def _read(self) -> np.ndarray:
        return np.reshape(self.diodes.currents[: 2 * self.count], (self.count, 2))

    def _apply(self) -> None:
        volts = np.sqrt(self._turns * self._turn_w * self._ohm)
        self.heaters.voltages = volts.tolist()


def ellipse(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre and half axes of an upright ellipse through points (rows), nan if there is none."""
    scale = points.mean(axis=0)
    if not (scale > 0).all():
        return np.full(2, np.nan), np.full(2, np.nan)
    x, y = (points / scale).T
    a, b, c, d = np.linalg.lstsq(np.stack([x**2, y**2, x, y], axis=1), np.ones(len(x)))[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = np.array([-c / (2 * a), -d / (2 * b)])
        size = 1 + a * centre[0] ** 2 + b * centre[1] ** 2
        return centre * scale, np.sqrt(np.array([size / a, size / b])) * scale
