"""The Lugiato-Lefever equation of a pumped microring, by split steps.

    dpsi/dt = -(1 + i zeta) psi + i |psi|^2 psi + i d2 d^2 psi/dphi^2 + f

Time counts in 2/kappa, detuning zeta in kappa/2 with red detuning positive, d2 = D2/kappa, and f^2
is the pump relative to its threshold. Field values are on `MODES` equally spaced angles.

Source: S. Coen et al., Opt. Lett. 38, 37 (2013); T. Herr et al., Nat. Photonics 8, 145 (2014).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Complex = NDArray[np.complex128]
Real = NDArray[np.float64]

MODES = 512  # 256 are too few for a soliton of 65 lines
SEED_EVERY, SEED_RMS = 16, 1e-4  # steps, and noise in units of an unnormalised transform
MODE_NUMBERS: NDArray[np.int64] = np.rint(np.fft.fftfreq(MODES, 1.0 / MODES)).astype(np.int64)


class Resonator:
    """The field in the ring and how it goes on.

    Args:
        pump: f^2.
        dispersion: d2.
        dt: time step, 4e-3 for sweeps, 2e-3 for numbers.
        rng: of the noise that seeds the modes; None: no noise.
    """

    def __init__(
        self,
        pump: float = 20.0,
        dispersion: float = 0.0047,
        dt: float = 2e-3,
        rng: np.random.Generator | None = None,
        modes: int = MODES,
    ) -> None:
        self.drive = math.sqrt(pump)
        self.dt = dt
        self._rng = rng
        self._modes = modes
        mu = np.fft.fftfreq(modes, 1.0 / modes)
        self._linear = np.exp(-(1.0 + 1j * dispersion * mu**2) * dt)
        self._steps = 0

    def run(self, psi: Complex, zeta: Real) -> Complex:
        """The field after one step at each of the effective detunings `zeta` (steps,)."""
        forward, back = np.fft.fft, np.fft.ifft
        gain = self._modes * self.drive * self.dt
        for detuning in zeta.tolist():
            psi = psi * np.exp(1j * self.dt * (psi.real**2 + psi.imag**2 - detuning))
            modes = forward(psi) * self._linear
            modes[0] += gain
            if self._rng is not None and self._steps % SEED_EVERY == 0:
                modes += SEED_RMS * (
                    self._rng.standard_normal(self._modes)
                    + 1j * self._rng.standard_normal(self._modes)
                )
            psi = back(modes)
            self._steps += 1
        return np.asarray(psi)

    def relax(self, psi: Complex, zeta: float, units: float) -> Complex:
        """The field after `units` of time at one detuning."""
        return self.run(psi, np.full(round(units / self.dt), zeta))


def background(pump: float, zeta: float) -> complex:
    """Field without solitons on the lower branch: psi = f / (1 + i (zeta - rho))."""
    roots = np.roots([1.0, -2.0 * zeta, 1.0 + zeta**2, -pump])
    real = np.sort(roots[np.abs(roots.imag) < 1e-9].real)
    rho = float(real[0])
    return math.sqrt(pump) / (1.0 + 1j * (zeta - rho))


def ansatz(
    pump: float, dispersion: float, zeta: float, places: Real, modes: int = MODES
) -> Complex:
    """Background and one soliton at each of the angles `places` (rad), to relax from."""
    phi = 2.0 * math.pi * np.arange(modes) / modes
    width = math.sqrt(zeta / dispersion)
    cosine = min(math.sqrt(8.0 * zeta) / (math.pi * math.sqrt(pump)), 1.0)
    phase = np.exp(1j * math.acos(cosine))
    psi = np.full(modes, background(pump, zeta), dtype=complex)
    for place in np.asarray(places).tolist():
        distance = (phi - place + math.pi) % (2.0 * math.pi) - math.pi
        with np.errstate(over="ignore"):
            psi += math.sqrt(2.0 * zeta) * phase / np.cosh(width * distance)
    return psi


def energy(psi: Complex) -> float:
    """Mean of |psi|^2 over the ring: the light in it."""
    return float(np.mean(np.abs(psi) ** 2))


def comb_power(psi: Complex) -> float:
    """Light in the ring without the pump line."""
    return energy(psi) - float(np.abs(np.mean(psi)) ** 2)


def lines(psi: Complex) -> Real:
    """Power of each mode, in the order of `MODE_NUMBERS`; they add up to `energy`."""
    return np.asarray(np.abs(np.fft.fft(psi) / len(psi)) ** 2)
