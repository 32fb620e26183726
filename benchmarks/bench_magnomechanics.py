"""Magnomechanics: a theory map, records from the dynamics, a measured covariance; with peers.

Run with `python benchmarks/bench_magnomechanics.py`. Peers: scipy's Lyapunov solver point by point
for the map, and a plain loop over samples for the records.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.linalg import solve_continuous_lyapunov

from labctl.analysis.magnomechanics import Device, diffusion, drift, entanglement
from labctl.run.request import Request
from labctl.run.runner import start
from simulated_instruments.physics.magnomechanics import Point, driven, outputs
from simulated_instruments.physics.noise import LinearSystem
from simulated_instruments.physics.record_chain import RecordChain

SIDE = 101
BUFFER = 16384


def best(action: Callable[[], object], repeats: int = 5) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    places = np.linspace(-20, 20, SIDE)
    device = Device(detuning_1=places[:, None], detuning_2=places[None, :])
    ours = best(lambda: entanglement(device))
    sample = [drift(Device(detuning_1=x)) for x in places]
    noise = np.diag(diffusion(Device()))

    def one_by_one() -> None:
        for a in sample:
            if np.linalg.eigvals(a).real.max() < 0:
                solve_continuous_lyapunov(a, -noise)

    peer = best(one_by_one) * SIDE

    point = driven(Point(10, -10, 10.0125, 1, 1, 1, 3.8, 3.8, 10, 1e-4, 0.02, 9.991e9),
                   6.437, 0.3, 125e-6)  # fmt: skip
    seen = outputs(point, 0.5, 10.0, (5.0, 5.0))
    system = LinearSystem(seen.drift, seen.diffusion)
    chain, rng = RecordChain(system, 8.192, 4), np.random.default_rng(1)
    records = best(lambda: chain.draw(BUFFER, rng), 20)
    phi, root = system.step(8.192)[0], system.noise_root(8.192)

    def loop() -> None:
        state = np.zeros(len(phi))
        for _ in range(BUFFER):
            state = phi @ state + root @ rng.standard_normal(len(phi))

    looped = best(loop, 2)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        outcome = start(Request("microwave-covariance", {}, bench="magnomechanics"), Path(folder))
        measured = time.perf_counter() - began
    print(
        json.dumps(
            {
                "theory map 101 x 101 (s)": round(ours, 3),
                "the same, scipy point by point (s)": round(peer, 2),
                "quadrature pairs per second": round(2 * BUFFER / records),
                "the same in a loop": round(2 * BUFFER / looped),
                "covariance, 1e6 records per state (s)": round(measured, 2),
                "status": outcome.status,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
