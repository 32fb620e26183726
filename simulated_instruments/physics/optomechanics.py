"""Pulsed optomechanics in the bad-cavity limit: zero-mean Gaussian states of light and motion.

A blue tone (rate Gamma_b, two-mode squeezing) and a red tone (Gamma_r, exchange) of one envelope
act on the mechanical mode while the cavity follows at once. With s = sqrt(x_r), b = sqrt(x_b),
x = integral of Gamma dt, the mechanics and one outgoing temporal mode obey, quadrature by
quadrature (vacuum variance 1),

    V_A = h (s +- b)^2 v + e,   V_m = e v + h (s -+ b)^2,   C = sqrt(e h) [(s +- b) v - (s -+ b)]

with v = 2 n_th + 1, e = exp(-(x_r - x_b)), h = (1 - e) / (x_r - x_b); upper signs for x, lower for
p. These are the Bogoliubov forms of Aspelmeyer et al., Rev. Mod. Phys. 86, 1391, written without
their pole at equal tones.

What heating does between the pulses and during the second one is not known microscopically; the
laws here describe the measured gate, delay and pump-probe curves of Wang et al., "Nonclassical
phonon pair" ("paper"), and are phenomenological.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HBAR, C = 1.054571817e-34, 299_792_458.0


@dataclass(frozen=True)
class Cavity:
    """Optical and mechanical mode; rates in rad/s."""

    wavelength_m: float
    kappa: float
    kappa_e: float  # coupling to the waveguide
    omega_m: float
    g0: float

    @property
    def frequency_hz(self) -> float:
        return C / self.wavelength_m

    def photons_per_watt(self) -> float:
        """Photons in the cavity per watt of a tone one mechanical frequency off resonance."""
        off = self.omega_m**2 + self.kappa**2 / 4
        return self.kappa_e / (HBAR * 2 * math.pi * self.frequency_hz * off)

    def rate_per_photon(self, detuning_hz: float = 0.0) -> float:
        """Scattering rate (1/s) per photon; `detuning_hz` is that of the scattered light."""
        return 4 * self.g0**2 / self.kappa / self.lorentzian(detuning_hz)

    def lorentzian(self, detuning_hz: float) -> float:
        """By how much weaker light is that is scattered this far off resonance."""
        return 1 + (4 * math.pi * detuning_hz / self.kappa) ** 2


@dataclass(frozen=True)
class Prepared:
    """Moments of pulse-1 light and mechanics; pairs are (x, p) quadratures."""

    light: tuple[float, float]
    motion: tuple[float, float]
    cross: tuple[float, float]

    @property
    def photons(self) -> float:
        return (sum(self.light) - 2) / 4

    @property
    def phonons(self) -> float:
        return (sum(self.motion) - 2) / 4

    @property
    def anomalous(self) -> float:
        """<mm> of the mechanics; its sign is that of x minus p."""
        return (self.motion[0] - self.motion[1]) / 4


def prepared(x_b: float, x_r: float, n_th: float) -> Prepared:
    """State after a pulse with areas `x_b`, `x_r` on a mechanical mode with `n_th` phonons."""
    v, s, b, y = 2 * n_th + 1, math.sqrt(x_r), math.sqrt(x_b), x_r - x_b
    e = math.exp(-y)
    h = -math.expm1(-y) / y if abs(y) > 1e-12 else 1.0
    plus, minus = s + b, s - b
    root = math.sqrt(e * h)
    return Prepared(
        light=(h * plus**2 * v + e, h * minus**2 * v + e),
        motion=(e * v + h * minus**2, e * v + h * plus**2),
        cross=(root * (plus * v - minus), root * (minus * v - plus)),
    )


@dataclass(frozen=True)
class Heating:
    """What the paper's curves say about heating; times in ns."""

    excess: float = 2.80  # g2 - 2 at a gate of 39 ns, 30 ns after the preparation
    gate_time: float = 15.3
    delay_time: float = 132.0
    shortest_gate: float = 36.8  # below this the gate law is flat
    lifetime: float = 1460.0
    bath_time: float = 220.0
    most_added: float = 0.15  # quanta
    red_only: float = 0.006  # quanta, without a blue tone
    pumped: float = 0.06 / 0.04814  # quanta per blue area, after a blue pulse alone

    def gate_factor(self, gate: Floats | float) -> Floats:
        """The gate law, 1 at 39 ns."""
        return np.exp(-(np.maximum(gate, self.shortest_gate) - 39.0) / self.gate_time)

    def excess_at(self, gate: float, delay: float) -> float:
        """g2 - 2 of the reference state without background."""
        law = float(self.gate_factor(gate)) * math.exp(-(delay - 30.0) / self.delay_time)
        return self.excess * law


