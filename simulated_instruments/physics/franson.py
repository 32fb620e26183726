"""Unbalanced interferometers: phases that drift, and reference light that tells them.

A photon takes the short or the long path. If both photons of a pair take the same one, their
outcomes a, b = +-1 are correlated: probability [1 + a b V cos(alpha + beta)] / 4, because nobody
can know when the pair was born (Franson, Phys. Rev. Lett. 62, 2205 (1989)). Otherwise they
arrive one path difference apart and their outcomes are random, like those of a single photon.

The phase of an interferometer is that of the path difference at the reference light. It starts
anywhere and walks at random; a phase shifter adds to it. Reference light passes along with the
photons; two photodiodes in quadrature read cosine and sine of the phase.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from simulated_instruments.physics.noise import OrnsteinUhlenbeck, Wiener

ACOUSTIC_TAU = 5e-3  # s
DIODE_MA = 0.05  # photocurrent at the middle of the fringe
CONTRAST = 0.95  # of the reference light's fringe
KICKED = 1e6  # s, as far as kicks are drawn


class InterferometerModel:
    """One unbalanced interferometer; times in s, phases in rad.

    Args:
        seed_of: seeds by name.
        name: of the interferometer.
        shifter: phase that its phase shifter adds, at a time or at times.
        drift: random walk of the phase, rad/sqrt(s).
        acoustic: rms of its fast noise, rad.
        kicks: how often per s the phase jumps to anywhere, as when somebody slams a door.
    """

    def __init__(
        self,
        seed_of: Callable[[str], int],
        name: str,
        shifter: Callable[[Any], Any],
        *,
        drift: float = 0.05,
        acoustic: float = 0.01,
        kicks: float = 0.0,
    ) -> None:
        rng = np.random.Generator(np.random.PCG64(seed_of(f"{name}.begin")))
        self._begin = float(rng.uniform(-math.pi, math.pi))
        self._walk = Wiener(seed_of(f"{name}.walk"), drift)
        self._acoustic = OrnsteinUhlenbeck(seed_of(f"{name}.acoustic"), acoustic, ACOUSTIC_TAU)
        count = rng.poisson(kicks * KICKED)
        self._kick_times = np.sort(rng.uniform(0.0, KICKED, count))
        self._kick_sums = np.cumsum([0.0, *rng.uniform(-math.pi, math.pi, count)])
        self._shifter = shifter

    def phase(self, t: Any) -> Any:
        """Phase at the reference light, a float or an array."""
        kicks = self._kick_sums[np.searchsorted(self._kick_times, t, side="right")]
        return self._begin + kicks + self._walk.at(t) + self._acoustic.at(t) + self._shifter(t)

    def diode_ma(self, which: int, t: float, light: float = 1.0) -> float:
        """Photocurrent (mA) of the cosine (0) or sine (1), for reference light of 1 nominally."""
        wave = math.sin if which else math.cos
        return DIODE_MA * light * (1.0 + CONTRAST * wave(float(self.phase(t))))


def same_outcome(visibility: float, phase_sum: Any) -> Any:
    """Probability that both photons of a pair that took the same path leave by equal ports."""
    return (1.0 + visibility * np.cos(phase_sum)) / 2.0
