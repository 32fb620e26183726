"""Check that covariances which a selective sweep leaves out are consistent with zero."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.errors import RequestError
from labctl.live import Curve
from labctl.parameters import integer
from labctl.procedure import LabProcedure, Result, RunData
from procedures.graphs import GAMMA, ZERO, Graph, graph
from procedures.homodyne import (
    POWER_COLUMNS,
    TRACE_COLUMNS,
    ClusterMeasurement,
    noise_relative_to_shot,
    repeated,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

X, P = 0.0, math.pi / 2
#: LO phases of both lines for r_i + r_j; the second half a turn further is r_i - r_j.
ELEMENTS = {"xx": (X, X), "xp": (X, P), "px": (P, X), "pp": (P, P)}
#: What the pumps make beyond the graph comes from a model without dispersion and edges; in our
#: ring, correlations were up to 3.2 times as large. So many times the model's count as explained.
GENEROSITY = 4.0
#: How far (in k + l and k - l) the model looks.
REACH = 70


class ZeroCheck(ClusterMeasurement, LabProcedure):
    """Covariances of pairs of modes that a selective sweep sets to zero, in standard deviations.

    A covariance is half the difference of the variances of r_i + r_j and r_i - r_j, measured right
    after each other. Half of the pairs lie close to the graph, each with another k + l or k - l,
    where a process that nobody thought of would show; the others are drawn at random. Weak
    correlations that the topology's pumps make over several processes are no zeros; of those, only
    what the pumps do not explain counts. `pumps` are what is loaded, `topology` what is believed.
    """

    pairs: int = integer(
        "Pairs", 40, minimum=0, maximum=2000,
        meaning="unmeasured pairs to check, four elements each; 0: all",
    )  # fmt: skip
    draw: int = integer("Draw", 0, minimum=0, meaning="which random selection of pairs")

    DATA_COLUMNS = [
        "index", "kind", "element", "mode i", "mode j", "angle i (rad)", "angle j (rad)",
        *POWER_COLUMNS,
    ]  # fmt: skip
    TRACES = TRACE_COLUMNS
    RESULTS = (
        Result("zeros", "", "number of elements that should be zero"),
        Result("repeated", "", "traces measured again because the phase lock was lost"),
        Result("worst_zero", "sigma", "largest element, less what the pumps explain"),
        Result("expected_worst", "sigma", "median of the largest of so many if all were zero"),
        Result("chance", "", "probability that so many zeros show one as large"),
        Result("rms_zero", "sigma", "rms of the zeros; 1 if the errors are right"),
        Result("drift_share", "", "part of the errors that comes from drifts of the laser"),
        Result("largest_unmeasured", "", "largest correlation that the selective sweep leaves out"),
    )

    @property
    def believed(self) -> Graph:
        """The graph whose sweep is checked."""
        return graph(self.topology)

    LIVE = (
        Curve(
            "Sums and differences: equal where the covariance is zero", "index", "variance",
            "variance error", by="kind", only=("sum", "difference"), decibel=True,
        ),
    )  # fmt: skip

    def startup(self) -> None:
        self.announce(self.count_points())
        self.open_bench(self.graph)
        for row in self.rows:
            self._remember(row)

    def shutdown(self) -> None:
        self.close_bench()

    def points(self) -> Iterator[dict[str, Any]]:
        """Dark noise; then per pair the sum and difference of each two quadratures."""
        self.check_pumps(self.graph)
        yield _point("dark", "", 0, 0.0, 0, 0.0)
        for i, j in chosen_pairs(self.believed, self.pairs, self.draw):
            for element, (one, other) in ELEMENTS.items():
                yield _point("sum", element, i, one, j, other)
                yield _point("difference", element, i, one, j, other + math.pi)

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        if point["kind"] == "dark":
            row = self.dark_row()
        else:
            reading = self.read_quadrature(
                {
                    point["mode i"]: point["angle i (rad)"],
                    point["mode j"]: point["angle j (rad)"],
                }
            )
            row = self.row(reading)
        self._remember({**point, **row})
        return row

    def _remember(self, row: Mapping[str, Any]) -> None:
        if row["kind"] == "dark":
            self.remember_dark(row)

    def analyse(self, data: RunData) -> dict[str, Any]:
        """Covariances with errors, the worst in sigmas, and what chance alone would make it."""
        values, errors, statistical, first = covariances(data)
        if not len(values):
            raise RequestError("this run lacks its elements; resume it first")
        one, other = data["mode i"][first].astype(int), data["mode j"][first].astype(int)
        model = expected(graph(data.parameters["topology"]))
        explained = np.array(
            [
                GENEROSITY
                * (model.get(("sum", i + j), 0.0) + model.get(("difference", j - i), 0.0))
                for i, j in zip(one.tolist(), other.tolist(), strict=True)
            ]
        )
        zero = explained < ZERO
        if not zero.any():
            raise RequestError("no element checked should be zero; raise `pairs`")
        pulls = np.maximum(np.abs(values) - np.where(zero, 0.0, explained), 0.0) / errors
        count, worst = int(zero.sum()), float(pulls.max())
        largest = int(np.argmax(np.abs(values)))
        return {
            "zeros": count,
            "repeated": repeated(data),
            "worst_zero": worst,
            "expected_worst": largest_of(count),
            "chance": chance_of(worst, count),
            "rms_zero": float(np.sqrt(np.mean(pulls[zero] ** 2))),
            "drift_share": float(np.sqrt(1.0 - np.mean(statistical**2) / np.mean(errors**2))),
            "largest_unmeasured": (float(abs(values[largest])), float(errors[largest])),
            # per element, xx, xp, px, pp of each pair
            "elements": np.stack([one, other, values, errors, explained, pulls], axis=-1),
        }

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import microcomb_figures

        return {"zeros": microcomb_figures.zeros(data)}


def covariances(
    data: RunData,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Covariances, their errors with and without drifts, and the row of each first variance.

    Sum and difference have the variances (V_ii + V_jj) / 2 +- C. Their mean is the same for all
    four elements of a pair unless the laser drifts. If the excess noise e walks by s e from one
    setting to the next, the difference of two successive means has the variance 1.5 s^2 e^2 beyond
    its statistical one, and C has s^2 e^2 / 4 beyond; s comes from all pairs together, or from the
    pair itself where that is more: drifts depend on the mode.
    """
    variance, error = noise_relative_to_shot(data)
    kinds = np.asarray(data["kind"])
    first = np.flatnonzero(kinds == "sum")
    first = first[first + 1 < len(kinds)]
    plus, minus = variance[first], variance[first + 1]
    values = (plus - minus) / 2
    statistical = np.hypot(error[first], error[first + 1]) / 2
    means, sigma = (plus + minus) / 2, statistical
    pair = np.arange(len(first)) // len(ELEMENTS)
    same = np.flatnonzero(np.diff(pair) == 0)
    steps = (means[same + 1] - means[same]) ** 2 - sigma[same] ** 2 - sigma[same + 1] ** 2
    excess = (means - 1.0) ** 2
    power = float(np.sum(excess[same] ** 2))
    walk = max(0.0, float(np.sum(steps * excess[same])) / power / 1.5) if power > 0 else 0.0
    own = np.bincount(pair[same], steps, minlength=pair[-1] + 1 if len(pair) else 0)
    own = np.maximum(own / (len(ELEMENTS) - 1) / 1.5, 0.0)
    drift = np.maximum(walk * excess, own[pair]) / 4
    return values, np.sqrt(statistical**2 + drift), statistical, first


