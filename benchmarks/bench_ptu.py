"""Reading PTU files beside ptufile: `python benchmarks/bench_ptu.py [--tags 10e6]`.

Poisson tags on four channels, 1 Mcps each, page cache warm; T2 in units of 1 ps, T3 at 80 MHz.
What each delivers, in bytes per tag:

- T2: ours channel and time in ps (9); ptufile channel, time and marker of every record (10).
- T3: ours channel, pulse and dtime (11); ptufile these and the marker of every record (12).
- T2, T3 columns: as ours, one array per column with the tags only; of ptufile's records with numpy.
- T3 in ps: the times as well; ours `TagFile.times`, those of ptufile with numpy.

Medians of the rounds, taken in turns: of the time on the processor, because the machine is shared,
and of the time on the clock. Both readers are bound by memory, and so by what else uses it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import ptufile

from labctl.analysis.timetags import TagFile, read_tags, write_ptu

PERIOD, STEP = 12_500, 5  # ps per sync pulse and per dtime


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return seconds of one call: on the processor, on the clock."""
    begin, cpu = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - cpu, time.perf_counter() - begin


def theirs(path: Path) -> np.ndarray:
    """Return the records as ptufile decodes them."""
    with ptufile.PtuFile(path) as file:
        return file.decode_records()


def columns_of_theirs(path: Path) -> list[np.ndarray]:
    """Return the columns of the tags alone."""
    records = theirs(path)
    tags = np.flatnonzero(records["channel"] >= 0)
    return [records[name][tags] for name in records.dtype.names if name != "marker"]


def times_of_theirs(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return them and the times of all records in ps."""
    records = theirs(path)
    return records, records["time"].astype(np.int64) * PERIOD + records["dtime"] * np.int64(STEP)


def times_of_ours(path: Path) -> tuple[TagFile, np.ndarray]:
    """Return what we read and the times of all tags in ps."""
    tags = read_tags(path)
    return tags, tags.times


def check(path: Path, channels: np.ndarray, times: np.ndarray) -> None:
    """Both readers give what was written."""
    ours, records = read_tags(path), theirs(path)
    photons = records[records["channel"] >= 0]
    same = [(ours.channels, channels), (ours.channels, photons["channel"])]
    if path.stem == "t2":
        same += [(ours.times, times), (photons["time"].astype(np.int64), times)]
    else:
        same += [(ours.sync, times // PERIOD), (photons["time"].astype(np.int64), ours.sync)]
        same += [(ours.dtimes, times % PERIOD // STEP), (photons["dtime"], ours.dtimes)]
        same += [(ours.times, times // STEP * STEP)]
    if not all(np.array_equal(one, other) for one, other in same):
        raise SystemExit(f"{path.stem}: the two readers do not agree")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tags", type=float, default=10e6)
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    tags = int(options.tags)
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.exponential(250_000, tags).astype(np.int64))
    channels = rng.integers(0, 4, tags).astype(np.uint8)
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="bench-ptu-") as place:
        t2, t3 = Path(place) / "t2.ptu", Path(place) / "t3.ptu"
        written = timed(lambda: write_ptu(t2, channels, times))
        found["write T2, Mtags/s"] = tags / written[0] / 1e6
        write_ptu(
            t3, channels, sync=times // PERIOD, dtimes=(times % PERIOD // STEP).astype(np.uint16),
            resolution=STEP, sync_period=PERIOD,
        )  # fmt: skip
        for path in (t2, t3):
            check(path, channels, times)  # compiles, too
        readers: dict[str, tuple[Path, Callable[[Path], object], Callable[[Path], object]]] = {
            "T2": (t2, read_tags, theirs),
            "T3": (t3, read_tags, theirs),
            "T2 columns": (t2, read_tags, columns_of_theirs),
            "T3 columns": (t3, read_tags, columns_of_theirs),
            "T3 in ps": (t3, times_of_ours, times_of_theirs),
        }
        for what, (path, *both) in readers.items():
            rounds = [
                [timed(lambda r=r, p=path: r(p)) for r in both] for _ in range(options.rounds)
            ]
            cpu, wall = (
                [statistics.median(pair[who][clock] for pair in rounds) for who in (0, 1)]
                for clock in (0, 1)
            )
            found[f"read {what}, ours, Mtags/s"] = tags / cpu[0] / 1e6
            found[f"read {what}, ptufile, Mtags/s"] = tags / cpu[1] / 1e6
            found[f"read {what}, ours to ptufile"] = cpu[1] / cpu[0]
            found[f"read {what}, ours to ptufile, on the clock"] = wall[1] / wall[0]
    if hasattr(os, "getloadavg"):
        found["load of the machine"] = os.getloadavg()[0]
    for name, value in found.items():
        print(f"{name:46} {value:8.2f}", file=sys.stderr)
    print(json.dumps({"tags": tags, **found}, indent=1))


if __name__ == "__main__":
    main()
