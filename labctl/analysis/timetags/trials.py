"""Second-order correlation over numbered trials: did a click here come with a click there?"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.analysis.timetags.checks import Tags, sorted_tags, whole
from labctl.analysis.timetags.correlation import Teeth, follows

Floats = NDArray[np.float64]

#: Below this number of coincidences the error comes from the exact Poisson interval.
FEW = 10
#: Probability in one standard deviation either side.
ONE_SIGMA = 0.682689492137086


def g2_trials(
    clicks_a: ArrayLike, clicks_b: ArrayLike, trials: int, max_lag: int
) -> tuple[Floats, Floats]:
    """g2 and its standard error at lags -max_lag..max_lag, from the trial numbers of clicks.

    g2(l) = N^2 C(l) / ((N - |l|) C_A C_B) with C(l) the number of i where A clicked in trial i and
    B in trial i + l. Several clicks of one detector in a trial count as one.
    """
    return TrialCorrelation(max_lag).add(clicks_a, clicks_b).g2(trials)


class TrialCorrelation:
    """`g2_trials` of any number of trials, chunk by chunk in bounded memory."""

    def __init__(self, max_lag: int) -> None:
        self.max_lag = whole(max_lag, "max_lag", 0)
        self._teeth = Teeth(-self.max_lag, 2 * self.max_lag + 1, 1, 1)
        self._last = [-(1 << 60), -(1 << 60)]
        self.singles = [0, 0]

    @property
    def coincidences(self) -> Tags:
        """Trials i with a click of A in i and of B in i + lag, for each lag."""
        return self._teeth.counts

    def add(
        self, clicks_a: ArrayLike, clicks_b: ArrayLike, until: int | None = None
    ) -> TrialCorrelation:
        """Take the trial numbers of the next clicks; `until`: all before this trial were given."""
        new = []
        for number, (clicks, name) in enumerate(((clicks_a, "clicks_a"), (clicks_b, "clicks_b"))):
            tags = sorted_tags(clicks, name)
            if tags.size and tags[0] < 0:
                raise ValueError(f"{name}: trial numbers begin at 0, got {tags[0]}")
            last = self._last[number]
            follows(tags, last, name)
            tags = distinct(tags)
            new.append(tags[1:] if tags.size and tags[0] == last else tags)
        self._teeth.add(new[0], new[1], until)
        for number, tags in enumerate(new):
            self.singles[number] += tags.size
            if tags.size:
                self._last[number] = int(tags[-1])
        return self

    def g2(self, trials: int) -> tuple[Floats, Floats]:
        """g2 and its standard error at each lag, if the trials were 0 to trials - 1."""
        number = whole(trials, "trials", 1)
        for last, name in zip(self._last, ("clicks_a", "clicks_b"), strict=True):
            if last >= number:
                raise ValueError(f"{name}: contains trial {last}, but there were {number} trials")
        lags = np.abs(np.arange(-self.max_lag, self.max_lag + 1))
        first, second = self.singles
        return _g2(self.coincidences, first, second, number, np.maximum(number - lags, 0))


def g2_of_counts(coincidences: int, first: int, second: int, trials: int) -> tuple[float, float]:
    """g2 within one trial and its standard error, from counts alone; NaN without clicks."""
    number = whole(trials, "trials", 1)
    if not first * second:
        return float("nan"), float("nan")
    g2, sigma = _g2(np.array([coincidences]), first, second, number, np.array([number]))
    return float(g2[0]), float(sigma[0])


def _g2(
    coincidences: Tags, clicks_a: int, clicks_b: int, number: int, overlap: Tags
) -> tuple[Floats, Floats]:
    """g2 and its standard error for each number of coincidences in so many pairs of trials."""
    first, second, overlapping = np.float64(clicks_a), np.float64(clicks_b), overlap.astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = float(number) ** 2 / (overlapping * first * second)  # g2 of one coincidence
        g2 = np.where(overlapping > 0, coincidences * unit, np.nan)
        relative = (number / coincidences - number / first - number / second + 2 * g2 - 1) / number
        sigma = g2 * np.sqrt(np.maximum(relative, 0.0))
    few = coincidences < FEW
    sigma[few] = [unit[k] * count_error(int(coincidences[k])) for k in np.flatnonzero(few)]
    return g2, sigma


def distinct(tags: Tags) -> Tags:
    """Sorted tags without repetitions."""
    new = tags[1:] != tags[:-1]
    return tags if new.all() else tags[np.concatenate(([True], new))]


@lru_cache(maxsize=64)
def count_error(count: int) -> float:
    """Standard error of a Poisson count: half its central 68.3 % interval if there are few."""
    if count >= FEW:
        return float(np.sqrt(count))
    from scipy.stats import chi2

    tail = (1 - ONE_SIGMA) / 2
    low = float(chi2.ppf(tail, 2 * count)) / 2 if count else 0.0
    return (float(chi2.ppf(1 - tail, 2 * count + 2)) / 2 - low) / 2
