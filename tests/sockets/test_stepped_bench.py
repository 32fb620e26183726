"""A whole run over sockets with stepped time gives the rows and end times of the run in-process."""

from __future__ import annotations

import toybench
from steppedbench import measured, served

from labctl import benchfile
from labctl.bench import find_bench, simulators
from labctl.run import runner
from labctl.run.folder import RunFolder
from labctl.run.request import Request
from simulated_instruments.server import serving


def run_both_ways(tmp_path, text, procedure, parameters, seed):
    """Run on simulators behind sockets, and with the same bench file in-process; both folders."""
    file = benchfile.parse(text, tmp_path / "bench.toml")
    folders = []
    with serving(simulators(file, seed, {}), pace=0) as addresses:
        file.path.write_text(served(text, addresses), encoding="utf-8")
        for mode in ("real", "sim"):
            request = Request(
                procedure, parameters, str(file.path), mode=mode, seed=seed, title=mode
            )
            outcome = runner.start(request, tmp_path / "runs")
            assert outcome.status == "finished", outcome.reason
            folders.append(RunFolder.open(outcome.path))
    return folders


def test_toy_run(tmp_path):
    over_sockets, inside = run_both_ways(
        tmp_path, toybench.BENCH, "toybench:Watch", {"steps": "12", "pause": "0.7"}, seed=5
    )
    assert len(inside.rows) == 12
    assert measured(over_sockets) == measured(inside)


def test_squeezing_run(tmp_path):
    """Seven instruments: SCPI, filter over HTTP, register client, serial lines, Lisp-like laser."""
    over_sockets, inside = run_both_ways(
        tmp_path,
        find_bench("cluster-microcomb").text,
        "squeezing-spectrum",
        {"scan_steps": "5", "averages": "1"},
        seed=7,
    )
    assert len(inside.rows) == 26
    assert measured(over_sockets) == measured(inside)


def test_covariance_run(tmp_path):
    """Seven instruments, two of which greet, and blocks of binary records."""
    over_sockets, inside = run_both_ways(
        tmp_path,
        find_bench("magnomechanics").text,
        "microwave-covariance",
        {"records": "16000"},
        seed=7,
    )
    assert len(inside.rows) == 18
    for there, here in zip(measured(over_sockets), measured(inside), strict=True):
        assert str(there) == str(here)  # as text, because some columns are NaN
