"""Decoy-state keys of finite length, secure against general attacks.

C. C. W. Lim, M. Curty, N. Walenta, F. Xu and H. Zbinden, Phys. Rev. A 89, 022307 (2014). The key is
made from the X basis, the Z basis tests it; all intensities contribute to the key.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log, log2, sqrt

import numpy as np
from numpy.typing import ArrayLike

from labctl.analysis.arguments import Array, scalar
from labctl.analysis.qkd.checks import intensities as checked_intensities
from labctl.analysis.qkd.checks import three
from labctl.analysis.qkd.rates import binary_entropy

#: Into how many parts the proof divides the secrecy parameter.
PARTS = 21


@dataclass(frozen=True)
class FiniteKey:
    """What can be distilled from one block, and why."""

    length: int  #: secret bits
    vacuum: float  #: least number of key detections from empty pulses, s_X0
    single: float  #: least number of key detections from single photons, s_X1
    phase_error: float  #: largest phase error rate of those, phi_X


def finite_key(
    intensities: ArrayLike,
    probabilities: ArrayLike,
    key_counts: ArrayLike,
    test_counts: ArrayLike,
    test_errors: ArrayLike,
    leaked_bits: float,
    *,
    secrecy: float = 1e-10,
    correctness: float = 1e-15,
) -> FiniteKey:
    """Length of the secret key of one block (eq. 1) and the estimates that it rests on.

    Args:
        intensities: mean photon numbers per pulse, descending, (3,).
        probabilities: how often each intensity is sent, summing to 1, (3,).
        key_counts: detections in the key basis (X) by intensity, (3,).
        test_counts: detections in the test basis (Z) by intensity, (3,).
        test_errors: errors among the latter by intensity, (3,).
        leaked_bits: what error correction disclosed, counted or f n H(E).
        secrecy, correctness: security parameters of the key.
    """
    levels = np.array(checked_intensities(intensities))
    sent = three(probabilities, "probabilities", 0.0, 1.0)
    if (sent == 0).any() or abs(sent.sum() - 1) > 1e-9:
        raise ValueError("probabilities: must be positive and sum to 1")
    key = three(key_counts, "key_counts", 0.0)
    test = three(test_counts, "test_counts", 0.0)
    wrong = three(test_errors, "test_errors", 0.0)
    if (wrong > test).any():
        raise ValueError("test_errors: cannot be more than test_counts")
    leaked = scalar(leaked_bits, "leaked_bits", 0.0)
    eps = scalar(secrecy, "secrecy", 1e-300, 1.0)
    eps_correct = scalar(correctness, "correctness", 1e-300, 1.0)

    none = FiniteKey(0, 0.0, 0.0, 0.5)
    if not (key.sum() and test.sum()):
        return none
    vacuum, single = _contributions(levels, sent, key, eps)
    _, tested = _contributions(levels, sent, test, eps)
    if single <= 0 or tested <= 0:
        return none
    share = min(_single_errors(levels, sent, wrong, eps) / tested, 0.5)
    phase = min(share + _sampling(eps, share, tested, single), 0.5)
    length = floor(
        vacuum
        + single * (1 - float(binary_entropy(phase)))
        - leaked
        - 6 * log2(PARTS / eps)
        - log2(2 / eps_correct)
    )
    return FiniteKey(max(length, 0), vacuum, single, phase)


def finite_key_length(
    intensities: ArrayLike,
    probabilities: ArrayLike,
    key_counts: ArrayLike,
    test_counts: ArrayLike,
    test_errors: ArrayLike,
    leaked_bits: float,
    *,
    secrecy: float = 1e-10,
    correctness: float = 1e-15,
) -> int:
    """Secret bits of one block; arguments as in `finite_key`."""
    return finite_key(
        intensities,
        probabilities,
        key_counts,
        test_counts,
        test_errors,
        leaked_bits,
        secrecy=secrecy,
        correctness=correctness,
    ).length


def _at_most_and_least(
    levels: Array, sent: Array, counts: Array, eps: float
) -> tuple[Array, Array]:
    """Hoeffding's bounds on exp(k)/p_k times the counts of intensity k."""
    width = sqrt(counts.sum() / 2 * log(PARTS / eps))
    weight = np.exp(levels) / sent
    return weight * (counts + width), weight * (counts - width)


def _photons(levels: Array, sent: Array, number: int) -> float:
    """Probability that a pulse carries 0 or 1 photons, tau_n."""
    return float(np.sum(sent * np.exp(-levels) * levels**number))


def _contributions(levels: Array, sent: Array, counts: Array, eps: float) -> tuple[float, float]:
    """Least numbers of detections from empty and single-photon pulses (eqs. 2 and 3)."""
    mu1, mu2, mu3 = levels.tolist()
    most, least = _at_most_and_least(levels, sent, counts, eps)
    tau0, tau1 = _photons(levels, sent, 0), _photons(levels, sent, 1)
    vacuum = max(tau0 * (mu2 * least[2] - mu3 * most[1]) / (mu2 - mu3), 0.0)
    inner = least[1] - most[2] - (mu2**2 - mu3**2) / mu1**2 * (most[0] - vacuum / tau0)
    single = tau1 * mu1 * inner / (mu1 * (mu2 - mu3) - mu2**2 + mu3**2)
    return float(vacuum), float(max(single, 0.0))


def _single_errors(levels: Array, sent: Array, wrong: Array, eps: float) -> float:
    """Largest number of errors in single-photon detections (eq. 4)."""
    _, mu2, mu3 = levels.tolist()
    most, least = _at_most_and_least(levels, sent, wrong, eps)
    bound = _photons(levels, sent, 1) * float(most[1] - least[2]) / float(mu2 - mu3)
    return max(bound, 0.0)


def _sampling(eps: float, share: float, tested: float, kept: float) -> float:
    """How much worse the untested bits may be than the tested ones (gamma, below eq. 5)."""
    spread = (1 - share) * share
    if spread <= 0:
        share = 1 / tested  # the bound is for rates above zero; one error more is a safe stand-in
        spread = (1 - share) * share
    total, product = tested + kept, tested * kept
    width = total * spread / (product * log(2))
    return sqrt(max(width * log2(total * PARTS**2 / (product * spread * eps**2)), 0.0))