def chance_of(worst: float, count: int) -> float:
    """Probability that the largest of `count` normal deviates is at least `worst` in size."""
    return float(-np.expm1(count * np.log1p(-min(math.erfc(worst / math.sqrt(2)), 1 - 1e-15))))


def largest_of(count: int) -> float:
    """Median of the largest of `count` normal deviates in size."""
    from scipy.special import ndtri

    return float(ndtri((1.0 + 0.5 ** (1.0 / count)) / 2.0))


@cache
def chosen_pairs(believed: Graph, count: int, draw: int) -> tuple[tuple[int, int], ...]:
    """Unconnected pairs to check, all of them if `count` is 0.

    The first half has one pair of each k + l and each k - l, those closest to the graph first.
    """
    modes, connected = believed.modes, set(believed.connected)
    others = [(i, j) for i in modes for j in modes if i < j and (i, j) not in connected]
    if count == 0:
        return tuple(others)
    rng = np.random.default_rng(draw)
    shuffled = [others[place] for place in rng.permutation(len(others)).tolist()]
    middle = (min(believed.sums) + max(believed.sums)) / 2
    near: list[tuple[int, int]] = []
    classes: set[tuple[str, int]] = set()
    for pair in sorted(shuffled, key=lambda p: min(abs(sum(p) - middle), p[1] - p[0])):
        total, apart = ("sum", sum(pair)), ("difference", pair[1] - pair[0])
        closest = total if abs(sum(pair) - middle) <= pair[1] - pair[0] else apart
        if closest not in classes:
            classes.add(closest)
            near.append(pair)
    near = near[: (count + 1) // 2]
    rest = [pair for pair in shuffled if pair not in near]
    return tuple(near + rest[: count - len(near)])


def expected(believed: Graph) -> dict[tuple[str, int], float]:
    """Correlations by k + l and by k - l (k > l) that the believed pumps make, shot noise = 1."""
    from labctl.analysis.kerr_ring import correlations

    squeezing, scattering = correlations(
        believed.amplitudes(3.0), believed.detuning / GAMMA, 0.5 / GAMMA, REACH
    )
    table = {("sum", place - REACH): 2.0 * float(value) for place, value in enumerate(squeezing)}
    return table | {("difference", d): 2.0 * float(v) for d, v in enumerate(scattering) if d}


def _point(
    kind: str, element: str, i: int, angle_i: float, j: int, angle_j: float
) -> dict[str, Any]:
    return {
        "kind": kind, "element": element, "mode i": i, "mode j": j,
        "angle i (rad)": angle_i, "angle j (rad)": angle_j,
    }  # fmt: skip
