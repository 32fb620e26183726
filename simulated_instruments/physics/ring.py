"""A Kerr ring resonator that several pump lines drive below threshold.

Linear fluctuations around the pumps, in units of Gamma, half the loaded linewidth (rad/s):

    da_k/dt = -(1 + i [e + d1 (k - k_p) + d2 (k - k_p)^2 / 2]) a_k
              + i sum_{n,m} alpha_n alpha_m a'_{n+m-k}              four-wave mixing
              + 2i sum_{n != m} alpha_n conj(alpha_m) a_{k-n+m}     Bragg scattering
              + sqrt(2) a_in

e = (mode - drive) / Gamma, so a rising laser frequency lowers e; the phase shift that all pumps
together give to every mode is counted in e. |alpha|^2 = 2 g |A|^2 / kappa: a single pump on
resonance oscillates at 1. k_p is the strongest pump line; d1 is the mode spacing there minus the
line spacing. All loss is counted at the output port; see `Moments.after_loss`.
Source: Wang et al., "Large-scale cluster quantum microcombs", arXiv 2406.10715, Eq. 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simulated_instruments.physics.gaussian import Moments, Real

#: Modes |k| <= GUARD are simulated; those beyond the measured ones give the edge its partners.
GUARD = 45

#: Least damping (Gamma) of any fluctuation. A ring above threshold depletes its pumps until gain
#: equals loss; the linear model has no such state, so extra loss stands for the depletion.
LEAST_DAMPING = 0.02


@dataclass(frozen=True)
class Crossing:
    """A family of transverse modes that crosses ours at one mode and takes light from it.

    A transverse mode detuned by x half linewidths of its own, coupled to mode k, acts on it as
    s / (1 + i x): a loss s / (1 + x^2) and a shift -s x / (1 + x^2), both in units of Gamma. The
    detuning grows from mode to mode, x = (k - mode) / width.
    """

    strength: float = 0.0  # s, loss at the crossing itself, Gamma
    mode: float = 27.0
    width: float = 1.0  # modes

    def loss(self, modes: Real) -> Real:
        """Extra loss (Gamma) of modes."""
        return np.asarray(self.strength / (1.0 + self._apart(modes) ** 2))

    def shift(self, modes: Real) -> Real:
        """Extra detuning (Gamma) of modes."""
        return -self._apart(modes) * self.loss(modes)

    def _apart(self, modes: Real) -> Real:
        return np.asarray((modes - self.mode) / self.width)


NO_CROSSING = Crossing()


def drift_matrix(
    pumps: Mapping[int, complex],
    detuning: float,
    dispersion: float,
    primary: int,
    guard: int = GUARD,
    crossing: Crossing = NO_CROSSING,
    mismatch: float = 0.0,
) -> Real:
    """The real matrix M of d(x, p)/dt = M (x, p) + noise, modes -guard..guard, blocked order."""
    modes = np.arange(-guard, guard + 1)
    alpha = np.zeros(modes.size, dtype=complex)
    for line, amplitude in pumps.items():
        alpha[line + guard] = amplitude
    index = np.arange(modes.size)
    mixing = np.convolve(alpha, alpha)  # by n + m
    scattering = np.convolve(alpha, alpha[::-1].conj())  # by n - m
    scattering[modes.size - 1] = 0.0  # n == m is the shift that e already contains
    pair = 1j * mixing[index[:, None] + index[None, :]]
    same = 2j * scattering[index[:, None] - index[None, :] + modes.size - 1]
    apart = modes - primary
    same[index, index] = -1.0 - 1j * (detuning + mismatch * apart + dispersion * apart**2 / 2.0)
    if crossing.strength:
        same[index, index] -= crossing.loss(1.0 * modes) + 1j * crossing.shift(1.0 * modes)
    plus, minus = same + pair, same - pair
    return np.block([[plus.real, -minus.imag], [plus.imag, minus.real]])


def stability_margin(drift: Real) -> float:
    """The largest growth rate (Gamma); negative below threshold.

    If all pumps are real, M + 1 couples x only to p and p only to x, and the squares of its
    eigenvalues are those of a matrix of half the size.
    """
    n = len(drift) // 2
    excess = drift + np.eye(2 * n)
    if not excess[:n, :n].any() and not excess[n:, n:].any():
        squares = np.linalg.eigvals(excess[:n, n:] @ excess[n:, :n])
        return float(np.sqrt(squares.astype(complex)).real.max()) - 1.0
    return float(np.linalg.eigvals(excess).real.max()) - 1.0


def output_covariance(drift: Real, frequency: float, extra_loss: Real | None = None) -> Real:
    """Covariance of the output at an analysis frequency (Gamma), vacuum variance 1.

    Re[T T'] with T = 2 (-i Omega - M)^-1 - 1: the real part is what variances show. It is written
    with real matrices, (-i Omega - M)^-1 = (i Omega - M) (M^2 + Omega^2)^-1. `extra_loss` (Gamma),
    which M contains already, goes from each quadrature into a vacuum bath of its own.
    """
    one = np.eye(len(drift))
    inverse = np.linalg.inv(drift @ drift + frequency**2 * one)
    real, imaginary = drift @ -inverse, frequency * inverse
    in_phase = 2.0 * real - one
    covariance = in_phase @ in_phase.T + 4.0 * (imaginary @ imaginary.T)
    if extra_loss is not None and extra_loss.any():
        covariance += 4.0 * ((real * extra_loss) @ real.T + (imaginary * extra_loss) @ imaginary.T)
    return covariance


@dataclass(frozen=True)
class RingState:
    """What leaves the ring, and how far the ring is from oscillating."""

    moments: Moments
    margin: float  # largest growth rate of the linear model, Gamma

    @property
    def oscillating(self) -> bool:
        """Whether the linear model is unstable, so that the moments only say "very noisy"."""
        return self.margin >= 0.0


def ring_output(
    pumps: Mapping[int, complex],
    detuning: float,
    dispersion: float,
    primary: int,
    frequency: float,
    margin: float | None = None,
    crossing: Crossing = NO_CROSSING,
    mismatch: float = 0.0,
) -> RingState:
    """The state behind the ring; `margin` spares the eigenvalues when it is known already."""
    drift = drift_matrix(pumps, detuning, dispersion, primary, crossing=crossing, mismatch=mismatch)
    if margin is None:
        margin = stability_margin(drift)
    depletion = max(0.0, margin + LEAST_DAMPING)
    loss = np.full(len(drift), depletion)
    if depletion:
        drift = drift - depletion * np.eye(len(drift))
    if crossing.strength:
        loss += np.tile(crossing.loss(np.arange(-GUARD, GUARD + 1.0)), 2)
    return RingState(Moments.of_covariance(output_covariance(drift, frequency, loss)), margin)
