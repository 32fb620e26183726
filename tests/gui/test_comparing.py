"""The difference of two runs, and what the catalogue shows of what was searched for."""

from __future__ import annotations

from labctl.run.folder import RunFolder
from labctl.run.search import compared
from labctl.viewing.comparing import MOST_LINES, Difference, differences

BENCH = '[bench]\ntitle = "Table 3"\n\n[instruments.laser]\ndriver = "a:A"\ntimeout = 5\n'


def make(runs, bench=BENCH, **start):
    about = {
        "bench": {"name": "table", "text": bench}, "mode": "sim", "seed": 0,
        "parameters": {"span": 0.1, "pair": 16}, "units": {"span": "nm"}, "commit": "abc",
        "versions": {"labctl": "1", "numpy": "2"}, **start,
    }  # fmt: skip
    run = RunFolder.create(runs, "scan", about)
    run.opened({"settings": {"laser": {"power": 3.0 + len(bench), "mode": "cw"}}})
    run.results({"width": {"value": 1.5, "uncertainty": 0.1, "unit": "nm"}})
    run.stop("finished")
    run.close()
    return run.path


def test_two_runs_differ_in_what_was_asked_set_and_used(tmp_path):
    one = make(tmp_path)
    assert differences(one, make(tmp_path)) == []
    parameters = {"span": 0.1 + 2**-56, "pair": 16, "new": True}
    versions = {"labctl": "1", "numpy": "3"}
    other = make(tmp_path, seed=1, parameters=parameters, versions=versions, commit="abc+")
    assert differences(one, other) == [
        Difference("request", "seed", "0", "1"),
        Difference("parameters", "span", "0.1 nm", "0.10000000000000002 nm"),
        Difference("parameters", "new", "", "True"),
        Difference("code", "commit", "abc", "abc+"),
        Difference("code", "versions numpy", "2", "3"),
    ]


def test_bench_files_differ_by_lines(tmp_path):
    one = make(tmp_path)
    other = make(tmp_path, BENCH.replace("timeout = 5", 'timeout = 50\naddress = "x"'))
    found = [d for d in differences(one, other) if d.part == "bench file"]
    assert found == [Difference("bench file", "line 6", "timeout = 5",
                                'timeout = 50; address = "x"')]  # fmt: skip
    assert Difference("settings", "laser.power", "77.0", "92.0") in differences(one, other)
    many = "".join(f"same = 0\nname_{i} = {i}\n" for i in range(30))
    text = differences(make(tmp_path, many), make(tmp_path, many.replace("name", "other")))
    found = [d for d in text if d.part == "bench file"]
    assert len(found) == MOST_LINES + 1
    assert found[-1].one == "20 more places"


def test_what_a_search_compares():
    text = 'squeezing_x>3 pair=16 is:starred since:2026-11-20 "a b" procedure:x pair<20 word'
    assert compared(text) == ["squeezing_x", "pair"]
