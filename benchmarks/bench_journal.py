"""Speed and crash safety of the run folder: `python benchmarks/bench_journal.py [--kills 50]`.

Rates are the best of several rounds, because the machine has other things to do; opening times
are for a warm page cache. One JSON document goes to standard output, a table to standard error.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from labctl.journal import Journal
from labctl.run.catalogue import list_runs
from labctl.run.folder import RunFolder

START = {"columns": ["index", "x (nm)", "y (mW)"]}
ROW = {"index": 0, "x (nm)": 1550.123456, "y (mW)": 0.12345678901}


def best(work: Callable[[], object], calls: int, rounds: int = 5) -> float:
    """Return seconds per call in the best round."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in range(calls):
            work()
        times.append((time.perf_counter() - begin) / calls)
    return min(times)


def timed(work: Callable[[], object]) -> float:
    """Return seconds of one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def writing(place: Path) -> dict[str, float]:
    """Rows per second of each way to write one."""
    entry = {"entry": "row", "t": 12.34, "row": ROW}
    traced = {**ROW, "signal (dBm)": np.arange(1001.0)}
    from_numpy = {**ROW, "x (nm)": np.float64(1550.123456), "y (mW)": np.float64(0.123)}
    with (
        Journal(place / "journal.jsonl") as journal,
        RunFolder.create(place / "writing", "bench", START) as run,
    ):
        return {
            "journal append, rows/s": 1 / best(lambda: journal.append(entry), 50_000),
            "emit, rows/s": 1 / best(lambda: run.emit(ROW, 12.34), 50_000),
            "emit of numpy floats, rows/s": 1 / best(lambda: run.emit(from_numpy, 12.34), 50_000),
            "emit with a NaN, rows/s": 1
            / best(lambda: run.emit({**ROW, "x (nm)": float("nan")}, 12.34), 20_000),
            "emit with a trace of 1001, rows/s": 1 / best(lambda: run.emit(traced, 12.34), 1_000),
            "append with fsync, rows/s": 1
            / best(lambda: journal.append(entry, durable=True), 20, rounds=3),
        }


def opening(place: Path, rows: int) -> dict[str, float]:
    """Seconds to open a long run with its cache, to read its columns, and without the cache."""
    with RunFolder.create(place / "opening", "bench", START) as run:
        for i in range(rows):
            run.emit({"index": i, "x (nm)": 1550.0 + i * 1e-6, "y (mW)": i * 0.1}, i * 0.1)
        run.results({"fsr": {"value": 1.0, "uncertainty": None, "unit": "GHz"}})
        run.stop("finished")
        closing = timed(run.close)
    path = run.path

    def look() -> None:
        found = RunFolder.open(path)
        if (found.status, len(found.rows), len(found.result)) != ("finished", rows, 1):
            raise SystemExit(f"{path} was not read as written")

    def columns() -> None:
        RunFolder.open(path).columns()

    found = {
        "rows": rows,
        "size of run.jsonl, MB": (path / "run.jsonl").stat().st_size / 1e6,
        "build the cache at the end, s": closing,
        "open, s": best(look, 1, rounds=9),
        "open and all columns, s": best(columns, 1, rounds=9),
    }
    (path / "rows.arrow").unlink()
    found["open without the cache, s"] = timed(look)
    return found


def cataloguing(place: Path, runs: int) -> dict[str, float]:
    """Seconds to list many runs for the first time and again."""
    with RunFolder.create(place / "one", "bench", START) as run:
        run.opened({"settings": {"laser": {"power": 1.5}}})
        for i in range(20):
            run.emit({**ROW, "index": i}, i * 0.1)
        run.stop("finished")
    content = (run.path / "run.jsonl").read_bytes()
    many = place / "many"
    for number in range(1, runs + 1):
        folder = many / f"{number:04d}-bench-20261120-211500"
        folder.mkdir(parents=True)
        (folder / "run.jsonl").write_bytes(content)
    first = timed(lambda: list_runs(many))
    again = best(lambda: list_runs(many), 1)
    search = best(lambda: list_runs(many, search="power bench"), 1)
    return {"runs": runs, "first time, s": first, "again, s": again, "search, s": search}


def killing(place: Path, kills: int) -> dict[str, Any]:
    """Kill writers at random moments; the test suite does the same with fewer."""
    source = Path(__file__).parents[1] / "tests" / "unit" / "test_kill.py"
    spec = importlib.util.spec_from_file_location("test_kill", source)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{source} is missing: run this from a checkout")
    module = importlib.util.module_from_spec(spec)
    sys.modules["test_kill"] = module
    spec.loader.exec_module(module)
    campaigns = [module.kill_campaign(place / f"kill{n}", 10, n) for n in range(-(-kills // 10))]
    return {
        name: sum(getattr(c, name) for c in campaigns)
        for name in ("kills", "acknowledged", "recovered", "lost", "torn_tails")
    } | {"problems": [problem for c in campaigns for problem in c.problems]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-journal-") as name:
        place = Path(name)
        found = {
            "writing": writing(place),
            "opening": opening(place, options.rows),
            "catalogue": cataloguing(place, options.runs),
            "kill": killing(place, options.kills),
        }
    for section, values in found.items():
        for what, value in values.items():
            shown = f"{value:,.4g}" if isinstance(value, float) and value < 1e3 else f"{value}"
            shown = f"{value:,.0f}" if isinstance(value, float) and value >= 1e3 else shown
            print(f"{section:10} {what:36} {shown}", file=sys.stderr)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
