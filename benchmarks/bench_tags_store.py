"""Time tags into a run folder and back: `python benchmarks/bench_tags_store.py [--rate 20e6]`.

Two streams of uint8 channels and int64 times, committed every 0.1 s of tags at the given rate, as
fast as they go: with the bytes left to the operating system (safe from kill -9), and forced to the
disk itself at each commit (safe from power loss). A third column says how much of each 0.1 s a
measurement at that rate would spend on storing. Medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from labctl.run.folder import RunFolder
from labctl.run.tags import TagFollower

START = {"columns": ["index"], "traces": []}


def timed(work: Callable[..., object], *arguments: object) -> float:
    """Return seconds of one call."""
    begin = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - begin


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=20e6, help="tags/s of both streams together")
    parser.add_argument("--seconds", type=float, default=2.0, help="of tags")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    commits = round(options.seconds / 0.1)
    size = round(options.rate * 0.1 / 2)  # of a batch of either stream
    total = 2 * size * commits
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.integers(0, 100_000, size))
    channels = rng.integers(0, 4, size).astype(np.uint8)
    found: dict[str, list[float]] = {}

    def note(what: str, value: float) -> None:
        found.setdefault(what, []).append(value)

    for _ in range(options.rounds):
        for how, every in (("", None), (", forced to the disk", 0.0)):
            with tempfile.TemporaryDirectory(prefix="bench-tags-") as place:
                run = RunFolder.create(Path(place), "bench", START, durable_every=every)
                spent = []
                for n in range(commits):
                    for name in ("alice", "bob"):
                        columns = {"channel": channels, "time (ps)": times}
                        spent.append(timed(run.record_tags, name, columns, 0.0))
                    run.emit({"index": n}, 0.1 * n)
                note(f"append{how}, Mtags/s", total / sum(spent) / 1e6)
                note(f"busy of each 0.1 s{how}, %", 100 * sum(spent) / options.seconds)
                note(f"slowest commit{how}, ms", 1e3 * max(spent))
                run.stop("finished")
                run.close()
                if every is None:
                    reader = RunFolder.open(run.path)
                    note("read all, Mtags/s", total / 2 / timed(reader.tags, "alice") / 1e6)
                    follower = TagFollower(run.path)
                    note("follow, Mtags/s", total / timed(follower.poll) / 1e6)
    medians = {what: statistics.median(values) for what, values in found.items()}
    for what, value in medians.items():
        print(f"{what:44} {value:8.1f}", file=sys.stderr)
    print(json.dumps({"tags": total, "commits": commits, **medians}, indent=1))


if __name__ == "__main__":
    main()
