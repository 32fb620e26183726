"""A two-port vector network analyser: sweeps of what is connected, with noise and residual errors.

The noise of a point goes with the square root of the IF bandwidth and against the port power; after
calibration every S parameter keeps a small fixed error of gain and phase.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Complex = NDArray[np.complex128]

NOISE = 3e-4  # rms of |S| at -10 dBm in 1 kHz
RESIDUAL = 3e-3  # rms relative error of gain and phase (rad) that the calibration leaves
MINIMUM_HZ, MAXIMUM_HZ = 10e6, 13.5e9


def nothing(frequencies: NDArray[np.float64], t: float) -> Complex:
    """Two open ports."""
    return np.broadcast_to(np.eye(2, dtype=complex), (len(frequencies), 2, 2))


class VnaModel:
    """Settings and the latest sweep. A world gives `device`, the S parameters at a time (s)."""

    def __init__(
        self,
        seed_of: Callable[[str], int],
        name: str = "vna",
        device: Callable[[NDArray[np.float64], float], Complex] = nothing,
    ) -> None:
        self.now = 0.0
        self._seed_of, self._name, self._device = seed_of, name, device
        rng = np.random.Generator(np.random.PCG64(seed_of(f"{name}.residual")))
        error = rng.normal(0.0, RESIDUAL, (2, 2, 2))
        self._residual = 1.0 + error[0] + 1j * error[1]
        self._sweeps = 0
        self.preset()

    def preset(self) -> None:
        self.start, self.stop = MINIMUM_HZ, MAXIMUM_HZ
        self.points, self.bandwidth, self.power = 201, 1000.0, -10.0
        self.output = True
        self.averaging, self.averages = False, 1
        self.average_mode = "SWE"
        self.groups = 1
        self.mode = "CONT"
        self.trigger = "IMM"
        self.sweep_type = "LIN"
        self.frequencies = np.linspace(self.start, self.stop, self.points)
        self.data = np.zeros((self.points, 2, 2), dtype=complex)
        self.ready_at = 0.0

    @property
    def sweep_time(self) -> float:
        """Seconds of one sweep of one source port."""
        return self.points / self.bandwidth

    def sweep(self, now: float) -> None:
        """Sweep both source ports; what was connected at the end is what is seen."""
        repeats = self.averages if self.averaging else 1
        self.ready_at = now + 2.0 * self.sweep_time * repeats
        self._sweeps += 1
        self.frequencies = np.linspace(self.start, self.stop, self.points)
        rng = np.random.Generator(
            np.random.PCG64(self._seed_of(f"{self._name}.sweep.{self._sweeps}"))
        )
        shape = (self.points, 2, 2)
        scale = NOISE * np.sqrt(self.bandwidth / 1000.0 / repeats) * 10 ** (-(self.power + 10) / 20)
        noise = scale / np.sqrt(2) * (rng.normal(size=shape) + 1j * rng.normal(size=shape))
        signal = self._device(self.frequencies, self.ready_at) if self.output else 0.0
        self.data = signal * self._residual + noise

    def advance(self, now: float) -> None:
        self.now = now
