"""A four-channel digitiser with a circular buffer, digital pins and slow analog outputs.

What it samples comes from the world: a function that gives volts at equally spaced times. The
converter has 14 bits over +-1 V; what is beyond is cut off.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Codes = NDArray[np.int16]

#: volts(start s, spacing s, count, generator) -> (count, channels)
Source = Callable[[float, float, int, np.random.Generator], Floats]

CLOCK = 125e6  # Hz
BUFFER = 16384  # samples
STEPS_PER_VOLT = 8192
INNER = 8  # samples that stand for all of one decimation when it averages
CHANNELS = 4


def silence(start: float, spacing: float, count: int, rng: np.random.Generator) -> Floats:
    """Open inputs."""
    return np.zeros((count, CHANNELS), dtype=np.float32)


class DigitiserModel:
    """One acquisition at a time; data are drawn when somebody looks, the same for any look."""

    def __init__(
        self, seed_of: Callable[[str], int], name: str = "digitiser", source: Source = silence
    ) -> None:
        self.now = 0.0
        self._seed_of, self._name, self._source = seed_of, name, source
        self.pins: dict[str, bool] = {}
        self.outputs = [0.0] * 4  # V
        self.gains = ["LV"] * CHANNELS
        self._triggers = 0
        self.preset()

    def preset(self) -> None:
        self.decimation, self.averaging = 1, True
        self.units, self.format = "VOLTS", "ASCII"
        self.delay, self.level = 0, 0.0  # samples, V
        self.started: float | None = None
        self.triggered: float | None = None
        self._codes: Codes | None = None

    @property
    def spacing(self) -> float:
        return self.decimation / CLOCK

    def start(self) -> None:
        """Begin to fill the buffer."""
        self.started, self.triggered, self._codes = self.now, None, None

    def trigger(self) -> None:
        """Stop `delay` samples plus half a buffer later."""
        if self.started is not None and self.triggered is None:
            self.triggered = self.now
            self._triggers += 1

    @property
    def filled_at(self) -> float:
        """When the last sample is in (s)."""
        if self.triggered is None:
            return math.inf
        return self.triggered + (BUFFER // 2 + self.delay) * self.spacing

    def codes(self) -> Codes:
        """All samples, oldest first, one column per channel; zeros from before the start."""
        if self.triggered is None or self.started is None:
            return np.zeros((BUFFER, CHANNELS), dtype=np.int16)
        if self._codes is None:
            first = self.filled_at - BUFFER * self.spacing
            rng = np.random.Generator(
                np.random.PCG64(self._seed_of(f"{self._name}.record.{self._triggers}"))
            )
            if self.averaging and self.decimation > 1:
                inner = min(INNER, self.decimation)
                fine = self._source(first, self.spacing / inner, BUFFER * inner, rng)
                volts = fine.reshape(BUFFER, inner, CHANNELS).mean(axis=1)
            else:
                volts = self._source(first, self.spacing, BUFFER, rng)
            scale = np.array([1.0 if gain == "LV" else 0.05 for gain in self.gains])
            steps = np.rint(volts * (STEPS_PER_VOLT * scale).astype(np.float32))
            codes = np.clip(steps, -STEPS_PER_VOLT, STEPS_PER_VOLT - 1).astype(np.int16)
            missing = math.ceil((self.started - first) / self.spacing - 1e-6)
            codes[: max(0, min(BUFFER, missing))] = 0
            self._codes = codes
        return self._codes

    def advance(self, now: float) -> None:
        """Data are drawn as soon as the buffer is full: later settings do not change the past."""
        self.now = now
        if self._codes is None and now >= self.filled_at:
            self.codes()
