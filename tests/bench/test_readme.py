"""The README's words are true: its commands parse, its procedure runs, its files exist."""

from __future__ import annotations

import functools
import re
import shlex
from pathlib import Path

import pytest

from labctl import benchfile
from labctl.cli import main
from labctl.cli.parser import build_parser
from labctl.run import runner
from labctl.run.folder import RunFolder
from labctl.run.request import Request

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCED = "\n".join(
    body
    for language, body in re.findall(r"^```(\w*)\n(.*?)^```$", README, re.S | re.M)
    if not language
)
COMMANDS = re.findall(r"^labctl (.+?)(?:\s{2,}#.*)?$", FENCED, re.M)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_parse(command):
    build_parser().parse_args(shlex.split(command))


def test_there_are_commands():
    assert len(COMMANDS) > 15


def test_the_procedure_runs(tmp_path, monkeypatch, capsys):
    (block,) = re.findall(r"```python\n# laser_stability.py\n(.*?)```", README, re.S)
    (tmp_path / "laser_stability.py").write_text(block, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (line,) = [c for c in COMMANDS if "laser_stability" in c]
    assert main(shlex.split(line)) == 0
    (path,) = [p for p in (tmp_path / "runs").iterdir() if p.is_dir()]
    folder = RunFolder.open(path)
    assert len(folder.rows) == 20
    assert folder.result["mean"]["value"] == pytest.approx(20.0, rel=0.05)


def test_the_bench_file_is_one():
    (block,) = re.findall(r"```toml\n(.*?)```", README, re.S)
    with pytest.raises(benchfile.BenchFileError, match="unknown instrument 'laser'"):
        benchfile.parse(block, Path("my.toml"))  # the excerpt leaves the laser out
    file = benchfile.parse(block.replace("laser.power", "analyser.centre"), Path("my.toml"))
    assert file.mode == "real"


def test_the_columns_of_a_run_are_those_of_the_sweep():
    from procedures.covariance_sweep import CovarianceSweep

    (block,) = re.findall(r"```python\n(from labctl.run.folder.*?)```", README, re.S)
    (column,) = re.findall(r'columns\(\)\["(.+?)"\]', block)
    (trace,) = re.findall(r'trace\("(.+?)", 5\)', block)
    assert column in CovarianceSweep.DATA_COLUMNS
    assert trace in CovarianceSweep.TRACES


@pytest.mark.parametrize(
    ("procedure", "row", "names"),
    [
        ("squeezing-spectrum", "squeezing of x / p", ("squeezing_x", "squeezing_p")),
        ("squeezing-spectrum", "the same, anti", ("antisqueezing_x", "antisqueezing_p")),
        ("nullifiers", "60 modes in 1D: best", ("nullifier", "two_mode")),
        ("covariance-sweep", "covariance matrix, 1D", ("nullifier", "two_mode")),
        ("covariance-sweep", "largest of 6 x 2047", ("ppt_max",)),
        ("covariance-sweep", "bound for all", ("ppt_bottleneck",)),
    ],
)
def test_the_numbers_are_those_of_the_default_seed(results, procedure, row, names):
    (line,) = [line for line in README.splitlines() if row in line and f"`{procedure}`" in line]
    ours = re.findall(r"([\d.]+) ± ([\d.]+)", line.split("|")[3])
    for (value, error), name in zip(ours, names, strict=False):  # 1D first
        found = results(procedure)[name]
        assert f"{found['value']:.3f} ± {found['uncertainty']:.3f}" == f"{value} ± {error}"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results of a procedure on the shipped bench, each measured once."""
    runs_dir = tmp_path_factory.mktemp("runs")

    @functools.cache
    def measured(procedure):
        outcome = runner.start(
            Request(procedure, bench="cluster-microcomb", record=False), runs_dir
        )
        return RunFolder.open(outcome.path).result

    return measured


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README))
def test_links_lead_somewhere(target):
    assert (ROOT / target).exists()
