"""What pump lines make of a Kerr ring: its graph, its correlations, its distance to threshold.

Estimates for planning a measurement, from pump powers and detuning as calibrations give them. They
look at one point phi of the ring's circumference at a time. There, all pumps together have the
field alpha(phi) = sum_n alpha_n e^{i n phi}, and without dispersion the fluctuations at phi see
nothing else (rates in units of Gamma, half the loaded linewidth; one pump oscillates at 1):

    da/dt = -(1 + i e) a + 2i (|alpha(phi)|^2 - P) a + i alpha(phi)^2 a' + sqrt(2) a_in

with P = sum |alpha_n|^2 and e = (mode - drive) / Gamma, the shift by all pumps included. A mode k
that dispersion detunes by more is treated as if the detuning were larger everywhere. Hence
correlations do not know where pump lines and neighbours are filtered out, nor edges.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

#: Points of the circumference; many more than lines.
CIRCUMFERENCE = 512
#: Detunings between the pumped mode and the outermost one that are looked at.
DETUNINGS = 65


def couplings(pumps: Mapping[int, complex]) -> dict[int, complex]:
    """Four-wave mixing into pairs k + l = s for each s: alpha_n^2, and 2 alpha_n alpha_m."""
    _check(pumps)
    found: dict[int, complex] = {}
    for n, one in pumps.items():
        for m, other in pumps.items():
            found[n + m] = found.get(n + m, 0j) + complex(one) * complex(other)
    return dict(sorted(found.items()))


def growth_rate(pumps: Mapping[int, complex], detuning: float, outermost: float = 0.0) -> float:
    """Largest growth rate (Gamma) of any fluctuation; negative below threshold.

    Args:
        pumps: amplitudes alpha by line; one pump on resonance oscillates at |alpha|^2 = 1.
        detuning: e of the pumped mode (Gamma).
        outermost: by how much more dispersion detunes the outermost mode (Gamma).
    """
    _check(pumps)
    if not (math.isfinite(detuning) and math.isfinite(outermost)):
        raise ValueError(f"detuning: must be finite, got {detuning} and {outermost}")
    field, mean = _field(pumps)
    shift = detuning + np.linspace(0.0, outermost, DETUNINGS)[:, None] - 2.0 * (field - mean)
    return float(np.sqrt(np.maximum(field**2 - shift**2, 0.0)).max()) - 1.0


def correlations(
    pumps: Mapping[int, complex], detuning: float, frequency: float, reach: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return |<a_k a_l>| by k + l = -reach..reach, and |<a_k' a_l>| by k - l = 0..reach.

    For the lossless output at an analysis frequency (Gamma). Not valid above threshold.
    """
    if growth_rate(pumps, detuning) >= 0:
        raise ValueError("pumps: above threshold, correlations have no stationary value")
    phi = 2.0 * np.pi * np.arange(CIRCUMFERENCE) / CIRCUMFERENCE
    alpha = sum(complex(a) * np.exp(1j * n * phi) for n, a in pumps.items())
    square = np.asarray(alpha) ** 2
    field, mean = _field(pumps)
    shift = detuning - 2.0 * (field - mean)
    number, product = np.zeros(CIRCUMFERENCE), np.zeros(CIRCUMFERENCE, dtype=complex)
    for side in (frequency, -frequency):
        # a(w) and a'(w) from vacuum: T = 2 / det * [[q, i s], [-i s*, p]] - 1.
        p, q = 1.0 + 1j * (shift - side), 1.0 - 1j * (shift + side)
        det = p * q - np.abs(square) ** 2
        # At the opposite frequency p and q are the conjugates of q and p, and so is det.
        direct, mixed = 2.0 * q / det - 1.0, 2.0j * square / det
        back = 2.0j * square / det.conj()
        number += 0.5 * np.abs(mixed) ** 2
        product += 0.5 * direct * back
    squeezing = np.abs(np.fft.fft(product)) / CIRCUMFERENCE
    scattering = np.abs(np.fft.fft(number)) / CIRCUMFERENCE
    sums = np.arange(-reach, reach + 1)
    return squeezing[sums % CIRCUMFERENCE], scattering[: reach + 1]


def _field(pumps: Mapping[int, complex]) -> tuple[NDArray[np.float64], float]:
    """|alpha(phi)|^2 around the circumference, and its mean."""
    phi = 2.0 * np.pi * np.arange(CIRCUMFERENCE) / CIRCUMFERENCE
    alpha = sum(complex(a) * np.exp(1j * n * phi) for n, a in pumps.items())
    field = np.abs(np.asarray(alpha)) ** 2
    return field, float(field.mean())


def _check(pumps: Mapping[int, complex]) -> None:
    if not pumps:
        raise ValueError("pumps: at least one line is needed")
    for line, amplitude in pumps.items():
        if not np.isfinite(complex(amplitude)):
            raise ValueError(f"pumps: the amplitude of line {line} must be finite")
