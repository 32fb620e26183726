"""Reading PTU files beside ptufile: `python benchmarks/bench_ptu.py [--tags 10e6]`.

A T2 file of Poisson tags on four channels, 1 ps units, 1 Mcps each, page cache warm; T3 at 80 MHz.
Medians of the rounds. ptufile only decodes records; ours gives sorted ps and channels as well.
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
import ptufile

from labctl.analysis.timetags import read_tags, write_ptu


def timed(work: Callable[[], object]) -> float:
    """Return seconds of one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def theirs(path: Path) -> np.ndarray:
    """Return the records as ptufile decodes them."""
    with ptufile.PtuFile(path) as file:
        return file.decode_records()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tags", type=float, default=10e6)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    tags = int(options.tags)
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.exponential(250_000, tags).astype(np.int64))
    channels = rng.integers(0, 4, tags).astype(np.uint8)
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="bench-ptu-") as place:
        t2, t3 = Path(place) / "t2.ptu", Path(place) / "t3.ptu"
        found["write T2, Mtags/s"] = tags / timed(lambda: write_ptu(t2, channels, times)) / 1e6
        dtimes = (times % 12_500 // 5).astype(np.uint16)
        write_ptu(
            t3, channels, sync=times // 12_500, dtimes=dtimes, resolution=5, sync_period=12_500
        )
        for path in (t2, t3):
            ours = read_tags(path)  # compiles
            records = theirs(path)
            decoded = records["time"][records["channel"] >= 0]
            wanted = ours.times if path is t2 else ours.sync
            if not np.array_equal(decoded, wanted.astype(decoded.dtype)):
                raise SystemExit("the two readers do not agree")
            del ours, records, decoded, wanted
            pair: dict[str, list[float]] = {"ours": [], "ptufile": []}
            for _ in range(options.rounds):  # in turns, because the machine is shared
                pair["ours"].append(timed(lambda p=path: read_tags(p)))
                pair["ptufile"].append(timed(lambda p=path: theirs(p)))
            rates = {name: tags / statistics.median(spent) / 1e6 for name, spent in pair.items()}
            mode = path.stem.upper()
            found |= {f"read {mode}, {name}, Mtags/s": rate for name, rate in rates.items()}
            found[f"read {mode}, ours to ptufile"] = rates["ours"] / rates["ptufile"]
    for what, value in found.items():
        print(f"{what:36} {value:8.1f}", file=sys.stderr)
    print(json.dumps({"tags": tags, **found}, indent=1))


if __name__ == "__main__":
    main()
