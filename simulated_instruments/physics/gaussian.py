"""Gaussian states of many modes, as far as simulators need them.

Convention: vacuum variance 1, a = (x + i p) / 2, quadratures ordered x1..xN, p1..pN. A zero-mean
state is given by its moments <a_k' a_l> (photon numbers and coherences) and <a_k a_l> (squeezing).
Moments are handier than a covariance matrix where light is lost or its phase is blurred: loss
scales both, phase jitter scales only the second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]


@dataclass(frozen=True)
class Moments:
    """Second moments of N modes, normally ordered: vacuum is all zeros."""

    number: Complex  # (N, N): <a_k' a_l>, Hermitian
    squeezing: Complex  # (N, N): <a_k a_l>, symmetric

    @classmethod
    def of_covariance(cls, covariance: Real) -> Moments:
        """The moments of a covariance matrix in blocked order, vacuum variance 1."""
        n = len(covariance) // 2
        xx, xp, px, pp = (
            covariance[:n, :n],
            covariance[:n, n:],
            covariance[n:, :n],
            covariance[n:, n:],
        )
        number: Complex = (xx + pp - 2.0 * np.eye(n) + 1j * (xp - px)) / 4.0
        squeezing: Complex = (xx - pp + 1j * (xp + px)) / 4.0
        return cls(number, squeezing)

    def covariance(self) -> Real:
        """The covariance matrix in blocked order, vacuum variance 1."""
        even, odd = self.number + self.squeezing, self.number - self.squeezing
        one = np.eye(len(self.number))
        return np.block(
            [[one + 2.0 * even.real, 2.0 * even.imag], [-2.0 * odd.imag, one + 2.0 * odd.real]]
        )

    def after_loss(self, efficiency: float) -> Moments:
        """What is left when a fraction `efficiency` of the light arrives."""
        return Moments(efficiency * self.number, efficiency * self.squeezing)

    def after_jitter(self, rms: float) -> Moments:
        """The mean over a Gaussian phase of `rms` rad that all modes share."""
        return Moments(self.number, np.exp(-2.0 * rms**2) * self.squeezing)

    def only(self, modes: NDArray[np.intp]) -> Moments:
        """The state of some of the modes; the others are ignored, not lost."""
        pick = (modes[:, None], modes)
        return Moments(self.number[pick], self.squeezing[pick])

    def collective(self, weights: Complex) -> tuple[float, complex]:
        """<b' b> and <b b> of the one mode b = sum conj(w_k) a_k, sum |w_k|^2 = 1.

        This mode is what a homodyne detector with the local oscillator fields w_k sees.
        """
        conjugate = weights.conj()
        number = weights @ self.number @ conjugate
        return float(number.real), complex(conjugate @ self.squeezing @ conjugate)
