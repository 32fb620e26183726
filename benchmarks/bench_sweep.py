"""The 60-mode sweep as a user starts it, what recording the wire costs, and how fast help appears.

python benchmarks/bench_sweep.py [repeats]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from labctl.run.folder import RunFolder

LABCTL = [sys.executable, "-c", "from labctl.cli import script; script()"]


def timed(command: list[str]) -> tuple[float, str]:
    """Wall time (s) and standard output of a command that must succeed."""
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - began, done.stdout


def sweep(place: str, *options: str) -> tuple[float, Path]:
    """Wall time of a run and of drawing its figures; the run folder."""
    command = [*LABCTL, "run", "covariance-sweep", "--bench", "cluster-microcomb", "--runs", place]
    seconds, out = timed([*command, "--json", *options])
    path = Path(json.loads(out)["run"])
    drawn, _ = timed([*LABCTL, "plot", str(path), "-o", str(path / "figures.html")])
    return seconds + drawn, path


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as place:
        recorded, bare = [], []
        for _ in range(repeats):
            seconds, path = sweep(place)
            recorded.append(seconds)
            bare.append(sweep(place, "--no-record")[0])
        folder = RunFolder.open(path)
        wire = (path / "wire.jsonl").stat().st_size / 1e6
        print(f"{len(folder.rows)} rows, {folder.last_time:.0f} s of bench time, run to figures:")
        print(f"60-mode sweep: {statistics.median(recorded):.1f} s (goal 30, aim 10)")
        ratio = statistics.median(r / b for r, b in zip(recorded, bare, strict=True))
        print(f"recording: {100 * (ratio - 1):+.0f} % (goal 20), {wire:.1f} MB (goal 50)")
    python = statistics.median(timed([sys.executable, "-c", "pass"])[0] for _ in range(15))
    cli = statistics.median(timed([*LABCTL, "--help"])[0] for _ in range(15))
    print(f"labctl --help: {1e3 * (cli - python):.0f} ms above bare Python (goal 100)")


if __name__ == "__main__":
    main()
