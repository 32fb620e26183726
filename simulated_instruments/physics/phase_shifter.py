"""Thermo-optic phase shifters on one chip, and photodiodes behind it.

    phase_i = pi sum_j c^|i - j| P_j / P_pi,j,   P_j = V_j^2 / R_j, followed with a time constant

Heaters warm their neighbours (crosstalk c from one to the next). Resistances and P_pi differ from
heater to heater by 2 % rms (assumed); the rest after the shared sheet on phase shifters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulated_instruments.physics.noise import White
from simulated_instruments.physics.steps import Steps

Floats = NDArray[np.float64]

SPREAD = 0.02  # relative, of resistances and P_pi
READ_TICK = 1e-3  # s over which a photocurrent is averaged


class PhaseShifterModel:
    """Heaters by number from 0; what they do to light is a function of time.

    Args:
        seed_of: gives the seed that belongs to a name (`World.seed_of`).
        name: of the chip, as its owner names its random numbers.
        channels: heaters.
        resistance_ohm: of a heater.
        p_pi_w: heat for a phase of pi.
        crosstalk: phase of a neighbour over a heater's own.
        tau: time constant in s.
    """

    def __init__(
        self,
        seed_of: Callable[[str], int],
        name: str = "phases",
        channels: int = 8,
        resistance_ohm: float = 500.0,
        p_pi_w: float = 30e-3,
        crosstalk: float = 0.02,
        tau: float = 10e-3,
    ) -> None:
        device = np.random.Generator(np.random.PCG64(seed_of(f"{name}.device")))
        spread = 1.0 + SPREAD * device.standard_normal((2, channels))
        self.channels = channels
        self.resistance_ohm: Floats = resistance_ohm * spread[0]
        apart = np.abs(np.subtract.outer(np.arange(channels), np.arange(channels)))
        self._rad_per_w: Floats = math.pi * crosstalk**apart / (p_pi_w * spread[1])
        self._tau = tau
        self.volts: Floats = np.zeros(channels)
        self._heat = Steps(*np.zeros(2 * channels))  # W, at the beginning of a step and to come
        self.now = 0.0

    def set_volts(self, volts: Mapping[int, float]) -> None:
        """Apply voltages (V) to some heaters, now."""
        here = self._watts(self.now)
        for channel, value in volts.items():
            self.volts[channel] = value
        self._heat.add(self.now, np.concatenate([here, self.volts**2 / self.resistance_ohm]))

    def ampere(self, channel: int) -> float:
        """Current (A) through a heater."""
        return float(self.volts[channel] / self.resistance_ohm[channel])

    def phase(self, channel: int, t: Any) -> Any:
        """Phase (rad) of a channel at a time (s), a float or an array; 0 when all is cold."""
        phase = self._watts(t) @ self._rad_per_w[channel]
        return phase if isinstance(t, np.ndarray) else float(phase)

    def _watts(self, t: Any) -> Any:
        """Heat (W) that the phases follow, of each heater, at a time (s) or at some times."""
        begun, rows = self._heat.at(t)
        start, target = rows[..., : self.channels], rows[..., self.channels :]
        left = np.exp(-np.maximum(np.asarray(t) - begun, 0.0) / self._tau)
        return target + (start - target) * left[..., np.newaxis]

    def advance(self, now: float) -> None:
        """Note the time (s)."""
        self.now = now


class PhotodiodesModel:
    """Photodiodes by number from 0.

    Args:
        seed_of: gives the seed that belongs to a name (`World.seed_of`).
        name: as its owner names its random numbers.
        channels: photodiodes.
        current_ma: photocurrent (mA) of a channel at a time (s); may be replaced at any time.
        noise_ma: rms of a reading (assumed).
    """

    def __init__(
        self,
        seed_of: Callable[[str], int],
        name: str = "photodiodes",
        channels: int = 8,
        current_ma: Callable[[int, float], float] = lambda channel, t: 0.0,
        noise_ma: float = 1e-6,
    ) -> None:
        self.channels = channels
        self.current_ma = current_ma
        self._noise = [
            White(seed_of(f"{name}.{channel}"), noise_ma, READ_TICK) for channel in range(channels)
        ]
        self.now = 0.0

    def read_ma(self, channel: int) -> float:
        """Photocurrent (mA) with its noise, now."""
        return float(self.current_ma(channel, self.now)) + self._noise[channel].at(self.now)

    def advance(self, now: float) -> None:
        """Note the time (s)."""
        self.now = now
