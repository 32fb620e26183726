"""Variable optical attenuator: a filter that a motor moves, and a shutter.

Numbers: shared instrument dynamics, section 6 (0.05 dB rms of repeatability, drawn anew for each
move, 40 dB/s, 0.8 dB insertion loss). The shutter's 100 dB are assumed; it acts at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

REPEATABILITY_DB = 0.05  # rms
SPEED = 40.0  # dB/s
INSERTION_DB = 0.8
BLOCKED_DB = 100.0
REMEMBERED = 1000  # moves that can still be asked about


class _Move(NamedTuple):
    """What holds from `begun` (s) on."""

    begun: float
    start: float  # dB
    target: float  # dB
    open: bool


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
        self._moves = [_Move(0.0, 0.0, 0.0, False)]
        self._number = 0
        self._now = 0.0

    # ---------------------------------------------------------------- what light sees

    def loss_db(self, t: Any) -> Any:
        """Loss at a time (s), a float or an array: insertion, filter and shutter."""
        times = np.asarray(t, dtype=float)
        loss = np.zeros(times.shape)
        for number, move in enumerate(self._moves):
            here = INSERTION_DB + (0.0 if move.open else BLOCKED_DB) + _filter(move, times)
            loss = here if number == 0 else np.where(times >= move.begun, here, loss)
        return loss if isinstance(t, np.ndarray) else float(loss)

    def transmission(self, t: Any) -> Any:
        """Power behind it over power before it at a time (s), a float or an array."""
        return 10.0 ** (-self.loss_db(t) / 10.0)

    # ---------------------------------------------------------------- what it is told

    @property
    def open(self) -> bool:
        """Whether the shutter lets light pass."""
        return self._moves[-1].open

    @open.setter
    def open(self, wanted: bool) -> None:
        self._begin(self._moves[-1].target, wanted)

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
        move = self._moves[-1]
        return move.begun + abs(move.target - move.start) / SPEED

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
        here = float(_filter(self._moves[-1], np.asarray(self._now)))
        move = _Move(self._now, here, target, is_open)
        self._moves = [*self._moves[1 - REMEMBERED :], move]


def _filter(move: _Move, times: Any) -> Any:
    """Attenuation (dB) of the filter at times (s) after a move began."""
    elapsed = np.maximum(times - move.begun, 0.0)
    way = move.target - move.start
    return move.start + np.sign(way) * np.minimum(SPEED * elapsed, abs(way))
