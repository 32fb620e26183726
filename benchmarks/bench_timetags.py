"""Kernels for time tags beside numpy searchsorted, tttrlib and pycorrelate, on one core.

python benchmarks/bench_timetags.py [--stream TAGS]   (1e9 for the goal; 1e7 without)

Two channels of 5e6 tags at 1e6 per second: a quarter are pairs (150 ps jitter), the rest is noise.
Rates count the tags of both channels. Medians of five runs after one that compiles.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from labctl.analysis import timetags

TAGS, RATE = 5_000_000, 1e6
REACH, WIDTH = 10_000, 100  # ps
CHUNK = 10**12  # ps of a stream that are made at once


def channels(tags: int, duration: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two channels with a quarter of their tags in pairs, sorted int64 ps."""
    rng = np.random.default_rng(seed)
    pairs = rng.uniform(0, duration, tags // 4)
    both = []
    for _ in range(2):
        jittered = pairs + rng.normal(0, 150, pairs.size)
        noise = rng.uniform(0, duration, tags - pairs.size)
        both.append(
            np.sort(np.clip(np.concatenate((jittered, noise)), 0, duration - 1).astype(np.int64))
        )
    return both[0], both[1]


def timed(function: Callable[[], Any], rounds: int = 5) -> float:
    function()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def searchsorted_histogram(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    first = np.searchsorted(stop, start - REACH)
    number = np.searchsorted(stop, start + REACH) - first
    place = np.repeat(first - np.cumsum(number) + number, number) + np.arange(number.sum())
    delay = stop[place] - np.repeat(start, number)
    return np.bincount((delay + REACH) // WIDTH, minlength=2 * REACH // WIDTH)


def searchsorted_count(start: np.ndarray, stop: np.ndarray, window: int, delay: int = 0) -> int:
    low, high = delay - window // 2, delay + (window + 1) // 2
    return int((np.searchsorted(stop, start + high) - np.searchsorted(stop, start + low)).sum())


def pycorrelate_histogram(start: np.ndarray, stop: np.ndarray) -> Callable[[], Any]:
    from pycorrelate import pcorrelate

    bins = np.arange(-REACH, REACH + 1, WIDTH, dtype=np.int64)
    return lambda: pcorrelate(start, stop, bins)


def tttrlib_histogram(start: np.ndarray, stop: np.ndarray) -> Callable[[], Any]:
    """Its linear correlator: times in units of a bin, positive delays only (half of the work)."""
    import tttrlib

    first, second = ((tags // WIDTH).astype(np.uint64) for tags in (start, stop))
    weights = np.ones(first.size), np.ones(second.size)

    def run() -> Any:
        correlator = tttrlib.Correlator(n_bins=REACH // WIDTH, n_casc=1)
        correlator.set_macrotimes(first, second)
        correlator.set_weights(*weights)
        correlator.run()
        return np.asarray(correlator.get_corr())

    return run


def kernels() -> dict[str, Any]:
    duration = TAGS / RATE * 1e12
    start, stop = channels(TAGS, duration, 1)
    histogram = timed(lambda: timetags.correlation_histogram(start, stop, WIDTH, REACH))
    expected = searchsorted_histogram(start, stop)
    assert (timetags.correlation_histogram(start, stop, WIDTH, REACH)[0] == expected).all()
    report: dict[str, Any] = {
        "histogram_mtags_per_s": 2 * TAGS / histogram / 1e6,
        "histogram_over_searchsorted": timed(lambda: searchsorted_histogram(start, stop), 3)
        / histogram,
        "goal_histogram_over_searchsorted": 10,
    }
    for name, peer in (("pycorrelate", pycorrelate_histogram), ("tttrlib", tttrlib_histogram)):
        try:
            report[f"histogram_over_{name}"] = timed(peer(start, stop), 3) / histogram
        except ImportError:
            report[f"histogram_over_{name}"] = f"{name} is not installed"
    count = timed(lambda: timetags.count_coincidences(start, stop, 1000))
    theirs = timed(lambda: searchsorted_count(start, stop, 1000), 3)
    assert timetags.count_coincidences(start, stop, 1000) == searchsorted_count(start, stop, 1000)
    franson = timed(lambda: timetags.franson_peaks(start, stop, 5000, 1000))
    pulses = start // 12_500, stop // 12_500  # numbers of the pulses of an 80 MHz laser
    trials = int(duration) // 12_500 + 1
    g2 = timed(lambda: timetags.g2_trials(*pulses, trials, 20))
    fourfold = timed(lambda: timetags.nfold_coincidences([start, stop, start, stop], 1000), 3)
    report |= {
        "coincidences_over_searchsorted": theirs / count,
        "goal_coincidences_over_searchsorted": 4,
        "franson_over_three_searchsorted": 3 * theirs / franson,
        "goal_franson_over_three_searchsorted": 8,
        "g2_20_lags_mtags_per_s": 2 * TAGS / g2 / 1e6,
        "goal_g2_mtags_per_s": 50,
        "fourfold_mtags_per_s": 4 * TAGS / fourfold / 1e6,
    }
    dead_time = timed(lambda: timetags.apply_dead_time(start, 20_000))
    merging = timed(lambda: timetags.merge_tags([start, stop]))
    report["dead_time_mtags_per_s"] = TAGS / dead_time / 1e6
    report["merge_mtags_per_s"] = 2 * TAGS / merging / 1e6
    return report


def stream(tags: int) -> dict[str, Any]:
    """Correlate `tags` tags that are made chunk by chunk; the chunks share one set of delays."""
    counter = timetags.CorrelationHistogram(WIDTH, REACH)
    start, stop = channels(int(RATE * CHUNK / 1e12), CHUNK, 2)
    timetags.count_coincidences(start, stop, 1)  # loads the compiler
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = chunk = 0
    begin = time.perf_counter()
    while done < tags:
        # the same pattern one chunk later: correlating is what is measured
        counter.add(start + chunk * CHUNK, stop + chunk * CHUNK, until=(chunk + 1) * CHUNK)
        done += start.size + stop.size
        chunk += 1
    spent = time.perf_counter() - begin
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "stream_tags": done,
        "stream_mtags_per_s": done / spent / 1e6,
        "stream_memory_growth_mb": grown / 1024,
        "stream_pairs": int(counter.counts.sum()),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--stream", type=float, default=1e7)
    # the stream first: the memory it needs shows only before anything larger was there
    report = stream(int(arguments.parse_args().stream)) | kernels()
    print(
        json.dumps(
            {k: round(v, 2) if isinstance(v, float) else v for k, v in report.items()}, indent=2
        )
    )


if __name__ == "__main__":
    main()
