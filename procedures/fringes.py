"""Fringes of pairs: one phase is stepped over a turn, coincidences of users A and B are counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from labctl.analysis.fringes import Fringe, fit_fringe
from labctl.analysis.sifting import matched_pairs
from labctl.parameters import integer, number
from labctl.procedure import RunData
from procedures.network import NetworkMeasurement
from procedures.network_plan import USERS
from procedures.tag_slices import Clicks, in_order

ALICE, BOB = 0, 1
COUNTS = ("same", "different", "clicks A", "clicks B")
#: Standard errors of these counts: sqrt(N), at least 1.
ERRORS = tuple(f"{name} error" for name in COUNTS)


class FringeMeasurement(NetworkMeasurement):
    """Parameters and steps that fringes of one pair and of many share."""

    power: float = number(
        "Power",
        0.4,
        unit="mW",
        minimum=1e-3,
        maximum=5,
        meaning="both pumps, in front of the ring",
    )
    beta: float = number(
        "Beta", math.pi / 4, unit="rad", minimum=-10, maximum=10, meaning="phase of user B"
    )
    dwell: float = number(
        "Dwell", 1.0, unit="s", minimum=0.1, maximum=1000, meaning="of counting at each phase"
    )
    samples: int = integer(
        "Samples", 1000, minimum=100, maximum=100_000,
        meaning="resampled fringes from which errors follow",
    )  # fmt: skip

    def fringe_phases(self, points: int) -> list[float]:
        """Phases (rad) of user A."""
        return (2.0 * math.pi * np.arange(points) / points).tolist()

    def count_fringe(self, pair: tuple[int, int], alpha: float) -> dict[str, Any]:
        """Coincidences of equal and of different outcomes at a phase of user A."""
        self.route({"A": (pair[0],), "B": (pair[1],)})
        assert self.hold is not None
        targets = np.zeros(2 * len(USERS))
        targets[[2 * ALICE, 2 * ALICE + 1]] = alpha
        targets[[2 * BOB, 2 * BOB + 1]] = self.beta
        self.hold.close(targets)
        counted = self.count(self.dwell, (ALICE, BOB))
        first, second = counted.clicks[ALICE], counted.clicks[BOB]
        same, different = self._outcomes(pair, first, second)
        self.show("coincidences", (same + different) / counted.seconds, "1/s")
        counts = dict(zip(COUNTS, (same, different, len(first[0]), len(second[0])), strict=True))
        return {
            "dwell (s)": counted.seconds,
            **counts,
            **{f"{name} error": math.sqrt(max(count, 1)) for name, count in counts.items()},
            "power (mW)": self.pump_power(),
            "laser (MHz)": counted.laser_worst,
            "phase (rad)": float(np.mean(counted.phase_errors)),
            "lost (s)": counted.lost,
        }

    def _outcomes(self, pair: tuple[int, int], first: Clicks, second: Clicks) -> tuple[int, int]:
        """Coincidences in the central peak with equal and with different outcomes."""
        delays = self.check_windows()
        delay = delays.get(pair[1], 0) - delays.get(pair[0], 0)
        i, j = matched_pairs(first[0], second[0], round(1e3 * self.window), delay)
        equal = int(np.count_nonzero(first[1][i] & 1 == second[1][j] & 1))
        return equal, len(i) - equal

    def outcomes(self, data: RunData, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
        """Coincidences of equal and of different outcomes by row, shape (2, rows).

        Of the stored tags, with this analysis' window, if the run has them.

        Args:
            pairs: the channels of each row.
        """
        if not data.parameters["keep_tags"]:
            return np.stack([data["same"], data["different"]])
        counts = []
        for row, pair in enumerate(pairs):
            first, second = (in_order(data.tags(user, row=row)) for user in "AB")
            counts.append(self._outcomes(pair, first, second))
        return np.array(counts, dtype=float).reshape(-1, 2).T


def fit_both(
    alpha: Sequence[float] | np.ndarray,
    same: np.ndarray,
    different: np.ndarray,
    samples: int,
    seed: int,
) -> tuple[Fringe, Fringe, float, float]:
    """Fringes of equal and of different outcomes; mean visibility with its standard error.

    The two are counted independently; each weighs as its error says.
    """
    rng = np.random.default_rng(seed)
    fits = [fit_fringe(alpha, counts, rng, samples) for counts in (same, different)]
    weights = np.array([1.0 / max(fit.error, 1e-9) ** 2 for fit in fits])
    mean = float(np.average([fit.visibility for fit in fits], weights=weights))
    return fits[0], fits[1], mean, float(1.0 / math.sqrt(weights.sum()))


def variation(clicks: np.ndarray) -> tuple[float, float]:
    """Relative scatter of counts beyond that of counting, with its standard error.

    The square root of (variance - mean) / mean^2; 0 if counting explains all.
    """
    mean, n = float(clicks.mean()), len(clicks)
    variance = float(clicks.var(ddof=1))
    excess = (variance - mean) / mean**2
    error = math.sqrt(2.0 / (n - 1)) * max(variance, mean) / mean**2  # of the excess
    value = math.sqrt(max(excess, 0.0))
    return value, error / (2.0 * value) if value > math.sqrt(error) else math.sqrt(error)
