"""The reference pages are true: their code runs, and they name every key there is."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from commandline import call

from labctl import benchfile
from labctl.bench import Bench
from labctl.journal import Journal
from labctl.run.folder import RunFolder
from labctl.transport.serial import OPTIONS
from simulated_instruments.faults import KINDS

DOCS = Path(__file__).resolve().parents[2] / "docs"
RUN_FOLDER = (DOCS / "run-folder.md").read_text(encoding="utf-8")
BENCH_FILE = (DOCS / "bench-file.md").read_text(encoding="utf-8")


@pytest.fixture(params=["Watch", "Clicks"])
def run(capsys, place, request):
    code, _, err = call(
        capsys, "run", f"toybench:{request.param}", "--bench", "toy.toml", "--title", "for the docs"
    )
    assert (code, err) == (0, "")
    (path,) = place.glob("runs/0001-*")
    return RunFolder.open(path)


def test_a_run_is_read_without_labctl(run, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", RUN_FOLDER, re.S)
    run.columns()  # makes rows.arrow if it is not there yet
    monkeypatch.chdir(run.path)
    names = {}
    exec(code, names)
    assert len(names["rows"]) == 10
    for name, values in run.columns().items():
        np.testing.assert_array_equal(names["rows"][name], values)
        np.testing.assert_array_equal(names["same_rows"][name], values)
    np.testing.assert_array_equal(names["trace"], run.trace("trace (K)", 3))
    first, *_, last = names["same_rows"]
    assert (first, last) == ("t (s)", "tags" if run.tag_names else "arrays")
    for name in run.tag_names:
        for column, values in run.tags(name).items():
            np.testing.assert_array_equal(names["alice"][column], values)


def test_every_entry_and_member_is_listed(run):
    table = dict(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (.+) \|$", RUN_FOLDER, re.M))
    listed = {name: text for names, text in table.items() for name in re.findall(r"`(\w+)`", names)}
    (row,) = [e for e in Journal.read(run.path / "run.jsonl") if e["entry"] == "row"][:1]
    for event in (*run.events, row):
        for member in event.keys() - {"entry", "time"}:
            assert f"`{member}`" in listed[event["entry"]], (event["entry"], member)


def test_every_file_of_a_run_is_listed(run):
    for path in run.path.rglob("*"):
        if path.is_file():
            name = path.relative_to(run.path).as_posix()
            pattern = re.sub(r"(arrays|tags|derived)/[^.]+", r"\1/[A-Z]+", name)
            assert re.search(rf"^\| `{pattern}`", RUN_FOLDER, re.M), name


def test_every_key_of_a_bench_file_is_listed():
    keys = {*benchfile._BENCH, *benchfile._INSTRUMENT, *benchfile._INTERLOCK, *KINDS, *OPTIONS}
    for key in (*keys, "late_by", "split_by"):
        assert f"`{key}`" in BENCH_FILE, key


def test_the_example_is_a_bench(tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", BENCH_FILE, re.S)
    path = tmp_path / "example.toml"
    path.write_text(text, encoding="utf-8")
    with Bench.open(str(path)) as bench:
        bench.arm()
        assert bench["laser"].name == "laser"
