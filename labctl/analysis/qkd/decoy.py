"""Decoy-state BB84 with one signal and two decoys: what single photons must have contributed.

X. Ma, B. Qi, Y. Zhao and H.-K. Lo, Phys. Rev. A 72, 012326 (2005).
"""

from __future__ import annotations

from math import exp

from numpy.typing import ArrayLike

from labctl.analysis.arguments import scalar
from labctl.analysis.qkd.checks import MOST_EFFICIENCY, three
from labctl.analysis.qkd.checks import intensities as checked_intensities
from labctl.analysis.qkd.rates import binary_entropy


def decoy_bounds(
    intensities: ArrayLike, gains: ArrayLike, errors: ArrayLike
) -> tuple[float, float, float]:
    """Bounds (y0, y1, e1) from below, below and above.

    Args:
        intensities: mean photon numbers per pulse of signal and decoys, descending, (3,).
        gains: detections per pulse sent, for each intensity, (3,).
        errors: error rates of the detections of each intensity, (3,).

    Returns:
        Background yield Y0, yield Y1 and error rate e1 of single photons (eqs. 18, 34, 37).
        Where nothing can be said (Y1 = 0), e1 is 0.5.
    """
    mu, nu1, nu2 = checked_intensities(intensities)
    q_mu, q_1, q_2 = three(gains, "gains", 0.0, 1.0).tolist()
    _, e_1, e_2 = three(errors, "errors", 0.0, 1.0).tolist()
    seen_mu, seen_1, seen_2 = q_mu * exp(mu), q_1 * exp(nu1), q_2 * exp(nu2)
    y0 = max((nu1 * seen_2 - nu2 * seen_1) / (nu1 - nu2), 0.0)
    scale = mu / (mu * nu1 - mu * nu2 - nu1**2 + nu2**2)
    y1 = scale * (seen_1 - seen_2 - (nu1**2 - nu2**2) / mu**2 * (seen_mu - y0))
    if y1 <= 0:
        return y0, 0.0, 0.5
    e1 = (e_1 * seen_1 - e_2 * seen_2) / ((nu1 - nu2) * y1)
    return y0, min(y1, 1.0), min(max(e1, 0.0), 0.5)


def decoy_key_rate(
    intensities: ArrayLike,
    gains: ArrayLike,
    errors: ArrayLike,
    efficiency: float = 1.16,
    sifting: float = 0.5,
) -> float:
    """Secret bits per signal pulse sent, of an infinitely long key; 0 if there are none.

    R = q {-Q_mu f H(E_mu) + Q_1 [1 - H(e1)]} with Q_1 = Y1 mu exp(-mu) (eq. 1, GLLP).

    Args:
        intensities, gains, errors: as in `decoy_bounds`.
        efficiency: f, bits disclosed by error correction relative to H(E_mu).
        sifting: q, the share of detections in which both chose the same basis.
    """
    f = scalar(efficiency, "efficiency", 1.0, MOST_EFFICIENCY)
    q = scalar(sifting, "sifting", 0.0, 1.0)
    _, y1, e1 = decoy_bounds(intensities, gains, errors)
    mu, _, _ = checked_intensities(intensities)
    gain = float(three(gains, "gains", 0.0, 1.0)[0])
    error = float(three(errors, "errors", 0.0, 1.0)[0])
    single = y1 * mu * exp(-mu)
    disclosed = gain * f * float(binary_entropy(error))
    return max(q * (single * (1 - float(binary_entropy(e1))) - disclosed), 0.0)
