"""Count rates of photon pairs over the pump power."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from labctl.analysis.timetags import correlation_histogram, count_coincidences, franson_peaks
from labctl.errors import RequestError
from labctl.live import Curve, Trace
from labctl.parameters import number, numbers, text
from labctl.procedure import LabProcedure, Result, RunData
from procedures.network import NetworkMeasurement
from procedures.network_plan import pair_name, parse_pairs
from procedures.tag_slices import in_order

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALICE, BOB = 0, 1
PEAKS = 3
FAR = 200.0  # ns from the peaks, where accidental coincidences are counted
FAR_WINDOWS = 40  # on each side
PAIRS = ((30, 38), (38, 42), (38, 54))
HISTOGRAM_BIN, HISTOGRAM_REACH = 200, 30_000  # ps


class PairRates(NetworkMeasurement, LabProcedure):
    """Clicks, coincidences and their ratio to accidental ones, for several powers and pairs.

    The interferometers stay where they are: summed over all outcomes their three peaks hold
    all pairs, whatever the phases are. Coincidences are those of the three peaks less three windows
    of accidental ones, which are counted far from the peaks; the ratio (CAR) is that to one
    window, as if there were no interferometers.
    """

    powers: list[float] = numbers(
        "Powers", [0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0], unit="mW", minimum=1e-3, maximum=5,
        meaning="of both pumps, in front of the ring",
    )  # fmt: skip
    pairs: str = text(
        "Pairs", ", ".join(pair_name(pair) for pair in PAIRS), meaning="channels, to users A and B"
    )
    dwell: float = number(
        "Dwell", 2.0, unit="s", minimum=0.1, maximum=1000, meaning="of counting at each point"
    )

    DATA_COLUMNS: ClassVar[list[str]] = [
        "index", "power (mW)", "pair", "set power (mW)", "dwell (s)", "clicks A", "clicks B",
        "in peaks", "in far windows", "singles A (1/s)", "singles B (1/s)", "coincidences (1/s)",
        "CAR", "laser (MHz)", "lost (s)", "singles A error (1/s)", "singles B error (1/s)",
        "coincidences error (1/s)", "CAR error",
    ]  # fmt: skip
    TRACES = ("delay histogram",)
    LIVE = (
        Curve(
            "Coincidences", "power (mW)", "coincidences (1/s)", "coincidences error (1/s)",
            by="pair", log_x=True, log_y=True,
        ),
        Curve(
            "Coincidences over accidentals", "power (mW)", "CAR", "CAR error", by="pair",
            log_x=True, log_y=True,
        ),
        Curve(
            "Clicks of user A", "power (mW)", "singles A (1/s)", "singles A error (1/s)",
            by="pair",
        ),
        Trace("Delays: bins of 200 ps from -30 ns", "delay histogram"),
    )  # fmt: skip

    def result_list(self) -> tuple[Result, ...]:
        """Rates of each pair at one power, how they grow, and what was lost."""
        names = [pair_name(pair) for pair in parse_pairs(self.pairs)]
        return (
            *(
                Result(f"{rate}_{name}", unit, f"{meaning}, at the power next to 0.4 mW")
                for name in names
                for rate, unit, meaning in (
                    ("singles_first", "1/s", "clicks of the first channel"),
                    ("singles_second", "1/s", "clicks of the second channel"),
                    ("coincidences", "1/s", "pairs"),
                    ("car", "", "pairs over accidental coincidences"),
                )
            ),
            *(
                Result(f"exponent_{name}", "", "pairs go as the power to this; 2 expected")
                for name in names
            ),
            Result("lost", "s", "counting that was thrown away because a lock was lost"),
        )

    def startup(self) -> None:
        self.open_network({}, hold=False)

    def shutdown(self) -> None:
        self.close_network()

    def points(self) -> Iterator[dict[str, Any]]:
        delays = self.check_windows()
        pairs = parse_pairs(self.pairs)
        if not self.powers:
            raise RequestError("no powers were given; write for example 0.1, 0.2, 0.4")
        reach = 2 * self.path_delay + max((abs(d) for d in delays.values()), default=0) * 1e-3
        if reach + self.window > FAR:
            raise RequestError(
                f"path delay and delays reach {reach:g} ns; accidental coincidences are counted "
                f"from {FAR:g} ns on and would contain pairs"
            )
        for pair in pairs:
            for power in self.powers:
                yield {"pair": pair_name(pair), "set power (mW)": power}

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        pair = parse_pairs(point["pair"])[0]
        self.route({"A": pair[:1], "B": pair[1:]})
        self.set_power(point["set power (mW)"])
        counted = self.count(self.dwell, (ALICE, BOB))
        first, second = counted.clicks[ALICE][0], counted.clicks[BOB][0] - self._delay(pair)
        peaks, far = self._counts(first, second)
        pairs, pairs_error, car, car_error = (
            float(one[0]) for one in rates(np.array([peaks]), np.array([far]))
        )
        self.show("coincidences", pairs / counted.seconds, "1/s")
        histogram, _ = correlation_histogram(first, second, HISTOGRAM_BIN, HISTOGRAM_REACH)
        return {
            "power (mW)": self.pump_power(),
            "dwell (s)": counted.seconds,
            "clicks A": len(first),
            "clicks B": len(second),
            "in peaks": peaks,
            "in far windows": far,
            "singles A (1/s)": len(first) / counted.seconds,
            "singles B (1/s)": len(second) / counted.seconds,
            "coincidences (1/s)": pairs / counted.seconds,
            "CAR": car,
            "laser (MHz)": counted.laser_worst,
            "lost (s)": counted.lost,
            "singles A error (1/s)": math.sqrt(max(len(first), 1)) / counted.seconds,
            "singles B error (1/s)": math.sqrt(max(len(second), 1)) / counted.seconds,
            "coincidences error (1/s)": pairs_error / counted.seconds,
            "CAR error": car_error,
            "delay histogram": histogram,
        }

    def _delay(self, pair: tuple[int, int]) -> int:
        """By how much (ps) clicks of the second channel come later."""
        delays = self.check_windows()
        return delays.get(pair[1], 0) - delays.get(pair[0], 0)

    def _counts(self, first: np.ndarray, second: np.ndarray) -> tuple[int, int]:
        """Coincidences in the three peaks, and in the windows far from them."""
        window, path = round(1e3 * self.window), round(1e3 * self.path_delay)
        far = sum(
            count_coincidences(first, second, FAR_WINDOWS * window, side * self._far(window))
            for side in (-1, 1)
        )
        return sum(franson_peaks(first, second, path, window)), far

    def _counted(self, data: RunData) -> np.ndarray:
        """Both of `_counts` by row; of the stored tags, with the window asked for, if there are."""
        if not data.parameters["keep_tags"]:
            return np.stack([data["in peaks"], data["in far windows"]])
        counts = []
        for row, name in enumerate(np.asarray(data["pair"]).tolist()):
            (first, _), (second, _) = (in_order(data.tags(user, row=row)) for user in "AB")
            counts.append(self._counts(first, second - self._delay(parse_pairs(name)[0])))
        return np.array(counts, dtype=float).reshape(-1, 2).T

    def _far(self, window: int) -> int:
        """Middle (ps) of the windows of accidental coincidences."""
        return round(1e3 * FAR) + FAR_WINDOWS * window // 2

    def analyse(self, data: RunData) -> dict[str, Any]:
        """Rates with the errors of counting, and how pairs grow with the power."""
        names = np.asarray(data["pair"])
        peaks, far = self._counted(data)
        seconds = data["dwell (s)"]
        pairs, error, car, car_error = rates(peaks, far)
        results: dict[str, Any] = {"lost": float(data["lost (s)"].sum())}
        for pair in parse_pairs(data.parameters["pairs"]):
            name = pair_name(pair)
            rows = np.flatnonzero(names == name)
            if not len(rows):
                raise RequestError(f"this run lacks {name}; resume it first")
            place = rows[np.argmin(np.abs(data["set power (mW)"][rows] - REFERENCE))]
            for which, user in (("first", "A"), ("second", "B")):
                clicks = float(data[f"clicks {user}"][place])
                results[f"singles_{which}_{name}"] = (
                    clicks / seconds[place], math.sqrt(clicks) / seconds[place],
                )  # fmt: skip
            results[f"coincidences_{name}"] = (
                float(pairs[place] / seconds[place]), float(error[place] / seconds[place]),
            )  # fmt: skip
            results[f"car_{name}"] = (float(car[place]), float(car_error[place]))
            if len(np.unique(data["set power (mW)"][rows])) > 1 and (pairs[rows] > 0).all():
                results[f"exponent_{name}"] = slope(
                    np.log(data["power (mW)"][rows]),
                    np.log(pairs[rows] / seconds[rows]),
                    error[rows] / pairs[rows],
                )
        # by row: coincidences per s, their error, CAR, its error
        table = np.stack([pairs / seconds, error / seconds, car, car_error], axis=1)
        return results | {"rates": table}

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import network_figures

        return {"rates": network_figures.rates(data)}


REFERENCE = 0.4  # mW, at which results are quoted


def rates(peaks: np.ndarray, far: np.ndarray) -> tuple[np.ndarray, ...]:
    """Pairs and their ratio to accidental coincidences (CAR), each followed by its standard error.

    Counts in the peaks and far from them are independent, each with the error of a count, sqrt(N)
    or at least 1. CAR is NaN where no accidental coincidence was counted.

    Args:
        peaks: coincidences in the three peaks.
        far: coincidences in all windows far from them.
    """
    accidental = np.where(far > 0, far, np.nan) / (2 * FAR_WINDOWS)
    accidental_error = np.sqrt(np.maximum(far, 1)) / (2 * FAR_WINDOWS)
    pairs = peaks - PEAKS * (far / (2 * FAR_WINDOWS))
    peaks_error = np.sqrt(np.maximum(peaks, 1))
    car_error = np.hypot(peaks_error / accidental, peaks / accidental**2 * accidental_error)
    return pairs, np.hypot(peaks_error, PEAKS * accidental_error), pairs / accidental, car_error


def slope(x: np.ndarray, y: np.ndarray, error: np.ndarray) -> tuple[float, float]:
    """Slope of a straight line through points with errors, and its standard error."""
    weight = 1.0 / error**2
    middle = float(np.average(x, weights=weight))
    spread = float((weight * (x - middle) ** 2).sum())
    return float((weight * (x - middle) * y).sum() / spread), spread**-0.5
