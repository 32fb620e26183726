"""Variable optical attenuator: a filter that a motor moves, and a shutter.

Numbers: shared instrument dynamics, section 6 (0.05 dB rms of repeatability, drawn anew for each
move, 40 dB/s, 0.8 dB insertion loss). The shutter's 100 dB are assumed; it acts at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from simulated_instruments.physics.steps import Steps

REPEATABILITY_DB = 0.05  # rms
SPEED = 40.0  # dB/s
INSERTION_DB = 0.8
BLOCKED_DB = 100.0


class AttenuatorModel:
    """One attenuator. What it does to light is a function of time.

    Args:
        seed_of: gives the seed that belongs to a name (`World.seed_of`).
        name: of the attenuator, as its owner names its random numbers.
        range_db: largest attenuation of the filter.
    """

    def __init__(
        self, seed_of: Callable[[str], int], name: str = "voa", range_db: float = 60.0
    ) -> None:
        self._seed_of = seed_of
        self._name = name
        self.range_db = range_db
        self.offset_db = 0.0  # what is added to the filter's attenuation for people
        self.wavelength_nm = 1550.0
        self.filter_db = 0.0  # as set
        self._moves = Steps(0.0, 0.0, 0.0)  # start and target (dB), whether the shutter is open
        self._number = 0
        self._now = 0.0

    # ---------------------------------------------------------------- what light sees

    def loss_db(self, t: Any) -> Any:
        """Loss at a time (s), a float or an array: insertion, filter and shutter."""
        begun, rows = self._moves.at(t)
        filtered = _moved(np.asarray(t) - begun, rows[..., 0], rows[..., 1])
        loss = INSERTION_DB + filtered + BLOCKED_DB * (1.0 - rows[..., 2])
        return loss if isinstance(t, np.ndarray) else float(loss)

    def transmission(self, t: Any) -> Any:
        """Power behind it over power before it at a time (s), a float or an array."""
        return 10.0 ** (-self.loss_db(t) / 10.0)

    # ---------------------------------------------------------------- what it is told

    @property
    def open(self) -> bool:
        """Whether the shutter lets light pass."""
        return bool(self._moves.last[2])

    @open.setter
    def open(self, wanted: bool) -> None:
        self._begin(self._moves.last[1], wanted)

    @property
    def attenuation_db(self) -> float:
        """Attenuation as people set it: filter and offset."""
        return self.filter_db + self.offset_db

    @attenuation_db.setter
    def attenuation_db(self, wanted: float) -> None:
        self.filter_db = wanted - self.offset_db
        draw = np.random.Generator(
            np.random.PCG64(self._seed_of(f"{self._name}.move.{self._number}"))
        )
        self._number += 1
        missed = REPEATABILITY_DB * draw.standard_normal()
        self._begin(max(self.filter_db + missed, 0.0), self.open)

    @property
    def moving_until(self) -> float:
        """When the filter arrives, or arrived (s)."""
        begun, (start, target, _) = self._moves.at(self._now)
        return max(float(begun), 0.0) + abs(float(target - start)) / SPEED

    def restore(self) -> None:
        """Close the shutter, remove the filter and forget the offset."""
        self.offset_db = 0.0
        self.wavelength_nm = 1550.0
        self.attenuation_db = 0.0
        self.open = False

    def advance(self, now: float) -> None:
        """Note the time (s)."""
        self._now = now

    def _begin(self, target: float, is_open: bool) -> None:
        begun, (start, before, _) = self._moves.at(self._now)
        here = _moved(self._now - begun, start, before)
        self._moves.add(self._now, (here, target, is_open))


def _moved(elapsed: Any, start: Any, target: Any) -> Any:
    """Attenuation (dB) of the filter some time (s) after a move began."""
    way = target - start
    reach = np.where(way == 0.0, 0.0, np.minimum(SPEED * np.maximum(elapsed, 0.0), np.abs(way)))
    return start + np.sign(way) * reach
