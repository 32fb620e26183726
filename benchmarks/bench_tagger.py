"""Time tags through wire, driver and recorder: `python benchmarks/bench_tagger.py`.

Two loads: four taggers with 7 million tags in 10 s, read every second; and 1.4e8 triggers of which
4 % have a click, with the index of the trigger, read in ten pieces. The clicks are made before, so
that what is timed is the simulated tagger, its ZeroMQ, the driver and the transcript. Seconds are
those of the processor, because the machine has other things to do. One JSON document goes to
standard output, a table to standard error.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl import benchfile
from labctl.bench import Bench
from labctl.transport.wirelog import WireLog
from simulated_instruments.physics.tagger import PS, TaggerModel
from simulated_instruments.world import World

Ints = NDArray[np.int64]

SECONDS, TAGS, TAGGERS = 10, 7_000_000, 4
TRIALS, PERIOD, SHARE = 140_000_000, 2 * 10**9, 0.02  # triggers, ps, clicks for each detector
INSTRUMENT = """
[instruments.{name}]
driver = "drivers.idq_id900:Id900"
address = "tcp://{name}:5555"
simulator = "simulated_instruments.idq_id900:SimIdqId900"
"""


class Trigger:
    """Every 2 ms."""

    period_ps, first_ps = PERIOD, 0


def stored(streams: list[Ints]) -> Any:
    """Clicks that were made before."""

    def clicks(t0: int, t1: int) -> list[Ints]:
        return [s[np.searchsorted(s, t0) : np.searchsorted(s, t1)] for s in streams]

    return clicks


def bench_of(models: dict[str, Any], place: Path) -> tuple[benchfile.BenchFile, WireLog]:
    """A bench whose world has nothing but these taggers, and a transcript."""

    class Prepared(World):
        def __init__(self, seed: int = 0, **values: Any) -> None:
            super().__init__(seed, **values)
            for name, options in models.items():
                self.parts[name] = TaggerModel(self.seed_of, name, **options)

    module = ModuleType("prepared_world")
    module.Prepared = Prepared  # type: ignore[attr-defined]
    sys.modules["prepared_world"] = module
    text = '[bench]\n[world]\nclass = "prepared_world:Prepared"\n'
    text += "".join(INSTRUMENT.format(name=name) for name in models)
    return benchfile.parse(text, place / "bench.toml"), WireLog(place / "wire.jsonl")


def run(models: dict[str, Any], steps: int, step: float, place: Path, **options: Any) -> float:
    """Seconds of processor time for streaming `steps` times `step` s from all taggers."""
    file, log = bench_of(models, place)
    with Bench.open(file, "sim", record=log) as bench:
        begin, tags = time.process_time(), 0
        with ExitStack() as stack:
            streams = [stack.enter_context(bench[name].stream(**options)) for name in models]
            for _ in range(steps):
                bench.clock.sleep(step)
                tags += sum(len(stream.collect()) for stream in streams)
            tags += sum(len(stream.rest()) for stream in streams)
        log.close()
        took = time.process_time() - begin
    print(f"{tags:>10,} tags, {took:6.2f} s, {tags / took / 1e6:5.1f} Mtags/s", file=sys.stderr)
    return took


def main() -> None:
    """Measure and print."""
    rng = np.random.default_rng(0)
    found = {}
    with tempfile.TemporaryDirectory(prefix="bench-tagger-") as name:
        place = Path(name)
        each = TAGS // (4 * TAGGERS)
        models = {
            f"tagger_{n}": {
                "clicks": stored([np.sort(rng.integers(0, SECONDS * PS, each)) for _ in range(4)])
            }
            for n in "abcd"
        }
        found["four taggers, 7e6 tags (s)"] = run(models, SECONDS, 1.0, place)
    with tempfile.TemporaryDirectory(prefix="bench-tagger-") as name:
        place = Path(name)
        streams = []
        for _ in range(2):
            trials = np.unique(rng.integers(0, TRIALS, round(SHARE * TRIALS)))
            streams.append(trials * PERIOD + 350_000 + rng.integers(0, 36_000, len(trials)))
        nothing = np.empty(0, dtype=np.int64)
        models = {
            "tagger": {
                "clicks": stored([*streams, nothing, nothing]),
                "reference": Trigger(),
                "zero_ps": None,
            }
        }
        step = TRIALS * PERIOD / PS / 10
        found["1.4e8 triggers with index (s)"] = run(
            models, 10, step, place, channels=(1, 2), with_index=True
        )
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
