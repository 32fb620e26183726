"""1.4e8 trials of the phonon-pair bench: drawn, through the whole bench, analysed, with figures.

python benchmarks/bench_phonon_pair.py [TRIALS]

CPU time is what this process spent; wall time is longer on a machine that does other things.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from labctl.bench import Bench, find_bench
from labctl.run import run
from labctl.run.folder import RunFolder
from labctl.run.results import run_data
from procedures.phonon_pair_g2 import PhononPairG2
from simulated_instruments.physics.optomechanics import (
    Heating,
    Readout,
    pattern_probabilities,
    prepared,
)
from simulated_instruments.physics.optomechanics_pulses import GRID, Envelope
from simulated_instruments.physics.optomechanics_trials import Chances, TrialSource, pair_law


def gaussian(centre: float, fwhm: float, begin: float, end: float) -> Envelope:
    times = np.arange(begin, end + GRID / 2, GRID)
    return Envelope(times, np.exp(-4 * math.log(2) * ((times - centre) / fwhm) ** 2))


def sampling(trials: int) -> tuple[float, int]:
    """Seconds to draw all clicks, and how many there are."""
    blue, red = 0.0517, 0.0517 * 1.86**2
    state = Readout(prepared(blue, red, 0.014), 0.014, 30.0, -math.log(0.756), Heating(), blue, red)
    background = 0.035 * np.array([2.93e-3, 2.93e-3, 2e-4, 2e-4])
    probabilities = pattern_probabilities(state.covariance(94.0), np.full(4, 0.035), background)
    second = gaussian(149, 47, 102, 196)
    law = pair_law(second, state.excess(second.times - 102))
    chances = Chances(probabilities, gaussian(36, 36, 0, 72), second, law, 0.0)

    def seed(name: str) -> int:
        return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=7).digest(), "little")

    begin = time.process_time()
    clicks = TrialSource(seed, "trials").clicks(0, trials, chances, 30.0)
    return time.process_time() - begin, sum(numbers.size for numbers, _ in clicks)


def main() -> None:
    trials = int(float(sys.argv[1])) if len(sys.argv) > 1 else 140_000_000
    sampled, clicks = sampling(trials)
    wall, cpu = time.perf_counter(), time.process_time()
    procedure = PhononPairG2(trials=trials, single_trials=1000)
    with tempfile.TemporaryDirectory() as place:
        bench = Bench.open(find_bench("phonon-pair"), "sim", seed=1)
        try:
            bench.arm()
            run(procedure, bench, Path(place))
            seconds = bench.clock.now()
        finally:
            bench.make_safe()
            bench.close()
        measured = time.process_time() - cpu
        (path,) = (p for p in Path(place).iterdir() if p.is_dir())
        folder = RunFolder.open(path)
        data = run_data(procedure, folder)
        for name, figure in procedure.figures(data).items():
            figure.savefig(Path(place) / f"{name}.png")
        tags = sum(len(batch["trial"]) for batch in folder.tag_batches("both"))
        value, error, _ = data.results["g2_pre"]
    report = {
        "trials": trials,
        "clicks_drawn": clicks,
        "drawing_cpu_s": round(sampled, 2),
        "bench_time_h": round(seconds / 3600, 1),
        "tags_in_files": tags,
        "measured_cpu_s": round(measured, 2),
        "with_figures_cpu_s": round(time.process_time() - cpu, 2),
        "with_figures_wall_s": round(time.perf_counter() - wall, 2),
        "goal_s": 15,
        "g2_pre": f"{value:.3f} +- {error:.3f}",
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
