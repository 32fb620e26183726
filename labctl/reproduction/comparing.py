"""Ours beside theirs: a difference in combined standard deviations, and what it says.

The verdict follows from numbers alone. Nobody can write "agrees" into a description.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from labctl.reproduction.printed import Printed

#: Combined standard deviations up to which two values agree.
AGREE = 2.0

AGREES = "agrees"
DIFFERS = "differs"
INCONSISTENT = "paper inconsistent"  # what it prints does not follow from what it states
NOT_GIVEN = "not printed"
NOT_COMPARABLE = "not comparable"
NO_VALUE = "no value"  # the run failed, or found none
VERDICTS = (AGREES, DIFFERS, INCONSISTENT, NOT_GIVEN, NOT_COMPARABLE, NO_VALUE)


@dataclass(frozen=True)
class Ours:
    """What was measured, in the unit of the row."""

    value: float | None
    error: float | None = None

    @property
    def known(self) -> bool:
        return self.value is not None and math.isfinite(self.value)


@dataclass(frozen=True)
class Comparison:
    """How a measured value stands to a printed one, and to what follows from the publication."""

    verdict: str
    pull: float | None  #: (ours - printed) in combined sigmas; of bounds how far beyond
    follows_verdict: str  #: the same against what follows, "" without that
    follows_pull: float | None


def compare(
    ours: Ours, printed: Printed | None, follows: Printed | None = None, comparable: bool = True
) -> Comparison:
    """Compare a value with what is printed, and with what follows from the publication itself.

    Where nothing is printed, what follows from the publication's equations decides.
    """
    inconsistent = printed is not None and follows is not None and contradict(printed, follows)
    if not comparable:
        return Comparison(INCONSISTENT if inconsistent else NOT_COMPARABLE, None, "", None)
    distance, against = pull(ours, printed), pull(ours, follows)
    follows_verdict = "" if follows is None else _verdict(ours, against)
    if not ours.known:
        verdict = NO_VALUE
    elif inconsistent:
        verdict = INCONSISTENT
    elif printed is None:
        verdict = follows_verdict or NOT_GIVEN
    else:
        verdict = _verdict(ours, distance)
    return Comparison(verdict, _shown(distance, printed), follows_verdict, _shown(against, follows))


def _shown(distance: float | None, printed: Printed | None) -> float | None:
    """A distance, unless it is from a yes or no."""
    return None if printed is None or printed.kind == "word" else distance


def pull(ours: Ours, printed: Printed | None) -> float | None:
    """(ours - printed) over the combined standard error; 0 inside a bound or range."""
    if printed is None or not ours.known:
        return None
    assert ours.value is not None
    return _distance(ours.value, ours.error or 0.0, printed)


def contradict(printed: Printed, follows: Printed) -> bool:
    """Whether a publication prints something else than what follows from it."""
    return abs(_distance(follows.value, follows.sigma, printed)) > AGREE


def _distance(value: float, error: float, printed: Printed) -> float:
    """How many combined sigmas a value is from what is printed, or beyond a bound."""
    low = -math.inf if printed.kind == "below" else printed.value
    high = math.inf if printed.kind == "above" else printed.high
    beyond = value - high if value > high else value - low if value < low else 0.0
    sigma = math.hypot(error, printed.sigma)
    if not math.isfinite(error):
        return 0.0
    if sigma == 0.0:
        return math.copysign(math.inf, beyond) if beyond else 0.0
    return beyond / sigma


def _verdict(ours: Ours, distance: float | None) -> str:
    if distance is None or not ours.known:
        return NO_VALUE
    return AGREES if abs(distance) <= AGREE else DIFFERS
