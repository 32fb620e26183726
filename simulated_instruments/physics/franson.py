"""Unbalanced interferometers: phases that drift, heaters that shift them, light that tells them.

A photon takes the short or the long path. If both photons of a pair take the same one, their
outcomes a, b = +-1 are correlated: probability [1 + a b V cos(alpha + beta)] / 4, because nobody
can know when the pair was born (Franson, Phys. Rev. Lett. 62, 2205 (1989)). Otherwise they
arrive one path difference apart and their outcomes are random, like those of a single photon.

The phase of an interferometer is that of the path difference at the reference light. It starts
anywhere, walks at random, and follows its heater, phase = 2 pi power / power of a period, with one
time constant. Reference light passes along with the photons; a receiver with two photodiodes
in quadrature reads cosine and sine of the phase.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulated_instruments.physics.noise import OrnsteinUhlenbeck, White, Wiener

Floats = NDArray[np.float64]

HEATER_OHM = 500.0
PERIOD_W = 0.050  # heater power that shifts by 2 pi
HEATER_LAG = 2e-3  # s
ACOUSTIC_TAU = 5e-3  # s
DIODE_MA = 0.5  # photocurrent at the middle of the fringe
CONTRAST = 0.95  # of the reference light's fringe
DIODE_NOISE = 1e-3  # of the middle, rms of a reading
DIODE_TICK = 1e-3  # s over which a reading averages
KICKED = 1e6  # s, as far as kicks are drawn


class InterferometerModel:
    """One unbalanced interferometer; times in s, phases in rad, voltages in V.

    Args:
        seed_of: seeds by name.
        name: of the interferometer.
        drift: random walk of the phase, rad/sqrt(s).
        acoustic: rms of its fast noise, rad.
        kicks: how often per s the phase jumps to anywhere, as when somebody slams a door.
    """

    def __init__(
        self,
        seed_of: Callable[[str], int],
        name: str,
        *,
        drift: float = 0.05,
        acoustic: float = 0.01,
        kicks: float = 0.0,
    ) -> None:
        rng = np.random.Generator(np.random.PCG64(seed_of(f"{name}.start")))
        self._start = float(rng.uniform(-math.pi, math.pi))
        self._walk = Wiener(seed_of(f"{name}.walk"), drift)
        self._acoustic = OrnsteinUhlenbeck(seed_of(f"{name}.acoustic"), acoustic, ACOUSTIC_TAU)
        self._diodes = [
            White(seed_of(f"{name}.diode.{which}"), DIODE_NOISE, DIODE_TICK) for which in (0, 1)
        ]
        hits = np.random.Generator(np.random.PCG64(seed_of(f"{name}.kicks")))
        count = hits.poisson(kicks * KICKED)
        self._kick_times = np.sort(hits.uniform(0.0, KICKED, count))
        self._kick_sums = np.cumsum([0.0, *hits.uniform(-math.pi, math.pi, count)])
        self.volts = 0.0
        self._moves: list[tuple[float, float, float]] = [(0.0, 0.0, 0.0)]  # begun, from, to (rad)

    def set_volts(self, volts: float, t: float) -> None:
        """Apply a voltage to the heater at time `t`."""
        here = float(self._heated(t))
        self.volts = volts
        target = 2.0 * math.pi * volts**2 / HEATER_OHM / PERIOD_W
        self._moves = [*self._moves[-1:], (t, here, target)]

    def phase(self, t: Any) -> Any:
        """Phase at the reference light, a float or an array."""
        kicks = self._kick_sums[np.searchsorted(self._kick_times, t, side="right")]
        return self._start + kicks + self._walk.at(t) + self._acoustic.at(t) + self._heated(t)

    def diodes_ma(self, t: float, light: float = 1.0) -> tuple[float, float]:
        """Photocurrents (mA) of cosine and sine, for reference light relative to nominal."""
        phase = self.phase(t)
        return tuple(
            DIODE_MA * light * (1.0 + CONTRAST * wave(phase)) + DIODE_MA * float(noise.at(t))
            for wave, noise in zip((math.cos, math.sin), self._diodes, strict=True)
        )  # type: ignore[return-value]

    def _heated(self, t: Any) -> Any:
        begun, start, target = self._moves[-1]
        new = target + (start - target) * np.exp(-np.maximum(t - begun, 0.0) / HEATER_LAG)
        if len(self._moves) == 1 or np.min(t) >= begun:
            return new
        earlier, first, then = self._moves[0]
        old = then + (first - then) * np.exp(-np.maximum(t - earlier, 0.0) / HEATER_LAG)
        return np.where(t < begun, old, new)


def same_outcome(visibility: float, phase_sum: Any) -> Any:
    """Probability that both photons of a pair that took the same path leave by equal ports."""
    return (1.0 + visibility * np.cos(phase_sum)) / 2.0
