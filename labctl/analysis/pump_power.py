"""Which pump power gives a network of entangled pairs the most key.

Pairs go with the square of the power, singles with power and its square, and accidental
coincidences with the product of two users' singles. More power therefore means more sifted bits
and more errors, and each link has a power at which its key is longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.analysis.qkd import bbm92_key_rate

Floats = NDArray[np.float64]

FEWEST_POWERS = 3
GRID = 2000  # powers at which keys are compared


@dataclass(frozen=True)
class NetworkModel:
    """Rates of all links as functions of the pump power (mW)."""

    users: tuple[tuple[int, int], ...]  #: of each link
    pairs: Floats  #: (links,) true coincidences per s and mW^2, all bases and outcomes
    singles: Floats  #: (users, 2) per s and mW, and per s and mW^2
    visibility: float  #: without accidental coincidences
    window: float  #: s

    def sifted(self, power: ArrayLike) -> tuple[Floats, Floats]:
        """Sifted bits per s and their error rate: (links, powers)."""
        p = np.atleast_1d(np.asarray(power, dtype=float))
        alone = self.singles @ np.stack([p, p**2])
        first, second = np.array(self.users).T
        accidental = alone[first] * alone[second] * self.window / 2.0
        true = self.pairs[:, None] * p**2 / 4.0
        both = true + accidental
        with np.errstate(invalid="ignore"):
            error = np.where(both > 0, (1.0 - self.visibility * true / both) / 2.0, 0.5)
        return both, np.clip(error, 0.0, 0.5)

    def secret(self, power: ArrayLike, efficiency: float = 1.2) -> Floats:
        """Secret bits per s: (links, powers)."""
        return np.asarray(bbm92_key_rate(*self.sifted(power), efficiency=efficiency))

    def optimum(self, low: float, high: float, efficiency: float = 1.2) -> tuple[float, float]:
        """Powers (mW) with the most key in total, and with the most key for the poorest link."""
        power = np.linspace(low, high, GRID)
        secret = self.secret(power, efficiency)
        return float(power[secret.sum(axis=0).argmax()]), float(power[secret.min(axis=0).argmax()])

    def limit(self, low: float, high: float, efficiency: float = 1.2) -> float:
        """Power (mW) from which on some link gives no key; `high` if there is none."""
        power = np.linspace(low, high, GRID)
        poorest = self.secret(power, efficiency).min(axis=0)
        best = int(poorest.argmax())
        dead = np.flatnonzero(poorest[best:] <= 0)
        if not dead.size:
            return high
        above = float(power[best + dead[0]])
        below = above - (high - low) / (GRID - 1)
        for _ in range(40):
            middle = (below + above) / 2.0
            if float(self.secret(middle, efficiency).min()) > 0:
                below = middle
            else:
                above = middle
        return above


def fit_network(
    power: ArrayLike,
    duration: ArrayLike,
    users: Sequence[tuple[int, int]],
    sifted: ArrayLike,
    errors: ArrayLike,
    singles: ArrayLike,
    window: float,
) -> NetworkModel:
    """The model that counts at several powers follow.

    Args:
        power: (powers,) mW.
        duration: (powers,) s of counting.
        users: of each link, as numbers of rows of `singles`.
        sifted, errors: (links, powers) counts.
        singles: (users, powers) counts, all detectors of a user.
        window: coincidence window in s.
    """
    p, seconds = np.asarray(power, dtype=float), np.asarray(duration, dtype=float)
    kept, wrong, alone = (np.asarray(x, dtype=float) for x in (sifted, errors, singles))
    if len(np.unique(p)) < FEWEST_POWERS:
        raise ValueError(f"power: {len(np.unique(p))} different ones, {FEWEST_POWERS} are needed")
    if not (seconds.shape == p.shape and (p > 0).all() and (seconds > 0).all()):
        raise ValueError("power and duration must be positive and equally long")
    if kept.shape != (len(users), p.size) or wrong.shape != kept.shape:
        raise ValueError("sifted and errors need a row for each link and a column for each power")
    if alone.ndim != 2 or alone.shape[1] != p.size or len(alone) <= np.max(users):
        raise ValueError("singles needs a row for each user and a column for each power")
    first, second = np.array(users).T
    # the accidentals in equal bases, from the singles that were counted with them
    accidental = alone[first] * alone[second] / seconds * window / 2.0
    reach = p**2 * seconds / 4.0
    weight = 1.0 / np.maximum(kept, 1.0)
    pairs = ((kept - accidental) * reach * weight).sum(axis=1) / (reach**2 * weight).sum(axis=1)
    true = np.maximum(pairs, 0.0)[:, None] * reach
    visibility = (kept - 2.0 * wrong).sum() / true.sum() if true.sum() > 0 else 0.0
    waves = np.stack([p * seconds, p**2 * seconds], axis=1)
    roots = 1.0 / np.sqrt(np.maximum(alone, 1.0))
    coefficients = [
        np.linalg.lstsq(waves * root[:, None], counts * root, rcond=None)[0]
        for counts, root in zip(alone, roots, strict=True)
    ]
    return NetworkModel(
        tuple((int(a), int(b)) for a, b in users),
        np.maximum(pairs, 0.0),
        np.array(coefficients),
        float(np.clip(visibility, 0.0, 1.0)),
        window,
    )


def optimum_with_errors(
    power: ArrayLike,
    duration: ArrayLike,
    users: Sequence[tuple[int, int]],
    sifted: ArrayLike,
    errors: ArrayLike,
    singles: ArrayLike,
    window: float,
    rng: np.random.Generator,
    *,
    samples: int = 200,
    efficiency: float = 1.2,
) -> tuple[NetworkModel, dict[str, tuple[float, float]]]:
    """The model, and powers (mW) with standard errors: best in `total`, best `fair`, and `limit`.

    Powers are looked for from half the lowest to twice the highest that was measured. Errors are
    the scatter of fits to counts drawn anew.
    """
    p = np.asarray(power, dtype=float)
    ends = (0.5 * float(p.min()), 2.0 * float(p.max()))
    kept, wrong, alone = (np.asarray(x, dtype=float) for x in (sifted, errors, singles))
    model = fit_network(p, duration, users, kept, wrong, alone, window)

    def powers(of: NetworkModel) -> tuple[float, float, float]:
        return *of.optimum(*ends, efficiency), of.limit(*ends, efficiency)

    drawn = []
    for _ in range(samples):
        bad = rng.poisson(wrong)
        good = rng.poisson(kept - wrong)
        again = fit_network(p, duration, users, good + bad, bad, rng.poisson(alone), window)
        drawn.append(powers(again))
    errors_of = np.std(drawn, axis=0, ddof=1).tolist()
    found = zip(("total", "fair", "limit"), powers(model), errors_of, strict=True)
    return model, {name: (value, error) for name, value, error in found}
