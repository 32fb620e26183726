"""Two-photon interference fringes: visibility from counts over a phase, with its error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

FEWEST_PHASES = 4
SAME = 1e-6  # rad: settings this close are one


@dataclass(frozen=True)
class Fringe:
    """counts = mean (1 + visibility cos(phase - offset))."""

    mean: float
    visibility: float
    error: float  #: standard error of the visibility, from resampled counts
    offset: float  #: rad, where the counts are highest

    def at(self, phase: ArrayLike) -> Floats:
        """Counts at phases (rad)."""
        wave = np.cos(np.asarray(phase, dtype=float) - self.offset)
        return np.asarray(self.mean * (1.0 + self.visibility * wave))


def fit_fringe(
    phase: ArrayLike, counts: ArrayLike, rng: np.random.Generator, samples: int = 1000
) -> Fringe:
    """Least squares of c0 + c1 cos + c2 sin; V = sqrt(c1^2 + c2^2) / c0.

    Args:
        phase: settings in rad, at least four that differ by more than a turn allows to hide.
        counts: coincidences at each setting.
        rng: for the resampling.
        samples: how often the counts are drawn anew from Poisson distributions; the error of
            the visibility is the scatter of the fits.
    """
    angle, seen = _checked(phase, counts)
    if samples < 2:
        raise ValueError(f"samples must be at least 2, got {samples!r}")
    waves = np.stack([np.ones(angle.size), np.cos(angle), np.sin(angle)], axis=1)
    if np.linalg.matrix_rank(waves, tol=1e-3) < 3:
        raise ValueError("phase: these settings do not determine a fringe")
    inverse = np.linalg.pinv(waves)
    mean, cosine, sine = inverse @ seen
    if not mean > 0:
        raise ValueError("counts: no coincidences at all")
    drawn = rng.poisson(seen, (samples, seen.size)) @ inverse.T
    able = drawn[:, 0] > 0  # with a handful of counts a sample may have none
    visibilities = np.hypot(drawn[able, 1], drawn[able, 2]) / drawn[able, 0]
    return Fringe(
        float(mean),
        float(np.hypot(cosine, sine) / mean),
        float(visibilities.std(ddof=1)),
        float(np.arctan2(sine, cosine)),
    )


def visibility_error(visibility: float, total: float) -> float:
    """Standard error of a visibility from `total` counts, phases evenly spaced over a turn."""
    if not total > 0:
        raise ValueError(f"total must be positive, got {total!r}")
    return float(np.sqrt(max(2.0 - visibility**2, 0.0) / total))


def _checked(phase: ArrayLike, counts: ArrayLike) -> tuple[Floats, Floats]:
    angle, seen = np.asarray(phase, dtype=float), np.asarray(counts, dtype=float)
    if angle.ndim != 1 or angle.shape != seen.shape:
        raise ValueError("phase and counts must be equally long lists")
    if not (np.isfinite(angle).all() and np.isfinite(seen).all() and (seen >= 0).all()):
        raise ValueError("phase must be finite and counts finite and not negative")
    distinct = np.unique(np.round(np.mod(angle, 2 * np.pi) / SAME))
    if distinct.size < FEWEST_PHASES:
        raise ValueError(f"phase: {distinct.size} different settings, {FEWEST_PHASES} are needed")
    return angle, seen
