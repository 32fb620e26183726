"""A whole run over sockets with stepped time gives the rows and end times of the run in-process."""

from __future__ import annotations

import re

import toybench

from labctl import benchfile
from labctl.bench import find_bench, simulators
from labctl.run import runner
from labctl.run.folder import RunFolder
from labctl.run.request import Request
from simulated_instruments.server import address_of, serving


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


def measured(folder):
    """Rows, arrays and the transcript with every byte and its time."""
    rows = list(folder.rows)
    traces = [
        folder.trace(column, row["index"]).tolist()
        for column in folder.start["traces"]
        for row in rows
    ]
    wire = (folder.path / "wire.jsonl").read_text(encoding="utf-8").splitlines()
    return rows, folder.times.tolist(), traces, wire


def served(text, addresses):
    """The bench file with the addresses of a server, and its clock."""
    clock = address_of(addresses, "clock").replace("tcp://", "stepped://")
    text = re.sub(r"(?m)^mode = .*\n", "", text)
    text = text.replace("[bench]\n", f'[bench]\nclock = "{clock}"\n', 1)
    for name in {entry["instrument"] for entry in addresses} - {"clock"}:
        address = address_of(addresses, name)
        text = re.sub(
            rf'(?s)(\[instruments\.{name}\].*?\naddress = )"[^"]*"',
            rf'\1"{address}"',
            text,
            count=1,
        )
    return text


def test_toy_run(tmp_path):
    over_sockets, inside = run_both_ways(
        tmp_path, toybench.BENCH, "toybench:Watch", {"steps": "12", "pause": "0.7"}, seed=5
    )
    assert len(inside.rows) == 12
    assert measured(over_sockets) == measured(inside)


def test_squeezing_run(tmp_path):
    """Four instruments: laser, filter over HTTP, register client and analyser."""
    over_sockets, inside = run_both_ways(
        tmp_path,
        find_bench("cluster-microcomb").text,
        "squeezing-spectrum",
        {"scan_steps": "5", "averages": "1"},
        seed=7,
    )
    assert len(inside.rows) == 16
    assert measured(over_sockets) == measured(inside)
