"""Estimators of pulsed optomechanics: pair correlations, classical bound, decays, thermometry.

Counts are Poisson or multinomial, and few: fits maximise the likelihood of the counts themselves,
because a g2 with an error that was estimated from the same handful of counts is biased.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Least mean of a count that a fit considers.
LEAST_MEAN = 1e-9
#: Errors of a decay time are looked for between its value over and times this.
TIMES_AROUND = 20.0


def two_tone_g2(ratio: float, thermal_phonons: float) -> float:
    """g2 of the light when red and blue tone act together, G_r / G_b = `ratio`.

    Exact for any pulse shape, energy and loss: the state is Gaussian, not of second order.
    """
    v, square = 2 * thermal_phonons + 1, ratio**2
    return 2 + (2 * ratio * v / ((square + 1) * v - (square - 1))) ** 2


@dataclass(frozen=True)
class Violation:
    """How far g2 is above the classical bound 3/2 sqrt(g_b g_r), in standard deviations."""

    bound: float
    bound_error: float
    bound_exact: float  # as if the bound had no error, which is how it was published
    propagated: float  # with the errors of both single-tone correlations
    squared: float  # of g2^2 against the squared bound, as the inequality is written


def violation(
    g2: float, error: float, blue: float, blue_error: float, red: float, red_error: float
) -> Violation:
    """Test g2 of both tones against what the single tones allow classical light."""
    if min(blue, red) <= 0 or error <= 0:
        raise ValueError("g2: the single-tone correlations and the error of g2 must be positive")
    bound = 1.5 * math.sqrt(blue * red)
    bound_error = bound / 2 * math.hypot(blue_error / blue, red_error / red)
    return Violation(
        bound=bound,
        bound_error=bound_error,
        bound_exact=(g2 - bound) / error,
        propagated=(g2 - bound) / math.hypot(error, bound_error),
        squared=(g2**2 - bound**2) / math.hypot(2 * g2 * error, 2 * bound * bound_error),
    )


@dataclass(frozen=True)
class Patterns:
    """Trials by how many of the two detectors clicked in pulse 1 and in pulse 2."""

    table: Ints  # [clicks in pulse 1, clicks in pulse 2]; [0, 0] are trials without any click

    @property
    def n22(self) -> int:
        return int(self.table[2, 2])

    @property
    def n20(self) -> int:
        return int(self.table[2, 0])

    @property
    def n02(self) -> int:
        return int(self.table[0, 2])


def click_patterns(a1: Ints, b1: Ints, a2: Ints, b2: Ints, trials: int) -> Patterns:
    """Count trials by their clicks, from the trial numbers (ascending) of all four."""
    everything = np.concatenate([np.unique(part) for part in (a1, b1, a2, b2)])
    pulse = np.repeat([0, 0, 1, 1], [np.unique(part).size for part in (a1, b1, a2, b2)])
    order = np.argsort(everything, kind="stable")
    numbers, pulses = everything[order], pulse[order]
    starts = np.flatnonzero(np.concatenate(([True], numbers[1:] != numbers[:-1])))[: numbers.size]
    table = np.zeros((3, 3), dtype=np.int64)
    if numbers.size:
        second = np.add.reduceat(pulses, starts)
        both = np.diff(np.append(starts, numbers.size))
        np.add.at(table, (both - second, second), 1)
    table[0, 0] = trials - starts.size if numbers.size else trials
    return Patterns(table)


def count_limit(count: int, confidence: float = 0.95) -> float:
    """Upper limit of a Poisson mean of which `count` events were seen; 3.0 for none."""
    from scipy.stats import chi2

    return float(chi2.ppf(confidence, 2 * count + 2)) / 2


@dataclass(frozen=True)
class GateCurve:
    """Coincidences of gates that all begin together; later gates contain the earlier ones."""

    gates: Floats
    coincidences: Ints
    accidentals: Floats  # C_A C_B / N: what independent clicks would give
    g2: Floats
    error: Floats


def gate_curve(
    clicks_a: tuple[Ints, Floats], clicks_b: tuple[Ints, Floats], gates: ArrayLike, trials: int
) -> GateCurve:
    """g2 of pulse 2 in gates from its beginning on, from (trial, time) of clicks of A and of B."""
    ends = np.asarray(gates, dtype=float)
    (trial_a, time_a), (trial_b, time_b) = (
        first_clicks(*clicks) for clicks in (clicks_a, clicks_b)
    )
    _, in_a, in_b = np.intersect1d(trial_a, trial_b, assume_unique=True, return_indices=True)
    later = np.sort(np.maximum(time_a[in_a], time_b[in_b]))
    both = np.searchsorted(later, ends)
    singles = [np.searchsorted(np.sort(times), ends) for times in (time_a, time_b)]
    accidentals = singles[0] * singles[1].astype(float) / trials
    with np.errstate(divide="ignore", invalid="ignore"):
        g2 = both / accidentals
        inverse = [trials / np.asarray(count, dtype=float) for count in (both, *singles)]
        relative = (inverse[0] - inverse[1] - inverse[2] + 2 * g2 - 1) / trials
        error = g2 * np.sqrt(np.maximum(relative, 0.0))
    return GateCurve(ends, both.astype(np.int64), accidentals, g2, error)


def first_clicks(trial: Ints, time: Floats) -> tuple[Ints, Floats]:
    """The first click of each trial, trials ascending."""
    order = np.lexsort((time, trial))
    trial, time = trial[order], time[order]
    keep = np.concatenate(([True], trial[1:] != trial[:-1]))[: trial.size]
    return trial[keep], time[keep]


@dataclass(frozen=True)
class Decay:
    """floor + amplitude exp(-(x - origin) / time)."""

    amplitude: float
    amplitude_error: float
    time: float
    time_error: float
    floor: float
    origin: float

    def __call__(self, x: ArrayLike) -> Floats:
        return self.floor + self.amplitude * np.exp(
            -(np.asarray(x, dtype=float) - self.origin) / self.time
        )


def fit_delays(
    delays: ArrayLike, coincidences: ArrayLike, accidentals: ArrayLike,
    origin: float = 30.0, floor: float = 2.0,
) -> Decay:  # fmt: skip
    """Decay of g2 with the delay, from independent measurements."""
    x, counts, chance = (np.asarray(v, dtype=float) for v in (delays, coincidences, accidentals))
    return _fit_decay(lambda decay: chance * decay(x), counts, origin, floor, float(np.ptp(x)) / 2)


def fit_gates(curve: GateCurve, origin: float = 39.0, floor: float = 2.0) -> Decay:
    """Decay of g2 with the gate length.

    The gates share photons; what is independent is what each adds to the one before it.
    """
    counts = np.diff(curve.coincidences, prepend=0).astype(float)

    def added(decay: Decay) -> Floats:
        return np.asarray(np.diff(curve.accidentals * decay(curve.gates), prepend=0.0))

    return _fit_decay(added, counts, origin, floor, float(np.ptp(curve.gates)) / 3)


def _fit_decay(
    expected: Callable[[Decay], Floats], counts: Floats, origin: float, floor: float, guess: float
) -> Decay:
    """Most likely amplitude and time.

    Errors are half of the interval in which the likelihood, maximised over the other parameter,
    stays above exp(-1/2) of its maximum: few counts make it far from Gaussian.
    """
    from scipy.optimize import minimize

    if counts.size < 3:
        raise ValueError("counts: a decay needs at least three points")

    def cost(p: Floats) -> float:
        decay = Decay(float(p[0]), math.nan, math.exp(float(p[1])), math.nan, floor, origin)
        mean = np.maximum(expected(decay), LEAST_MEAN)
        return float(np.sum(mean - counts * np.log(mean)))

    bounds = [(1e-3, 50.0), (math.log(guess / 100), math.log(guess * 100))]
    starts = [np.array([a, math.log(guess * t)]) for a in (1.0, 3.0) for t in (0.3, 1.0)]
    best = min((minimize(cost, start, bounds=bounds) for start in starts), key=lambda r: r.fun)
    amplitude, log_time = (float(x) for x in best.x)

    # Means are linear in the amplitude, so that a whole line of amplitudes costs two of them.
    lines = math.log(TIMES_AROUND) * np.linspace(-1, 1, 161) + log_time
    amplitudes = np.linspace(1e-3, 3 * amplitude + 3, 241)
    surface = np.empty((lines.size, amplitudes.size))
    for n, line in enumerate(lines):
        none, one = (
            expected(Decay(a, math.nan, math.exp(line), math.nan, floor, origin))
            for a in (0.0, 1.0)
        )
        mean = np.maximum(none + amplitudes[:, None] * (one - none), LEAST_MEAN)
        surface[n] = np.sum(mean - counts * np.log(mean), axis=1)
    inside = surface < min(float(surface.min()), float(best.fun)) + 0.5
    times = np.exp(lines[inside.any(axis=1)])
    heights = amplitudes[inside.any(axis=0)]
    return Decay(
        amplitude, _half_width(heights, amplitude), math.exp(log_time),
        _half_width(times, math.exp(log_time)), floor, origin,
    )  # fmt: skip


def _half_width(inside: Floats, best: float) -> float:
    """Half of an interval that also holds the best value."""
    ends = np.append(inside, best)
    return float(np.ptp(ends)) / 2


@dataclass(frozen=True)
class PumpProbe:
    """n_th + (A + K) exp(-t / long) - K exp(-t / short): excitation, heating, and relaxation."""

    excited: tuple[float, float]  # A, quanta, with its error
    heated: tuple[float, float]  # K
    short_time: tuple[float, float]
    long_time: tuple[float, float]
    thermal: float

    def __call__(self, t: ArrayLike) -> Floats:
        times = np.asarray(t, dtype=float)
        a, k = self.excited[0], self.heated[0]
        slow = np.exp(-times / self.long_time[0])
        fast = np.exp(-times / self.short_time[0])
        return self.thermal + (a + k) * slow - k * fast


def fit_pump_probe(
    times: ArrayLike, phonons: ArrayLike, errors: ArrayLike, thermal: float
) -> PumpProbe:
    """Fit the two exponentials to phonon numbers at these delays (ns) after a blue pulse."""
    from scipy.optimize import curve_fit

    t, n, sigma = (np.asarray(v, dtype=float) for v in (times, phonons, errors))
    if t.size < 5:
        raise ValueError("times: two exponentials need at least five points")
    if not (sigma > 0).all():
        raise ValueError("errors: must be positive")

    def model(x: Floats, a: float, k: float, short: float, ratio: float) -> Floats:
        long = short * ratio
        return PumpProbe((a, 0.0), (k, 0.0), (short, 0.0), (long, 0.0), thermal)(x)

    # the longer time is the shorter one times at least 1.2, so that the two cannot change roles
    peak = float(n.max()) - thermal
    low, high = [0.0, 0.0, 5.0, 1.2], [10.0, 100.0, 5e3, 1e3]
    start = np.clip([0.6 * peak, 0.6 * peak, 0.05 * float(t.max()), 6.0], low, high)
    found, covariance = curve_fit(
        model, t, n, p0=start, sigma=sigma, absolute_sigma=True, bounds=(low, high), max_nfev=5000
    )
    errors_found = np.sqrt(np.diag(covariance))
    long_slope = np.array([0.0, 0.0, found[3], found[2]])
    long_error = math.sqrt(float(long_slope @ covariance @ long_slope))
    a, k, short = ((float(found[i]), float(errors_found[i])) for i in range(3))
    return PumpProbe(a, k, short, (float(found[2] * found[3]), long_error), thermal)


@dataclass(frozen=True)
class Thermometry:
    """Phonons from the ratio of sidebands, each with its standard error."""

    naive: tuple[float, float]  # C_r / (C_b - C_r), for pulses of no energy
    unbiased: tuple[float, float]  # corrected for what pulses of area x do themselves


def sideband_thermometry(
    red: float, blue: float, area: float, red_background: float = 0.0, blue_background: float = 0.0,
    background_trials: float = math.inf,
) -> Thermometry:  # fmt: skip
    """Thermal phonons from counts behind red and blue pulses of equal area.

    Args:
        red: counts behind red pulses, background included.
        blue: the same, as many blue pulses.
        area: x = integral of the scattering rate over a pulse.
        red_background: mean of the counts among `red` that are no scattered photons.
        blue_background: the same for `blue`.
        background_trials: trials in which the backgrounds were counted, over those of the pulses;
            by default they are known exactly.
    """
    if area <= 0:
        raise ValueError(f"area: must be positive, got {area}")
    counts = red - red_background, blue - blue_background
    variances = (
        red + red_background / background_trials,
        blue + blue_background / background_trials,
    )
    naive = _asymmetry(*counts, *variances)
    absorbed, amplified = -math.expm1(-area), math.expm1(area)
    unbiased = _asymmetry(
        counts[0] / absorbed, counts[1] / amplified,
        variances[0] / absorbed**2, variances[1] / amplified**2,
    )  # fmt: skip
    return Thermometry(naive, unbiased)


def _asymmetry(
    red: float, blue: float, red_variance: float, blue_variance: float
) -> tuple[float, float]:
    difference = blue - red
    if difference <= 0:
        raise ValueError("blue: must be above red; are the pulses of one energy, and mixed up?")
    variance = (blue**2 * red_variance + red**2 * blue_variance) / difference**4
    return red / difference, math.sqrt(variance)
