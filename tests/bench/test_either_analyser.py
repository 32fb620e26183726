"""A laboratory swaps the spectrum analyser in the bench file alone: same procedures, same physics."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.bench import Bench, find_bench, shipped_benches
from labctl.run import run
from labctl.run.folder import RunFolder
from labctl.run.request import Request
from labctl.run.results import run_data
from labctl.run.runner import start
from procedures.covariance_sweep import CovarianceSweep
from procedures.squeezing_spectrum import SqueezingSpectrum

SWAP = {
    "drivers.spectrum_analyser:SpectrumAnalyser": "drivers.spectrum_analyser:FsvAnalyser",
    "simulated_instruments.spectrum_analyser:SimSpectrumAnalyser": (
        "simulated_instruments.rohde_schwarz_fsv:SimFsv"
    ),
}


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The shipped bench, and the same with two lines changed."""
    text = shipped_benches()["cluster-microcomb"].read_text(encoding="utf-8")
    for old, new in SWAP.items():
        assert text.count(f'"{old}"') == 1
        text = text.replace(old, new)
    path = tmp_path_factory.mktemp("bench") / "fsv.toml"
    path.write_text(text, encoding="utf-8")
    return {"keysight": "cluster-microcomb", "rohde-schwarz": str(path)}


def measure(bench: str, tmp_path: Path) -> tuple[RunFolder, Any]:
    options = {"sweep_time": 2.0}
    outcome = start(
        Request("squeezing-spectrum", options, bench=bench, mode="sim", seed=4, record=False),
        tmp_path,
    )
    assert outcome.status == "finished", outcome.reason
    folder = RunFolder.open(outcome.path)
    return folder, run_data(SqueezingSpectrum(**options), folder)


def test_squeezing_is_the_same_with_either_family(benches: dict[str, str], tmp_path: Path) -> None:
    (keysight, first), (rohde, second) = (
        measure(bench, tmp_path / name) for name, bench in benches.items()
    )
    for name in ("squeezing_x", "squeezing_p", "antisqueezing_x", "antisqueezing_p"):
        (a, da, _), (b, db, _) = first.results[name], second.results[name]
        assert a == pytest.approx(b, abs=4 * math.hypot(da, db)), name
        assert da == pytest.approx(db, rel=0.25), name
    for folder, maker, other in (
        (keysight, "Keysight Technologies,N9020B", "Rohde&Schwarz"),
        (rohde, "Rohde&Schwarz,FSV-7", "Keysight"),
    ):
        journal = (folder.path / "run.jsonl").read_text(encoding="utf-8")
        assert maker in journal
        assert other not in journal


def test_covariance_elements_are_the_same_with_either_family(
    benches: dict[str, str], tmp_path: Path
) -> None:
    """The first settings of the sweep: dark, scan, single modes and pairs."""
    rows = {}
    for name, bench in benches.items():
        with_bench = Bench.open(find_bench(bench), "sim", seed=6)
        procedure = CovarianceSweep(topology="single", sweep_time=2.0)
        rows[name] = run(procedure, with_bench, tmp_path / name, stop_after=40)
        with_bench.close()
    pulls = []
    for a, b in zip(*rows.values(), strict=True):
        assert (a["kind"], a["mode i"], a["mode j"]) == (b["kind"], b["mode i"], b["mode j"])
        if a["kind"] in ("dark", "scan"):
            continue
        errors = [
            math.hypot(row["signal error (mW)"] / row["signal (mW)"],
                       row["shot error (mW)"] / row["shot (mW)"])
            for row in (a, b)
        ]  # fmt: skip
        pulls.append(math.log(a["variance"] / b["variance"]) / math.hypot(*errors))
    assert len(pulls) > 20
    assert np.abs(pulls).max() < 5
    assert np.std(pulls) < 1.8