#: Areas and temperature of the paper's state; the heating between the pulses is fixed by it.
REFERENCE_BLUE, REFERENCE_RATIO, REFERENCE_N = 0.0517, 1.86, 0.014
#: Area of a tone that a closed shutter leaves: as good as none.
ABSENT = 1e-6
#: Gate (ns) at which the law fixes the occupation.
TIED_GATE = 48.0


@dataclass(frozen=True)
class Readout:
    """Mechanics as pulse 2 finds it, and how strongly it turns into light."""

    prepared: Prepared
    n_th: float
    delay: float  # ns
    x_m: float  # area of pulse 2
    heating: Heating
    blue: float  # area in pulse 1
    red: float

    @property
    def conversion(self) -> float:
        return -math.expm1(-self.x_m)

    @cached_property
    def _left(self) -> float:
        return math.exp(-max(self.delay, 0.0) / self.heating.lifetime)

    def relaxed(self, phonons: float, n_th: float) -> float:
        """Phonons that the reservoir leaves after the delay."""
        return phonons * self._left + n_th * (1 - self._left)

    @cached_property
    def added(self) -> float:
        """Quanta that heating adds before and during pulse 2."""
        law = self.heating
        if self.blue < ABSENT:
            return law.red_only
        if self.red < ABSENT:
            bath = math.exp(-max(self.delay, 0.0) / law.bath_time)
            return law.pumped * self.blue * (self._left - bath)
        return reference_heating(law, self.delay)

    @cached_property
    def phonons(self) -> float:
        return self.relaxed(self.prepared.phonons, self.n_th) + self.added

    def excess(self, gate: Floats | float) -> Floats:
        """q: g2 - 2 of the light of pulse 2 in its first `gate` ns, without background."""
        anomalous = self.prepared.anomalous * self._left
        tied = (anomalous / self.phonons) ** 2 if self.phonons > 0 else 0.0
        return tied * self.heating.gate_factor(gate) / self.heating.gate_factor(TIED_GATE)

    def covariance(self, whole_gate: float) -> Floats:
        """(x_A, p_A, x_2, p_2) of both pulses' light; pulse 2 as far as `whole_gate` ns."""
        sign = math.copysign(1.0, self.prepared.anomalous)
        anomalous = sign * self.phonons * math.sqrt(float(self.excess(whole_gate)))
        cov = np.diag([*self.prepared.light, 0.0, 0.0])
        through = math.sqrt(self.conversion * self._left)
        for k, turn in ((0, 1), (1, -1)):
            motion = 2 * self.phonons + 1 + 2 * turn * anomalous
            cov[2 + k, 2 + k] = self.conversion * motion + 1 - self.conversion
            cov[k, 2 + k] = cov[2 + k, k] = through * self.prepared.cross[k]
        return cov


def reference_heating(law: Heating, delay: float) -> float:
    """Added quanta that make the paper's state follow the measured delay law at 48 ns."""
    state = prepared(REFERENCE_BLUE, REFERENCE_BLUE * REFERENCE_RATIO**2, REFERENCE_N)
    left = math.exp(-max(delay, 0.0) / law.lifetime)
    without = state.phonons * left + REFERENCE_N * (1 - left)
    excess = max(law.excess_at(TIED_GATE, delay), 1e-12)  # nothing is left of the pairs by then
    wanted = abs(state.anomalous) * left / math.sqrt(excess)
    return min(max(wanted - without, 0.0), law.most_added)


def pattern_probabilities(cov: Floats, efficiencies: Floats, background: Floats) -> Floats:
    """Probability of each of 16 click patterns; bit k stands for detector k of A1, B1, A2, B2.

    No click in a set of detectors has probability exp(-B) / sqrt(det(1 + D (V - 1) / 2)), D being
    the summed efficiency in front of each pulse's mode; patterns follow by inclusion-exclusion.

    Args:
        cov: covariance of (x_1, p_1, x_2, p_2), vacuum variance 1.
        efficiencies: of the four.
        background: mean background clicks of the four.
    """
    chosen = (np.arange(16)[:, None] >> np.arange(4) & 1).astype(float)
    pulses = np.stack((efficiencies * [1, 1, 0, 0], efficiencies * [0, 0, 1, 1]), axis=1)
    weights = np.repeat(chosen @ pulses, 2, axis=1)
    determinants = np.linalg.det(np.eye(4) + weights[:, :, None] * (cov - np.eye(4)) / 2)
    silent = np.exp(-chosen @ background) / np.sqrt(determinants)
    out = np.zeros(16)
    for pattern in range(16):  # those in the pattern click, all others do not
        clicking = [k for k in range(4) if pattern >> k & 1]
        others = 15 ^ pattern
        for size in range(len(clicking) + 1):
            for subset in itertools.combinations(clicking, size):
                out[pattern] += (-1) ** size * silent[others | sum(1 << k for k in subset)]
    return np.maximum(out, 0.0)  # rounding of numbers of the order of one
