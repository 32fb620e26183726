"""Photons of the entanglement network: how fast they are drawn, and ten seconds of four users.

python benchmarks/bench_network.py [repeats]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labctl.run.folder import RunFolder
from labctl.run.request import Request
from labctl.run.runner import start
from simulated_instruments.physics.pair_tags import Link, Singles, draw
from simulated_instruments.physics.snspd import SnspdModel

BLOCK = 10**10  # ps
PAIRS, ETA = 1e6, 0.5


DETECTORS = SnspdModel(lambda name: 1, "snspd")


def arrivals(number: int) -> list[NDArray[np.int64]]:
    """A block of 1e6 pairs/s of which half of the photons arrive."""
    both = PAIRS * ETA**2
    links = [Link((0, 1), both, (0.995, 0.5, 0.5, 0.005))]
    singles = [Singles(user, PAIRS * ETA - both) for user in (0, 1)]
    return draw(
        number, number * BLOCK, BLOCK, links, singles, 2, linewidth_hz=200e6, path_ps=10_000
    )


def drawn(number: int) -> int:
    """Photons of a block."""
    return sum(len(times) for times in arrivals(number))


def detected(number: int) -> int:
    """Clicks of a block: efficiency, jitter, dead time, dark counts."""
    rng, begin = np.random.default_rng(number), number * BLOCK
    return sum(
        len(DETECTORS.detect(0, times, begin, begin + BLOCK, rng)) for times in arrivals(number)
    )


def speed(function: Callable[[int], int], blocks: int, repeats: int) -> float:
    """Median of tags per second of processor time: others may use the machine, too."""
    function(0)
    found = []
    for _ in range(repeats):
        began = time.process_time()
        tags = sum(function(number) for number in range(1, blocks + 1))
        found.append(tags / (time.process_time() - began))
    return statistics.median(found)


def network(place: str, number: int) -> tuple[float, float, int]:
    """Wall and processor time (s) of ten seconds of counting, with analysis and keys; the tags."""
    options = {"duration": 10.0}
    began, used = time.perf_counter(), time.process_time()
    outcome = start(
        Request("bbm92-network", options, bench="entanglement-network", seed=number), Path(place)
    )
    seconds, used = time.perf_counter() - began, time.process_time() - used
    columns = RunFolder.open(outcome.path).columns()
    return seconds, used, int(sum(columns[f"clicks {user}"].sum() for user in "ABCD"))


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"photons drawn: {speed(drawn, 200, repeats) / 1e6:.0f} Mtags/s (goal 50)")
    print(f"through detectors: {speed(detected, 100, repeats) / 1e6:.0f} Mtags/s")
    with tempfile.TemporaryDirectory() as place:
        walls, used, tags = zip(
            *(network(place, n) for n in range(max(repeats // 2, 1))), strict=True
        )
    print(
        f"bbm92-network, 10 s of four users, {tags[0] / 1e6:.1f} million tags, from the first "
        f"instrument to the last key: {statistics.median(walls):.1f} s (goal 20), "
        f"{statistics.median(used):.1f} s of processor time"
    )


if __name__ == "__main__":
    main()
